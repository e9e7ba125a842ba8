"""A contract against rows that come in batches: what is counted, and what it comes to."""

import datetime as dt

import polars as pl

from tidegate.data.contract.breach import ColumnCheck
from tidegate.data.contract.coverage import Present, TimeCover, coverage_breaches, freshness_breach
from tidegate.data.contract.repeats import Repeats
from tidegate.data.contract.row_rule import Cell, Type, Unchecked, broken
from tidegate.data.contract.table_breach import (
    extra_columns,
    missing_column,
    no_times,
    repeated,
    row_breach,
)
from tidegate.data.contract.tally import Tally, count_up
from tidegate.data.table import bare, taken
from tidegate.data.time import readable_time_of
from tidegate.domain.expression import parse_rule
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import Breach, Contract, Kind, RowRule, UniqueRule


class Checking:
    """Counts breaches of a contract; the first batch says which columns there are.

    Columns are known here by their place ("c0"), and what they read as times by "t0": polars
    gives some names a meaning of their own.
    """

    def __init__(self, contract: Contract, spec: ModelSpec) -> None:
        self.contract = contract
        self.rules = [rule for rule in contract.columns if rule.name not in spec.exclude]
        self.excluded = set(spec.exclude)
        self.time = contract.time or spec.time
        self.rows = 0
        self.schema: dict[str, pl.DataType] | None = None
        self.columns: dict[str, ColumnCheck] = {}
        self.row_rules: list[tuple[RowRule, Tally | Unchecked]] = []
        self.unique: list[tuple[UniqueRule, Repeats]] = []
        self.present: list[Present] = []
        self.no_time = Tally(pl.col("unread"), pl.col("shown"))
        coverage = contract.coverage
        gap = coverage.max_gap_days if coverage else None
        self.cover = TimeCover(
            dt.timedelta(days=gap) if gap is not None else None,
            coverage is not None and coverage.min_days_share > 0,
        )

    def __enter__(self) -> "Checking":
        return self

    def __exit__(self, *_: object) -> None:
        for _unique, repeats in self.unique:
            repeats.close()

    def add(self, batch: pl.DataFrame) -> None:
        """Count a batch in."""
        if self.schema is None:
            self._begin(dict(batch.schema))
        frame = bare(taken(batch, self.used))
        counted = frame.clone()
        counted.columns = list(self.inner.values())
        counted = counted.with_columns(
            readable_time_of(frame, [name]).alias(self._time_name(name))
            for name in self.columns
            if self._is_date(name) and self.columns[name].time is not None
        )
        tallies = [tally for check in self.columns.values() for tally in check.tallies]
        tallies += [tally for _, tally in self.row_rules if isinstance(tally, Tally)]
        count_up(counted, self.rows, tallies)
        for _, repeats in self.unique:
            repeats.add(frame, self.rows)
        for present in self.present:
            present.add(frame[present.rule.column])
        if self._needs_time and set(self.time) <= set(self.used):
            self._cover(frame)
        self.rows += batch.height

    def breaches(self, now: str | None) -> list[Breach]:
        """Everything broken; ``now`` (ISO 8601) is what ages count from, else the clock."""
        if self.schema is None:
            self._begin({})
        found: list[Breach] = []
        for rule in self.rules:
            check = self.columns.get(rule.name)
            found += check.breaches(self.rows) if check else [self._absent(rule.name)]
        found += self._absent_elsewhere()
        found += extra_columns(self.contract, list(self.schema or {}), self.excluded, self.rows)
        for unique, repeats in self.unique:
            found += repeated(unique, repeats.tally(), self.rows)
        for row_rule, tally in self.row_rules:
            found += row_breach(row_rule, tally, self.rows)
        return found + self._over_time(now or dt.datetime.now(dt.UTC).isoformat())

    def _begin(self, schema: dict[str, pl.DataType]) -> None:
        self.schema = schema
        spoken_of = self._spoken_of()
        self.used = [name for name in schema if name in spoken_of]
        self.inner = {name: f"c{at}" for at, name in enumerate(self.used)}
        for rule in self.rules:
            if rule.name in schema:
                dtype = schema[rule.name]
                readable = rule.kind is Kind.DATE and not isinstance(dtype, pl.Array)
                time = pl.col(self._time_name(rule.name)) if readable else None
                value = pl.col(self.inner[rule.name])
                self.columns[rule.name] = ColumnCheck(rule, dtype, value, time)
        for unique in self._unique_rules():
            if set(unique.columns) <= set(schema):
                self.unique.append((unique, Repeats(unique.columns)))
        cells = {name: self._cell(name) for name in self.used}
        self.row_rules = [(rule, _compiled(rule, cells)) for rule in self.contract.rules]
        if self.contract.coverage is not None:
            severity = self.contract.coverage.severity
            for presence in self.contract.coverage.present:
                if presence.column in schema:
                    self.present.append(Present(presence, severity))

    def _unique_rules(self) -> list[UniqueRule]:
        single = [
            UniqueRule(columns=[rule.name], severity=rule.severity)
            for rule in self.rules
            if rule.unique
        ]
        return single + self.contract.unique

    def _elsewhere(self) -> list[str]:
        """Columns that rules for the whole table speak of, cross-column rules aside."""
        names = [name for rule in self.contract.unique for name in rule.columns]
        if self.contract.coverage is not None:
            names += [presence.column for presence in self.contract.coverage.present]
        return list(dict.fromkeys(names + (self.time if self._needs_time else [])))

    def _spoken_of(self) -> set[str]:
        between = [name for rule in self.contract.rules for name in parse_rule(rule.rule).columns()]
        return {*(rule.name for rule in self.rules), *self._elsewhere(), *between}

    @property
    def _needs_time(self) -> bool:
        coverage = self.contract.coverage
        covered = coverage is not None and (
            coverage.max_gap_days is not None or coverage.min_days_share > 0
        )
        return bool(self.time) and (self.contract.freshness is not None or covered)

    def _time_name(self, name: str) -> str:
        return "t" + self.inner[name][1:]

    def _cell(self, name: str) -> Cell:
        """A column as a cross-column rule sees it: by its rule's kind, else by what it holds."""
        assert self.schema is not None  # noqa: S101 - the first batch gave it
        dtype, value = self.schema[name], pl.col(self.inner[name])
        check = self.columns.get(name)
        kind = check.rule.kind if check else None
        if isinstance(dtype, pl.Array):
            return Cell(value, Type.EMBEDDING)
        if check is not None and check.time is not None:
            return Cell(check.time, Type.TIME)
        if kind is Kind.BOOLEAN:
            text = value.str.to_lowercase() if dtype == pl.String else value
            yes, no = ("true", "false") if dtype == pl.String else (1, 0)
            truth = pl.when(text == yes).then(True).when(text == no).then(False)
            return Cell(truth, Type.TRUTH)
        if dtype == pl.String:
            return Cell(value, Type.TEXT)
        return Cell(value, Type.NUMBER, exact=dtype == pl.Int64)

    def _cover(self, frame: pl.DataFrame) -> None:
        times = readable_time_of(frame, self.time)
        self.cover.add(times, self.rows)
        if len(self.time) == 1 and self._is_date(self.time[0]):
            return  # its own rule counts what is no time
        parts = pl.DataFrame([frame[name].alias(f"p{at}") for at, name in enumerate(self.time)])
        unread = pl.all_horizontal(pl.all().is_not_null()) & pl.lit(times).is_null()
        shown = pl.concat_str(pl.all().cast(pl.String), separator=" ")
        count_up(parts.select(unread=unread, shown=shown), self.rows, [self.no_time])

    def _is_date(self, name: str) -> bool:
        return name in self.columns and self.columns[name].rule.kind is Kind.DATE

    def _absent(self, name: str) -> Breach:
        return missing_column(name, list(self.schema or {}), self.rows)

    def _absent_elsewhere(self) -> list[Breach]:
        ruled = {rule.name for rule in self.rules}
        absent = [n for n in self._elsewhere() if n not in (self.schema or {}) and n not in ruled]
        return [self._absent(name) for name in absent]

    def _over_time(self, now: str) -> list[Breach]:
        column, found = ", ".join(self.time), []
        if self.no_time.count:
            found.append(no_times(self.time, self.no_time, self.rows))
        if self.contract.freshness is not None:
            stale = freshness_breach(self.contract.freshness, self.cover, column, self.rows, now)
            found += [stale] if stale else []
        if self.contract.coverage is not None:
            found += coverage_breaches(self.contract.coverage, self.cover, column, self.rows)
        for present in self.present:
            found += present.breaches(self.rows)
        return found


def _compiled(rule: RowRule, cells: dict[str, Cell]) -> Tally | Unchecked:
    tree = parse_rule(rule.rule)
    try:
        bad = broken(tree, cells)
    except Unchecked as why:
        return why
    shown = [
        pl.format("{}={}", pl.lit(name), _shown(cells[name]).fill_null("-"))
        for name in tree.columns()
    ]
    return Tally(bad, pl.concat_str(shown, separator=", "))


def _shown(cell: Cell) -> pl.Expr:
    if cell.type is Type.EMBEDDING:
        return pl.when(cell.expr.is_not_null()).then(pl.lit("[...]"))
    return cell.expr.cast(pl.String)
