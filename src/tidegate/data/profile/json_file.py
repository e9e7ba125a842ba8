"""A profile as JSON: kept beside a snapshot, or in a file of its own; read without trust."""

import gzip
import json
import math
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from blake3 import blake3
from pydantic import ValidationError

from tidegate.data.output import write_file
from tidegate.data.profile.categories import GROUPS, HASHES, LONGEST, Beyond, Tally
from tidegate.data.profile.column import ColumnProfile
from tidegate.data.profile.numbers import Moments, NumberBrief, Summary
from tidegate.data.profile.profile import Profile
from tidegate.domain.errors import DataError, IntegrityError, Missing, NotFound
from tidegate.domain.messages import Frozen, Message, say
from tidegate.domain.schema import Kind
from tidegate.store.objects import Objects

FORMAT = "tidegate/profile/2"


class Numbers(Frozen):
    """A ``NumberBrief`` in JSON; ``minimum`` and ``maximum`` are absent where there are no rows."""

    values: list[float]
    counts: list[int]
    error_rows: float
    rows: int
    mean: float
    sd: float
    minimum: float | None = None
    maximum: float | None = None
    missing: int
    infinite: int
    rising: bool
    first: float | None = None
    last: float | None = None


class Texts(Frozen):
    """A ``Tally`` in JSON; the last three only where not all categories are named."""

    names: list[str]
    counts: list[int]
    missing: int
    lost: int = 0
    groups: list[int] | None = None
    lengths: list[int] | None = None
    hashes: list[int] | None = None


class Column(Frozen):
    """A ``ColumnProfile`` in JSON; ``distinct`` is for people."""

    name: str
    kind: Kind
    dtype: str
    rows: int
    missing: int
    distinct: int | None = None
    numbers: dict[str, Numbers] = {}
    texts: Texts | None = None


class Document(Frozen):
    """A ``Profile`` in JSON; ``sample`` is a uniform sample of the rows, column by column."""

    format: Literal["tidegate/profile/2"]
    name: str
    rows: int
    columns: list[Column]
    types: dict[str, str]
    sample: dict[str, list[Any]]


def to_json(given: Profile) -> str:
    """The profile as JSON text; every number comes back exactly."""
    document = Document(
        format=FORMAT,
        name=given.name,
        rows=given.rows,
        columns=[_column(column) for column in given.columns],
        types={series.name: str(series.dtype) for series in given.sample.get_columns()},
        sample=_sampled(given.sample),
    )
    # Infinities have no place in JSON, and are not told apart in a profile.
    return json.dumps(document.model_dump(mode="json"), allow_nan=False, ensure_ascii=False) + "\n"


def from_json(text: str | bytes) -> Profile:
    """The profile in a JSON text; raises DataError where it is not one, or contradicts itself."""
    try:
        found = Document.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            "this is not a profile: {where} ({reason})",
            do="make one with: tidegate data profile FILE -o PROFILE.json",
            where=".".join(str(part) for part in first["loc"]) or "text",
            reason=first["msg"],
        ) from None
    columns = [_checked(column) for column in found.columns]
    return Profile(found.name, found.rows, columns, _sample(found))


def save(given: Profile, path: Path) -> None:
    """Write the profile as JSON; an earlier file is replaced whole or not at all."""
    write_file(path, to_json(given))


def keep(objects: Objects, given: Profile) -> str:
    """Store the profile of a snapshot; gives the BLAKE3 of what is stored."""
    text = to_json(given).encode()
    digest = blake3(text).hexdigest()
    objects.put(_key(digest), gzip.compress(text, compresslevel=1, mtime=0))
    return digest


def kept(objects: Objects, digest: str) -> Profile:
    """A stored profile; raises IntegrityError where it is gone or was altered."""
    try:
        text = gzip.decompress(objects.get(_key(digest)))
    except (Missing, OSError, EOFError, zlib.error):
        text = b""
    if blake3(text).hexdigest() != digest:
        raise IntegrityError(
            "the stored profile {profile} was altered or is gone",
            do="restore the object store from a backup",
            profile=digest,
        )
    return from_json(text)


def verify_profile(objects: Objects, digest: str) -> Message | None:
    """What is wrong with a stored profile, or None."""
    try:
        kept(objects, digest)
    except IntegrityError as error:
        return say(error.what, **error.values)
    return None


def _key(digest: str) -> str:
    return f"profiles/{digest}.json.gz"


def load(path: Path) -> Profile:
    """The profile in a file; raises NotFound or DataError."""
    if not path.is_file():
        raise NotFound("there is no file {file}", do="check the name", file=str(path))
    return from_json(path.read_bytes())


