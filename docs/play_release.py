"""A release told from its beginning: real traffic meets a version that learned wrong labels.

The half-hours of electricity.csv (../shared/data) arrive in two files. Whoever wrote the labels of
the second one took up for down in the afternoons, the hold-out comes from the same file, and so
offline all looks well. The rows that follow are replayed over HTTP to two gateways, several in
flight at a time, and what came true is told thousands of answers later. ``make docs-release``
writes docs/deployment-log.md, a part of docs/release.md, and both in Chinese, from what the record
then holds.
"""

import http.client
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from tidegate import Workspace
from tidegate.domain.messages import render
from tidegate.domain.people import Role
from tidegate.domain.rollout import ReleaseStatus
from tidegate.domain.stage import Team
from tidegate.domain.update import Update

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data" / "electricity.csv"
MODEL = {
    "model": "electricity",
    "task": "binary",
    "target": "class",
    "adapter": "sklearn.hist_gradient_boosting",
    "policy": {
        "preset": "standard",
        "rollout": {
            "steps": [{"share": 0.1, "min_labels": 500}, {"share": 0.5, "min_labels": 5000}]
        },
    },
}
#: Rows of either file; those after both are the traffic.
ROWS = 4800
#: An afternoon begins at this part of the day.
AFTERNOON = 0.5
#: Requests in flight, and how many answers later a label comes.
FLIGHT, LATE = 4, 3000
#: Labels told at a time, and requests after the rollback.
TOLD, AFTER = 50, 1000


@dataclass(frozen=True)
class Reply:
    """One answer over HTTP: to which row, when it was asked for and came (seconds since 1970)."""

    row: int
    key: str
    sent: float
    came: float
    status: int
    version: str  # the header tidegate-version
    body: dict[str, Any]

    @property
    def told(self) -> dict[str, Any]:
        """What the body says of who answered."""
        told: dict[str, Any] = self.body["parameters"]
        return told


def prepared(folder: Path, frame: pl.DataFrame) -> tuple[Workspace, Update]:
    """A workspace whose second version, of wrong labels, was approved and is on its canary."""
    ws = Workspace.init(folder / "workspace", actor="ada")
    ws.change_person("ada", roles=[Role.ADMIN, Role.PROPOSER])
    ws.add_person("wei", Team.BUSINESS, [Role.APPROVER])
    ws.apply_model(MODEL)
    _approved(ws, folder / "first.csv", frame[:ROWS], "the first hundred days")
    wrong = mislabelled(frame[ROWS : 2 * ROWS])
    return ws, _approved(ws, folder / "second.csv", wrong, "the second hundred days")


def _approved(ws: Workspace, file: Path, rows: pl.DataFrame, reason: str) -> Update:
    rows.write_csv(file)
    snapshot = ws.add_data("electricity", [file]).snapshot
    update = ws.start_update("electricity", data=snapshot.id, reason=reason, strategy="full")
    with ws.acting_as("wei") as wei:
        return wei.approve(update.id, comment="the report looks right")


