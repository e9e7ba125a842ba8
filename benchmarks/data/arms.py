"""One arm, in its own environment: ``python arms.py ARM REFERENCE CURRENT``; answers in JSON.

Each names the columns that it calls drifted, with its own defaults. Reading the files is timed;
importing the libraries is not. The peak of memory is that of the whole process.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

#: What a test has to beat, and what Bonferroni's correction shares out among the columns.
SIGNIFICANCE = 0.05


def tidegate():
    import sklearn.ensemble  # noqa: F401 - imported where it is needed, as the peers do at once

    from tidegate.process.inspecting import compare_files

    def work(reference, current):
        found = compare_files(Path(reference), Path(current), lambda *_done: None).found
        return told(found.model_dump(mode="json"))

    return work


def told(found):
    """What Tidegate calls drifted; the columns together count as one more."""
    named = [column["name"] for column in found["columns"] if column["drifted"]]
    return [*named, "joint"] if found["joint"]["drifted"] else named


def command():
    """The program itself; timed from before it starts."""
    program = [sys.executable, "-m", "tidegate.apps.cli", "data", "compare"]

    def work(reference, current):
        options = [reference, current, "--json"]
        done = subprocess.run([*program, *options], stdout=subprocess.PIPE, check=True)
        return told(json.loads(done.stdout))

    return work


def pyarrow():
    """Decodes each row group and lets it go."""
    import pyarrow.parquet as pq

    def work(*paths):
        for path in paths:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    file.read_row_group(group)

    return work


def polars():
    import polars as pl

    def work(*paths):
        for path in paths:
            pl.read_parquet(path)

    return work


def texts_and_numbers(frame):
    """Names of columns of either kind, which a user of the peers knows."""
    return [n for n in frame if n.startswith("c")], [n for n in frame if n.startswith("x")]


def scipy():
    """A test for each column of two data frames, corrected by Bonferroni."""
    import pandas as pd
    from scipy.stats import chi2_contingency, ks_2samp

    def p_value(a, b, is_text):
        if not is_text:
            return ks_2samp(a.dropna(), b.dropna()).pvalue
        counts = pd.concat([a.value_counts(), b.value_counts()], axis=1).fillna(0)
        return chi2_contingency(counts.T).pvalue

    def work(reference, current):
        a, b = pd.read_parquet(reference), pd.read_parquet(current)
        texts, _ = texts_and_numbers(a)
        found = {name: p_value(a[name], b[name], name in texts) for name in a}
        return [name for name, p in found.items() if p < SIGNIFICANCE / len(found)]

    return work


def evidently():
    os.environ["DO_NOT_TRACK"] = "1"
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    def dataset(path):
        frame = pd.read_parquet(path)
        texts, numbers = texts_and_numbers(frame)
        known = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
        return Dataset.from_pandas(frame, data_definition=known)

    def work(reference, current):
        a, b = dataset(reference), dataset(current)
        counted, *columns = Report([DataDriftPreset()]).run(b, a).dict()["metrics"]
        # With more than 1,000 rows its measures are distances: the larger, the further.
        flagged = [
            metric["config"]["column"]
            for metric in columns
            if metric["value"] >= metric["config"]["threshold"]
        ]
        if len(flagged) != counted["value"]["count"]:
            raise ValueError(f"{len(flagged)} columns read, {counted['value']['count']} reported")
        return flagged

    return work


def nannyml():
    """Ten chunks, its default; a column counts where most of them raise an alert."""
    os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
    import nannyml as nml
    import pandas as pd

    def work(reference, current):
        a = pd.read_parquet(reference)
        texts, numbers = texts_and_numbers(a)
        calculator = nml.UnivariateDriftCalculator(
            column_names=numbers + texts, treat_as_categorical=texts
        )
        calculator.fit(a)
        found = calculator.calculate(pd.read_parquet(current)).filter(period="analysis").to_df()
        alerts = found.xs("alert", axis=1, level=-1).droplevel(1, axis=1).mean()
        return [name for name, share in alerts.items() if share > 0.5]

    return work


def alibi_detect():
    """Takes one matrix of numbers, so categories are coded first."""
    import numpy as np
    import pandas as pd
    from alibi_detect.cd import TabularDrift

    def work(reference, current):
        a, b = pd.read_parquet(reference), pd.read_parquet(current)
        texts, _ = texts_and_numbers(a)
        for name in texts:
            codes = pd.Categorical(pd.concat([a[name], b[name]])).codes
            a[name], b[name] = codes[: len(a)], codes[len(a) :]
        places = {a.columns.get_loc(name): None for name in texts}
        detector = TabularDrift(
            a.to_numpy(np.float64), p_val=SIGNIFICANCE, categories_per_feature=places
        )
        found = detector.predict(b.to_numpy(np.float64))["data"]
        return [n for n, p in zip(a, found["p_val"], strict=True) if p < found["threshold"]]

    return work


def whylogs():
    """Profiles both, and scores the drift as its drift report does."""
    os.environ["WHYLOGS_NO_ANALYTICS"] = "True"
    import pandas as pd
    import whylogs as why
    from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

    def work(reference, current):
        a, b = (why.log(pd.read_parquet(path)).view() for path in (reference, current))
        found = calculate_drift_scores(target_view=b, reference_view=a, with_thresholds=True)
        return [n for n, one in found.items() if one and one["drift_category"] == "DRIFT"]

    return work


def answer(name, reference, current):
    work = globals()[name]()
    start = time.perf_counter()
    flagged = work(reference, current)
    seconds = time.perf_counter() - start
    whose = resource.RUSAGE_CHILDREN if name == "command" else resource.RUSAGE_SELF
    peak = resource.getrusage(whose).ru_maxrss * 1024  # Linux tells it in KiB
    return {"seconds": seconds, "peak_bytes": peak, "flagged": flagged}


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints is no answer
    try:
        found = answer(*sys.argv[1:])
    except Exception as problem:
        found = {"error": f"{type(problem).__name__}: {problem}".splitlines()[0]}
    answers.write(json.dumps(found) + "\n")
    answers.flush()
