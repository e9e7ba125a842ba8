"""Parquet files, unpacked a batch at a time on all cores."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from tidegate.data.sources.arrow import canonical_type, conformed, is_plain, is_text, is_vector
from tidegate.data.sources.names import check_names
from tidegate.data.sources.pages import LARGE_BYTES, LARGEST_RATIO, check_pages, check_rows
from tidegate.data.sources.rows import BATCH_ROWS, Source, batch_rows, changed, gathered
from tidegate.domain.errors import DataError

MAGIC = b"PAR1"
#: Bytes that each column is read ahead by, and all together: a row group may be half a file.
_AHEAD_BYTES, _AHEAD_ALL = 1 << 20, 1 << 26
#: Rows of a row group that is worth slicing. With a million in one, and 50 columns, slices of a
#: batch take 2.1 seconds of a core, and reading on takes 1.0.
_SHORT_GROUP = 1 << 18
#: Bytes of text that one step of reading may unpack to.
_STEP_BYTES = 1 << 28


class ParquetSource(Source):
    """The rows of one Parquet file; raises DataError for one that is none, or no plain table."""

    columnar = True

    def __init__(self, path: Path):
        self.path, self.name = path, str(path)
        self._width, self._step = 64, 1 << 10
        arrow, footer = self._footer()
        self._fields = {name.strip(): name for name in arrow.names}
        check_names([name.strip() for name in arrow.names], self.name)
        self.rows, self.size_bytes = footer.num_rows, path.stat().st_size
        self._width = footer.num_columns
        if not self.rows:
            raise DataError(
                "{file} names its columns and holds no rows",
                do="add rows, or leave the file out",
                file=self.name,
            )
        given = {field.name.strip(): canonical_type(field, self.name) for field in arrow}
        self._plain = {field.name.strip() for field in arrow if is_plain(field.type)}
        groups = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
        self._short_groups = max(groups) <= _SHORT_GROUP
        check_rows(path, self.rows, len(given))
        self._step = self._bounded_step(arrow, footer)
        self.schema = {
            name: dtype if dtype is not None else self._decided(name, arrow)
            for name, dtype in given.items()
        }

    def _footer(self) -> tuple[pa.Schema, pa.parquet.FileMetaData]:
        try:
            with self._open() as file:
                return file.schema_arrow, file.metadata
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                "{file} starts like Parquet and cannot be read ({reason})",
                do="the file is cut short or damaged; write it again from its source",
                file=self.name,
                reason=_first_line(error),
            ) from None

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows; see ``Source``."""
        wanted = {name: self.schema[name] for name in columns or self.columns}
        done = 0
        for frame in gathered(self._conformed(wanted), batch_rows(wanted)):
            yield frame
            done += frame.height
        if done != self.rows:
            raise DataError(
                "{file} declares {rows:,} rows and holds {found:,}",
                do="the file is damaged; write it again from its source",
                file=self.name,
                rows=self.rows,
                found=done,
            )

    def _conformed(self, wanted: dict[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        """The rows as they are unpacked; raises DataError where that never seems to end."""
        rows, done = min(batch_rows(wanted), self._step), 0
        unpacked, most = 0, max(LARGE_BYTES, LARGEST_RATIO * (self.size_bytes or 0))
        texts = [name for name, dtype in wanted.items() if dtype == pl.String]
        for given in self._frames(list(wanted), rows):
            frame = conformed(given, wanted, self.name, done)
            yield frame
            done += frame.height
            if self._step < BATCH_ROWS:  # else no text is long enough
                lengths = frame.select(pl.col(texts).str.len_bytes().sum())
                unpacked += sum(lengths.row(0)) if texts else 0
            if unpacked > most:
                raise DataError(
                    "{file} unpacks to more than {unpacked:,} bytes by row {row:,}, and has "
                    "{size:,}",
                    do="no table lies in so little; get the file again from who made it",
                    file=self.name,
                    unpacked=most,
                    row=done,
                    size=self.size_bytes,
                )

    def _frames(self, columns: list[str], rows: int) -> Iterator[pl.DataFrame]:
        """The columns as they lie in the file, of so many rows at most."""
        if self._short_groups and all(name in self._plain for name in columns):
            yield from self._slices(columns, rows)
        else:
            yield from self._unpacked(columns, rows)

    def _slices(self, columns: list[str], rows: int) -> Iterator[pl.DataFrame]:
        """By polars, which holds less of plain columns; each slice unpacks its row group anew."""
        fields = [self._fields[name] for name in columns]
        lazy = pl.scan_parquet(self.path, glob=False, hive_partitioning=False)
        lazy = lazy.select(cs.by_name(*fields))
        for start in range(0, self.rows or 0, rows):
            try:
                frame = lazy.slice(start, rows).collect()
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
                raise self._damaged(columns, start, error) from None
            yield pl.DataFrame([frame[field].alias(name)
                                for field, name in zip(fields, columns, strict=True)])  # fmt: skip

    def _unpacked(self, columns: list[str], rows: int) -> Iterator[pl.DataFrame]:
        """By pyarrow, which knows every type."""
        fields, done = [self._fields[name] for name in columns], 0
        try:
            with self._open() as file:
                if not set(fields) <= set(file.schema_arrow.names):
                    raise changed(self.name)
                for batch in file.iter_batches(rows, columns=fields):
                    # The reader gives columns in file order.
                    table = pa.Table.from_batches([batch]).select(fields)
                    yield pl.DataFrame(pl.from_arrow(table.rename_columns(columns)))
                    done += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(columns, done, error) from None

    def _open(self, dictionaries: Sequence[str] = ()) -> pa.parquet.ParquetFile:
        ahead = max(1 << 13, min(_AHEAD_BYTES, _AHEAD_ALL // max(1, self._width)))
        return pa.parquet.ParquetFile(
            self.path, pre_buffer=False, buffer_size=ahead, read_dictionary=list(dictionaries)
        )

    def _bounded_step(self, arrow: pa.Schema, footer: pa.parquet.FileMetaData) -> int:
        """Rows that may be unpacked at once, however long the texts that they share."""
        shared = check_pages(self.path, footer)
        texts = {
            name: one for name, one in zip(arrow.names, shared, strict=True)
            if is_text(arrow.field(name).type)
        }  # fmt: skip
        rows = batch_rows(dict.fromkeys(arrow.names, pl.String()))
        longest = {name: max(one) for name, one in texts.items()}
        if sum(longest.values()) * rows > _STEP_BYTES:
            # A dictionary of many texts is no danger, one of a single long text is: look at them.
            kept = self._longest([name for name, one in texts.items() if one.dictionary])
            longest = {name: max(kept.get(name, 0), one.start) for name, one in texts.items()}
        return max(1, _STEP_BYTES // max(1, sum(longest.values())))

    def _longest(self, names: list[str]) -> dict[str, int]:
        """Bytes of the longest text in the dictionaries of each column."""
        found = dict.fromkeys(names, 0)
        if not names:
            return found
        try:
            with self._open(names) as file:
                for group in range(file.num_row_groups):
                    first = next(file.iter_batches(1, row_groups=[group], columns=names), None)
                    if first is None:
                        continue
                    for name in names:
                        kept = first.column(first.schema.get_field_index(name))
                        lengths = pa.compute.binary_length(kept.dictionary)
                        found[name] = max(found[name], pa.compute.max(lengths).as_py() or 0)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(list(self._fields), 0, error) from None
        return found

    def _decided(self, name: str, arrow: pa.Schema) -> pl.DataType:
        """The type of a column whose values decide it; see ``canonical_type``."""
        if not is_vector(arrow.field(self._fields[name]).type):
            fits = all(_fits(frame[name]) for frame in self._frames([name], self._step))
            return pl.Int64() if fits else pl.Float64()
        for frame in self._frames([name], min(self._step, 1 << 10)):
            held = frame[name].drop_nulls()
            if len(held):
                return pl.Array(pl.Float64, max(1, len(held[0])))
        return pl.Array(pl.Float64, 1)

    def _damaged(self, columns: list[str], row: int, error: Exception) -> DataError:
        """Which column it is, found by reading each alone."""
        broken = columns
        for name in columns if len(columns) > 1 else ():
            try:
                with self._open() as file:
                    for _ in file.iter_batches(self._step, columns=[self._fields[name]]):
                        pass
            except (pa.ArrowException, OSError):
                broken = [name]
                break
        return DataError(
            "{file}: column '{column}' cannot be read after row {row:,} ({reason})",
            do="the file is cut short or damaged; write it again from its source",
            file=self.name,
            column=", ".join(broken),
            row=row,
            reason=_first_line(error),
        )


def _fits(series: pl.Series) -> bool:
    return not (series >= 2**63).any()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
