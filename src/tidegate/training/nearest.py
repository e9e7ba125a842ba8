"""The nearest known name to one that is not known."""

import difflib
from collections.abc import Iterable

from tidegate.domain.errors import WrongUsage


def known_or_refuse(name: str, known: Iterable[str], what: str) -> None:
    """Raise WrongUsage, naming the nearest known one, where ``name`` is not known.

    ``what`` is the template of what happened; it may use ``{name}``.
    """
    names = list(known)
    if name in names:
        return
    near = difflib.get_close_matches(name, names, 1, 0.4)
    if near:
        raise WrongUsage(what, do="did you mean '{near}'?", name=name, near=near[0])
    raise WrongUsage(what, do="use one of {known}", name=name, known=names)
