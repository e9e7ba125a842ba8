"""Digits whose classes arrive 0 to 4 first and 5 to 9 after: what is forgotten, at what cost."""

import numpy as np
import polars as pl
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from tidegate.data.replay import reservoir
from tidegate.domain.metrics import Task
from tidegate.domain.strategy import Strategy
from tidegate.training.adapter import Job, adapter, load, train

BATCH_ROWS, EPOCHS, SEED = 32, 30, 0
SETTINGS = {
    "arguments": {"hidden": [64]}, "batch_rows": BATCH_ROWS, "epochs": EPOCHS,
    "learning_rate": 2e-3, "validation_share": 0.0,
}  # fmt: skip


def steps(rows: int, epochs: int) -> int:
    return -(-rows // BATCH_ROWS) * epochs


def measured(say) -> dict[str, dict]:
    """Accuracy on test rows of all classes, and steps of the optimiser, of each way to update."""
    digits = load_digits()
    x, rest_x, y, rest_y = train_test_split(
        digits.data / 16, digits.target, test_size=0.25, random_state=SEED, stratify=digits.target
    )
    old = y < 5
    found: dict[str, dict] = {}

    def learn(name, rows, labels, taken, **job):
        asked = Job(task=Task.MULTICLASS, seed=SEED, **job)
        state = train(adapter("torch"), rows, labels, asked).state
        said = load("torch", state).predict(rest_x).values
        found[name] = {
            "accuracy": float(np.mean(said == rest_y)),
            "first": float(np.mean((said == rest_y)[rest_y < 5])),
            "second": float(np.mean((said == rest_y)[rest_y >= 5])),
            "steps": taken,
        }
        say(f"digits: {name}: {found[name]}")
        return state

    full = steps(len(x), EPOCHS)
    parent = learn("first version, classes 0 to 4", x[old], y[old], steps(old.sum(), EPOCHS),
                   settings=SETTINGS)  # fmt: skip
    learn("full update", x, y, full, settings=SETTINGS)
    groups = {"strategy": Strategy.INCREMENTAL, "parent": parent,
              "trainable_groups": list(parent.groups)}  # fmt: skip

    def updated(name, rows, labels, **job):
        epochs = full // 3 // -(-len(rows) // BATCH_ROWS)
        learn(name, rows, labels, steps(len(rows), epochs),
              settings={**SETTINGS, "update_epochs": epochs}, **groups, **job)  # fmt: skip

    updated("fine-tuning on 5 to 9 alone", x[~old], y[~old])
    updated("the same, pulled to the parent (Fisher)", x[~old], y[~old], pull=0.1, fisher=True,
            remembered=x[old])  # fmt: skip
    drawn = reservoir([pl.DataFrame({"row": np.flatnonzero(old)})], int((~old).sum()), SEED)
    rows = np.concatenate([drawn["row"].to_numpy(), np.flatnonzero(~old)])
    updated("the same, with as many replayed rows", x[rows], y[rows])
    return found
