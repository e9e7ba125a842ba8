"""A canary's judgement, brought up to date with the labels that have come in."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import NamedTuple

import numpy as np

from tidegate.domain.metrics import losses
from tidegate.domain.model import ModelSpec
from tidegate.domain.rollout import Release
from tidegate.domain.segments import segments_of
from tidegate.monitoring import events, shadow_log
from tidegate.monitoring.prediction_log import Labelled
from tidegate.monitoring.shadow_log import Twin
from tidegate.process.home import Home
from tidegate.process.remembered import Remembered
from tidegate.process.unlabelled import with_unlabelled
from tidegate.release.controller import apply, decide
from tidegate.release.counting import record, record_pair, with_answers, with_failures
from tidegate.release.entities import FirstPerEntity
from tidegate.release.matching import Matching
from tidegate.release.signals import matured

#: What is mature is judged so much later: a label that is told before is to be read by then, or it
#: would come before some that were judged. A write takes milliseconds; on PostgreSQL the clocks of
#: those who write may differ by the rest.
SETTLED_SECONDS = 1.0


def catch_up(home: Home, spec: ModelSpec, release: Release, *, late: bool = False) -> Release:
    """The release after every label since it was last saved, judged after each one.

    Judging label by label in one order makes the result the same however often, and in whatever
    portions, this is called. It stops at the first decision to end the canary. ``late``: one that
    has ended is looked at as well, for labels that it does not count yet; it stays as it ended.
    """
    late = late and not release.under_way and bool(release.tallies)
    if not spec.trains or not (release.under_way or late):
        return _settle(home, spec, release)
    before, kept = release, JUDGED.take(home.log, spec.model, release.update)
    if kept is not None and kept.saved == release:
        known, release = kept.known, kept.judged
        answers = home.log.labelled(spec.model, update_id=release.update, after=release.labels_seen)
    else:
        known, answers = _Known(spec, release), _told(home, spec, release)
    for number, (answer, twin) in enumerate(_paired(home, release, answers), 1):
        if (answer.step or 0) >= len(release.tallies):
            break  # of a step that began since this release was read: for the next look
        counts = _count(spec, release, known, answer, twin)
        if _counted(spec, before, number, answer):
            continue
        seen = {"labels_seen": max(answer.seq, release.labels_seen), "matured_seen": number}
        release = _settle(home, spec, counts(release).model_copy(update=seen))
        if not (release.under_way or late):
            return release
    if spec.policy.rollout.maturity_minutes is None:
        JUDGED.put(home.log, spec.model, release.update, _Kept(before, release, known))
    release = _with_failures(home, spec, release)
    release = _settle(home, spec, with_unlabelled(home, spec, release))
    if late:
        found = decide(release, spec.policy.rollout)
        told = {"harm": found.harm, "harm_in": found.harm_in, "as_good": found.as_good}
        release = release.model_copy(update=told)
    return release


def _count(
    spec: ModelSpec, release: Release, known: "_Known", answer: Labelled, twin: Twin | None
) -> Callable[[Release], Release]:
    """What counts an answer, whose entity is known from now on."""
    step, bad = answer.step or 0, is_bad(spec, release, answer)
    if not release.steps[step].shadow:
        first, first_bad = known.take(answer, bad=bad)
        return partial(
            record, step=step, arm=answer.arm, bad=bad, first=first, first_bad=first_bad,
            segments=known.segments(answer) if bad else (),
            matched=known.matched(answer, bad=bad, first=first),
        )  # fmt: skip
    if twin is None:
        return _as_it_was  # one alone says nothing in a shadow
    ours = is_bad(spec, release, replace(answer, prediction=twin.prediction, failed=twin.failed))
    first, first_differing = known.take(answer, bad=bad != ours, shadow=True)
    return partial(
        record_pair, step=step, champion_bad=bad, candidate_bad=ours,
        first=first, first_differing=first_differing,
        segments=known.segments(answer, shadow=True) if bad != ours else (),
    )  # fmt: skip


def _as_it_was(release: Release) -> Release:
    return release


def _paired(
    home: Home, release: Release, answers: Iterator[Labelled]
) -> Iterator[tuple[Labelled, Twin | None]]:
    """Answers, each with what the shadow said to its request, where the release had one."""
    if not release.shadowed:
        return ((answer, None) for answer in answers)
    return shadow_log.with_twins(home.database, answers)


def _with_failures(home: Home, spec: ModelSpec, release: Release) -> Release:
    """The release with failed requests counted; the candidate's in its shadow among them."""
    found = home.log.failures(release.update)
    if release.shadowed:
        found[0, "candidate"] = shadow_log.failures(home.database, release.update)
        # In the shadow nobody could stand in for the champion, so it has none there.
        found.pop((0, "champion"), None)
    release = with_failures(release, found)
    if spec.policy.rollout.shares_known or not any(arm == "champion" for _, arm in found):
        return release
    # How many of the champion's would have been the candidate's: by the share that came.
    return with_answers(release, events.answered(home.database, release.update))


