"""Judging what is on traffic: one that cannot be judged is no reason not to judge the others."""

from types import SimpleNamespace

import pytest

from tidegate.domain.errors import Conflict
from tidegate.process import judging


def test_one_that_cannot_be_judged_leaves_the_others_to_be(monkeypatch):
    judged = []

    def run(_home, update_id, _watch):
        judged.append(update_id)
        if update_id == "a-2":
            raise ValueError("damaged")
        if update_id == "b-2":
            raise Conflict("another judges it", do="wait")

    found = [SimpleNamespace(id=name) for name in ("a-2", "b-2", "c-2")]
    monkeypatch.setattr(judging, "on_traffic", lambda _home, _model: found)
    monkeypatch.setattr(judging, "run", run)
    with pytest.raises(ValueError, match="damaged"):
        judging.judge(None)
    assert judged == ["a-2", "b-2", "c-2"]
