"""The backtest: test-then-train, the same rows for all, and a policy worth its updates."""

import numpy as np
import polars as pl
import pytest

from tidegate.domain.errors import DataError, WrongUsage
from tidegate.process.backtest import backtest
from tidegate.process.models import parse_model

MODEL = {
    "model": "m", "task": "binary", "target": "y", "adapter": "sklearn.logistic_regression",
    "time": "t",
}  # fmt: skip


def stream(seed=0, rows=1500, turns=3):
    """Two columns whose meaning turns round ``turns`` times; ``t`` counts hours."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=rows), rng.normal(size=rows)
    angle = np.repeat(np.linspace(0, np.pi, turns), -(-rows // turns))[:rows]
    y = (np.cos(angle) * a + np.sin(angle) * b + rng.normal(0, 0.3, rows) > 0).astype(int)
    return pl.DataFrame({"t": np.arange(rows) * 3600 + 1.7e9, "a": a, "b": b, "y": y})


def run(frame, path, **options):
    spec = parse_model({**MODEL, **options.pop("model", {})})
    frame.write_csv(path)
    return backtest(spec, path, **({"batch_rows": 100} | options))


def test_updating_pays_where_the_world_turns(tmp_path):
    found = run(stream(), tmp_path / "s.csv")
    assert (found.batches, found.rows_tested) == (15, 1400)
    assert (found.static.updates, found.always.updates) == (0, 13)
    assert 0 < found.policy.updates < found.always.updates
    assert found.policy.score > found.static.score + 0.05


def test_it_is_the_same_every_time_but_for_the_seconds(tmp_path):
    first, second = (run(stream(), tmp_path / "s.csv") for _ in range(2))

    def timeless(found):
        return found.model_dump(
            exclude={arm: {"seconds", "updating"} for arm in ("static", "always", "policy")}
        )

    assert timeless(first) == timeless(second)


def test_rows_are_put_in_order_of_time(tmp_path):
    frame = stream()
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=1)
    ordered = run(frame, tmp_path / "s.csv")
    again = run(shuffled, tmp_path / "s.csv")
    assert (again.static.score, again.always.score) == (ordered.static.score, ordered.always.score)
    assert again.policy.updates == ordered.policy.updates


def test_rows_without_a_label_are_passed_over(tmp_path):
    frame = stream()
    holes = frame.with_columns(
        pl.when(pl.int_range(pl.len()) % 10 == 0).then(None).otherwise(pl.col("y")).alias("y")
    )
    assert run(holes, tmp_path / "s.csv").rows_tested == 1260


def test_numbers_are_tested_by_their_error(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=600)
    frame = pl.DataFrame({"x": x, "y": 3 * x + np.repeat([0.0, 5.0], 300)})
    model = {"task": "regression", "adapter": "sklearn.linear_regression", "time": []}
    found = run(frame, tmp_path / "s.csv", model=model)
    assert found.metric.name == "mae"
    assert not found.metric.greater_is_better
    assert found.always.score < found.static.score


def test_one_batch_cannot_be_tested(tmp_path):
    with pytest.raises(DataError, match="two are needed"):
        run(stream(rows=90), tmp_path / "s.csv")


def test_what_is_not_trained_has_no_policy_to_try(tmp_path):
    (tmp_path / "s.csv").write_text("y\n1\n")
    with pytest.raises(WrongUsage, match="no policy to try"):
        backtest(
            parse_model({"model": "t", "adapter": "tensors"}), tmp_path / "s.csv", batch_rows=2
        )


@pytest.mark.parametrize("column", ["nothing", "y2"])
def test_an_unknown_time_column_is_named(tmp_path, column):
    with pytest.raises(DataError, match=column):
        run(stream(), tmp_path / "s.csv", time_column=column)


def test_the_real_stream_reads_through(tmp_path, shared_data):
    """A tenth of electricity.csv, where it is at hand."""
    frame = pl.read_csv(shared_data / "electricity.csv")[:4704]
    model = {"target": "class", "adapter": "sklearn.gaussian_nb", "time": []}
    found = run(frame, tmp_path / "s.csv", model=model, batch_rows=336)
    assert found.batches == 14
    assert found.policy.updates <= found.always.updates