def is_bad(spec: ModelSpec, release: Release, answer: Labelled) -> bool:
    """Whether an answer was wrong, or off by more than the release allows."""
    assert spec.task is not None  # noqa: S101 - only models that are trained are served
    if answer.failed or answer.prediction is None:  # NaN, or infinite: no answer
        return True
    truth, predicted = np.array([answer.label]), np.array([answer.prediction])
    return bool(losses(spec.task, truth, predicted)[0] > release.bad_above)


class _Known:
    """Which entities were seen in this release, at all and with a bad answer: in its shadow, and
    apart from that on traffic, where an entity is split anew; and open pairs."""

    def __init__(self, spec: ModelSpec, release: Release):
        self._segments = release.segments
        by_entity = spec.policy.rollout.count_per == "entity"
        self._all = FirstPerEntity() if by_entity else None
        self._bad = FirstPerEntity() if by_entity else None
        self._pairs = None if spec.policy.rollout.shares_known else Matching()

    def take(self, answer: Labelled, *, bad: bool, shadow: bool = False) -> tuple[bool, bool]:
        """Whether it is the entity's first labelled answer, and whether its first bad one."""
        if self._all is None or self._bad is None or answer.key is None:
            return True, bad
        key = f"{answer.key}\0shadow" if shadow else answer.key
        return self._all.first(key), bad and self._bad.first(key)

    def matched(self, answer: Labelled, *, bad: bool, first: bool) -> tuple[int, int] | None:
        """The pairs that an answer completes; None where the split is Tidegate's."""
        if self._pairs is None:
            return None
        return self._pairs.take(answer.step or 0, answer.arm, bad=bad) if first else (0, 0)

    def segments(self, answer: Labelled, *, shadow: bool = False) -> list[int]:
        """Places of the segments that a bad answer is in, and its entity had none in before."""
        if not self._segments:
            return []
        places = segments_of(self._segments, json.loads(answer.features))
        if self._bad is None or answer.key is None:
            return places
        name = "shadow" if shadow else ""
        return [at for at in places if self._bad.first(f"{answer.key}\0{name}\0{at}")]


class _Kept(NamedTuple):
    """How far a release was judged, beyond what is saved of it."""

    saved: Release
    judged: Release
    known: _Known


#: So that the labels of a release are read once, and not at each new one.
JUDGED = Remembered[_Kept]()


def _told(home: Home, spec: ModelSpec, release: Release) -> Iterator[Labelled]:
    """The release's labelled answers from its beginning, in the order they are judged in."""
    after = release.since.labels if release.since is not None else 0
    answers = home.log.labelled(spec.model, update_id=release.update, after=after)
    minutes = spec.policy.rollout.maturity_minutes
    if minutes is None:
        return answers
    timed = ((_seconds(a.answered_at), _seconds(a.at), a) for a in answers)
    return matured(timed, 60 * minutes, _seconds(home.journal.now()) - SETTLED_SECONDS)


def _counted(spec: ModelSpec, release: Release, number: int, answer: Labelled) -> bool:
    """Whether the release's saved tallies have this label: with a window the order is its own."""
    if spec.policy.rollout.maturity_minutes is None:
        return answer.seq <= release.labels_seen
    return number <= release.matured_seen


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _settle(home: Home, spec: ModelSpec, release: Release) -> Release:
    if not release.under_way:
        return release
    now = home.journal.now()
    return apply(release, decide(release, spec.policy.rollout, now), now)
