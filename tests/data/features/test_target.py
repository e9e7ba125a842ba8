import numpy as np
import polars as pl
import pytest
from sklearn.preprocessing import TargetEncoder

from tidegate.data.features.fit import fit_transform, training_features
from tidegate.data.features.target import FOLDS, MAX_CLASSES, fit_target
from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.features import FeatureRule
from tidegate.domain.metrics import Task
from tidegate.domain.model import ModelSpec


def _fit(shop, target, task=Task.REGRESSION, *, seed=0, **rule):
    return fit_target(
        pl.Series("shop", shop), pl.Series("y", target), task, FeatureRule(**rule), seed
    )


def _values(feature, shop):
    out = np.empty((len(shop), len(feature.names)))
    feature.put(out, pl.Series("shop", shop, dtype=pl.String), keep_missing=False)
    return out


def _in_units(feature, out):
    """What the target would be: the encoding without its scale."""
    return [
        out[:, n] * told.spread * told.scale + told.mean for n, told in enumerate(feature.outputs)
    ]


RNG = np.random.default_rng(3)
SHOPS = [f"shop {n}" for n in RNG.integers(0, 40, 2000)]
NUMBERS = RNG.normal(size=2000) * 7 + 100 + np.array([int(s[5:]) for s in SHOPS])


def test_numbers_are_those_of_scikit_learn():
    feature = _fit(SHOPS, NUMBERS, smooth=5)
    (ours,) = _in_units(feature, _values(feature, SHOPS))
    theirs = TargetEncoder(smooth=5).fit(np.array(SHOPS)[:, None], NUMBERS)
    assert np.allclose(ours, theirs.transform(np.array(SHOPS)[:, None])[:, 0], rtol=1e-6)


@pytest.mark.parametrize("labels", [["no", "yes"], [3, 1, 20], [True, False]])
def test_classes_are_those_of_scikit_learn(labels):
    target = [labels[n] for n in RNG.integers(0, len(labels), 2000)]
    task = Task.BINARY if len(labels) == 2 else Task.MULTICLASS
    feature = _fit(SHOPS, target, task)
    ours = _in_units(feature, _values(feature, SHOPS))
    encoder = TargetEncoder(smooth=10).fit(np.array(SHOPS)[:, None], np.array(target))
    theirs = encoder.transform(np.array(SHOPS)[:, None])
    assert theirs.shape[1] == len(ours)
    for told, column in zip(feature.outputs, ours, strict=True):
        names = [str(c).lower() for c in encoder.classes_]
        at = names.index(told.label) if len(ours) > 1 else 0
        assert np.allclose(column, theirs[:, at], rtol=1e-9)


def test_what_was_never_seen_or_once_is_the_mean_of_all():
    feature = _fit(["a", "a", "b", None, None], [1.0, 1.0, 9.0, 5.0, 5.0])
    out = _values(feature, ["b", "z", "", " a ", None])
    assert out[:2].tolist() == [[0.0], [0.0]]
    assert out[3, 0] < 0 < out[4, 0] == out[2, 0]
    assert _values(_fit(["a", "a", "b"], [1.0, 2.0, 3.0]), [None]).tolist() == [[0.0]]


def test_a_row_that_is_trained_on_does_not_read_its_own_target():
    feature = _fit(SHOPS, NUMBERS, seed=11)
    column = pl.Series(SHOPS)
    plain = feature.out_of_fold(column, pl.Series(NUMBERS), 11)
    for row in range(0, 2000, 97):
        changed = NUMBERS.copy()
        changed[row] += 1e6
        now = feature.out_of_fold(column, pl.Series(changed), 11)
        assert now[row].tobytes() == plain[row].tobytes()
        assert (now != plain).any(), "others of its shop read it"


def test_noise_is_no_news_to_the_rows_that_are_trained_on():
    rng = np.random.default_rng(5)
    frame = pl.DataFrame(
        {"shop": [f"{n}" for n in rng.integers(0, 3000, 9000)], "y": rng.normal(size=9000)}
    )
    spec = ModelSpec(
        model="m", adapter="a", task="regression", target="y", features={"shop": "target"}
    )
    transform = fit_transform(frame, spec)
    learned = training_features(transform, frame, spec)[:, 0]
    served = transform.apply(frame)[:, 0]
    bound = 4 / np.sqrt(9000)  # four standard deviations of a correlation of nothing
    assert abs(np.corrcoef(learned, frame["y"])[0, 1]) < bound
    assert np.corrcoef(served, frame["y"])[0, 1] > 0.4, "in the fold it looks like knowledge"
    assert 0.99 < learned.std() < 1.01


def test_folds_are_the_same_for_good():
    # From numpy's raw PCG64 stream, which never changes; equal shares.
    seeds = [np.random.PCG64(seed).random_raw(10) for seed in (0, 1)]
    target = 2.0 ** np.arange(10)  # no two sums alike
    feature = _fit(["a"] * 10, target)
    for seed, raw in enumerate(seeds):
        folds = np.empty(10, int)
        folds[np.argsort(raw)] = np.arange(10) % FOLDS
        out = feature.out_of_fold(pl.Series(["a"] * 10), pl.Series(target), seed)[:, 0]
        assert len(np.unique(out)) == FOLDS
        for fold in range(FOLDS):
            assert len(np.unique(out[folds == fold])) == 1
    assert seeds[0][0] == 11749869230777074271


def test_a_missing_target_says_nothing():
    feature = _fit(["a", "a", "b", "b"], [1.0, None, 2.0, float("inf")])
    assert np.isfinite(_values(feature, ["a", "b"])).all()
    feature = _fit(["a", "a", "b", "b"], ["x", None, "z", "z"], Task.BINARY)
    assert np.isfinite(_values(feature, ["a", "b"])).all()


def test_only_the_most_frequent_classes_get_a_column():
    classes = [f"k{n:02d}" for n in range(50) for _ in range(2 + n)]
    feature = _fit(["a"] * len(classes), classes, Task.MULTICLASS)
    assert [told.label for told in feature.outputs] == [f"k{n}" for n in range(20, 50)]
    assert len(feature.names) == MAX_CLASSES
    assert feature.names[0] == "shop~target=k20"


def test_a_target_of_one_value():
    assert _values(_fit(["a", "a"], [3.0, 3.0]), ["a"]).tolist() == [[0.0]]
    assert _values(_fit(["a", "a"], ["k", "k"], Task.BINARY), ["a"]).tolist() == [[0.0]]
    huge = _fit(["a", "a", "b", "b"], [1.7e308, 1.7e308, -1.7e308, -1.7e308])
    assert np.isfinite(_values(huge, ["a", "b"])).all()


def test_a_target_that_cannot_be_learned_from_is_named():
    with pytest.raises(DataError, match="'y' must hold numbers"):
        _fit(["a", "a"], ["one", "two"])
    frame = pl.DataFrame({"shop": ["a", "b"], "y": [None, None]})
    spec = ModelSpec(
        model="m", adapter="a", task="regression", target="y", features={"shop": "target"}
    )
    with pytest.raises(WrongUsage, match="'shop' cannot become a target encoding"):
        fit_transform(frame, spec)
