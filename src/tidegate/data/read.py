"""Files of rows into one table: CSV or Parquet, checked, typed and stacked."""

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from tidegate.data.csv_text import check_names, parse_csv
from tidegate.data.table import canonical
from tidegate.domain.errors import DataError, NotFound, WrongUsage

_PARQUET = b"PAR1"
_PARQUET_NAMES = (".parquet", ".pq", ".parq")


def read_files(
    paths: Sequence[Path], progress: Callable[[int, int], None] | None = None
) -> pl.DataFrame:
    """The rows of all files, stacked in the order given, typed Int64, Float64 or String.

    What a file is, its first bytes say. All need the same columns, in any order; the first
    file's order stands. ``progress`` hears bytes read and bytes in all. Raises NotFound for a
    file that is not there and DataError, naming file, line and column, for one that is no table.
    """
    if not paths:
        raise WrongUsage("no file was named", do="name one or more CSV or Parquet files")
    paths = [Path(path) for path in paths]
    sizes = [_size(path) for path in paths]
    frames: list[pl.DataFrame] = []
    for number, path in enumerate(paths):
        frame = read_file(path)
        frames.append(_aligned(frames[0], frame, paths[0], path) if frames else frame)
        if progress is not None:
            progress(sum(sizes[: number + 1]), sum(sizes))
    return pl.concat(_one_type(frames, paths), rechunk=True)


def read_file(path: Path) -> pl.DataFrame:
    """The rows of one file; see ``read_files``."""
    try:
        with path.open("rb") as file:
            parquet = file.read(len(_PARQUET)) == _PARQUET
        if parquet:
            return _parquet(path)
        if path.suffix.lower() in _PARQUET_NAMES:
            raise DataError(
                "{file} is named like Parquet and is not",
                do="write the file again from its source, or rename it if it is CSV",
                file=str(path),
            )
        return parse_csv(path.read_bytes(), path)
    except OSError as error:
        raise DataError(
            "{file} cannot be read ({reason})",
            do="check the file and the right to read it",
            file=str(path),
            reason=error.strerror or str(error),
        ) from None


def _size(path: Path) -> int:
    if not path.exists():
        raise NotFound("there is no file {file}", do="check the name", file=str(path))
    if not path.is_file():
        raise DataError(
            "{file} is not a file",
            do="name the CSV or Parquet files themselves",
            file=str(path),
        )
    return path.stat().st_size


def _parquet(path: Path) -> pl.DataFrame:
    try:
        with pa.parquet.ParquetFile(path) as file:
            check_names([name.strip() for name in file.schema_arrow.names], path)
            _check_types(file.schema_arrow, path)
            table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            "{file} starts like Parquet and cannot be read ({reason})",
            do="the file is cut short or damaged; write it again from its source",
            file=str(path),
            reason=str(error).splitlines()[0],
        ) from None
    if table.num_rows == 0:
        raise DataError(
            "{file} names its columns and holds no rows",
            do="add rows, or leave the file out",
            file=str(path),
        )
    table = table.rename_columns([name.strip() for name in table.column_names])
    return canonical(pl.DataFrame(pl.from_arrow(table)))


def _check_types(schema: pa.Schema, path: Path) -> None:
    types = pa.types
    for field in schema:
        kind = field.type.value_type if types.is_dictionary(field.type) else field.type
        plain = (types.is_primitive(kind) and not types.is_interval(kind)) or types.is_null(kind)
        text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
        if (plain or text or types.is_decimal(kind)) and not types.is_duration(kind):
            continue
        raise DataError(
            "{file}: column '{column}' is of type {dtype}, which is neither a number, a text, "
            "a truth value nor a time",
            do="leave the column out, or spread it over plain columns",
            file=str(path),
            column=field.name,
            dtype=str(kind),
        )


def _aligned(first: pl.DataFrame, frame: pl.DataFrame, path: Path, other: Path) -> pl.DataFrame:
    missing = [name for name in first.columns if name not in frame.columns]
    extra = [name for name in frame.columns if name not in first.columns]
    if missing or extra:
        raise DataError(
            "{other} has not the columns of {file} (missing: {missing}; extra: {extra})",
            do="give the files the same columns, or add them one by one",
            file=str(path),
            other=str(other),
            missing=missing or ["-"],
            extra=extra or ["-"],
        )
    return frame.select(first.columns)


def _one_type(frames: list[pl.DataFrame], paths: list[Path]) -> list[pl.DataFrame]:
    """Each column in one type over all files; a column without values fits any type."""
    wanted: dict[str, pl.DataType] = {}
    for name in frames[0].columns:
        held = {
            frame[name].dtype: path
            for frame, path in zip(frames, paths, strict=True)
            if frame[name].null_count() < frame.height
        }
        if pl.String in held and len(held) > 1:
            number = next(path for dtype, path in held.items() if dtype != pl.String)
            raise DataError(
                "column '{column}' holds numbers in {file} and text in {other}",
                do="correct the values, or add the files one by one",
                column=name,
                file=str(number),
                other=str(held[pl.String()]),
            )
        known = list(held) or [pl.Float64()]
        wanted[name] = known[0] if len(known) == 1 else pl.Float64()
    return [frame.cast(wanted) for frame in frames]  # type: ignore[arg-type]
