"""Files looked at on their own, without a workspace."""

from pathlib import Path

from tidegate.data.contract import check_contract
from tidegate.data.contract_text import contract_to_yaml, read_contract, save_contract
from tidegate.data.drift import drift_report
from tidegate.data.infer import infer_contract
from tidegate.data.profile import Profile, compare_profiles, load_profile, profile, save_profile
from tidegate.data.read import read_files
from tidegate.domain.evidence import Consistency
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
        save_contract(text, out)
    return text


def check_file(file: Path, contract: Path, progress: Progress) -> list[Breach]:
    """Where the rows of a file break the contract that another file holds."""
    rules = read_contract(contract)
    frame = read_files([file], lambda done, total: progress(say("reading"), done, total))
    return check_contract(frame, rules, _NO_MODEL)


def profile_file(file: Path, out: Path | None, progress: Progress) -> Profile:
    """The profile of a CSV or Parquet file, also written to ``out`` as JSON where it is given."""
    frame = read_files([file], lambda done, total: progress(say("reading"), done, total))
    found = profile(frame, file.name)
    if out is not None:
        save_profile(found, out)
    return found


def compare_files(reference: Path, current: Path, progress: Progress) -> Consistency:
    """How ``current`` differs from ``reference``; each a file of rows or a profile (``.json``)."""
    reading = [path.suffix == ".json" for path in (reference, current)]
    if any(reading):
        sides = [
            load_profile(path) if is_profile else profile_file(path, None, progress)
            for path, is_profile in zip((reference, current), reading, strict=True)
        ]
        return compare_profiles(sides[0], sides[1])
    before = read_files([reference], lambda done, total: progress(say("reading"), done, total))
    after = read_files([current], lambda done, total: progress(say("reading"), done, total))
    shared = [name for name in before.columns if name in after.columns]
    return drift_report(
        before,
        after,
        shared,
        progress=lambda done, total: progress(say("comparing columns"), done, total),
    )
