"""Whether texts use other words than before."""

import numpy as np
import polars as pl
from scipy import special

from tidegate.data.drift.measures import Measured
from tidegate.data.profile.hashing import text_hashes

#: Words are taken together in so many groups by their hash: enough that one word that comes or
#: goes stands out, and few enough that each is in many rows.
GROUPS = 256
#: A word is a run of letters or digits; of scripts without blanks, each character.
WORD = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|[\p{L}\p{M}]+|\p{N}+"


def words(reference: pl.Series, current: pl.Series) -> Measured:
    """The largest change in how many texts use a word, over groups of words.

    Counted in texts, not in words: the words of one text are not independent of each other. Rows
    are a sample, so what it shows by chance is taken off the effect.
    """
    sides = [series.cast(pl.String).drop_nulls() for series in (reference, current)]
    n, m = (len(side) for side in sides)
    if not (n and m):
        return Measured(0.0, 1.0)
    a, b = (_uses(side) for side in sides)
    middle = (a + b) / (n + m)
    spread = np.sqrt(middle * (1 - middle) * (1 / n + 1 / m))
    apart = np.abs(a / n - b / m)
    with np.errstate(invalid="ignore", divide="ignore"):
        surest = float(np.nan_to_num(apart / spread, posinf=0.0).max())
    p = min(1.0, GROUPS * 2 * float(special.ndtr(-surest)))
    # The largest of many differences by chance lies near so many deviations.
    chance = float(np.sqrt(2 * np.log(GROUPS)))
    return Measured(
        float(np.maximum(0.0, apart - chance * spread).max()), p, {"words": apart.max()}
    )


def _uses(texts: pl.Series) -> np.ndarray:
    """Texts that use any word of each group."""
    said = texts.str.to_lowercase().str.extract_all(WORD)
    told = pl.DataFrame({"row": np.arange(len(texts)), "word": said}).explode("word").drop_nulls()
    groups = text_hashes(told["word"]) % np.uint64(GROUPS)
    pairs = np.unique(told["row"].to_numpy() * GROUPS + groups.astype(np.int64))
    return np.bincount(pairs % GROUPS, minlength=GROUPS)
