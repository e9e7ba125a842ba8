"""Columns that are spelled alike."""

import difflib


def nearest(name: str, columns: list[str], cutoff: float = 0.5) -> list[str]:
    """Up to three names that are spelled alike, upper and lower case being the same."""
    plain: dict[str, str] = {}
    for column in columns:
        plain.setdefault(column.strip().lower(), column)
    near = difflib.get_close_matches(name.strip().lower(), list(plain), n=3, cutoff=cutoff)
    return [plain[match] for match in near]
