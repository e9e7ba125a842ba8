"""The names of columns: each has one, and none has another's."""

from collections.abc import Sequence

from tidegate.domain.errors import DataError


def check_names(names: Sequence[str], file: str) -> None:
    """Raises DataError where a column has no name, or the name of another."""
    first: dict[str, int] = {}
    for place, name in enumerate(names, start=1):
        if not name:
            raise DataError(
                "{file}: column {place} has no name",
                do="name every column in the first line",
                file=file,
                place=place,
            )
        if name in first:
            raise DataError(
                "{file}: columns {first} and {place} are both named '{column}'",
                do="give each column a name of its own",
                file=file,
                first=first[name],
                place=place,
                column=name,
            )
        first[name] = place
