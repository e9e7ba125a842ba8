"""Between parent and child: values averaged group by group, as far as they may and should go."""

from collections.abc import Callable, Sequence

import numpy as np

from tidegate.training.state import Adapter, Array, State
from tidegate.training.steps import relative_norm

#: Shares of the child that are tried, the child itself first.
SHARES = (1.0, 0.75, 0.5, 0.25)
#: A step that is shortened to its limit must not be above it by rounding.
_BELOW = 1 - 1e-6


def mixed(parent: State, child: State, groups: Sequence[str], share: float) -> State:
    """``share`` of the child's values and the rest of the parent's, in the named groups.

    Wortsman et al. 2022, arXiv:2109.01903. Tensors that one side lacks, that have another shape,
    or that hold no fractions, stay the child's.
    """
    tensors = dict(child.tensors)
    for name in (name for group in groups for name in child.groups.get(group, [])):
        old, new = parent.tensors.get(name), child.tensors[name]
        if share < 1 and old is not None and _alike(old, new):
            between = old.astype(np.float64) * (1 - share) + new.astype(np.float64) * share
            tensors[name] = between.astype(new.dtype)
    return State(child.architecture, tensors, child.groups)


def shortened(
    how: Adapter, parent: State, child: State, limit: float, anew: Sequence[str]
) -> tuple[State, list[str]]:
    """The child with no blended group further than ``limit`` of its size from the parent.

    Groups that start ``anew`` are let be. Gives the groups that were shortened as well.
    """
    done = []
    for group in how.blended(child):
        if group in anew or group not in parent.groups:
            continue
        step = relative_norm(parent.of_group(group), child.of_group(group))
        if step is not None and step > limit:
            child = mixed(parent, child, [group], limit / step * _BELOW)
            done.append(group)
    return child, done


def best_share(
    how: Adapter,
    parent: State,
    child: State,
    score: Callable[[State], float],
    anew: Sequence[str],
) -> tuple[State, float]:
    """The average of parent and child that scores best (greater is better), and its child's share.

    Of equals the one nearer to the child; where none may be (a score of minus infinity), the one
    nearest to the parent. Groups that start ``anew`` stay the child's.
    """
    groups = [group for group in how.blended(child) if group not in anew]
    tried = [(share, mixed(parent, child, groups, share)) for share in SHARES]
    scored = [(score(state), share, state) for share, state in tried]
    score_of_best, share, state = max(scored, key=lambda one: (one[0], one[1]))
    if score_of_best == -np.inf:
        share, state = tried[-1]
    return state, share


def _alike(old: Array, new: Array) -> bool:
    return (
        old.shape == new.shape and old.dtype == new.dtype and np.issubdtype(new.dtype, np.inexact)
    )
