"""River on one stream, labels known a batch late: ``python river_arm.py MODEL STREAM FILE``.

Runs in an environment of its own; reads the file itself, answers in JSON. Every row of a batch is
predicted, then the batch is learned row by row. The first batch is learned and not tested.
"""

import csv
import json
import sys
import time
from datetime import datetime

from river import forest, tree

BATCH_ROWS = 336
STREAMS = {
    "electricity.csv": ("class", []),
    "bike_sharing_hourly.csv": ("cnt", ["instant", "casual", "registered"]),
    "beijing_pm25.csv": ("pm2.5", ["No"]),
}
MODELS = {
    ("forest", True): lambda: forest.ARFClassifier(seed=0),
    ("forest", False): lambda: forest.ARFRegressor(seed=0),
    ("tree", True): lambda: tree.HoeffdingAdaptiveTreeClassifier(seed=0),
    ("tree", False): lambda: tree.HoeffdingAdaptiveTreeRegressor(seed=0),
}


def rows_of(stream, file):
    """Features as numbers, and the target; None where there is none."""
    target, exclude = STREAMS[stream]
    with open(file, newline="", encoding="utf-8") as opened:
        for row in csv.DictReader(opened):
            label = row.pop(target)
            features = {}
            for name, value in row.items():
                if name not in exclude and value not in ("", "NA"):
                    features |= numbers(name, value)
            yield features, None if label in ("", "NA") else label


def numbers(name, text):
    """A number as it is, a date as its day, any other text as one column a value: the forest for
    regression takes numbers alone."""
    try:
        return {name: float(text)}
    except ValueError:
        pass
    try:
        return {name: float(datetime.strptime(text, "%m/%d/%Y").toordinal())}
    except ValueError:
        return {f"{name}={text}": 1.0}


def main(kind, stream, file):
    rows = list(rows_of(stream, file))
    classes = stream == "electricity.csv"
    model = MODELS[kind, classes]()
    began, right, tested = time.perf_counter(), 0.0, 0
    for at in range(0, len(rows), BATCH_ROWS):
        batch = [row for row in rows[at : at + BATCH_ROWS] if row[1] is not None]
        for x, label in batch if at else ():
            said = model.predict_one(x)
            right += (said == label) if classes else abs((said or 0.0) - float(label))
            tested += 1
        for x, label in batch:
            model.learn_one(x, label if classes else float(label))
    print(json.dumps({"score": right / tested, "seconds": time.perf_counter() - began,
                      "rows": tested}))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
