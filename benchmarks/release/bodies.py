"""The bodies that are sent, and what each version should answer to them."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from benchmarks.release.peers import model

#: Distinct requests, each of one entity: enough that a tenth of them is a hundred.
BODIES = 1024


@dataclass(frozen=True)
class Bodies:
    """Bodies in a file, and all that an order to the load generator says of them."""

    file: Path
    sizes: list[int]
    headers: dict[str, str]

    def order(self) -> dict:
        return {"bodies": str(self.file), "sizes": self.sizes, "headers": self.headers}


@cache
def chosen() -> tuple[np.ndarray, np.ndarray]:
    """Rows that no rounding can put on the other side, and their true labels."""
    x, y = model.rows()
    sure = np.abs(model.fitted().predict_proba(x)[:, 1] - 0.5) > 0.05
    at = np.resize(np.flatnonzero(sure), BODIES)
    return x[at], y[at]


def columns(rows: np.ndarray, first: int) -> bytes:
    """A tensor a column in the Open Inference Protocol; ``first``: the first row's number."""
    inputs = [
        {"name": f"x{n}", "shape": [len(rows)], "datatype": "FP64", "data": rows[:, n].tolist()}
        for n in range(model.FEATURES)
    ]
    return compact({"inputs": inputs, "parameters": {"keys": keys(len(rows), first)}})


def binary(row: np.ndarray, number: int) -> tuple[bytes, bytes]:
    """The same in the protocol's binary extension, which the answer is asked for as well: JSON,
    and the bytes that follow it."""
    size = {"binary_data_size": 8}
    inputs = [
        {"name": f"x{n}", "shape": [1], "datatype": "FP64", "parameters": size}
        for n in range(model.FEATURES)
    ]
    wanted = {"keys": keys(1, number), "binary_data_output": True}
    return compact({"inputs": inputs, "parameters": wanted}), row.tobytes()


def keys(count: int, first: int) -> list[str]:
    """The entity of each row; all of one length."""
    return [f"u{n:04}" for n in range(first, first + count)]


def compact(document: dict) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def matrix(row: np.ndarray) -> bytes:
    """All features in one tensor."""
    tensor = {"name": "x", "shape": [1, len(row)], "datatype": "FP64", "data": row.tolist()}
    return compact({"inputs": [tensor]})


def tensor(row: np.ndarray, number: int) -> bytes:
    """The same, with the entity of the row."""
    return matrix(row)[:-1] + b"," + compact({"parameters": {"keys": keys(1, number)}})[1:]


def plain(row: np.ndarray) -> bytes:
    """As servers without a protocol are shown it in their documentation."""
    return compact({"rows": [row.tolist()]})


def written(folder: Path) -> dict[str, Bodies]:
    """Every kind of body in a file of its own."""
    x, _ = chosen()
    kinds = {
        "columns": [columns(x[n : n + 1], n) for n in range(BODIES)],
        "binary": [b"".join(binary(row, n)) for n, row in enumerate(x)],
        "matrix": [matrix(row) for row in x],
        "tensor": [tensor(row, n) for n, row in enumerate(x)],
        "plain": [plain(row) for row in x],
    }
    found = {}
    for kind, bodies in kinds.items():
        file = folder / f"{kind}.bodies"
        file.write_bytes(b"".join(bodies))
        headers = {"Content-Type": "application/json"}
        if kind == "binary":
            length = str(len(binary(x[0], 0)[0]))
            headers = {"Content-Type": "application/octet-stream",
                       "Inference-Header-Content-Length": length}  # fmt: skip
        found[kind] = Bodies(file, [len(body) for body in bodies], headers)
    return found


def labels_file(folder: Path) -> Path:
    """Requests of ten rows and what comes true of them, for ``labels.py``."""
    x, y = chosen()
    batches = [
        {
            "request": json.loads(columns(x[n : n + 10], n)),
            "labels": y[n : n + 10].tolist(),
        }
        for n in range(0, BODIES - 10, 10)
    ]
    file = folder / "labels.json"
    file.write_text(json.dumps(batches))
    return file


def expected_labels(folder: Path) -> Path:
    """What the plain model says to each body."""
    x, _ = chosen()
    file = folder / "plain.expected"
    file.write_text(json.dumps({"labels": model.fitted().predict(x).tolist()}))
    return file
