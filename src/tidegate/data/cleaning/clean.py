"""Cleaning: declared steps, the same every time, and a count of what each changed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from tidegate.data.cleaning.fit import fit, needs_all
from tidegate.data.cleaning.steps import kept_rows, new_values
from tidegate.data.cleaning.text import told
from tidegate.data.contract.spelling import nearest
from tidegate.data.contract.tally import plain
from tidegate.data.table import canonical, taken
from tidegate.domain import cleaning as steps
from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.evidence import Change, Cleaning
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import Contract


def clean(
    frame: pl.DataFrame,
    spec: ModelSpec,
    contract: Contract | None,
    recorded: Sequence[Cleaning] = (),
) -> tuple[pl.DataFrame, list[Cleaning]]:
    """The cleaned rows in canonical form, and one entry for each step in the order taken.

    Steps that go by what they find in the data (outliers, medians) find it in ``frame`` and
    record it; given what was ``recorded`` before, they go by that, and a step taken again changes
    nothing more. Where the model file declares no steps, values out of range stay as
    they are: whether they are errors is the contract's question, and the gate answers it. So do
    rows that repeat, for two alike readings are two readings: only where the model file declares
    key and time, and a row has both, is one alike in every column the same reading delivered
    again, and dropped.
    """
    frame = canonical(frame)
    planned = _planned(spec, contract, recorded)
    table = _Table(frame, pl.int_range(frame.height, eager=True))
    for one in planned:
        table = one.apply(table)
    return table.frame, [one.report() for one in planned]


def clean_batches(
    batches: Iterable[pl.DataFrame],
    spec: ModelSpec,
    contract: Contract | None,
    recorded: Sequence[Cleaning] = (),
) -> Iterator[tuple[pl.DataFrame, list[Cleaning]]]:
    """``clean`` batch by batch in bounded memory; with every batch, the reports up to there.

    Raises WrongUsage for a step that needs all rows at once: one that finds something in the data
    and has it not ``recorded``, or looks for rows that repeat.
    """
    planned = _planned(spec, contract, recorded)
    for one in planned:
        if needs_all(one.step) and one.fitted is None:
            raise WrongUsage(
                "the cleaning step '{step}' needs all rows at once",
                do="clean the table as a whole, or give what an earlier cleaning recorded",
                step=one.step.step,
            )
    start = 0
    for batch in batches:
        numbers = pl.int_range(start, start + batch.height, eager=True)
        table = _Table(canonical(batch), numbers)
        for one in planned:
            table = one.apply(table)
        start += batch.height
        yield table.frame, [one.report() for one in planned]


def clean_request(
    rows: pl.DataFrame, spec: ModelSpec, recorded: Sequence[Cleaning]
) -> pl.DataFrame:
    """Rows to predict on, with the values that the declared steps gave the rows of training.

    Every row stays, and steps for columns that a request does not hold, such as the target, are
    passed over. Where no steps are declared, rows stay as they are: what the default steps do, the
    feature transform does as well.
    """
    if spec.cleaning is None:
        return rows
    table = _Table(canonical(rows), pl.int_range(rows.height, eager=True))
    for one in _planned(spec, None, recorded):
        step = _for_request(one.step, table.frame.columns)
        if step is not None:
            table = replace(one, step=step).apply(table)
    return table.frame


def _for_request(step: Any, given: Sequence[str]) -> Any | None:
    """The step as far as it is for these columns and keeps every row."""
    if isinstance(step, (steps.Require, steps.DropRepeats)):
        return None
    if getattr(step, "action", None) == "drop":
        return None
    names = steps.names_of(step)
    there = [name for name in names if name in given]
    if names and not there:
        return None
    if len(there) == len(names):
        return step
    columns: Any = there
    if isinstance(step.columns, dict):
        columns = {name: step.columns[name] for name in there}
    return step.model_copy(update={"columns": columns})


def as_read(frame: pl.DataFrame, spec: ModelSpec) -> pl.DataFrame:
    """The rows as the contract sees them: after the declared steps that say how to read a file.

    Those are the first of the list up to one that mends (a range, outliers, a value to fill in);
    every row is still where it was in the file.
    """
    table = _Table(canonical(frame), pl.int_range(frame.height, eager=True))
    for step in spec.cleaning or []:
        if not isinstance(step, steps.READING):
            break
        table = _Taken(step, spec, None, None).apply(table)
    return table.frame


@dataclass
class _Table:
    """Rows, and which rows of the data given they are."""

    frame: pl.DataFrame
    numbers: pl.Series

    def filter(self, keep: pl.Series) -> "_Table":
        return _Table(self.frame.filter(keep), self.numbers.filter(keep))


@dataclass
class _Taken:
    """One step as it is taken, and what it has changed so far."""

    step: Any
    spec: ModelSpec
    contract: Contract | None
    fitted: dict[str, dict[str, Any]] | None
    columns: dict[str, int] = field(default_factory=dict)
    lost: int = 0  # values that a change of type could not read
    rows: int = 0
    seen: int = 0  # rows that repeat others and are kept
    example: Change | None = None

    def apply(self, table: _Table) -> _Table:
        """The table after this step."""
        self._require_columns(table.frame)
        if isinstance(self.step, steps.Rename):
            return self._renamed(table)
        if self.fitted is None:
            self.fitted = fit(self.step, table.frame)
        new = new_values(self.step, table.frame, self.fitted, self.contract)
        for series in new:
            self._count(table, series)
        table = _Table(table.frame.with_columns(new), table.numbers)
        if isinstance(self.step, steps.DropRepeats):
            return self._dropped(table, self._not_repeated(table.frame))
        keep = kept_rows(self.step, table.frame, self.fitted)
        return table if keep is None else self._dropped(table, keep)

    def report(self) -> Cleaning:
        """What it has changed so far."""
        changed = self.rows or sum(self.columns.values())
        return Cleaning(
            step=self.step.step,
            changed=changed,
            message=told(self.step, changed, lost=self.lost, seen=self.seen, columns=self.columns),
            rows=self.rows,
            columns=self.columns,
            example=self.example,
            fitted=self.fitted or {},
        )

    def _count(self, table: _Table, new: pl.Series) -> None:
        old = table.frame[new.name]
        if old.dtype == new.dtype:
            changed = old.ne_missing(new)
        else:  # of another type: every value that was held
            changed = old.is_not_null() | new.is_not_null()
        count = int(changed.sum())
        if not count:
            return
        self.columns[new.name] = self.columns.get(new.name, 0) + count
        if isinstance(self.step, steps.Types):
            self.lost += int((old.is_not_null() & new.is_null()).sum())
        if self.example is None:
            at = int(changed.arg_true()[0])
            self.example = Change(
                row=table.numbers[at],
                column=new.name,
                before=plain(old[at]),
                after=plain(new[at]),
            )

    def _dropped(self, table: _Table, keep: pl.Series) -> _Table:
        gone = (~keep).arg_true()
        self.rows += len(gone)
        if len(gone) and self.example is None:
            values = table.frame.row(int(gone[0]), named=True)
            named = steps.names_of(self.step) or list(values)
            before = {name: plain(values[name]) for name in named[:5]}
            self.example = Change(row=table.numbers[int(gone[0])], before=before)
        return table.filter(keep)

    def _not_repeated(self, frame: pl.DataFrame) -> pl.Series:
        step, spec = self.step, self.spec
        held = step.columns or [spec.key, *spec.time]
        keep = "last" if step.keep == "last" else "first"
        alike = pl.struct(pl.all())
        first = alike.is_first_distinct() if keep == "first" else alike.is_last_distinct()
        compared = taken(frame, step.columns or frame.columns)
        again = ~compared.select(first=first).to_series()
        # The same entity cannot be seen twice at one moment: only then is a row a second delivery.
        # Elsewhere repeats may be real, and dropping them would thin out whatever is frequent.
        if step.columns is None and (spec.key is None or not spec.time):
            self.seen += int(again.sum())
            return pl.repeat(True, frame.height, eager=True)
        whole = taken(frame, held).select(pl.all_horizontal(pl.all().is_not_null())).to_series()
        return ~(again & whole)

    def _renamed(self, table: _Table) -> _Table:
        pairs = {o: n for o, n in self.step.columns.items() if o in table.frame.columns}
        names = [pairs.get(name, name) for name in table.frame.columns]
        for name in names:
            if names.count(name) > 1:
                raise DataError(
                    "the cleaning step 'rename' would name two columns '{column}'",
                    do="give each column a name of its own",
                    column=name,
                )
        for old, new in pairs.items():
            self.columns[old] = int(old != new)
            if self.example is None and old != new:
                self.example = Change(row=0, column=old, before=old, after=new)
        return _Table(table.frame.rename(pairs), table.numbers)

    def _require_columns(self, frame: pl.DataFrame) -> None:
        if isinstance(self.step, steps.Rename):
            present = set(frame.columns) | {
                old for old, new in self.step.columns.items() if new in frame.columns
            }
        else:
            present = set(frame.columns)
        for name in steps.names_of(self.step):
            if name not in present:
                raise DataError(
                    "the cleaning step '{step}' is for column '{column}', which is not there; the "
                    "nearest are: {nearest}",
                    do="correct the name under 'cleaning' in the model file",
                    step=self.step.step,
                    column=name,
                    nearest=nearest(name, frame.columns) or frame.columns[:10],
                )


def _planned(
    spec: ModelSpec, contract: Contract | None, recorded: Sequence[Cleaning]
) -> list[_Taken]:
    declared = spec.cleaning if spec.cleaning is not None else steps.DEFAULT_STEPS
    before: list[dict[str, dict[str, Any]] | None] = [None for _ in declared]
    if [one.step for one in recorded] == [step.step for step in declared]:
        before = [one.fitted for one in recorded]
    return [
        _Taken(step, spec, contract, fitted) for step, fitted in zip(declared, before, strict=True)
    ]
