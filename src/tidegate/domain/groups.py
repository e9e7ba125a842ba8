"""Parameter groups by name pattern, as a model file declares them for tensors from files."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

#: The group of all tensors where none is declared, and of those that no declared one takes.
ALL, OTHERS = "(all)", "(others)"


def members(patterns: Mapping[str, str], names: Iterable[str]) -> dict[str, list[str]]:
    """The tensors of every group, in the order of ``names``; each tensor is in exactly one.

    Patterns are those of a shell: ``*`` is any text, dots included, ``?`` one character, ``[ab]``
    one of these. The first pattern that fits a name takes it. What no pattern takes is a group of
    its own, ``(others)``; without patterns all are ``(all)``.

    >>> members({"head": "*head*", "layers": "layers.*"}, ["embed", "layers.0.w", "lm_head.w"])
    {'head': ['lm_head.w'], 'layers': ['layers.0.w'], '(others)': ['embed']}
    """
    rest = OTHERS if patterns else ALL
    found: dict[str, list[str]] = {group: [] for group in patterns}
    for name in names:
        taken = (group for group, pattern in patterns.items() if fnmatchcase(name, pattern))
        found.setdefault(next(taken, rest), []).append(name)
    return found
