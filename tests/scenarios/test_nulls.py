"""Answers that are no number, null: bad ones, wherever a release looks at answers."""

import uuid

import numpy as np
import polars as pl
import pytest

from tidegate.domain.stage import Stage
from tidegate.domain.update import Outcome
from tidegate.monitoring.prediction_log import Logged
from tidegate.process.judging import judge


def rows(seed, count=200):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=count)
    y = 3 * a + rng.normal(0, 0.1, count)
    return pl.DataFrame({"a": a, "b": rng.normal(size=count), "y": y})


@pytest.fixture
def regression(team):
    """The team's model, of numbers now, under a policy that differs in this."""

    def declared(**rollout):
        policy = {
            "rollout": {"steps": [{"share": 0.5, "min_labels": 40}], **rollout},
            "observe": {"min_labels": 40},
        }
        model = {**team.model, "task": "regression", "adapter": "sklearn.ridge", "policy": policy}
        with team.as_("root") as root:
            root.apply_model(model)

    return declared


def said(team, version, answer, count, label=None):
    """So many answers of a version as champion; ``label``: what came true of each."""
    log, now = team.ws.home.log, team.ws.home.journal.now()
    ids = [uuid.uuid4().hex for _ in range(count)]
    log.write([
        Logged(one, "m", version, "champion", None, None, None, answer, "{}", False, 1.0, now)
        for one in ids
    ])  # fmt: skip
    if label is not None:
        assert not log.label_many(dict.fromkeys(ids, label), at=now, model="m").refused


@pytest.mark.parametrize(("nulls", "back"), [(40, True), (30, True), (2, False)])
def test_a_version_that_answers_null_does_not_pass_its_observation(team, regression, nulls, back):
    regression()
    team.approved(rows(1))
    team.approved(rows(2))
    with team.as_("oli") as oli:
        update = oli.promote("m")
    assert (update.stage, update.outcome) == (Stage.OBSERVE, None)
    said(team, 2, "1.0", 40 - nulls, label=1.0)
    said(team, 2, "null", nulls, label=1.0)
    judge(team.ws.home)
    update = team.ws.update(update.id)
    codes = [finding.code for finding in update.filed[-1].verdict.findings]
    assert codes == (["no_number"] if back else ["held"])
    assert update.outcome is (Outcome.ROLLED_BACK if back else Outcome.COMPLETED)
    assert team.ws.deployment("m").champion == (1 if back else 2)
    assert all(replayed.same for replayed in team.ws.replay(update.id))


@pytest.mark.parametrize("numbers", [600, 0])
def test_a_null_of_the_champion_is_in_no_range_of_its_answers(team, regression, numbers):
    regression(answers_beyond=2.0)
    team.approved(rows(1))
    said(team, 1, "1.0", numbers)
    said(team, 1, "null", 600 - numbers or 1)
    update = team.approved(rows(2))
    assert (update.stage, update.outcome) == (Stage.RELEASE, None)
    assert team.ws.deployment("m").release.bands == ([1.0] if numbers else [])
