"""The data contract: inferred from a reference with room for noise, edited by people, checked."""

import difflib
import math
import re
from typing import Any

import polars as pl
import yaml
from pydantic import ValidationError

from tidegate.data.breach import column_breaches
from tidegate.data.table import bare, canonical, kind_of
from tidegate.domain.errors import DataError, WrongUsage
from tidegate.domain.messages import say
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import Breach, ColumnRule, Contract, Kind

#: A range is widened by this share of the reference's own on either side: with n rows the next
#: value falls outside the old range with probability 2 / (n + 1) even where nothing has changed.
RANGE_ROOM = 0.25
#: Missing values may be this much more frequent: three standard errors, and never less than a
#: share that a small batch shows by chance.
MISSING_ROOM = 0.05
#: A list of allowed values is inferred only where unseen ones are rare. The chance that the next
#: value is a new one is about the share of values seen once (Good 1953, Turing's estimate).
MAX_UNSEEN = 0.01
MAX_ALLOWED = 100
#: Line breaks that only Unicode knows; the first is also what a Windows ellipsis turns into.
_BREAKS = "\x85\u2028\u2029"


def require_columns(frame: pl.DataFrame, spec: ModelSpec, source: str) -> None:
    """Raises DataError where the target, time, key or a segment column is not there.

    ``source`` is what the message calls the data: a file, or a snapshot.
    """
    wanted = {
        "target": [spec.target] if spec.target is not None else [],
        "time": spec.time,
        "key": [spec.key] if spec.key is not None else [],
        "segments": spec.segments,
    }
    _refuse_misspelt(frame, spec, source)
    for role, names in wanted.items():
        for name in names:
            if name in frame.columns:
                continue
            near = _nearest(name, frame.columns)
            raise DataError(
                "the {role} column '{column}' is missing in {source}; the nearest are: {nearest}",
                do="add the column, or change '{role}' in the model file",
                role=role,
                column=name,
                source=source,
                nearest=near or frame.columns[:10],
            )


def _refuse_misspelt(frame: pl.DataFrame, spec: ModelSpec, source: str) -> None:
    """An excluded column need not be there; one that nearly is was meant, and would leak."""
    others = [column for column in frame.columns if column not in spec.exclude]
    for name in set(spec.exclude) - set(frame.columns):
        for near in _nearest(name, others, 0.85):
            # x_1 and x_2 are two columns; casuall is casual.
            if re.sub(r"\D", "", near) == re.sub(r"\D", "", name):
                raise DataError(
                    "the excluded column '{column}' is not in {source}, and '{nearest}' is",
                    do="correct the name under 'exclude' in the model file, or take it out",
                    column=name,
                    source=source,
                    nearest=near,
                )


def infer_contract(frame: pl.DataFrame, spec: ModelSpec) -> Contract:
    """A contract that ``frame`` keeps, with room for noise.

    Values outside a range or list only warn: one reference cannot tell an error from a rare
    event (electricity prices leave last week's range by 30 times its width), so refusing them is
    for people to write down. A missing column or another kind is always refused.
    """
    frame = bare(canonical(frame))
    names = [name for name in frame.columns if name not in spec.exclude]
    return Contract(columns=[_rule(frame[name], spec) for name in names])


def check_contract(frame: pl.DataFrame, contract: Contract, spec: ModelSpec) -> list[Breach]:
    """Every broken rule, in the contract's order, with rows (0-based) and values that show it."""
    frame = bare(canonical(frame))
    found: list[Breach] = []
    for rule in contract.columns:
        if rule.name in spec.exclude:
            continue
        if rule.name not in frame.columns:
            found.append(_missing_column(rule, frame))
        else:
            found.extend(column_breaches(rule, frame[rule.name]))
    return found


def contract_to_yaml(contract: Contract) -> str:
    """The contract as YAML to edit, or to paste under ``contract:`` in a model file."""
    rules = [rule.model_dump(mode="json", exclude_none=True) for rule in contract.columns]
    # PyYAML writes these bare and reads them back as a blank; escaped, they survive.
    breaks = any(mark in text for rule in rules for text in _texts(rule) for mark in _BREAKS)
    return yaml.safe_dump({"columns": rules}, sort_keys=False, allow_unicode=not breaks)


