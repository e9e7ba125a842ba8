"""The data under a model moves, and people see how far, since when, and in what."""

import polars as pl
import pytest

from tidegate.domain.drift import Grade
from tidegate.domain.errors import IntegrityError, NotFound
from tidegate.domain.stage import Stage
from tidegate.domain.update import Level


def _consistency(ws, update):
    with ws.home.journal.read() as reader:
        return reader.evidence(update.evidence_digest(Stage.PREPARE)).consistency


def _moved(frame, by):
    return frame.with_columns(a=pl.col("a") + by)


def test_the_snapshots_tell_since_when(team, make_rows):
    ws = team.ws
    with pytest.raises(NotFound, match="no data yet"):
        ws.drift("m")
    first = team.approved(make_rows(1, 2000))
    shifts = [0.0, 2.0, 0.0, 2.0, 2.0]
    added = [team.add(_moved(make_rows(9 + n, 2000), by)) for n, by in enumerate(shifts)]
    history = ws.drift("m")
    assert history.reference.id == first.snapshot
    assert [one.snapshot.id for one in history.moved] == [snapshot.id for snapshot in added]
    verdicts = [one.found.verdict for one in history.moved]
    assert verdicts == ["drifted" if by else "consistent" for by in shifts]
    # The second has drifted too, and the third was well again.
    assert history.since() == {"a": added[3].id}
    again = ws.drift("m", added[3].id)
    assert [one.found.verdict for one in again.moved] == ["consistent"]
    assert again.since() == {}


def test_a_shift_and_its_first_row_stand_in_the_record(team, make_rows):
    team.approved(make_rows(1, 2000))
    frame = make_rows(2, 2000)
    late = pl.int_range(2000, eager=True) >= 600
    frame = frame.with_columns(a=pl.when(late).then(pl.col("a") + 30).otherwise(pl.col("a")))
    update = team.start(frame)
    found = _consistency(team.ws, update)
    assert (found.verdict, found.grade, found.columns[0].name) == ("drifted", Grade.LARGE, "a")
    assert (found.columns[0].since.side, found.columns[0].since.row) == ("current", 600)
    [finding] = [f for f in update.filed[0].verdict.findings if f.code == "drifted"]
    assert finding.level is Level.WARN
    assert "(large), most in: a" in finding.message.text()


def test_a_shift_is_told_by_its_time_where_rows_have_one(team, make_rows):
    ws = team.as_("root")
    ws.apply_model({**team.model, "time": ["day"]})
    days = (pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 12, 31), "1h", eager=True)
            .dt.strftime("%Y-%m-%d %H:%M"))  # fmt: skip
    team.approved(make_rows(1, 2000).with_columns(day=days[:2000]))
    late = pl.int_range(2000, eager=True) >= 600
    frame = make_rows(2, 2000).with_columns(day=days[2000:4000])
    frame = frame.with_columns(a=pl.when(late).then(pl.col("a") + 30).otherwise(pl.col("a")))
    found = _consistency(ws, team.start(frame))
    assert found.columns[0].since.time == days[2600].replace(" ", "T") + ":00"


def test_a_small_shift_is_noted_and_not_acted_on(team, make_rows):
    team.approved(make_rows(1, 20_000))
    update = team.start(_moved(make_rows(2, 20_000), 0.3))
    found = _consistency(team.ws, update)
    assert (found.verdict, found.grade) == ("drifted", Grade.MEDIUM)
    [finding] = [f for f in update.filed[0].verdict.findings if f.code == "drifted"]
    assert finding.level is Level.NOTE


def test_labels_that_turn_are_a_changed_concept(team, make_rows):
    team.approved(make_rows(1, 2000))
    update = team.start(make_rows(2, 2000, flip=0.4))
    found = _consistency(team.ws, update)
    assert found.concept.drifted
    assert found.concept.now == pytest.approx(found.concept.before + 0.4, abs=0.1)
    assert (found.verdict, found.grade) == ("drifted", Grade.LARGE)
    assert not found.label.drifted
    findings = {f.code: f.message.text() for f in update.filed[0].verdict.findings}
    told = findings.get("concept") or findings["drifted"]
    assert "errs otherwise" in told or "most in" in told


def test_an_altered_profile_is_found_and_not_believed(team, make_rows):
    team.approved(make_rows(1, 500))
    snapshot = team.add(make_rows(2, 500))
    objects = team.ws.home.objects
    key = f"profiles/{snapshot.profile}.json.gz"
    objects.delete(key)
    assert objects.put(key, b"\x1f\x8bnonsense")
    with pytest.raises(IntegrityError, match="altered or is gone"):
        team.ws.drift("m")
    report = team.ws.verify()
    assert not report.ok
    assert report.problems[0].where == snapshot.id
