"""What every adapter holds to, whatever it is: exact meaning, exact bits, plain refusals."""

import dataclasses
import gc
import json
import weakref

import numpy as np
import pytest

from tidegate.domain.errors import DataError, Incompatible, WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.strategy import Strategy
from tidegate.training.adapter import Job, State, adapter, known_adapters, load, train
from tidegate.training.steps import moved_tensors, not_finite, same_bits

UPDATES = [Strategy.INCREMENTAL, Strategy.HYBRID]


def same(first, second):
    return first.architecture == second.architecture and all(
        same_bits(first.tensors[n], second.tensors[n])
        for n in first.tensors.keys() | second.tensors.keys()
    )


def moved_on(name, task, found, fitted, strategy, **job):
    settings = job.pop("settings", fitted.settings)
    asked = Job(task=task, strategy=strategy, parent=fitted.state, settings=settings, seed=4, **job)
    return train(adapter(name), found.later_x, found.later_y, asked)


def through_storage(state):
    """The state as it comes back from JSON and bytes."""
    tensors = {
        name: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)
        for name, array in state.tensors.items()
    }
    plain = json.loads(json.dumps([state.architecture, state.groups]))
    return State(plain[0], tensors, plain[1])


def alike(first, second):
    assert np.array_equal(first.values, second.values)
    assert first.classes == second.classes
    if first.probabilities is not None:
        assert np.array_equal(first.probabilities, second.probabilities)


def scikit_learns(how, task, settings):
    """The estimator that a user of scikit-learn would have fitted."""
    if "gradient" not in how.name:
        return how.estimator(task, {**how.defaults(task), **settings}, 3)
    from sklearn import ensemble

    kind = "Regressor" if task is Task.REGRESSION else "Classifier"
    family = getattr(ensemble, f"HistGradientBoosting{kind}")
    return family(**how.passed_of({**how.defaults(task), **settings}), random_state=3)


_OTHERS = "its own tests hold it to what it is made of"
#: Adapters that no single estimator of scikit-learn stands beside.
ALONE = {
    "sklearn.random_forest": "its trees draw their rows by themselves; it is seen to learn",
    "sklearn.isolation_forest": _OTHERS, "sklearn.kmeans": _OTHERS,
    "sklearn.pca_logistic_regression": _OTHERS, "sklearn.pca_ridge": _OTHERS,
    "torch": _OTHERS, "xgboost": _OTHERS, "lightgbm": _OTHERS,
}  # fmt: skip


def test_it_predicts_as_scikit_learn_does(name, task, learned):
    if name in ALONE:
        pytest.skip(ALONE[name])
    found, fitted = learned
    how = adapter(name)
    theirs = scikit_learns(how, task, fitted.settings).fit(found.x, found.y)
    ours = load(name, fitted.state).predict(found.later_x)
    if task is Task.REGRESSION:
        assert np.allclose(ours.values, theirs.predict(found.later_x), rtol=1e-4, atol=1e-3)
        return
    # Where probabilities are equal but for rounding, a row on the border may differ.
    assert np.mean(ours.values == theirs.predict(found.later_x)) >= 0.98
    if ours.probabilities is not None:
        assert np.allclose(ours.probabilities.sum(axis=1), 1)
        best = np.array(ours.classes)[ours.probabilities.argmax(axis=1)]
        assert np.mean(best == ours.values) == 1.0


def test_it_learned_something(name, task, learned):
    found, fitted = learned
    if name == "sklearn.isolation_forest":
        pytest.skip("it looks for rare rows, and there are none here; see test_more_families")
    said = load(name, fitted.state).predict(found.later_x).values
    if task is Task.REGRESSION:
        error = np.mean((said - found.later_y) ** 2)
        assert error < 0.85 * np.var(found.later_y)
    else:
        assert np.mean(said == found.later_y) > 0.8
    assert fitted.curve
    assert np.isfinite(fitted.curve).all()


