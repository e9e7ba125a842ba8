"""What production shows of a model: windows of its metrics, and what they would trigger."""

from tidegate.domain.errors import WrongUsage
from tidegate.domain.messages import Frozen, Message
from tidegate.monitoring.windows import Window, windows
from tidegate.process.home import Home
from tidegate.process.stages.release import current


class Report(Frozen):
    """A model on traffic: answers given, labelled ones, and windows, oldest first."""

    model: str
    champion: int | None
    answers: int
    labelled: int
    windows: list[Window]
    alerts: list[Message]


def monitor(home: Home, model: str, window_rows: int) -> Report:
    """Live metrics of everything that answered for a model, ``window_rows`` labels a window."""
    with home.journal.read() as reader:
        spec = home.spec(reader, model)
    if not spec.trains or spec.task is None:
        raise WrongUsage(
            "model '{model}' is not served here, so there is nothing to watch",
            do="see its versions with: tidegate params log {model}",
            model=model,
        )
    counts = home.log.counts(model)
    labelled = list(home.log.labelled(model))
    return Report(
        model=model,
        champion=current(home, model).champion,
        answers=counts.answers,
        labelled=counts.labelled,
        windows=windows(spec.task, labelled, window_rows),
        alerts=[],
    )
