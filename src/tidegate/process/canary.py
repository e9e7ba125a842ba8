"""A canary's judgement, brought up to date with the labels that have come in."""

import json
from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from tidegate.domain.metrics import Task, losses
from tidegate.domain.model import ModelSpec
from tidegate.domain.rollout import Release, ReleaseStatus
from tidegate.monitoring import events
from tidegate.monitoring.prediction_log import Labelled, PredictionLog
from tidegate.process.home import Home
from tidegate.release.controller import apply, decide, record, with_events, with_failures
from tidegate.release.entities import FirstEvents, FirstPerEntity
from tidegate.release.matching import Matching
from tidegate.release.signals import band_of, matured


def catch_up(home: Home, spec: ModelSpec, release: Release) -> Release:
    """The release after every label since it was last saved, judged after each one.

    Judging label by label in one order makes the result the same however often, and in whatever
    portions, this is called. It stops at the first decision to end the canary.
    """
    if release.status is not ReleaseStatus.CANARY or not spec.trains:
        return _settle(home, spec, release)
    before, kept = release, _KEPT.setdefault(home.log, {}).pop(release.update, None)
    if kept is not None and kept.saved == release:
        known, release = kept.known, kept.judged
        answers = home.log.labelled(spec.model, update_id=release.update, after=release.labels_seen)
    else:
        known, answers = _Known(spec), _told(home, spec, release)
    for number, answer in enumerate(answers, 1):
        bad = is_bad(spec, release, answer)
        first, first_bad, matched = known.take(answer, bad=bad)
        if _counted(spec, before, number, answer):
            continue
        release = record(
            release, step=answer.step or 0, arm=answer.arm, bad=bad,
            first=first, first_bad=first_bad, matched=matched,
        ).model_copy(
            update={"labels_seen": max(answer.seq, release.labels_seen), "matured_seen": number}
        )  # fmt: skip
        release = _settle(home, spec, release)
        if release.status is not ReleaseStatus.CANARY:
            return release
    if spec.policy.rollout.maturity_minutes is None:
        _KEPT[home.log][release.update] = _Kept(before, release, known)
    release = with_failures(release, home.log.failures(release.update))
    return _settle(home, spec, _with_events(home, spec, release))


def is_bad(spec: ModelSpec, release: Release, answer: Labelled) -> bool:
    """Whether an answer was wrong, or off by more than the release allows."""
    assert spec.task is not None  # noqa: S101 - only models that are trained are served
    truth, predicted = np.array([answer.label]), np.array([answer.prediction])
    return answer.failed or bool(losses(spec.task, truth, predicted)[0] > release.bad_above)


def _with_events(home: Home, spec: ModelSpec, release: Release) -> Release:
    """The release with slow answers and bands of answers counted, where policy counts them."""
    if not release.slow_above and not release.bands:
        return release
    kept = _COUNTED.setdefault(home.log, {})
    counted = kept.pop(release.update, None) or _Counted(spec, release)
    counted.bring_on(home, release)
    kept[release.update] = counted
    if release.slow_above:
        release = with_events(release, "slow", counted.slow.counts, counted.limits)
    if release.bands:
        release = with_events(release, "bands", counted.bands.counts, counted.kinds)
    return release


class _Counted:
    """Slow answers and bands of answers of a release, counted as far as the log went."""

    def __init__(self, spec: ModelSpec, release: Release):
        self._numbers = spec.task is Task.REGRESSION
        self.limits = len(release.slow_above)
        self.kinds = len(release.bands) + self._numbers
        self.slow = FirstEvents(self.limits)
        self.bands = FirstEvents(self.kinds if release.bands else 0)
        self._after = release.since.answers if release.since is not None else 0

    def bring_on(self, home: Home, release: Release) -> None:
        """Count what the log has beyond what was counted."""
        slower = None if release.bands else release.slow_above[0]
        for one in events.answers_since(home.database, release.update, self._after, slower=slower):
            over = range(bisect_left(release.slow_above, one.latency_ms))
            self.slow.add(one.step, one.arm, one.key, over)
            if release.bands:
                said = json.loads(one.prediction)
                band = band_of(said, release.bands, numbers=self._numbers)
                self.bands.add(one.step, one.arm, one.key, band)
            self._after = one.id


class _Known:
    """Which entities were seen in this release, at all and with a bad answer; and open pairs."""

    def __init__(self, spec: ModelSpec):
        by_entity = spec.policy.rollout.count_per == "entity"
        self._all = FirstPerEntity() if by_entity else None
        self._bad = FirstPerEntity() if by_entity else None
        self._pairs = Matching() if spec.policy.rollout.splitter == "outside" else None

    def take(self, answer: Labelled, *, bad: bool) -> tuple[bool, bool, tuple[int, int] | None]:
        """Whether it is the entity's first labelled answer, and whether its first bad one; and the
        pairs that it completes, where the split is not Tidegate's."""
        first, first_bad = True, bad
        if self._all is not None and self._bad is not None and answer.key is not None:
            first = self._all.first(answer.key)
            first_bad = bad and self._bad.first(answer.key)
        if self._pairs is None:
            return first, first_bad, None
        pairs = self._pairs.take(answer.step or 0, answer.arm, bad=bad) if first else (0, 0)
        return first, first_bad, pairs


class _Kept(NamedTuple):
    """How far a release was judged, beyond what is saved of it."""

    saved: Release
    judged: Release
    known: _Known


#: By log and update: so that the labels of a release are read once, and not at each new one. Where
#: it is not at hand, or the record went on without it, all are read again to the same end. Whoever
#: judges takes it out meanwhile, so no two threads share it.
_KEPT: WeakKeyDictionary[PredictionLog, dict[str, _Kept]] = WeakKeyDictionary()


#: As ``_KEPT``, of what is counted without labels: what is counted already is not read again.
_COUNTED: WeakKeyDictionary[PredictionLog, dict[str, _Counted]] = WeakKeyDictionary()


def _told(home: Home, spec: ModelSpec, release: Release) -> Iterator[Labelled]:
    """The release's labelled answers from its beginning, in the order they are judged in."""
    after = release.since.labels if release.since is not None else 0
    answers = home.log.labelled(spec.model, update_id=release.update, after=after)
    minutes = spec.policy.rollout.maturity_minutes
    if minutes is None:
        return answers
    timed = ((_seconds(a.answered_at), _seconds(a.at), a) for a in answers)
    return matured(timed, 60 * minutes, _seconds(home.journal.now()))


def _counted(spec: ModelSpec, release: Release, number: int, answer: Labelled) -> bool:
    """Whether the release's saved tallies have this label: with a window the order is its own."""
    if spec.policy.rollout.maturity_minutes is None:
        return answer.seq <= release.labels_seen
    return number <= release.matured_seen


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _settle(home: Home, spec: ModelSpec, release: Release) -> Release:
    if release.status is not ReleaseStatus.CANARY:
        return release
    now = home.journal.now()
    return apply(release, decide(release, spec.policy.rollout, now), now)