def test_what_is_loaded_goes_with_its_last_user(name, task, learned):
    """A gateway's collector seldom looks, so what was switched away from must not need it."""
    found, fitted = learned
    gc.disable()
    try:
        loaded = load(name, fitted.state)
        loaded.predict(found.later_x)
        watched = [weakref.ref(loaded), weakref.ref(loaded._scorer)]
        gc.collect(0)  # all that was made since; the whole heap takes half a second
        del loaded
        assert [ref() for ref in watched] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("constant", [1, None])
def test_columns_that_are_constant_break_nothing(name, task, learned, constant):
    """One column among others, or all of them."""
    found, usual = learned
    x = found.x.copy()
    x[:, slice(0, constant)] = 3.0
    job = Job(task=task, settings=usual.settings, seed=3)
    if name == "sklearn.gaussian_nb" and constant is None:
        with pytest.raises(DataError, match="no feature varies"):
            train(adapter(name), x, found.y, job)
        return
    fitted = train(adapter(name), x, found.y, job)
    assert all(np.isfinite(t).all() for t in fitted.state.tensors.values() if t.dtype.kind == "f")
    said = load(name, fitted.state).predict(x)
    assert len(said.values) == len(x)
    if said.probabilities is not None:
        assert np.isfinite(said.probabilities).all()


def test_storage_changes_no_prediction(name, task, learned):
    found, fitted = learned
    before = load(name, fitted.state).predict(found.later_x)
    alike(before, load(name, through_storage(fitted.state)).predict(found.later_x))


def test_a_row_is_answered_the_same_in_any_company(name, task, learned):
    found, fitted = learned
    scorer = load(name, fitted.state)
    together = scorer.predict(found.later_x[:20]).values
    alone = [scorer.predict(found.later_x[n : n + 1]).values[0] for n in range(20)]
    if task is Task.REGRESSION:
        assert np.allclose(together, alone, rtol=1e-5 if name == "torch" else 1e-12)
    else:
        assert list(together) == alone
    assert len(scorer.predict(found.later_x[:0]).values) == 0


def test_the_same_job_gives_the_same_bits(name, task, learned):
    found, fitted = learned
    job = Job(task=task, settings=fitted.settings, seed=3)
    assert same(fitted.state, train(adapter(name), found.x, found.y, job).state)
    for strategy in UPDATES:
        if strategy in adapter(name).strategies:
            first, second = (moved_on(name, task, found, fitted, strategy) for _ in range(2))
            assert same(first.state, second.state)


def test_every_tensor_is_finite_and_in_one_group(name, task, learned):
    _, fitted = learned
    listed = [tensor for names in fitted.state.groups.values() for tensor in names]
    assert sorted(listed) == sorted(fitted.state.tensors)
    assert not_finite(fitted.state) == []
    groups = adapter(name).group_names(task, fitted.state)
    assert groups == list(fitted.state.groups)


def test_an_incremental_update_moves_what_it_says_and_nothing_else(name, task, learned):
    found, fitted = learned
    how = adapter(name)
    if Strategy.INCREMENTAL not in how.strategies:
        pytest.skip(f"{name} says that it cannot do incremental updates")
    child = moved_on(name, task, found, fitted, Strategy.INCREMENTAL).state
    trainable = how.trainable_groups(task, fitted.state, fitted.settings)
    moved = {
        g for g in {*fitted.state.groups, *child.groups} if moved_tensors(fitted.state, child, g)
    }
    assert moved
    assert moved <= set(trainable)
    if "trees" in "".join(child.groups):  # the old trees stay, new ones are added
        added = set(child.groups) - set(fitted.state.groups)
        assert added
        assert added <= set(trainable)


def test_a_hybrid_update_renews_its_key_groups(name, task, learned):
    found, fitted = learned
    how = adapter(name)
    if Strategy.HYBRID not in how.strategies:
        pytest.skip(f"{name} says that it cannot do hybrid updates")
    child = moved_on(name, task, found, fitted, Strategy.HYBRID).state
    for group in how.key_groups(task, fitted.state):
        assert moved_tensors(fitted.state, child, group)