def contract_from_yaml(text: str) -> Contract:
    """The contract that the YAML holds; raises WrongUsage naming the place and the nearest key."""
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise WrongUsage(
            "the contract is not YAML ({reason})",
            do="correct the text there",
            reason=" ".join(str(error).split()),
        ) from None
    if not isinstance(given, dict) or not isinstance(given.get("columns"), list):
        raise WrongUsage(
            "the contract has no list of columns",
            do="start the text with 'columns:' and give one rule per column below",
        )
    _known_keys(given, Contract.model_fields, "the contract")
    for place, rule in enumerate(given["columns"], start=1):
        if not isinstance(rule, dict):
            raise WrongUsage(
                "rule {place} of the contract is not a mapping",
                do="write rules as: - {example}",
                place=place,
                example="{name: age, kind: numeric, maximum: 120}",
            )
        _known_keys(rule, ColumnRule.model_fields, str(rule.get("name", place)))
    try:
        return Contract.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise WrongUsage(
            "the contract's {where} is not valid ({reason})",
            do="correct that value",
            where=".".join(str(part) for part in first["loc"]),
            reason=first["msg"],
        ) from None


def _texts(rule: dict[str, Any]) -> list[str]:
    return [rule["name"], *rule.get("allowed", [])]


def _nearest(name: str, columns: list[str], cutoff: float = 0.5) -> list[str]:
    """Up to three names that are spelled alike, upper and lower case being the same."""
    plain: dict[str, str] = {}
    for column in columns:
        plain.setdefault(column.strip().lower(), column)
    near = difflib.get_close_matches(name.strip().lower(), list(plain), n=3, cutoff=cutoff)
    return [plain[match] for match in near]


def _known_keys(given: dict[Any, Any], known: Any, where: str) -> None:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), list(known), n=1, cutoff=0.0)
            raise WrongUsage(
                "'{key}' is not a key of {where}; the nearest is '{nearest}'",
                do="use one of: {known}",
                key=str(key),
                where=where,
                nearest=near[0] if near else next(iter(known)),
                known=list(known),
            )


def _rule(series: pl.Series, spec: ModelSpec) -> ColumnRule:
    name, kind = series.name, kind_of(series.dtype)
    if name == spec.key or name in spec.time:
        return ColumnRule(name=name, kind=kind)  # new values are these columns' nature
    low = high = allowed = None
    if kind is Kind.NUMERIC:
        low, high = _widened(series)
    else:
        allowed = _allowed(series)
    return ColumnRule(
        name=name,
        kind=kind,
        # Rows without a label are fine: they are served and never trained on.
        max_missing_share=1.0 if name == spec.target else _missing_limit(series),
        minimum=low,
        maximum=high,
        allowed=allowed,
    )


def _widened(series: pl.Series) -> tuple[float | None, float | None]:
    floats = series.cast(pl.Float64)
    floats = floats.filter(floats.is_finite())
    if floats.is_empty():
        return None, None
    low, high = float(floats.min()), float(floats.max())  # type: ignore[arg-type]
    # A constant column says nothing of its spread: its own size stands in, then 1.
    spread = (high / 2 - low / 2) * 2 or abs(low) or 1.0
    room = RANGE_ROOM * spread
    lowest, highest = low - room, high + room
    return lowest if math.isfinite(lowest) else None, highest if math.isfinite(highest) else None


def _allowed(series: pl.Series) -> list[str] | None:
    counts = series.drop_nulls().value_counts()["count"]
    held = int(counts.sum())
    if not 0 < len(counts) <= MAX_ALLOWED or int((counts == 1).sum()) / held > MAX_UNSEEN:
        return None
    return sorted(series.drop_nulls().unique().to_list())


def _missing_limit(series: pl.Series) -> float:
    rows = max(len(series), 1)
    share = series.null_count() / rows
    noise = 3 * math.sqrt(share * (1 - share) / rows)
    return round(min(1.0, share + max(noise, MISSING_ROOM)), 4)


def _missing_column(rule: ColumnRule, frame: pl.DataFrame) -> Breach:
    near = _nearest(rule.name, frame.columns)[:1]
    return Breach(
        column=rule.name,
        rule="missing_column",
        severity="refuse",
        count=frame.height,
        share=1.0,
        rows=[],
        examples=near,
        message=say(
            "column '{column}' is missing; the columns are: {columns}",
            column=rule.name,
            columns=near or frame.columns[:10],
        ),
    )
