"""A canary brought up to date: in whatever portions it is called, the same comes out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.model import ModelSpec
from tidegate.domain.rollout import ReleaseStatus, Tally
from tidegate.domain.segments import Segment
from tidegate.monitoring.prediction_log import Labelled
from tidegate.monitoring.shadow_log import Twin
from tidegate.process.canary import catch_up
from tidegate.release.controller import start

BEGAN = datetime(2026, 1, 5, tzinfo=UTC)


def spec(*before, **rollout):
    steps = [*before, {"share": 0.3, "min_labels": 8}, {"share": 0.6, "min_labels": 1000}]
    return ModelSpec.model_validate({
        "model": "m", "task": "binary", "target": "y", "adapter": "sklearn.logistic_regression",
        "policy": {"rollout": {"steps": steps, **rollout}},
    })  # fmt: skip


def moment(seconds):
    return (BEGAN + timedelta(seconds=seconds)).isoformat()


def labels(events):
    """Labels told a second apart; an answer is as many seconds older than its label as it says."""
    return [
        Labelled(
            seq=number, request_id=f"r{number}", model="m", version=2 if ours else 1,
            arm="candidate" if ours else "champion", update_id="m-2", step=0, key=key,
            prediction=1, label=0 if bad else 1, failed=False,
            answered_at=moment(number - age), at=moment(number),
        )
        for number, (key, ours, bad, age) in enumerate(events, 1)
    ]  # fmt: skip


class Log:
    """The labels told by ``now``, in seconds; counts those that were read."""

    def __init__(self, told):
        self.told, self.now, self.read, self.failed = told, 0, 0, {}

    def labelled(self, model, update_id, after=0):
        for label in self.told:
            if after < label.seq <= self.now:
                self.read += 1
                yield label

    def failures(self, _update_id):
        return self.failed

    def at(self, now):
        """What ``catch_up`` needs of a workspace."""
        self.now = now
        return SimpleNamespace(
            log=self, database=None, journal=SimpleNamespace(now=lambda: moment(now))
        )


def home(told, now):
    return Log(told).at(now)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([None, "ann", "bob", "eve"]), st.booleans(), st.booleans(),
        st.integers(0, 20),
    ),
    max_size=60,
)  # fmt: skip


def the_same_in_portions(given_spec, begun, told, stops):
    """The release after all labels at once, which is the one after them in portions."""
    at_once = catch_up(home(told, 100), given_spec, begun)
    bit_by_bit = begun
    for now in sorted([*stops, 100]):
        bit_by_bit = catch_up(home(told, now), given_spec, bit_by_bit)
    assert bit_by_bit.tallies == at_once.tallies
    assert (bit_by_bit.status, bit_by_bit.harm) == (at_once.status, at_once.harm)
    return at_once


@pytest.mark.parametrize("rollout", [{}, {"count_per": "request"}, {"maturity_minutes": 0.1}])
@given(events=EVENTS, stops=st.lists(st.integers(0, 80), max_size=4))
def test_in_whatever_portions_it_is_called_the_tallies_are_the_same(rollout, events, stops):
    given_spec, told = spec(**rollout), labels(events)
    begun = start(
        "m-2", candidate=2, champion=1, policy=given_spec.policy.rollout, bad_above=0.0,
        now=moment(0),
    )  # fmt: skip
    the_same_in_portions(given_spec, begun, told, stops)


@given(events=EVENTS)
def test_an_entity_counts_once_and_every_request_is_in_the_tally(events):
    given_spec, told = spec(alpha=1e-9), labels(events)
    begun = start(
        "m-2", candidate=2, champion=1, policy=given_spec.policy.rollout, bad_above=0.0,
        now=moment(0),
    )  # fmt: skip
    tally = catch_up(home(told, 100), given_spec, begun).tallies[0]
    assert tally.labels == len(events)
    assert tally.candidate_bad + tally.champion_bad == sum(bad for _, _, bad, _ in events)
    once = {key for key, _, bad, _ in events if bad and key is not None}
    alone = sum(bad for key, _, bad, _ in events if key is None)
    assert sum(tally.bad_entities) == len(once) + alone
    assert all(b <= a for a, b in zip(tally.bad_entities, tally.first_bad, strict=True))


@given(events=EVENTS, stops=st.lists(st.integers(0, 80), max_size=4))
def test_labels_are_read_once_where_nothing_new_was_saved(events, stops):
    """The stage saves a release when its step begins, and judges it at every label."""
    given_spec, told = spec(alpha=1e-9), labels(events)
    begun = start(
        "m-2", candidate=2, champion=1, policy=given_spec.policy.rollout, bad_above=0.0,
        now=moment(0),
    )  # fmt: skip
    log = Log(told)
    for now in sorted([*stops, 100]):
        judged = catch_up(log.at(now), given_spec, begun)
    assert judged.tallies == catch_up(home(told, 100), given_spec, begun).tallies
    assert log.read == len(told)


SEGMENTS = [Segment(column="at", value="north"), Segment(column="at")]
SHADOW = {"share": 0, "min_labels": 6}


@pytest.fixture
def twins(monkeypatch):
    """What the shadow said, by request: two of three were asked, and it is right on every other."""

    def found(_database, answers):
        for answer in answers:
            twin = Twin(answer.label if answer.seq % 2 else 1 - answer.label, failed=False)
            yield answer, None if answer.seq % 3 == 0 else twin

    monkeypatch.setattr("tidegate.process.canary.shadow_log.with_twins", found)
    monkeypatch.setattr("tidegate.process.canary.shadow_log.failures", lambda *_: 0)


@pytest.mark.parametrize("rollout", [{}, {"count_per": "request"}, {"maturity_minutes": 0.1}])
@given(events=EVENTS, stops=st.lists(st.integers(0, 80), max_size=4))
def test_pairs_and_segments_are_the_same_in_whatever_portions(twins, rollout, events, stops):
    given_spec = spec(SHADOW, **rollout)
    told = [
        replace(answer, features=f'{{"at":"{"north" if answer.seq % 5 else "west"}"}}')
        for answer in labels(events)
    ]
    begun = start(
        "m-2", candidate=2, champion=1, policy=given_spec.policy.rollout, bad_above=0.0,
        now=moment(0), segments=SEGMENTS,
    )  # fmt: skip
    at_once = the_same_in_portions(given_spec, begun, told, stops)
    if at_once.step == 0 and "maturity_minutes" not in rollout:
        tally = at_once.tallies[0]
        assert tally.told == sum(one.seq % 3 != 0 for one in told)
        assert tally.candidate_only + tally.champion_only <= tally.told
        if not any(key for key, *_ in events) and tally.candidate_segments:
            assert sum(tally.candidate_segments) == tally.candidate_only


class Slow(Log):
    """Labels that are written a while after the moment that they bear, in their order."""

    def __init__(self, told, delays):
        super().__init__(told)
        at = [when(label.at) + delay for label, delay in zip(told, delays, strict=False)]
        self.written = list(accumulate(at, max))

    def labelled(self, model, update_id, after=0):
        there = zip(self.told, self.written, strict=True)
        yield from (label for label, at in there if after < label.seq and at <= self.now)


def when(at):
    return (datetime.fromisoformat(at) - BEGAN).total_seconds()


@given(
    events=EVENTS,
    delays=st.lists(st.floats(0, 0.9), min_size=60, max_size=60),
    stops=st.lists(st.floats(0, 33), min_size=10, max_size=20),
)
def test_a_label_whose_writing_takes_a_while_is_judged_once_and_in_its_place(events, delays, stops):
    """Told half a second apart, and mature up to two later: some while they are being written."""
    given_spec = spec(maturity_minutes=0.1, count_per="request")
    told = [
        replace(label, at=moment(label.seq / 2), answered_at=moment(label.seq / 2 - 6 + age * 0.1))
        for label, (*_, age) in zip(labels(events), events, strict=True)
    ]
    begun = start(
        "m-2", candidate=2, champion=1, policy=given_spec.policy.rollout, bad_above=0.0,
        now=moment(0),
    )  # fmt: skip
    at_once = catch_up(Slow(told, delays).at(100), given_spec, begun)
    bit_by_bit = begun
    for now in sorted([*stops, 100]):
        bit_by_bit = catch_up(Slow(told, delays).at(now), given_spec, bit_by_bit)
    assert bit_by_bit.tallies == at_once.tallies
    assert (bit_by_bit.status, bit_by_bit.harm) == (at_once.status, at_once.harm)


def test_a_step_that_began_since_the_release_was_read_is_for_the_next_look():
    """Another process let it begin: its labels and failures are counted with the release as that
    one has left it, in their order, once."""
    given_spec, log = spec(alpha=1e-9), Log(labels([(None, True, True, 0)] * 12))
    log.told = [replace(answer, step=int(answer.seq > 3)) for answer in log.told]
    log.failed = {(0, "candidate"): 1, (1, "candidate"): 2}
    begun = start(
        "m-2", candidate=2, champion=1, policy=given_spec.policy.rollout, bad_above=0.0,
        now=moment(0),
    )  # fmt: skip
    behind = catch_up(log.at(12), given_spec, begun)
    (tally,) = behind.tallies
    assert (tally.labels, tally.candidate_failures, behind.labels_seen) == (3, 1, 3)
    for known in (behind, begun):
        tallies = [known.tallies[0], Tally(share=0.6)]
        moved = known.model_copy(update={"step": 1, "tallies": tallies})
        after = catch_up(log.at(12), given_spec, moved)
        assert [each.labels for each in after.tallies] == [3, 9]
        assert [each.candidate_failures for each in after.tallies] == [1, 2]


def test_late_labels_of_a_promoted_release_are_counted_and_do_not_end_it():
    given_spec = spec()
    release = start(
        "m-2", candidate=2, champion=1, policy=given_spec.policy.rollout, bad_above=0.0,
        now=moment(0),
    ).model_copy(update={"status": ReleaseStatus.PROMOTED})  # fmt: skip
    told = labels([(None, True, True, 0)] * 30)
    assert catch_up(home(told, 100), given_spec, release) == release
    log = Log(told)
    for now in (10, 20, 100):
        late = catch_up(log.at(now), given_spec, release, late=True)
    assert (late.status, late.tallies[0].candidate_bad) == (ReleaseStatus.PROMOTED, 30)
    assert late.harm > 100
    assert log.read == 30


def test_failures_are_held_against_the_share_that_an_outside_splitter_sent(monkeypatch):
    """Planned was a third; a mesh sends nine in ten, and both versions fail one in nine."""
    given_spec = spec(splitter="outside")
    begun = start(
        "m-2", candidate=2, champion=1, policy=given_spec.policy.rollout, bad_above=0.0,
        now=moment(0),
    )  # fmt: skip
    log, answered = Log([]), {(0, "champion"): 9, (0, "candidate"): 81}
    monkeypatch.setattr("tidegate.process.canary.events.answered", lambda *_: answered)
    log.failed = {(0, "champion"): 1, (0, "candidate"): 9}
    judged = catch_up(log.at(10), given_spec, begun)
    assert (judged.status, judged.tallies[0].failures) == (ReleaseStatus.CANARY, 0)
    log.failed = {(0, "candidate"): 9}
    assert catch_up(log.at(10), given_spec, begun).status is ReleaseStatus.ROLLED_BACK
