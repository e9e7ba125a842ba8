"""What Tidegate adds to a fit: transform, checks, proofs and the stored version."""

import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import nn

from tidegate.data.features.fit import fit_transform
from tidegate.domain.evidence import PlanEvidence
from tidegate.domain.model import ModelSpec
from tidegate.domain.strategy import Strategy
from tidegate.process.fitting import fit_candidate
from tidegate.store.objects import Objects
from tidegate.training.modules import mlp

COLUMNS = 20
#: Fits of each, in turn; the median of the ratios counts.
PAIRS = 5
#: Rows and settings that keep each fit above ten seconds on two cores.
CASES = {
    "sklearn.hist_gradient_boosting": (600_000, {"max_iter": 600}),
    "torch": (
        200_000,
        {
            "epochs": 16,
            "batch_rows": 256,
            "validation_share": 0.0,
            "arguments": {"hidden": [128, 128]},
        },
    ),
}


def table(rows: int) -> pl.DataFrame:
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, COLUMNS))
    told = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + random.normal(0, 0.5, rows) > 0
    frame = pl.DataFrame({f"x{n}": x[:, n] for n in range(COLUMNS)})
    return frame.with_columns(y=pl.Series(told.astype(int)))


def bare_boosting(x, y, settings):
    HistGradientBoostingClassifier(
        early_stopping=False, random_state=0, **settings
    ).fit(x, y)  # fmt: skip


def bare_torch(x, y, settings):
    """The loop that a user writes for the same module and settings."""
    torch.manual_seed(0)
    module = mlp(n_features=COLUMNS, n_outputs=2, **settings["arguments"])
    rows, labels = torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y)
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-3, weight_decay=0.01)
    for _ in range(settings["epochs"]):
        order = torch.randperm(len(rows))
        for at in range(0, len(order), settings["batch_rows"]):
            some = order[at : at + settings["batch_rows"]]
            optimiser.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(module(rows[some]), labels[some])
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimiser.step()


BARE = {"sklearn.hist_gradient_boosting": bare_boosting, "torch": bare_torch}


def measured(say) -> dict[str, dict]:
    found = {}
    for name, (rows, settings) in CASES.items():
        frame = table(rows)
        spec = ModelSpec.model_validate({
            "model": "m", "adapter": name, "task": "binary", "target": "y",
            "policy": {"training": {"settings": settings}},
        })  # fmt: skip
        x = fit_transform(frame, spec).apply(frame)
        y = frame["y"].to_numpy()
        bare, whole = [], []
        for _ in range(PAIRS):
            began = time.perf_counter()
            BARE[name](x, y, settings)
            bare.append(time.perf_counter() - began)
            began = time.perf_counter()
            plan = PlanEvidence(strategy=Strategy.FULL, requested="full", supported=[], why=[])
            fitted, _ = fit_candidate(spec, plan, frame, None, lambda _done, _total: None)
            with tempfile.TemporaryDirectory() as folder:
                fitted.commit(Objects.open(str(Path(folder) / "objects")), [])
            whole.append(time.perf_counter() - began)
        found[name] = {"rows": rows, "bare": bare, "tidegate": whole}
        say(f"overhead: {name}: {found[name]}")
    return found
