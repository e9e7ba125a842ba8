"""What each column becomes: as the model file says, else by its kind and its categories."""

import difflib

import numpy as np
import polars as pl

from tidegate.data.features.categorical import MAX_CATEGORIES
from tidegate.data.features.values import texts
from tidegate.data.time import time_of
from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.features import DEFAULT, OPTIONS, FeatureRule, Way
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import Kind

#: Words from which on a text is read for its words: names and addresses' parts have fewer.
TEXT_WORDS = 5
#: And more than this share of texts are unlike any other, or each is a category that comes back.
TEXT_UNLIKE = 0.5
#: Texts that are looked at before all are: most columns are no dates, as a few of them show.
_FIRST_LOOK = 200
#: A run without blanks, or a character of a script that writes none.
_RUN = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|[^\s\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]+"


def require_known(spec: ModelSpec, columns: list[str]) -> None:
    """Raise WrongUsage where the model file declares a feature of a column that is not there."""
    for name in spec.features or {}:
        if name == DEFAULT or name in columns:
            continue
        near = difflib.get_close_matches(name, columns, 1, 0.5)
        raise WrongUsage(
            "the model file declares a feature of column '{column}', which the rows have not",
            do="correct the name under 'features', or take it out; there is: {nearest}",
            column=name,
            nearest=near or columns,
        )


def way_of(column: pl.Series, spec: ModelSpec, *, has_target: bool) -> tuple[Way, FeatureRule]:
    """What a canonical column with values becomes, and the options that hold for it.

    By default: numbers a number, vectors an embedding; texts of few categories one-hot columns;
    of more, dates a date, long texts a text, and the rest a target encoding, or a hash where there
    is no target. Raises WrongUsage for an option that the way does not take.
    """
    rules = spec.features or {}
    general, own = rules.get(DEFAULT, FeatureRule()), rules.get(column.name, FeatureRule())
    most = own.max_categories or general.max_categories or MAX_CATEGORIES
    if own.way is None:  # said of how many are few, whatever it then becomes
        own = own.model_copy(update={"max_categories": None})
    many = general.many or (Way.TARGET if has_target else Way.HASH)
    way = own.way or _by_kind(column, spec, most, many)
    try:
        own.require_fits(way)
    except ValueError as error:
        raise WrongUsage(
            "column '{column}' cannot become what the model file says: {problem}",
            do="correct it under 'features'",
            column=column.name,
            problem=str(error),
        ) from None
    if way is Way.TARGET and not has_target:
        raise WrongUsage(
            "column '{column}' cannot become a target encoding: no row has a target",
            do="say 'hash' instead, or add labelled rows",
            column=column.name,
        )
    told = {name: getattr(general, name) for name in general.given & OPTIONS[way]}
    if way is Way.EMBEDDING and told.get("missing") not in (0.0, "keep"):
        told.pop("missing", None)  # a median is for numbers by themselves
    told |= {name: getattr(own, name) for name in own.given}
    if way is Way.ONE_HOT:
        told["max_categories"] = most
    if told.get("indicator") and told.get("missing") == "keep":
        del told["indicator"]  # of all columns, where this one keeps its gaps
    return way, FeatureRule(**told)


def _by_kind(column: pl.Series, spec: ModelSpec, most: int, many: Way) -> Way:
    rule = spec.contract.rule(column.name) if spec.contract is not None else None
    kind = rule.kind if rule is not None else None
    if isinstance(column.dtype, (pl.Array, pl.List)):
        return Way.EMBEDDING
    if kind is Kind.DATE:
        return Way.DATE
    if column.dtype.is_numeric():
        return Way.NUMBER
    if kind is Kind.TEXT:
        return Way.TEXT
    read = texts(column).drop_nulls()
    if read.n_unique() <= most:
        return Way.ONE_HOT
    if kind is None and _all_dates(read):
        return Way.DATE
    if kind is None and _long(read):
        return Way.TEXT
    return many


def _all_dates(read: pl.Series) -> bool:
    try:
        time_of(read.head(_FIRST_LOOK).to_frame(), [read.name])
        time_of(read.to_frame(), [read.name])
    except DataError:
        return False
    return True


def _long(read: pl.Series) -> bool:
    words = np.median(read.str.count_matches(_RUN).to_numpy())
    return bool(words >= TEXT_WORDS) and read.n_unique() > TEXT_UNLIKE * len(read)
