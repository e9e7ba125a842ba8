"""That a rollback reached every gateway, written into the record when it has."""

from collections.abc import Sequence

from tidegate.domain.errors import Conflict, TidegateError
from tidegate.domain.rollout import Deployment
from tidegate.ledger.event import Event
from tidegate.ledger.journal import Reader
from tidegate.monitoring.gateways import behind, running
from tidegate.process.home import Home

BACK_BY_HAND = "release.rolled_back_by_hand"
STOPPED, ENDED = "release.stopped_by_hand", "release.rolled_back"
#: Events that take a version off traffic, where it is not off already: what was stopped by hand
#: ends a little later.
WENT_BACK = (ENDED, STOPPED, BACK_BY_HAND)
FOLLOWED = "release.followed"


class Following:
    """Rollbacks that are recorded, and that some gateway may not route by yet.

    Every gateway looks; the first that finds all of them there writes it down, once a rollback.
    """

    def __init__(self, home: Home):
        self._home = home
        with home.journal.read() as reader:
            self._seen = reader.size()
        self._waiting: dict[str, Event] = {}

    @property
    def waits(self) -> bool:
        """Whether there is a rollback that some gateway may not route by yet."""
        return bool(self._waiting)

    def look(self, followed: int) -> None:
        """Look for rollbacks up to event ``followed``, and whether all gateways route by them."""
        if followed > self._seen:
            with self._home.journal.read() as reader:
                new = reader.events(after=self._seen, limit=followed - self._seen)
                back = [e for e in new if e.kind in WENT_BACK and not _followed(reader, e)]
            self._waiting |= {event.subject[1]: event for event in back}
            self._seen = followed
        for model, event in list(self._waiting.items()):
            with self._home.journal.read() as reader:
                deployment = reader.get(Deployment, model)
            if not behind(self._home.database, event.seq, 0.0, deployment):
                del self._waiting[model]
                names = [one.name for one in running(self._home.database)]
                self._record(model, event, names)

    def _record(self, model: str, event: Event, gateways: Sequence[str]) -> None:
        try:
            with self._home.journal.write(self._home.actor) as tx:
                later = tx.events(subject=event.subject, after=event.seq)
                deployment = tx.get(Deployment, model)
                if deployment is None or any(one.kind in (FOLLOWED, *WENT_BACK) for one in later):
                    return
                note = {"event": event.seq, "gateways": list(gateways)}
                tx.put(deployment, FOLLOWED, was=deployment, note=note)
        except Conflict:
            return  # another gateway writes it at this moment
        except TidegateError:
            self._waiting[model] = event  # a full disk, say: tried again
            raise


def _followed(reader: Reader, event: Event) -> bool:
    """Whether this ends what was stopped by hand, and was followed by all then."""
    if event.kind != ENDED:
        return False
    before = [one.kind for one in reader.events(subject=event.subject) if one.seq < event.seq]
    last = next((kind for kind in reversed(before) if kind != FOLLOWED), None)
    return last == STOPPED and before[-1] == FOLLOWED
