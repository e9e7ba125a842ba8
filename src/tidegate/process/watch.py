"""The watch over a promoted version: late labels of its release, and its answers to everybody."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tidegate.domain.model import ModelSpec
from tidegate.domain.rollout import Known, Release
from tidegate.monitoring.prediction_log import Labelled
from tidegate.process.canary import catch_up, is_bad
from tidegate.process.home import Home
from tidegate.process.remembered import Remembered
from tidegate.release.entities import FirstPerEntity
from tidegate.release.watch import watch_e_value

#: Newest labelled answers of the version before that say how often it answered badly.
_MOST = 10_000


def known_before(home: Home, spec: ModelSpec, release: Release) -> Known | None:
    """How often the champion answered badly, as it makes way for the candidate; None where there
    was none."""
    if release.champion is None or not spec.trains:
        return None
    seen = _Seen()
    seen.take(spec, release, home.log.newest_labelled(spec.model, release.champion, limit=_MOST))
    return seen.known


def watched(home: Home, spec: ModelSpec, release: Release) -> tuple[Release, Known]:
    """A promoted release with the labels that came since, and the version's answers to everybody.

    The release's ``harm`` is the evidence of both multiplied: each is an e-process, and the second
    begins where the first stands, so the release's alpha covers both.
    """
    late = catch_up(home, spec, release, late=True)
    seen = SEEN.take(home.log, spec.model, release.update) or _Seen()
    answers = home.log.labelled(
        spec.model, version=release.candidate, after=max(seen.seq, release.labels_seen)
    )
    # In its canary an answer names the release; what its operators ask it by name is no traffic.
    seen.take(spec, release, (a for a in answers if a.update_id is None and a.arm == "champion"))
    SEEN.put(home.log, spec.model, release.update, seen)
    found = late.harm * watch_e_value(release.before, seen.known, spec.policy.observe.margin)
    return late.model_copy(update={"harm": found}), seen.known


@dataclass
class _Seen:
    """Labelled answers of a version, an entity's first one counted."""

    seq: int = 0
    known: Known = field(default_factory=Known)
    entities: FirstPerEntity = field(default_factory=FirstPerEntity)

    def take(self, spec: ModelSpec, release: Release, answers: Iterable[Labelled]) -> None:
        """Count more of them; what the version only stood in for is not its own."""
        by_entity = spec.policy.rollout.count_per == "entity"
        labels, bad = self.known.labels, self.known.bad
        for answer in answers:
            self.seq = max(self.seq, answer.seq)
            new = not by_entity or answer.key is None or self.entities.first(answer.key)
            if new and not answer.failed:
                labels, bad = labels + 1, bad + is_bad(spec, release, answer)
        self.known = Known(labels=labels, bad=bad)


#: So that the labels are read once.
SEEN = Remembered[_Seen]()
