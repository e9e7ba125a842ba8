"""What a release's answers show before anybody says what came true: their time, what they say."""

import json
from bisect import bisect_left

from tidegate.domain.metrics import Task
from tidegate.domain.model import ModelSpec
from tidegate.domain.rollout import Release
from tidegate.monitoring import events
from tidegate.process.home import Home
from tidegate.process.remembered import Remembered
from tidegate.release.counting import with_events
from tidegate.release.entities import FirstEvents
from tidegate.release.signals import band_of


def with_unlabelled(home: Home, spec: ModelSpec, release: Release) -> Release:
    """The release with slow answers and bands of answers counted, where policy counts them."""
    if not release.slow_above and not release.bands:
        return release
    counted = COUNTED.take(home.log, spec.model, release.update) or _Counted(spec, release)
    counted.bring_on(home, release)
    COUNTED.put(home.log, spec.model, release.update, counted)
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
                if said is not None:  # NaN, or infinite
                    band = band_of(said, release.bands, numbers=self._numbers)
                    self.bands.add(one.step, one.arm, one.key, band)
            self._after = one.id


#: What is counted already is not read again.
COUNTED = Remembered[_Counted]()
