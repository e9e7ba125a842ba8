"""Files looked at on their own, without a workspace."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tidegate.data.contract.contract import check
from tidegate.data.contract.infer import infer
from tidegate.data.contract.text import contract_to_yaml, read_contract
from tidegate.data.drift.drift import drift
from tidegate.data.drift.since import dated
from tidegate.data.output import check_apart, write_file
from tidegate.data.profile import json_file as files
from tidegate.data.profile.profile import Profile, profile_source
from tidegate.data.source import Source, open_source
from tidegate.domain.drift import Consistency
from tidegate.domain.errors import DataError
from tidegate.domain.messages import say
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import Breach
from tidegate.process.home import Progress

#: Stands for the model that a file on its own does not have: no column of it is anything special.
_NO_MODEL = ModelSpec(model="none", adapter="tensors")


def contract_of_file(file: Path, out: Path | None, progress: Progress, lang: str = "en") -> str:
    """A contract as YAML that the file keeps, with room for noise; also written to ``out``."""
    if out is not None:
        check_apart(out, [file])
    source = open_source(file, partial(progress, say("reading", unit="rows")))
    text = contract_to_yaml(infer(source.batches(), _NO_MODEL), lang)
    if out is not None:
        write_file(out, text)
    return text


def check_file(file: Path, contract: Path, progress: Progress) -> list[Breach]:
    """Where the rows of a file break the contract that another file holds."""
    rules = read_contract(contract)
    source = open_source(file, partial(progress, say("reading", unit="rows")))
    return check(source.batches(), rules, _NO_MODEL)


@dataclass(frozen=True)
class Compared:
    """A comparison, and the two profiles that it is of."""

    found: Consistency
    reference: Profile
    current: Profile


def profile_file(file: Path, out: Path | None, progress: Progress) -> Profile:
    """The profile of a file of rows, also written to ``out`` as JSON where it is given."""
    if out is not None:
        check_apart(out, [file])
    found = _profiled(open_source(file, partial(progress, say("reading", unit="rows"))), progress)
    if out is not None:
        files.save(found, out)
    return found


def compare_files(reference: Path, current: Path, progress: Progress) -> Compared:
    """How ``current`` differs from ``reference``; each a file of rows or a profile."""
    began = time.monotonic()
    sides: list[tuple[Profile, Source | None]] = []
    for path in (reference, current):
        if files.is_profile(path):
            sides.append((files.load(path), None))  # it has no rows to look at again
        else:
            source = open_source(path, partial(progress, say("reading", unit="rows")))
            sides.append((_profiled(source, progress), source))
    (a, before), (b, now) = sides
    names = [[column.name for column in profile.columns] for profile in (a, b)]
    if not set(names[0]) & set(names[1]):
        raise DataError(
            "{reference} and {current} have no column in common: {before} there, {now} here",
            do="compare two files of one table",
            reference=a.name,
            current=b.name,
            before=names[0][:5],
            now=names[1][:5],
        )
    found = drift(a, b)
    if before is not None and now is not None:
        found = dated(found, a, b, (before.batches, now.batches))
    seconds = round(time.monotonic() - began, 3)
    return Compared(found.model_copy(update={"seconds": seconds}), a, b)


def _profiled(source: Source, progress: Progress) -> Profile:
    return profile_source(
        source, Path(source.name).name, partial(progress, say("reading", unit="rows"))
    )
