"""Versions of a model: their names, and the manifests behind them."""

import difflib
import re

from tidegate.domain.errors import NotFound, WrongUsage
from tidegate.domain.stage import Stage
from tidegate.domain.update import Update
from tidegate.domain.version import Manifest, Version
from tidegate.params.checkout import load_manifest
from tidegate.process.history import find_version
from tidegate.process.home import Home
from tidegate.process.stages.release import current

#: How many versions a commit looks at for what it need not store again.
_RECENT = 4


def resolve(home: Home, name: str) -> Version:
    """The version that ``MODEL@V`` names; V is a number, ``champion`` or ``candidate``."""
    match = re.fullmatch(r"([^@]+)@([^@]+)", name)
    if match is None:
        raise WrongUsage(
            "'{name}' does not name a version",
            do="write MODEL@NUMBER, MODEL@champion or MODEL@candidate",
            name=name,
        )
    model, which = match.groups()
    with home.journal.read() as reader:
        home.spec(reader, model)
    if re.fullmatch("[0-9]{1,9}", which):  # Python turns no longer one into a number than 4,300
        number: int | None = int(which)
    elif which == "champion":
        number = current(home, model).champion
    elif which == "candidate":
        number = _candidate(home, model)
    else:
        near = difflib.get_close_matches(which, ["champion", "candidate"], 1, 0.6)
        raise WrongUsage(
            "'{which}' is neither a number nor an alias of a version",
            do="did you mean {near}? champion is what is in production, candidate the newest "
            "open one"
            if near
            else "champion is what is in production, candidate the newest open one",
            which=which,
            near=near[0] if near else "",
        )
    if number is None:
        raise NotFound(
            "model '{model}' has no {which}",
            do="see its versions with: tidegate params log {model}",
            model=model,
            which=which,
        )
    with home.journal.read() as reader:
        return find_version(reader, model, number)


def _candidate(home: Home, model: str) -> int | None:
    """The version on canary, else the newest one whose update is still open."""
    release = current(home, model).release
    if release is not None and release.under_way:
        return release.candidate
    with home.journal.read() as reader:
        made = [
            update.number
            for update in reader.all(Update, model)
            if update.outcome is None and update.evidence_digest(Stage.TRAIN) is not None
        ]
    return max(made, default=None)


def manifest_of(home: Home, name: str) -> Manifest:
    """The content of the version that ``name`` names, checked against its id."""
    return load_manifest(home.objects, resolve(home, name).params)


def near(home: Home, model: str, before: int | None = None) -> list[str]:
    """Ids of the parameters that a new version may share bytes with, its parent first.

    The version in production, then the newest ones; None of them needs to be there whole.
    ``before``: as it was when the version of that number was made, whatever came since.
    """
    champion = current(home, model).champion
    with home.journal.read() as reader:
        versions = {
            version.number: version
            for version in reader.all(Version, model)
            if before is None or version.number < before
        }
    recent = sorted(versions, reverse=True)[:_RECENT]
    numbers = [champion, *recent] if champion in versions else recent
    return list(dict.fromkeys(versions[number].params for number in numbers if number))