def mislabelled(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows with up for down in the afternoons."""
    wrong = pl.when(pl.col("period") >= AFTERNOON).then(1 - pl.col("class"))
    return frame.with_columns(wrong.otherwise(pl.col("class")).alias("class"))


@contextmanager
def gateways(folder: Path, count: int) -> Iterator[list[int]]:
    """So many ``tidegate serve`` on the workspace in ``folder``: their ports."""
    with ExitStack() as stack:
        ports = [_free_port() for _ in range(count)]
        for port in ports:
            log = stack.enter_context((folder / f"{port}.log").open("wb"))
            program = [sys.executable, "-m", "tidegate.apps.cli", "serve", "--port", str(port)]
            process = subprocess.Popen(  # noqa: S603 - our own program
                [*program, "--workspace", str(folder / "workspace")], stdout=log, stderr=log
            )
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
        for port in ports:
            _await(port)
        yield ports


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _await(port: int) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            client = http.client.HTTPConnection("localhost", port, timeout=30)
            client.request("GET", "/v2/models/electricity/ready")
            if client.getresponse().status == 200:
                return
        except OSError:
            pass
        if time.monotonic() > until:
            raise TimeoutError(f"no gateway on port {port}")
        time.sleep(0.1)


@dataclass
class Replay:
    """The traffic: rows in order, several in flight, to the gateways in turn; labels come late."""

    ws: Workspace
    rows: pl.DataFrame
    ports: list[int]
    replies: list[Reply] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _next: int = 0
    _last: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Ask until the release has ended and AFTER rows more, or the rows are at an end."""
        askers = [threading.Thread(target=self._ask, args=[n]) for n in range(FLIGHT)]
        for thread in askers:
            thread.start()
        client = http.client.HTTPConnection("localhost", self.ports[0], timeout=60)
        waiting: deque[Reply] = deque()
        taken = 0
        while any(thread.is_alive() for thread in askers):
            new = self.replies[taken:]
            taken += len(new)
            waiting.extend(reply for reply in new if reply.status == 200)
            while len(waiting) >= LATE + TOLD:
                self._tell(client, [waiting.popleft() for _ in range(TOLD)])
            time.sleep(0.005)

    def _tell(self, client: http.client.HTTPConnection, replies: list[Reply]) -> None:
        truth = self.rows["class"]
        labels = {r.told["request_ids"][0]: truth[r.row] for r in replies}
        status, _, said = _post(client, "/v1/models/electricity/feedback", {"labels": labels})
        if status != 200:
            self.refused.append(str(said))
        release = self.ws.deployment("electricity").release
        if self._last is None and (release is None or release.status is not ReleaseStatus.CANARY):
            self._last = self._next + AFTER

    def _ask(self, number: int) -> None:
        clients = [http.client.HTTPConnection("localhost", port, timeout=60) for port in self.ports]
        names = [name for name in self.rows.columns if name != "class"]
        while True:
            with self._lock:
                at = self._next
                if at == (self._last or self.rows.height):
                    return
                self._next += 1
            values, key = self.rows.row(at, named=True), f"meter-{at % 4000}"
            tensors = [
                {"name": name, "shape": [1], "datatype": "FP64", "data": [values[name]]}
                for name in names
            ]
            asked = {"inputs": tensors, "parameters": {"keys": [key]}}
            sent = time.time()
            status, headers, body = _post(
                clients[(at + number) % len(clients)], "/v2/models/electricity/infer", asked
            )
            version = headers.get("tidegate-version", "")
            self.replies.append(Reply(at, key, sent, time.time(), status, version, body))


def _post(
    client: http.client.HTTPConnection, path: str, document: dict[str, Any]
) -> tuple[int, dict[str, str], Any]:
    client.request("POST", path, json.dumps(document))
    response = client.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return response.status, headers, json.loads(response.read())


def play(folder: Path, data: Path = DATA) -> tuple[Workspace, Update, Replay]:
    """The whole story in ``folder``; the workspace is the caller's to close."""
    frame = pl.read_csv(data)
    ws, update = prepared(folder, frame)
    with gateways(folder, 2) as ports:
        replay = Replay(ws, frame[2 * ROWS : 2 * ROWS + 20_000], ports)
        replay.run()
    return ws, ws.update(update.id), replay


#: Where the excerpt stands in a page, and the sections of the log that it is made of.
BEGIN, END = "<!-- from the deployment log -->\n", "<!-- to here -->"
SHOWN = ("What ended it", "Who met it", "Way back")


def excerpt(log: str, lang: str) -> str:
    """The sections of a deployment log that a page shows, one heading lower."""
    parts = {part.partition("\n")[0]: part for part in log.split("\n## ")}
    shown = (parts[render(heading, {}, lang)].strip() for heading in SHOWN)
    return "".join(f"### {part}\n\n" for part in shown)


def write(folder: Path) -> None:
    """The deployment log of that release, in both languages, to docs/."""
    ws, update, _ = play(folder)
    for lang, ending in (("en", ".md"), ("zh", ".zh-CN.md")):
        name, page = f"deployment-log{ending}", HERE / f"release{ending}"
        text = ws.document(update.id, lang, kind="deployment")
        text = text.replace(f"{socket.gethostname()[:40]}-", "gateway-")  # no name of a machine
        (HERE / name).write_text(text, encoding="utf-8")
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        told = f"{before}{BEGIN}\n{excerpt(text, lang)}{END}{rest.partition(END)[2]}"
        page.write_text(told, encoding="utf-8")
        print(name, page.name)
    ws.close()


if __name__ == "__main__":
    if not DATA.is_file():
        sys.exit("the real data beside the repository (../shared/data) are not here")
    with tempfile.TemporaryDirectory(prefix="tidegate-") as made:
        write(Path(made))
