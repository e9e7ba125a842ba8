"""Adapters from packages of other people: found by entry point, and refused with a reason."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from tidegate.domain.errors import WrongUsage
from tidegate.domain.metrics import Task
from tidegate.domain.strategy import Strategy
from tidegate.training import registry
from tidegate.training.adapter import Job, adapter, known_adapters, load, train
from tidegate.training.steps import moved_tensors

EXAMPLE = Path(__file__).parents[2] / "examples" / "adapter" / "src"
NAME = "example.nearest_centroid"


@pytest.fixture
def announced(monkeypatch):
    """As if a package that announces such an adapter were installed."""

    def announce(name, value):
        registry._announced.cache_clear()
        registry._made.cache_clear()
        point = EntryPoint(name, value, registry.ENTRY_POINTS)
        monkeypatch.setattr(registry, "entry_points", lambda group: [point])

    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield announce
    monkeypatch.undo()
    sys.modules.pop("nearest_centroid", None)
    registry._announced.cache_clear()
    registry._made.cache_clear()


def rows(seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 200)
    return rng.normal(size=(200, 3)) + 2 * y[:, None], np.where(y, "yes", "no")


def test_the_example_is_an_adapter_like_any_other(announced):
    announced(NAME, "nearest_centroid:NearestCentroid")
    assert NAME in known_adapters()
    how, (x, y) = adapter(NAME), rows(0)
    first = train(how, x, y, Job(task=Task.BINARY)).state
    assert np.mean(load(NAME, first).predict(x).values == y) > 0.9
    frozen = train(how, *rows(1), Job(task=Task.BINARY, strategy=Strategy.INCREMENTAL,
                                      parent=first, trainable_groups=["rows"])).state  # fmt: skip
    assert not moved_tensors(first, frozen, "means")
    anew = train(how, *rows(1), Job(task=Task.BINARY, strategy=Strategy.HYBRID, parent=first,
                                    key_groups=["means"])).state  # fmt: skip
    assert not moved_tensors(first, anew, "rows")
    assert moved_tensors(first, anew, "means")


def test_its_entry_point_names_what_is_there():
    text = (EXAMPLE.parent / "pyproject.toml").read_text()
    assert f'"{NAME}" = "nearest_centroid:NearestCentroid"' in text
    assert len((EXAMPLE / "nearest_centroid" / "__init__.py").read_text().splitlines()) <= 62


def test_a_name_of_tidegates_own_cannot_be_taken(announced):
    announced("sklearn.ridge", "nearest_centroid:NearestCentroid")
    assert adapter("sklearn.ridge").tasks == {Task.REGRESSION}


@pytest.mark.parametrize("value", ["no_such_package:X", "nearest_centroid:Nothing", "sys:maxsize"])
def test_one_that_cannot_be_loaded_says_whose_it_is(announced, value):
    announced("broken", value)
    with pytest.raises(WrongUsage, match="cannot be loaded"):
        adapter("broken")


def test_an_extra_that_is_not_installed_is_named(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    registry._made.cache_clear()
    monkeypatch.setattr(registry, "import_module", missing)
    with pytest.raises(WrongUsage, match=r"pip install 'tidegate\[torch\]'"):
        adapter("torch")
    registry._made.cache_clear()