def test_what_it_cannot_do_it_says(name, task, learned):
    found, fitted = learned
    how = adapter(name)
    for strategy in UPDATES:
        if strategy not in how.strategies:
            with pytest.raises(WrongUsage, match="cannot do"):
                moved_on(name, task, found, fitted, strategy)
        with pytest.raises(WrongUsage):
            train(how, found.x, found.y, Job(task=task, strategy=strategy))
    others = set(Task) - how.tasks
    for other in others:
        with pytest.raises(WrongUsage, match="does not do the task"):
            train(how, found.x, found.y, Job(task=other))


def test_unknown_settings_and_groups_are_named_with_the_nearest(name, task, learned):
    found, fitted = learned
    how = adapter(name)
    known = sorted(how.defaults(task))[0]
    with pytest.raises(WrongUsage, match=known):
        train(how, found.x, found.y, Job(task=task, settings={known + "x": 1}))
    group = next(iter(fitted.state.groups))
    if Strategy.HYBRID in how.strategies:
        with pytest.raises(WrongUsage, match=group):
            moved_on(name, task, found, fitted, Strategy.HYBRID, key_groups=[group + "x"])


def test_rows_that_cannot_be_learned_from(name, task, learned):
    found, _ = learned
    how = adapter(name)
    job = Job(task=task)
    infinite = found.x.copy()
    infinite[3, 1] = np.inf
    with pytest.raises(DataError, match="row 3, feature 1"):
        train(how, infinite, found.y, job)
    with pytest.raises(DataError):
        train(how, found.x[:1], found.y[:1], job)
    with pytest.raises(DataError):
        train(how, found.x[:, :0], found.y, job)
    if task is Task.REGRESSION:
        holes = found.y.copy()
        holes[2] = np.nan
        with pytest.raises(DataError, match="row 2"):
            train(how, found.x, holes, job)
    else:
        with pytest.raises(DataError, match="class"):
            train(how, found.x, np.full(len(found.y), "a"), job)


def test_parameters_that_do_not_fit_are_refused(name, task, learned):
    found, fitted = learned
    with pytest.raises(Incompatible, match="features"):
        load(name, fitted.state).predict(found.x[:, 1:])
    for tensor in fitted.state.tensors:
        less = {n: a for n, a in fitted.state.tensors.items() if n != tensor}
        if adapter_needs(name, tensor):
            with pytest.raises(Incompatible):
                load(name, dataclasses.replace(fitted.state, tensors=less)).predict(found.x)


def adapter_needs(name, tensor):
    """Whether a tensor is needed to answer; some are kept for the next update only."""
    kept_for_later = ("precision", "statistics", "clock", "rows", "smoothing", "binning")
    return not tensor.startswith(kept_for_later)


def test_other_features_than_the_parents_take_a_full_update(name, task, learned):
    found, fitted = learned
    for strategy in UPDATES:
        if strategy in adapter(name).strategies:
            job = Job(task=task, strategy=strategy, parent=fitted.state, settings=fitted.settings)
            with pytest.raises(Incompatible, match="full update"):
                train(adapter(name), found.x[:, 1:], found.y, job)


def test_a_library_out_of_range_is_refused(name, task, learned):
    _, fitted = learned
    with pytest.raises(Incompatible, match="scikit-learn"):
        load(name, fitted.state, {"scikit-learn": "<0.1"})


def test_unknown_adapters_are_named_with_the_nearest():
    with pytest.raises(WrongUsage, match=r"sklearn\.random_forest"):
        adapter("sklearn.randomforest")
    assert "tensors" in known_adapters()


def test_adapters_answer_to_the_name_they_are_known_by():
    assert [adapter(name).name for name in known_adapters()] == known_adapters()
