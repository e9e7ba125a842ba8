"""Whether one side holds categories that the other does not, where there are too many to name."""

import math

import polars as pl
from scipy import special

from tidegate.data.drift.measures import Look


def novelty(reference: pl.Series, current: pl.Series) -> list[Look]:
    """What is new on one side, and what is gone from the other, by a sample of the rows of each.

    Of a sample, about as many further rows hold a category that it lacks as hold one in it that
    occurs there once (Good 1953, Turing's estimate). Where more of the other side's rows do, there
    are categories that this side does not have. A column of names that never repeat has nothing
    to be recognised by, and tells nothing.
    """
    sides = [series.drop_nulls() for series in (reference, current)]
    return [_unseen(*sides), _unseen(*sides[::-1])]


def _unseen(known: pl.Series, other: pl.Series) -> Look:
    n, m = len(known), len(other)
    if not (n and m):
        return Look(0.0, 1.0)
    times = known.value_counts()["count"]
    once, twice = int((times == 1).sum()), int((times == 2).sum())
    expected = once / n
    seen = float((~other.is_in(known.unique().implode())).sum()) / m
    # The spread of Turing's estimate (Esty 1983), and of the share that is compared with it.
    spread = math.sqrt((once * (1 - expected) + 2 * twice) / n**2 + expected * (1 - expected) / m)
    apart = max(0.0, seen - expected)
    p = float(special.ndtr(-apart / spread)) if spread else float(not apart)
    return Look(apart, p)
