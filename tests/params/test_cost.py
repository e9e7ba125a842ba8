"""What versions cost: all that is stored, each byte counted for one of them."""

import numpy as np

from tidegate.domain.tensor import Tensor
from tidegate.domain.version import Structure
from tidegate.params.commit import commit
from tidegate.params.cost import added_bytes

STRUCTURE = Structure(adapter="tensors")


def test_the_costs_of_all_versions_are_what_the_packs_hold(objects):
    rng = np.random.default_rng(0)
    values, ids = rng.normal(size=(3, 30_000)), []
    for number in range(4):
        values[number % 3, :100] += 1
        tensors = {str(i): Tensor.of(row) for i, row in enumerate(values)}
        ids.append(commit(objects, STRUCTURE, tensors, ids[::-1]).id)
    added = added_bytes(objects, [*ids, ids[0]])
    assert sum(added) == sum(size for _, size in objects.list("params/packs/"))
    assert added[-1] == 0
    assert all(later < added[0] / 2 for later in added[1:])
