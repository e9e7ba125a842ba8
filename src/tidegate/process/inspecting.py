"""Files looked at on their own, without a workspace."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tidegate.data import profile_file as files
from tidegate.data.contract import check_contract
from tidegate.data.contract_text import contract_to_yaml, read_contract
from tidegate.data.drift import drift
from tidegate.data.infer import infer_contract
from tidegate.data.output import write_file
from tidegate.data.profile import Profile, profile
from tidegate.data.read import read_files
from tidegate.data.since import dated
from tidegate.domain.drift import Consistency
from tidegate.domain.messages import say
from tidegate.domain.model import ModelSpec
from tidegate.domain.schema import Breach
from tidegate.process.home import Progress

#: Stands for the model that a file on its own does not have: no column of it is anything special.
_NO_MODEL = ModelSpec(model="none", adapter="tensors")


def contract_of_file(file: Path, out: Path | None, progress: Progress, lang: str = "en") -> str:
    """A contract as YAML that the file keeps, with room for noise; also written to ``out``."""
    frame = read_files([file], lambda done, total: progress(say("reading"), done, total))
    text = contract_to_yaml(infer_contract(frame, _NO_MODEL), lang)
    if out is not None:
        write_file(out, text)
    return text


def check_file(file: Path, contract: Path, progress: Progress) -> list[Breach]:
    """Where the rows of a file break the contract that another file holds."""
    rules = read_contract(contract)
    frame = read_files([file], lambda done, total: progress(say("reading"), done, total))
    return check_contract(frame, rules, _NO_MODEL)


@dataclass(frozen=True)
class Compared:
    """A comparison, and the two profiles that it is of."""

    found: Consistency
    reference: Profile
    current: Profile


def profile_file(file: Path, out: Path | None, progress: Progress) -> Profile:
    """The profile of a file of rows, also written to ``out`` as JSON where it is given."""
    found = profile(
        _batches(file),
        file.name,
        progress=lambda done, total: progress(say("reading"), done, total),
    )
    if out is not None:
        files.save(found, out)
    return found


def compare_files(reference: Path, current: Path, progress: Progress) -> Compared:
    """How ``current`` differs from ``reference``; each a file of rows or a profile."""
    kept = [files.is_profile(path) for path in (reference, current)]
    a, b = (
        files.load(path) if is_kept else profile_file(path, None, progress)
        for path, is_kept in zip((reference, current), kept, strict=True)
    )
    found = drift(a, b)
    if not any(kept):  # a profile has no rows to look at again
        found = dated(found, a, b, (_batches(reference), _batches(current)))
    return Compared(found, a, b)


def _batches(path: Path) -> Iterator[pl.DataFrame]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        lf = pl.scan_parquet(path)
        n = pq.ParquetFile(path).metadata.num_rows
        for a in range(0, n, 65536):
            yield lf.slice(a, 65536).collect()
        return
    frame = read_files([path])
    for a in range(0, frame.height, 65536):
        yield frame[a : a + 65536]
