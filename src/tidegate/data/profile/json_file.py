"""A profile as JSON: kept beside a snapshot, or in a file of its own; read without trust."""

import gzip
import json
import math
import mmap
import re
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from blake3 import blake3
from pydantic import ValidationError

from tidegate.data.output import write_file
from tidegate.data.profile.categories import Beyond, Tally
from tidegate.data.profile.column import ColumnProfile
from tidegate.data.profile.document import (
    FORMAT,
    Column,
    Document,
    Numbers,
    Texts,
    check,
    no_sample,
)
from tidegate.data.profile.numbers import Moments, NumberBrief, Summary
from tidegate.data.profile.profile import Profile
from tidegate.data.table import finite
from tidegate.domain.errors import DataError, IntegrityError, Missing, NotFound
from tidegate.domain.messages import Message, say
from tidegate.store.objects import Objects

#: A larger file is not read: a profile of 1,000 columns takes a quarter of this, and reading takes
#: several times as much memory.
MOST_BYTES = 1 << 28
#: How a profile begins in a file, whatever order its keys have.
_BEGINS = re.compile(rb'\s*\{\s*"(columns|format|name|rows|sample|types)"\s*:')
_NAMED = re.compile(rb'"format"\s*:\s*"tidegate/profile/')


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
        # Read by json, which takes a tenth of the memory that pydantic takes to read as much.
        found = Document.model_validate(json.loads(text, object_pairs_hook=_once))
    except ValidationError as error:
        # Not what was given in its place, which may be as long as the text.
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "text"
        raise _no_profile(where, first["msg"]) from None
    except (ValueError, RecursionError) as error:
        raise _no_profile("text", str(error)) from None
    check(found)
    columns = [_profile(column) for column in found.columns]
    return Profile(found.name, found.rows, columns, _sample(found))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object; refuses one that names a key twice, of which readers take different ones."""
    found = dict(pairs)
    if len(found) < len(pairs):
        [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise _no_profile(key, "named twice")
    return found


def _no_profile(where: str, reason: str) -> DataError:
    return DataError(
        "this is not a profile: {where} ({reason})",
        do="make one with: tidegate data profile FILE -o PROFILE.json",
        where=where,
        reason=reason,
    )


def save(given: Profile, path: Path) -> None:
    """Write the profile as JSON; an earlier file is replaced whole or not at all."""
    text = to_json(given)
    _refuse_large(path, len(text.encode()))
    write_file(path, text)


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
    _refuse_large(path, path.stat().st_size)
    return from_json(path.read_bytes())


def is_profile(path: Path) -> bool:
    """Whether a file begins as a profile does, and says somewhere that it is one."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        if not _BEGINS.match(file.read(200)):
            return False
        file.seek(0)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _NAMED.search(content, 0, MOST_BYTES) is not None


def _refuse_large(path: Path, size: int) -> None:
    if size > MOST_BYTES:
        raise DataError(
            "{file}: a profile of {size} bytes, more than the {most} that are read",
            do="profile fewer columns at a time",
            file=str(path),
            size=size,
            most=MOST_BYTES,
        )


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
    return {
        series.name: (finite(series) if series.dtype == pl.Float64 else series).to_list()
        for series in frame.get_columns()
    }


def _profile(column: Column) -> ColumnProfile:
    return ColumnProfile(
        column.name,
        column.kind,
        column.dtype,
        column.rows,
        column.missing,
        {name: _brief(one) for name, one in column.numbers.items()},
        None if column.texts is None else _tally(column.texts),
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
_VECTORS = re.compile(r"Array\(Float64, shape=\(([0-9]{1,9}),\)\)")


def _sample(found: Document) -> pl.DataFrame:
    columns = []
    for column in found.columns:
        values = found.sample[column.name]
        dtype = _TYPES.get(column.dtype)
        if vector := _VECTORS.fullmatch(column.dtype):
            width = int(vector[1])
            # Missing vectors take their room too, and are written in four letters.
            dtype = None if 8 * width * len(values) > MOST_BYTES else pl.Array(pl.Float64, width)
        if dtype is None:
            raise no_sample(column.name)
        try:
            columns.append(pl.Series(column.name, values, dtype=dtype, strict=True))
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
            raise no_sample(column.name) from None
    return pl.DataFrame(columns)
