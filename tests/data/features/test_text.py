import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tidegate.data.features.categorical import hashes_of
from tidegate.data.features.fit import fit_transform
from tidegate.data.features.text import fit_text
from tidegate.domain.features import FeatureRule
from tidegate.domain.model import ModelSpec

_ALL = (1 << 64) - 1


def _mix(state):
    state = (state + 0x9E3779B97F4A7C15) & _ALL
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _ALL
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _ALL
    return state ^ (state >> 31)


def _plainly(pieces, low, high, columns):
    """The counts as the docstring defines them, n-gram by n-gram."""
    counts = [0] * columns
    for n in range(low, high + 1):
        for start in range(len(pieces) - n + 1):
            state = _mix(n)
            for piece in pieces[start : start + n]:
                state = _mix(state ^ piece)
            counts[state % columns] += -1 if state >> 63 else 1
    return counts


def _grams(texts, **rule):
    """The columns of n-grams, those of length and words aside."""
    series = pl.Series("t", texts, dtype=pl.String)
    feature = fit_text(series, FeatureRule(**rule), keep_missing=False)
    out = np.empty((len(texts), len(feature.names)))
    feature.put(out, series, keep_missing=False)
    return out[:, len(feature.names) - feature.columns :]


TEXTS = st.lists(st.none() | st.text(max_size=25), min_size=1, max_size=8)


@given(TEXTS, st.integers(1, 3), st.integers(0, 2), st.integers(1, 20))
def test_characters_are_counted_as_is_said(texts, low, more, columns):
    texts = [text and text.strip(" ") for text in texts]
    rule = {"of": "characters", "ngrams": (low, low + more), "columns": columns}
    out = _grams(texts, **rule, normalise=False)
    for row, text in zip(out, texts, strict=True):
        bare = pl.Series([text]).cast(pl.String).str.strip_chars()[0] or ""
        pieces = [ord(character) for character in bare.lower()]
        assert row.tolist() == _plainly(pieces, low, low + more, columns)
    long = np.sqrt((out**2).sum(axis=1))[:, None]
    assert _grams(texts, **rule).tobytes() == (out / np.where(long, long, 1)).tobytes()


@given(st.lists(st.lists(st.sampled_from(["good", "不", "bad", "12"]), max_size=9), min_size=1))
def test_words_are_counted_as_is_said(said):
    texts = [" ".join(words).upper() for words in said]
    out = _grams(texts, of="words", ngrams=(1, 2), columns=11, normalise=False)
    known = hashes_of({word for words in said for word in words})
    for row, words in zip(out, said, strict=True):
        assert row.tolist() == _plainly([known[word] for word in words], 1, 2, 11)


def test_the_hash_never_changes():
    out = _grams(["Not good, 真的 not good"], columns=16, normalise=False)
    assert out.astype(int).tolist() == [WORDS]
    out = _grams(["Not good"], of="characters", columns=16, normalise=False)
    assert out.astype(int).tolist() == [CHARACTERS]


WORDS = [0, 0, -1, 0, 2, 0, -2, 0, -2, -1, 0, 0, 1, 0, -2, 0]
CHARACTERS = [-1, 0, -2, 1, 0, 0, 0, 1, 0, -2, 0, 0, -1, 2, 0, 2]


def test_length_and_words():
    frame = pl.DataFrame({"y": range(4), "t": ["one two", "  three ", None, "水电 4"]})
    spec = ModelSpec(
        model="m", adapter="a", task="regression", target="y",
        features={"t": {"as": "text", "columns": 2}},
    )  # fmt: skip
    transform = fit_transform(frame, spec)
    assert transform.names == [
        "t.length", "t.length=(missing)", "t.words", "t.words=(missing)", "t#0", "t#1",
    ]  # fmt: skip
    (feature,) = transform.text
    out = transform.apply(frame)
    lengths = out[:, 0] * feature.length.scale + feature.length.mean
    words = out[:, 2] * feature.words.scale + feature.words.mean
    assert np.allclose(lengths, [7, 5, 5, 4], atol=1e-5)
    assert np.allclose(words, [2, 1, 2, 3], atol=1e-5)
    assert out[:, 1].tolist() == out[:, 3].tolist() == [0, 0, 1, 0]
    assert out[2, 4:].tolist() == [0, 0]
    gaps = fit_transform(frame, spec, keep_missing=True)
    assert np.isnan(gaps.apply(frame)[2]).tolist() == [True, True, False, False]


def test_texts_alike_lie_near_each_other():
    texts = [
        "the pump on the north side leaks oil again",
        "oil leaks again from the pump on the north side",
        "invoice of march was paid twice by mistake",
    ]
    a, b, c = _grams(texts)
    assert np.isclose(a @ a, 1)
    assert a @ b > 0.5
    assert abs(a @ c) < 0.3


def test_more_texts_than_are_read_at_a_time():
    texts = [f"note {n} of {n % 7}" for n in range(5000)]
    out = _grams(texts)
    assert out[4999].tobytes() == _grams(texts[4999:])[0].tobytes()
    assert len(out) == 5000
