"""docs/strategies.md tells of every adapter, with the groups it really has."""

from pathlib import Path

import pytest

from tidegate.domain.metrics import Task
from tidegate.training.adapter import adapter, known_adapters

ROWS = {
    name.strip().strip("`"): line
    for line in (Path(__file__).parents[2] / "docs" / "strategies.md").read_text().splitlines()
    if line.startswith("| `")
    for name in line.split("|")[1].split(",")
}


def test_every_adapter_is_told_of():
    assert sorted(ROWS) == known_adapters()


@pytest.mark.parametrize("adapter_name", [n for n in known_adapters() if n != "tensors"])
def test_its_groups_and_tasks_are_the_real_ones(adapter_name):
    how, cells = adapter(adapter_name), ROWS[adapter_name].split("|")
    for task in how.tasks:
        assert str(task) in cells[2] or cells[2].strip() == "all"
    assert (cells[2].strip() == "all") is (how.tasks == set(Task))
    for group in how.group_names(next(iter(how.tasks)), None):
        assert f"`{group}`" in cells[3]
