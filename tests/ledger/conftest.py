import itertools

import pytest

from tidegate.ledger.journal import Journal


@pytest.fixture
def journal(database):
    """A journal whose clock ticks a second at every look."""
    seconds = itertools.count()
    return Journal(database, lambda: f"2026-01-01T00:00:{next(seconds) % 60:02d}.000+00:00")
