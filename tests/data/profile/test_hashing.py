import numpy as np
import polars as pl
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from tidegate.data.profile.hashing import text_hashes

_ALL = (1 << 64) - 1


def _mix(state):
    state = (state + 0x9E3779B97F4A7C15) & _ALL
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _ALL
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _ALL
    return state ^ (state >> 31)


def _plainly(text):
    """The hash as the docstring defines it, text by text."""
    data = text.encode()
    if len(data) > 256:
        return int.from_bytes(blake3(data).digest(8), "little")
    state = _mix(len(data))
    for start in range(0, len(data), 8):
        word = int.from_bytes(data[start : start + 8].ljust(8, b"\0"), "little")
        state = _mix(state ^ word)
    return state


_LONG = st.text(min_size=80, max_size=90).map(lambda text: 3 * text)


@given(st.lists(st.text(max_size=40) | _LONG, max_size=20), st.integers(0, 5))
def test_it_is_what_it_is_said_to_be(texts, start):
    series = pl.Series("t", texts, dtype=pl.String)
    expected = [_plainly(text) for text in texts]
    assert text_hashes(series).tolist() == expected
    assert text_hashes(series[start:]).tolist() == expected[start:]  # whatever memory it lies in


def test_it_never_changes():
    known = [16294208416658607535, 6774081908283191102]
    assert text_hashes(pl.Series(["", "a"])).tolist() == known


def test_a_very_long_text_takes_no_time_to_speak_of():
    # A word at a time this would take millions of steps.
    assert len(text_hashes(pl.Series(["x" * (1 << 26), "y"]))) == 2


def test_texts_spread_evenly():
    hashes = text_hashes(pl.Series([f"user-{n}" for n in range(256_000)]))
    assert len(np.unique(hashes)) == 256_000
    for bits in (hashes & np.uint64(255), hashes >> np.uint64(56)):
        counts = np.bincount(bits.astype(int), minlength=256)
        assert np.sum((counts - 1000) ** 2 / 1000) < 355  # chi-square, 255 degrees, 1 in 20,000
