"""Whether texts use other words than before."""

import numpy as np
import polars as pl

from tidegate.data.drift.measures import Look, two_by_two
from tidegate.data.profile.hashing import text_hashes

#: Words are taken together in so many groups by their hash: enough that one word that comes or
#: goes stands out, and few enough that each is in many rows.
GROUPS = 256
#: A word is a run of letters or digits; of scripts without blanks, each character.
WORD = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|[\p{L}\p{M}]+|\p{N}+"


def words(reference: pl.Series, current: pl.Series) -> Look | None:
    """The surest change in how many texts use a word, over groups of words; None without texts.

    Counted in texts, not in words: the words of one text are not independent of each other.
    """
    sides = [series.drop_nulls() for series in (reference, current)]
    n, m = (len(side) for side in sides)
    if not (n and m):
        return None
    a, b = (_uses(side) for side in sides)
    chances = [two_by_two(k, n, j, m) for k, j in zip(a.tolist(), b.tolist(), strict=True)]
    surest = int(np.argmin(chances))
    apart = abs(float(a[surest]) / n - float(b[surest]) / m)
    return Look(apart, min(1.0, GROUPS * chances[surest]))


def _uses(texts: pl.Series) -> np.ndarray:
    """Texts that use any word of each group."""
    said = texts.str.to_lowercase().str.extract_all(WORD)
    told = pl.DataFrame({"row": np.arange(len(texts)), "word": said}).explode("word").drop_nulls()
    groups = text_hashes(told["word"]) % np.uint64(GROUPS)
    pairs = np.unique(told["row"].to_numpy() * GROUPS + groups.astype(np.int64))
    return np.bincount(pairs % GROUPS, minlength=GROUPS)
