"""The split: sticky, monotone in the share, exact, and another one for every release."""

from hypothesis import given
from hypothesis import strategies as st

from tidegate.release.splitter import takes_candidate

KEYS = [f"user-{number}" for number in range(20_000)]


@given(key=st.text(), release=st.text(), low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_larger_share_only_moves_users_one_way(key, release, low, high):
    low, high = sorted((low, high))
    if takes_candidate(release, key, low):
        assert takes_candidate(release, key, high)


@given(key=st.text(), release=st.text())
def test_nobody_at_zero_and_everybody_at_one(key, release):
    assert not takes_candidate(release, key, 0.0)
    assert takes_candidate(release, key, 1.0)


def test_the_share_is_what_was_asked_for():
    """Binomial with n = 20,000: five standard errors around the share."""
    for share in (0.01, 0.1, 0.5):
        took = sum(takes_candidate("m-2", key, share) for key in KEYS)
        assert abs(took - share * len(KEYS)) < 5 * (share * (1 - share) * len(KEYS)) ** 0.5


def test_releases_split_independently():
    first = {key for key in KEYS if takes_candidate("m-2", key, 0.5)}
    second = {key for key in KEYS if takes_candidate("m-3", key, 0.5)}
    assert abs(len(first & second) - len(KEYS) / 4) < 5 * (len(KEYS) * 3 / 16) ** 0.5


def test_the_place_of_a_key_never_changes():
    """Fixed values: a new hash would move every user in the middle of a release."""
    assert [takes_candidate("m-2", f"user-{n}", 0.5) for n in range(8)] == [
        True, True, False, False, False, False, False, False,
    ]  # fmt: skip


def test_release_and_key_cannot_be_confused():
    split = [(r, "ab"[len(r) :] if r else "ab") for r in ("", "a", "ab")]
    places = {
        tuple(takes_candidate(release, key, share / 64) for share in range(64))
        for release, key in split
    }
    assert len(places) == 3
