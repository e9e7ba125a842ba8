"""What tree ensembles share: one parameter group an update, and nodes that lead to a leaf."""

from typing import NoReturn

import numpy as np

from tidegate.domain.errors import Incompatible, WrongUsage
from tidegate.domain.strategy import Strategy
from tidegate.training.state import Array, Job, State

FIRST = "trees.0"


def tree_groups(state: State) -> list[str]:
    """The groups of trees, in the order in which they were grown."""
    found = [group for group in state.groups if group.startswith("trees.")]
    return sorted(found, key=lambda group: int(group.removeprefix("trees.")))


def next_group(state: State) -> str:
    """The name of the group of trees that the next update adds."""
    return f"trees.{int(tree_groups(state)[-1].removeprefix('trees.')) + 1}"


def check_tree_groups(job: Job, parent: State) -> None:
    """Raise WrongUsage where the job would move groups that trees cannot move."""
    if job.strategy is Strategy.INCREMENTAL and job.trainable_groups != [next_group(parent)]:
        raise WrongUsage(
            "trees that stand do not move: an incremental update adds the group '{group}'",
            do="leave trainable_groups out, or use a hybrid update to grow a group anew",
            group=next_group(parent),
        )
    fixed = [group for group in job.key_groups if group not in tree_groups(parent)]
    if fixed:
        raise WrongUsage(
            "group '{group}' cannot be retrained while trees stand on it",
            do="name groups of trees as key groups, or use a full update",
            group=fixed[0],
        )


def check_nodes(
    adapter: str, sizes: Array, left: Array, right: Array, feature: Array, n_features: int
) -> None:
    """Raise Incompatible where following the nodes of some tree would not end at a leaf.

    ``sizes``: nodes of each tree; ``left`` and ``right``: positions within the tree, 0 in a
    leaf. The compiled code that walks trees checks no bounds, so what was read must be checked.
    """
    whole = all(
        part.dtype.kind in "iu" and part.ndim == 1 for part in (sizes, left, right, feature)
    )
    if not whole or (sizes <= 0).any() or len(left) != int(sizes.sum()):
        _refuse_nodes(adapter)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    own, size = np.arange(len(left)) - starts, np.repeat(sizes, sizes)
    inner = left != 0
    sound = (
        len(left) == len(right) == len(feature)
        and bool((inner == (right != 0)).all())
        and bool(((left > own) & (left < size))[inner].all())
        and bool(((right > own) & (right < size))[inner].all())
        and bool(((feature >= 0) & (feature < n_features))[inner].all())
    )
    if not sound:
        _refuse_nodes(adapter)


def _refuse_nodes(adapter: str) -> NoReturn:
    raise Incompatible(
        "adapter '{adapter}' found a tree whose nodes lead nowhere",
        do="take the parameters from their source again; these were altered",
        adapter=adapter,
    )
