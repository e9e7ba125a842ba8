"""Texts: how long they are, and which words or characters they hold, by hash."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tidegate.data.drift.words import WORD
from tidegate.data.features.categorical import hashes_of
from tidegate.data.features.numeric import NumericFeature, fit_numeric
from tidegate.data.features.values import Floats, categories
from tidegate.data.profile.hashing import Hashes, mixed
from tidegate.domain.features import MOST_COLUMNS, FeatureRule, Pieces
from tidegate.domain.messages import Frozen

#: Columns that n-grams share: two texts are told alike or not to about 1 / sqrt(128), or 9%.
TEXT_COLUMNS = 128
#: Words alone and in pairs: "not good" is another word than "good". Of characters, what makes
#: syllables and endings.
NGRAMS: dict[Pieces, tuple[int, int]] = {"words": (1, 2), "characters": (2, 4)}

#: Texts that are cut into pieces at a time: the pieces of so many fit a core's cache.
_AT_ONCE = 4096

Rows = NDArray[np.int64]


class TextFeature(Frozen):
    """A text becomes its length, its number of words, and its n-grams counted in ``columns``.

    ``length`` and ``words`` take lower-case characters and words of ``words.WORD``. The n-grams
    are of ``low`` to ``high`` words, or characters, and each counts 1 or -1 in the column that its
    hash gives (Weinberger et al. 2009); ``normalise``: the counts of a text have length 1. A
    missing text has no n-grams, and the length that stands for missing ones.

    The hash of an n-gram: the state begins as ``mix(n)`` and for each piece becomes
    ``mix(state ^ piece)``, where ``mix`` is splitmix64, and a piece is a character's code point or
    a word's hash (see HashedFeature). Its remainder by ``columns`` is the column, its highest bit
    the sign. Lower case and letters are Unicode's, which never changes those of a character that
    it has.
    """

    name: str
    length: NumericFeature
    words: NumericFeature
    of: Pieces
    low: Annotated[int, Field(ge=1)]
    high: Annotated[int, Field(le=8)]
    columns: Annotated[int, Field(ge=1, le=MOST_COLUMNS)]
    normalise: bool

    @model_validator(mode="after")
    def _ascending(self) -> "TextFeature":
        if self.low > self.high:
            raise ValueError("the longest n-grams are shorter than the shortest")
        return self

    @property
    def names(self) -> list[str]:
        """Names of the features."""
        hashed = [f"{self.name}#{number}" for number in range(self.columns)]
        return self.length.names + self.words.names + hashed

    def put(self, block: Floats, column: pl.Series, *, keep_missing: bool) -> None:
        """Write the features into ``block``, ``(n_rows, len(names))``."""
        for start in range(0, len(column), _AT_ONCE):
            part = column[start : start + _AT_ONCE]
            self._put(block[start : start + _AT_ONCE], part, keep_missing)

    def _put(self, block: Floats, column: pl.Series, keep_missing: bool) -> None:
        lower, words = read(column)
        at = 0
        for feature, size in zip((self.length, self.words), sizes(lower, words), strict=True):
            width = len(feature.names)
            feature.put_values(block[:, at : at + width], size, keep_missing=keep_missing)
            at += width
        pieces, owner = _words(words) if self.of == "words" else _characters(lower)
        counts = np.zeros((len(column), self.columns), np.int64)
        for hashes, rows in _ngrams(pieces, owner, self.low, self.high):
            places = (hashes % np.uint64(self.columns)).astype(np.int64)
            signs = np.where(hashes >> np.uint64(63), -1, 1)
            np.add.at(counts, (rows, places), signs)
        block[:, at:] = _normalised(counts) if self.normalise else counts


def fit_text(column: pl.Series, rule: FeatureRule, *, keep_missing: bool) -> TextFeature:
    """The feature of a column of texts: only their sizes are fitted, the rest is declared."""
    length, words = sizes(*read(column))
    plain = FeatureRule()
    of = rule.of or "words"
    low, high = rule.ngrams or NGRAMS[of]
    name = column.name
    return TextFeature(
        name=name,
        length=fit_numeric(f"{name}.length", length, plain, keep_missing=keep_missing),
        words=fit_numeric(f"{name}.words", words, plain, keep_missing=keep_missing),
        of=of,
        low=low,
        high=high,
        columns=rule.columns or TEXT_COLUMNS,
        normalise=rule.normalise is not False,
    )


def read(column: pl.Series) -> tuple[list[str | None], list[list[str]]]:
    """Each text in lower case without blanks around, None where nothing is left; and its words."""
    lower = [None if text is None else text.lower() for text in categories(column)]
    words = pl.Series(lower, dtype=pl.String).str.extract_all(WORD).to_list()
    return lower, [said or [] for said in words]


def sizes(lower: list[str | None], words: list[list[str]]) -> tuple[Floats, Floats]:
    """Characters and words of each text, NaN where it is missing."""
    missing = np.array([text is None for text in lower], dtype=bool)
    told = ([len(text or "") for text in lower], [len(said) for said in words])
    length, count = (np.where(missing, np.nan, np.array(size, np.float64)) for size in told)
    return length, count


def _words(words: list[list[str]]) -> tuple[Hashes, Rows]:
    """Every word's hash, and its row."""
    said = [word for row in words for word in row]
    known = hashes_of(said)
    owner = np.repeat(np.arange(len(words)), [len(row) for row in words])
    return np.array([known[word] for word in said], np.uint64), owner


def _characters(lower: list[str | None]) -> tuple[Hashes, Rows]:
    """Every character's code point, and its row."""
    given = [text or "" for text in lower]
    points = np.frombuffer("".join(given).encode("utf-32-le"), "<u4")
    return points.astype(np.uint64), np.repeat(np.arange(len(given)), [len(t) for t in given])


def _ngrams(pieces: Hashes, owner: Rows, low: int, high: int) -> Iterator[tuple[Hashes, Rows]]:
    """For each n, the hashes of all runs of n pieces of one row, and their rows."""
    for n in range(low, high + 1):
        starts = np.flatnonzero(owner[: max(0, len(owner) - n + 1)] == owner[n - 1 :])
        state = np.full(len(starts), mixed(np.array([n], np.uint64))[0])
        for step in range(n):
            state = mixed(state ^ pieces[starts + step])
        yield state, owner[starts]


def _normalised(counts: Rows) -> Floats:
    """Each row divided by its length: sums of whole numbers, so exact in any order."""
    lengths = np.sqrt(np.einsum("ij,ij->i", counts, counts).astype(np.float64))
    scaled: Floats = counts / np.where(lengths, lengths, 1.0)[:, None]
    return scaled
