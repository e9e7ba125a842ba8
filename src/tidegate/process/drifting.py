"""How a model's data moved over time: every snapshot against one, by what is kept of each."""

from dataclasses import dataclass

from tidegate.data.drift.drift import drift
from tidegate.data.profile.json_file import kept
from tidegate.data.profile.profile import Profile, profile_of
from tidegate.data.snapshot import load_snapshot
from tidegate.domain.drift import Consistency
from tidegate.domain.errors import NotFound
from tidegate.domain.messages import say
from tidegate.domain.model import ModelSpec
from tidegate.domain.snapshot import Snapshot
from tidegate.process.history import find_snapshot, learned_from
from tidegate.process.home import Home
from tidegate.process.stages.release import current


@dataclass(frozen=True)
class Moved:
    """One snapshot, its profile, and how it differs from the reference."""

    snapshot: Snapshot
    profile: Profile
    found: Consistency


@dataclass(frozen=True)
class History:
    """The reference, and the snapshots that were added after it, oldest first."""

    reference: Snapshot
    profile: Profile
    moved: list[Moved]

    def summary(self) -> dict[str, object]:
        """What a program is told: the reports, and since which snapshot a column has drifted."""
        return {
            "reference": self.reference.id,
            "snapshots": [
                {"snapshot": one.snapshot.id, "rows": one.snapshot.rows, "consistency": one.found}
                for one in self.moved
            ],
            "since": self.since(),
        }

    def since(self) -> dict[str, str]:
        """For each column that has drifted in the newest snapshot: the one since which it has."""
        found: dict[str, str] = {}
        for one in reversed(self.moved):
            drifted = [column.name for column in one.found.columns if column.drifted]
            if one is self.moved[-1]:
                going_on = drifted  # by how far they have, and in that order told
            going_on = [name for name in going_on if name in drifted]
            found |= dict.fromkeys(going_on, one.snapshot.id)
        return found


def drift_history(home: Home, model: str, reference: str | None = None) -> History:
    """Every snapshot after ``reference``, which is the one that the champion learned from last,
    or the first there is; raises NotFound where nothing was added."""
    with home.journal.read() as reader:
        spec = home.spec(reader, model)
        known = reader.all(Snapshot, model)
        if not known:
            raise NotFound(
                "model '{model}' has no data yet",
                do="add some with: tidegate data add {model} FILE",
                model=model,
            )
        learned = learned_from(reader, model, current(home, model).champion)
        start = find_snapshot(reader, reference) if reference else [known[0], *learned][-1]
    before = profile_for(home, start)
    place = next(at for at, one in enumerate(known) if one.id == start.id)
    moved = []
    for done, snapshot in enumerate(known[place + 1 :], start=1):
        now = profile_for(home, snapshot)
        moved.append(Moved(snapshot, now, _compared(spec, before, now)))
        home.progress(say("comparing snapshots"), done, len(known) - place - 1)
    return History(start, before, moved)


def profile_for(home: Home, snapshot: Snapshot) -> Profile:
    """The kept profile; worked out from the rows of a snapshot from before profiles were kept."""
    if snapshot.profile is not None:
        return kept(home.objects, snapshot.profile)
    return profile_of(load_snapshot(home.objects, snapshot), snapshot.id)


def _compared(spec: ModelSpec, before: Profile, now: Profile) -> Consistency:
    aside = spec.not_features | set(spec.time)
    names = [column.name for column in now.columns]
    columns = [name for name in names if name not in aside and before.column(name) is not None]
    return drift(before, now, columns, target=spec.target, policy=spec.policy.data)