def is_profile(path: Path) -> bool:
    """Whether a file begins as a profile does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return b'"tidegate/profile/' in file.read(200)


def _column(column: ColumnProfile) -> Column:
    tally = column.tally
    distinct = tally.distinct if tally is not None else None
    value = column.value
    if value is not None and tally is None and not value.summary.error:
        distinct = len(value.summary.values)
    return Column(
        name=column.name,
        kind=column.kind,
        dtype=column.dtype,
        rows=column.rows,
        missing=column.missing,
        distinct=distinct,
        numbers={name: _numbers(brief) for name, brief in column.numbers.items()},
        texts=None if tally is None else _texts(tally),
    )


def _numbers(brief: NumberBrief) -> Numbers:
    moments = brief.moments
    held = moments.rows > 0
    return Numbers(
        values=brief.summary.values.tolist(),
        counts=brief.summary.counts.tolist(),
        error_rows=brief.summary.error * brief.summary.rows,
        rows=moments.rows,
        mean=moments.mean,
        sd=moments.sd,
        minimum=moments.minimum if held else None,
        maximum=moments.maximum if held else None,
        missing=brief.missing,
        infinite=brief.infinite,
        rising=brief.rising,
        first=brief.first,
        last=brief.last,
    )


def _texts(tally: Tally) -> Texts:
    more = tally.more
    return Texts(
        names=tally.names,
        counts=tally.counts.tolist(),
        missing=tally.missing,
        lost=tally.lost,
        groups=None if more is None else more.groups.tolist(),
        lengths=None if more is None else more.lengths.tolist(),
        hashes=None if more is None else more.hashes.tolist(),
    )


def _sampled(frame: pl.DataFrame) -> dict[str, list[Any]]:
    floats = [series.name for series in frame.get_columns() if series.dtype == pl.Float64]
    plain = frame.with_columns(
        pl.when(pl.col(name).is_finite()).then(pl.col(name)) for name in floats
    )
    return plain.to_dict(as_series=False)


def _checked(column: Column) -> ColumnProfile:
    """The column; raises DataError where its numbers contradict each other."""
    texts, held = column.texts, column.rows - column.missing
    sound = held >= 0 <= column.missing and (column.numbers or texts is not None)
    sound = sound and all(_sound_numbers(one, held) for one in column.numbers.values())
    if not sound or (texts is not None and not _sound_texts(texts, held)):
        raise DataError(
            "the profile of column '{column}' contradicts itself: its counts do not add up to its "
            "rows, or its values are not in order",
            do="make the profile again from the data",
            column=column.name,
        )
    return ColumnProfile(
        column.name,
        column.kind,
        column.dtype,
        column.rows,
        column.missing,
        {name: _brief(one) for name, one in column.numbers.items()},
        None if texts is None else _tally(texts),
    )


def _sound_numbers(one: Numbers, held: int) -> bool:
    return (
        len(one.values) == len(one.counts)
        and sum(one.counts) == one.rows == held
        and min([*one.counts, one.missing, one.infinite, one.rows]) >= 0
        and one.error_rows >= 0
        and all(a < b for a, b in pairwise(one.values))
        and all(math.isfinite(number) for number in [*one.values, one.mean, one.sd])
        and (one.rows == 0 or (one.minimum is not None and one.maximum is not None))
    )


def _sound_texts(texts: Texts, held: int) -> bool:
    named = sum(texts.counts)
    more = (texts.groups, texts.lengths, texts.hashes)
    counted = [*(texts.groups or []), *(texts.lengths or []), *(texts.hashes or [])]
    return (
        len(texts.names) == len(texts.counts) == len(set(texts.names))
        and min([*texts.counts, texts.missing, texts.lost, *counted, 0]) >= 0
        and len({part is None for part in more}) == 1
        and (
            named == held
            if texts.groups is None
            else named <= held == sum(texts.groups) == sum(texts.lengths or [])
            and len(texts.groups) == GROUPS
            and len(texts.lengths or []) <= LONGEST + 1
            and len(texts.hashes or []) <= HASHES
            and max(texts.hashes or [0]) < 2**64
        )
    )


def _brief(one: Numbers) -> NumberBrief:
    low = math.inf if one.minimum is None else one.minimum
    high = -math.inf if one.maximum is None else one.maximum
    return NumberBrief(
        Summary(
            np.array(one.values, np.float64), np.array(one.counts, np.int64), fixed=one.error_rows
        ),
        Moments(one.rows, one.mean, one.sd, low, high),
        one.missing,
        one.infinite,
        one.rising,
        one.first,
        one.last,
    )


def _tally(texts: Texts) -> Tally:
    order = sorted(range(len(texts.names)), key=texts.names.__getitem__)
    more = None
    if texts.groups is not None:
        more = Beyond(
            np.array(texts.groups, np.int64),
            np.array(texts.lengths, np.int64),
            np.array(sorted(set(texts.hashes or [])), np.uint64),
        )
    counts = np.array(texts.counts, np.int64)[order]
    return Tally([texts.names[at] for at in order], counts, texts.missing, texts.lost, more)


_TYPES: dict[str, pl.DataType] = {
    str(dtype): dtype for dtype in (pl.Int64(), pl.Float64(), pl.String())
}


def _sample(found: Document) -> pl.DataFrame:
    columns = []
    for column in found.columns:
        dtype = _TYPES.get(found.types.get(column.name, ""))
        values = found.sample.get(column.name)
        if dtype is None and column.kind is Kind.EMBEDDING and values:
            width = next((len(v) for v in values if isinstance(v, list)), 0)
            dtype = pl.Array(pl.Float64, width)
        if dtype is None or values is None:
            raise _no_sample(column.name)
        try:
            columns.append(pl.Series(column.name, values, dtype=dtype, strict=True))
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
            raise _no_sample(column.name) from None
    try:
        return pl.DataFrame(columns)
    except pl.exceptions.PolarsError:
        raise _no_sample(found.columns[0].name) from None


def _no_sample(column: str) -> DataError:
    return DataError(
        "the profile's sample does not hold column '{column}' as the profile describes it",
        do="make the profile again from the data",
        column=column,
    )
