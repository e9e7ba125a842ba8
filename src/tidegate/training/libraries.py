"""Whether the installed libraries are ones that parameters load with."""

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from tidegate.domain.errors import Incompatible

#: How a version must stand to a bound. Only what adapters state is understood.
_HOLDS = {
    ">=": lambda found, bound: found >= bound,
    "<": lambda found, bound: found < bound,
    "==": lambda found, bound: found == bound,
}


def _numbers(text: str) -> tuple[int, ...]:
    """The release numbers of a version, without trailing zeros: ``1.6.0rc1`` is ``(1, 6)``."""
    found = re.match(r"\d+(\.\d+)*", text)
    numbers = [int(part) for part in found.group().split(".")] if found else [0]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def fits(installed: str, specifier: str) -> bool:
    """Whether a version lies within a specifier of ``>=``, ``<`` and ``==`` bounds.

    >>> fits("1.10.2", ">=1.6,<2"), fits("1.5", ">=1.6,<2")
    (True, False)
    """
    for bound in filter(None, (part.strip() for part in specifier.split(","))):
        found = re.fullmatch(r"(>=|<|==)\s*([0-9][0-9A-Za-z.]*)", bound)
        if found is None or not _HOLDS[found[1]](_numbers(installed), _numbers(found[2])):
            return False
    return True


#: Libraries that come in more than one package.
_PACKAGES = {"xgboost": ("xgboost", "xgboost-cpu")}


def _installed_as(library: str) -> str:
    """The package that a library is installed as here."""
    for package in _PACKAGES.get(library, ()):
        try:
            version(package)
        except PackageNotFoundError:
            continue
        return package
    return library


def check_libraries(libraries: Mapping[str, str]) -> None:
    """Raise Incompatible, naming library and versions, where an installed one does not fit."""
    for library, specifier in libraries.items():
        try:
            installed = version(_installed_as(library))
        except PackageNotFoundError:
            raise Incompatible(
                "these parameters load with {library} {wanted}, which is not installed",
                do="install it with: pip install '{library}{wanted}'",
                library=library,
                wanted=specifier,
            ) from None
        if not fits(installed, specifier):
            raise Incompatible(
                "these parameters load with {library} {wanted}, and {installed} is installed",
                do="install a fitting version, or make a new version with a full update",
                library=library,
                wanted=specifier,
                installed=installed,
            )
