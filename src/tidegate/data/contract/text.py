"""The contract as YAML that people edit."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from tidegate.domain.errors import DataError, NotFound, WrongUsage
from tidegate.domain.messages import Message, say
from tidegate.domain.schema import (
    ColumnRule,
    Contract,
    Coverage,
    Freshness,
    Presence,
    RowRule,
    UniqueRule,
)

#: Ten thousand columns with a hundred allowed words each are about 12 MiB of contract.
MAX_BYTES = 1 << 24
#: Line breaks that only Unicode knows; the first is also what a Windows ellipsis turns into.
_BREAKS = "\x85\u2028\u2029"


def contract_to_yaml(contract: Contract, lang: str = "en") -> str:
    """The contract as YAML to edit, or to paste under ``contract:`` in a model file.

    Comments at the top, in ``lang``, tell what the keys in it mean.
    """
    document = contract.model_dump(mode="json", exclude_defaults=True)
    document["columns"] = [
        {
            **rule.model_dump(mode="json", include={"name", "kind", "max_missing_share"}),
            **rule.model_dump(mode="json", exclude_defaults=True),
            "severity": rule.severity,
        }
        for rule in contract.columns
    ]
    if contract.rules:  # the short form, where it says everything
        document["rules"] = [
            rule.rule if rule.severity == "warn" else rule.model_dump() for rule in contract.rules
        ]
    # PyYAML writes these bare and reads them back as a blank; escaped, they survive.
    breaks = any(mark in text for text in _texts(document) for mark in _BREAKS)
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=not breaks)
    return _comments(document, lang) + text


def contract_from_yaml(text: str) -> Contract:
    """The contract that the YAML holds; raises WrongUsage naming the place and the nearest key."""
    try:
        given = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader that takes even less
    # A date such as 2011-13-45, and brackets without end, fail outside PyYAML's own errors.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
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
    _known_keys(given, Contract, say("the contract"))
    for place, rule in enumerate(given["columns"], start=1):
        if not isinstance(rule, dict):
            raise WrongUsage(
                "rule {place} of the contract is not a mapping",
                do="write rules as: - {example}",
                place=place,
                example="{name: age, kind: numeric, maximum: 120}",
            )
        name = rule.get("name")
        _known_keys(rule, ColumnRule, name if isinstance(name, str) else str(place))
    for where, found, kind in _table_rules(given):
        _known_keys(found, kind, where)
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


def read_contract(file: Path) -> Contract:
    """The contract that a YAML file holds; raises as ``contract_from_yaml``.

    Only a file proper is read, and only so much of it: a device may have no end, a pipe no writer.
    """
    try:
        return contract_from_yaml(_bytes(file).decode("utf-8"))
    except FileNotFoundError:
        raise NotFound("there is no file {file}", do="check the name", file=str(file)) from None
    except UnicodeDecodeError:
        raise WrongUsage(
            "{path} is not UTF-8 text", do="save it as UTF-8", path=str(file)
        ) from None
    except OSError as error:
        raise DataError(
            "{file} cannot be read ({reason})",
            do="check the file and the right to read it",
            file=str(file),
            reason=error.strerror or str(error),
        ) from None


def _bytes(file: Path) -> bytes:
    if file.exists() and not file.is_file():
        raise DataError(
            "{file} cannot be read: it is a folder, a device or a pipe",
            do="give a file that holds a contract",
            file=str(file),
        )
    with file.open("rb") as opened:
        read = opened.read(MAX_BYTES + 1)
    if len(read) > MAX_BYTES:
        raise DataError(
            "{file} is larger than {limit} MiB, and no contract is",
            do="give a file that holds a contract",
            file=str(file),
            limit=MAX_BYTES >> 20,
        )
    return read


class _Loader(yaml.SafeLoader):
    """Without aliases: thirty lines of them stand for more text than any memory holds."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise WrongUsage(
                "line {line} of the contract refers to another place by '*{name}'",
                do="write out what stands there",
                line=event.start_mark.line + 1,
                name=event.anchor,
            )
        return super().compose_node(parent, index)


def _table_rules(given: dict[str, Any]) -> Iterator[tuple[str, Any, type[BaseModel]]]:
    """The rules for the whole table as written, and what each is."""
    coverage = given.get("coverage")
    present = coverage.get("present") if isinstance(coverage, dict) else None
    yield "freshness", given.get("freshness"), Freshness
    yield "coverage", coverage, Coverage
    for name, rules, kind in (
        ("unique", given.get("unique"), UniqueRule),
        ("rules", given.get("rules"), RowRule),
        ("coverage.present", present, Presence),
    ):
        for rule in rules if isinstance(rules, list) else []:
            yield name, rule, kind


def _texts(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    for part in document.values() if isinstance(document, dict) else ():
        yield from _texts(part)
    for part in document if isinstance(document, list) else ():
        yield from _texts(part)


def _known_keys(given: Any, kind: type[BaseModel], where: str | Message) -> None:
    known = list(kind.model_fields)
    for key in given if isinstance(given, dict) else ():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
            raise WrongUsage(
                "'{key}' is not a key of {where}; the nearest is '{nearest}'",
                do="use one of: {known}",
                key=str(key),
                where=where.model_dump() if isinstance(where, Message) else where,
                nearest=near[0] if near else known[0],
                known=known,
            )


#: What the keys mean, in the order of the file.
_MEANINGS = {
    "kind": say("kind: numeric, categorical, boolean, date, text or embedding"),
    "max_missing_share": say("max_missing_share: the share of values that may be missing; 0: none"),
    "minimum": say("minimum, maximum, earliest, latest: the range, both ends included"),
    "earliest": say("minimum, maximum, earliest, latest: the range, both ends included"),
    "allowed": say("allowed: the only values there may be"),
    "pattern": say("pattern: a regular expression that the whole value matches"),
    "max_length": say("min_length, max_length: characters of a text"),
    "severity": say("severity: what a breach does; warn lets the update pass, refuse ends it"),
    "extra_columns": say("extra_columns: what a column without a rule does; allow, warn or refuse"),
    "unique": say("unique: no two rows are alike in all of these columns"),
    "rules": say("rules: what holds between the columns of every row"),
    "freshness": say("freshness: how many days old the newest row may be"),
    "coverage": say("coverage: how many rows, which times and which values there must be"),
}


def _comments(document: dict[str, Any], lang: str) -> str:
    used = {*document, *(key for rule in document["columns"] for key in rule)}
    lines = [say("What data for a model must look like: edit it, and keep it with the model.")]
    lines += [meaning for key, meaning in _MEANINGS.items() if key in used]
    texts = dict.fromkeys(line.text(lang) for line in lines)
    return "".join(f"# {text}\n" for text in texts)
