"""What a process remembers of releases goes with them, whether it judges or only tells of them."""

from tidegate.process.canary import JUDGED
from tidegate.process.unlabelled import COUNTED


def test_a_gateway_that_judges_nothing_forgets_what_status_left(team, make_rows):
    team.approved(make_rows(1))
    serving, remembered = team.ws.serving(judges=False), JUDGED._by_log
    for seed in (2, 3):
        update = team.approved(make_rows(seed))
        team.ws.verdict("m")
        serving.follow()
        assert list(remembered[team.ws.home.log]) == [("m", update.id)], "it is read once"
        with team.as_("oli") as oli:
            oli.rollback("m", reason="drill")
        serving.follow()
        team.ws.verdict("m")
        assert not remembered[team.ws.home.log]
    assert not COUNTED._by_log.get(team.ws.home.log)
