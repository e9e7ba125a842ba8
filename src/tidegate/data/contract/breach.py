"""How one column breaks its rule: how often, and the rows and values that show it."""

import polars as pl

from tidegate.data.contract.breach_text import BROKEN, of_another_kind, too_many_missing
from tidegate.data.contract.tally import Tally, breach
from tidegate.data.table import as_text
from tidegate.domain.messages import Message
from tidegate.domain.schema import Breach, ColumnRule, Kind, moment, whole

_TRUTHS = ["true", "false"]


class ColumnCheck:
    """One column against its rule; ``value`` is the column, ``time`` what it reads as a time.

    ``tallies`` are counted batch by batch (``tally.count_up``), blanks around texts being off;
    every batch has the dtype given.
    """

    def __init__(
        self, rule: ColumnRule, dtype: pl.DataType, value: pl.Expr, time: pl.Expr | None
    ) -> None:
        self.rule, self.dtype = rule, dtype
        self.value, self.time = value, time
        self.misfit = self._tally(self._misfits())
        self.held = self._tally(value.is_not_null())
        self.missing = self._tally(value.is_null())
        self.values = [
            (name, self._tally(bad.fill_null(False))) for name, bad in self._broken().items()
        ]

    @property
    def tallies(self) -> list[Tally]:
        """Everything there is to count."""
        return [self.misfit, self.held, self.missing, *(tally for _, tally in self.values)]

    def breaches(self, rows: int) -> list[Breach]:
        """What was broken in ``rows`` rows; of a column of another kind, only that."""
        rule, misfits = self.rule, self.misfit.count
        every_one = misfits == self.held.count > 0
        if rule.kind is Kind.NUMERIC and self.dtype == pl.String and not misfits:
            misfits, every_one = self.held.count, self.held.count > 0  # stored as text
        reads_each = rule.kind in (Kind.DATE, Kind.BOOLEAN) and not self._embedded
        if every_one or (misfits and not reads_each):
            return [self._of_another_kind(rows)]
        found = []
        if self.missing.count / max(rows, 1) > rule.max_missing_share:
            message = too_many_missing(rule, self.missing, rows)
            found.append(self._breach("missing_share", self.missing, rows, message))
        for name, tally in [("unreadable", self.misfit), *self.values]:
            if tally.count:
                message = BROKEN[name](rule, tally)
                found.append(self._breach(name, tally, rows, message))
        return found

    @property
    def _embedded(self) -> bool:
        return isinstance(self.dtype, pl.Array)

    @property
    def _fitting_embedding(self) -> bool:
        if not isinstance(self.dtype, pl.Array) or self.rule.kind is not Kind.EMBEDDING:
            return False
        return self.rule.width in (None, self.dtype.shape[0])

    def _tally(self, bad: pl.Expr) -> Tally:
        return Tally(bad, self.value)

    def _text(self) -> pl.Expr:
        """The values as text; numbers lose their ".0"."""
        if self.dtype == pl.String:
            return self.value
        return self.value.map_batches(as_text, return_dtype=pl.String)

    def _misfits(self) -> pl.Expr:
        """Held values that do not read as the rule's kind.

        Numbers read as text where a list or a pattern fits every one of them: a batch in which
        only the codes 1 and 2 occur, of a column that also knows "X".
        """
        rule, held = self.rule, self.value.is_not_null()
        if rule.kind is Kind.EMBEDDING or self._embedded:
            return held & pl.lit(not self._fitting_embedding)
        if rule.kind is Kind.DATE:
            return held & self._time().is_null()
        text = self.dtype == pl.String
        if rule.kind is Kind.BOOLEAN:
            truths = self.value.str.to_lowercase().is_in(_TRUTHS) if text else None
            return held & ~(self.value.is_in([0, 1]) if truths is None else truths)
        if rule.kind is Kind.NUMERIC:
            numbers = self.value.cast(pl.Float64, strict=False) if text else self.value
            return held & numbers.is_null()
        if text:
            return pl.lit(False)
        bad = held if rule.allowed is None and rule.pattern is None else pl.lit(False)
        if rule.allowed is not None:
            bad = bad | ~self._text().is_in(rule.allowed)
        if rule.pattern is not None:
            bad = bad | ~self._text().str.contains(whole(rule.pattern))
        return held & bad

    def _broken(self) -> dict[str, pl.Expr]:
        """By the name of the rule: what tells a value that breaks it."""
        rule, none = self.rule, pl.lit(False)
        if self._embedded or rule.kind in (Kind.EMBEDDING, Kind.BOOLEAN):
            return {}
        if rule.kind is Kind.DATE:
            return {"range": self._outside_times()}
        found = {}
        if rule.kind is Kind.NUMERIC and self.dtype != pl.String:
            low = none if rule.minimum is None else self.value < rule.minimum
            high = none if rule.maximum is None else self.value > rule.maximum
            found["range"] = low | high
        if rule.allowed is not None:
            found["allowed"] = ~self._text().is_in(rule.allowed)
        if rule.pattern is not None:
            found["pattern"] = ~self._text().str.contains(whole(rule.pattern))
        length = self._text().str.len_chars()
        if (rule.min_length, rule.max_length) != (None, None):
            short = none if rule.min_length is None else length < rule.min_length
            found["length"] = short | (
                none if rule.max_length is None else length > rule.max_length
            )
        return found

    def _outside_times(self) -> pl.Expr:
        early = late = pl.lit(False)
        if self.rule.earliest is not None:
            early = self._time() < pl.lit(moment(self.rule.earliest))
        if self.rule.latest is not None:
            late = self._time() > pl.lit(moment(self.rule.latest))
        return early | late

    def _time(self) -> pl.Expr:
        assert self.time is not None  # noqa: S101 - dates are read before they are checked
        return self.time

    def _breach(self, name: str, tally: Tally, rows: int, message: Message) -> Breach:
        return breach(self.rule.name, name, self.rule.severity, tally, rows, message)

    def _of_another_kind(self, rows: int) -> Breach:
        tally = self.misfit if self.misfit.count else self.held
        message = of_another_kind(self.rule, self.dtype, tally)
        return breach(self.rule.name, "kind", "refuse", tally, rows, message)
