"""Three real streams, replayed: by fixed schedules and by the standard policy."""

from pathlib import Path

from tidegate.data.read import read_files
from tidegate.domain.evidence import PlanEvidence
from tidegate.domain.model import ModelSpec
from tidegate.domain.strategy import Strategy
from tidegate.process import backtest
from tidegate.process.fitting import fit_candidate
from tidegate.training.adapter import adapter

BATCH_ROWS = 336
#: Batches of the sliding window.
WINDOW = 10

STREAMS = {
    "electricity.csv": {
        "model": "electricity", "task": "binary", "target": "class",
        "adapter": "sklearn.hist_gradient_boosting",
    },
    "bike_sharing_hourly.csv": {
        "model": "bikes", "task": "regression", "target": "cnt",
        "adapter": "sklearn.hist_gradient_boosting",
        "exclude": ["instant", "casual", "registered"], "time": ["dteday", "hr"],
    },
    "beijing_pm25.csv": {
        "model": "air", "task": "regression", "target": "pm2.5",
        "adapter": "sklearn.hist_gradient_boosting",
        "exclude": ["No"], "time": ["year", "month", "day", "hour"],
    },
}  # fmt: skip


def spec_of(name: str, **training) -> ModelSpec:
    return ModelSpec.model_validate({**STREAMS[name], "policy": {"training": training}})


def incremental(past: backtest.Past):
    """An incremental update at every batch."""
    spec, how = past.spec, adapter(past.spec.adapter)
    (newest,) = past.pending
    past.snapshots, past.pending = [*past.snapshots, newest], []
    plan = PlanEvidence(
        strategy=Strategy.INCREMENTAL, requested="incremental", supported=[], why=[],
        trainable_groups=how.trainable_groups(
            spec.task, past.champion.state, how.defaults(spec.task)
        ),
    )  # fmt: skip
    return fit_candidate(spec, plan, newest, past.champion, lambda _done, _total: None)[0]


#: Schedules, and what differs in the policy that they train under.
ARMS = {
    "never": (backtest.never, {}),
    "always, on all data": (backtest.always, {"window_snapshots": None}),
    f"always, on the last {WINDOW}": (backtest.always, {"window_snapshots": WINDOW}),
    "always, incremental": (incremental, {}),
    "standard policy": (backtest.by_policy, {}),
}
FIXED = [name for name in ARMS if name not in ("never", "standard policy")]


def replayed(name: str, data: Path, say) -> dict[str, dict]:
    """Each arm's score, updates and seconds on one stream."""
    found = {}
    frame = read_files([data / name], lambda _done, _total: None)
    for arm, (updater, training) in ARMS.items():
        spec = spec_of(name, **training)
        batches = backtest.batches_of(spec, frame, BATCH_ROWS)
        done = backtest.replay(spec, batches, updater)
        found[arm] = {**done.model_dump(), "batches": len(batches)}
        say(f"{name}: {arm}: {found[arm]}")
    return found
