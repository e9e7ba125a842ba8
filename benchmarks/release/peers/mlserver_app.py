"""MLServer with its scikit-learn runtime in one process: ``mlserver_app.py PORT [SECONDS FOLDER]``.

With SECONDS the runtime is one that takes so long to load, as a version from afar does, and the
model lies in FOLDER, where the caller may give it another version.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import joblib
from model import fitted, port

if __name__ == "__main__":
    seconds, folder = sys.argv[2:] or (None, tempfile.mkdtemp(prefix="bench-mlserver-"))
    folder = Path(folder)
    joblib.dump(fitted(), folder / "model.joblib")
    at = port()
    (folder / "settings.json").write_text(json.dumps({
        "host": "127.0.0.1", "http_port": at, "grpc_port": at + 1, "metrics_port": at + 2,
        "parallel_workers": 0, "debug": False, "metrics_endpoint": None,
    }))  # fmt: skip
    runtime = "mlserver_sklearn.SKLearnModel" if seconds is None else "mlserver_slow.Slow"
    (folder / "model-settings.json").write_text(json.dumps({
        "name": "bench", "implementation": runtime,
        "parameters": {"uri": "./model.joblib", "version": "v001"},
    }))  # fmt: skip
    os.environ["BENCH_LOAD_SECONDS"] = seconds or "0"
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    program = str(Path(sys.executable).with_name("mlserver"))
    os.execv(program, [program, "start", str(folder)])
