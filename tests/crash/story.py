"""A whole life of a small model, told so that it can be cut anywhere and taken up again.

Run as a program it walks through every boundary between two writes: at each it forks a child
that is killed there, then another that opens what is left, checks it, and finishes the story.
One JSON line a boundary goes to standard output.
"""

import gc
import importlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import polars as pl
import sqlalchemy as sa

from tidegate import Workspace
from tidegate.domain.people import Role
from tidegate.domain.stage import Stage, Team
from tidegate.ledger.journal import Journal
from tidegate.store.objects import Objects, Upload
from tidegate.training.environment import environment

MODEL = {
    "model": "m",
    "task": "binary",
    "target": "y",
    "adapter": "sklearn.gaussian_nb",
    "policy": {
        "rollout": {"steps": [{"share": 0.5, "min_labels": 20}]},
        "observe": {"min_labels": 20},
    },
}


def rows(seed, count=48):  # too few for a drift report, which would take most of the time
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    return pl.DataFrame({"a": rng.normal(3 * y, 1), "b": rng.normal(-3 * y, 1), "y": y})


class Killer:
    """Counts boundaries between two writes; at the ``at``-th the process dies."""

    def __init__(self, at, folder=None):
        self.at, self.folder, self.count, self.states = at, folder, 0, []
        self.within = threading.local()

    def __call__(self, *_args, **_kwargs):
        self.count += 1
        if self.folder is not None:
            self.states.append(committed(self.folder))
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def between(self, change):
        def cut(*given, **named):
            if getattr(self.within, "change", False):  # one change that is made of others
                return change(*given, **named)
            self()
            self.within.change = True
            try:
                return change(*given, **named)
            finally:
                self.within.change = False
                self()

        return cut

    def watch(self):
        """Look before and after every object, before every row, before and after every commit."""
        for owner, name in ((Objects, "put"), (Upload, "write"), (Upload, "finish")):
            setattr(owner, name, self.between(getattr(owner, name)))

        @sa.event.listens_for(sa.Engine, "before_cursor_execute")
        def _row(_connection, _cursor, statement, *_rest):
            if not statement.lstrip().upper().startswith(("SELECT", "BEGIN", "PRAGMA")):
                self()

        sa.event.listen(sa.Engine, "commit", self)
        write = Journal.write

        def write_and_after(journal, actor):
            return _After(write(journal, actor), self)

        Journal.write = write_and_after


class _After:
    """A transaction, and a boundary right after it was committed."""

    def __init__(self, inner, then):
        self.inner, self.then = inner, then

    def __enter__(self):
        return self.inner.__enter__()

    def __exit__(self, *exc):
        swallowed = self.inner.__exit__(*exc)
        self.then()
        return swallowed


def committed(folder):
    """What is in the database for good: each update's stage, outcome and number of filed stages."""
    path = folder / "ws" / "tidegate.sqlite"
    if not path.exists():
        return None
    with closing(sqlite3.connect(path)) as raw:
        try:
            found = raw.execute("SELECT body FROM documents WHERE kind = 'update' ORDER BY id")
            bodies = [json.loads(body) for (body,) in found]
        except sqlite3.OperationalError:
            return None  # no tables yet
    return [(b["id"], b["stage"], b["outcome"], len(b["filed"])) for b in bodies]


def tell(folder):
    """The story, or what is left of it."""
    at = folder / "ws"
    if not (at / "workspace.json").exists():
        Workspace.init(at, actor="ada").close()
    with Workspace(at, actor="ada") as ws, ws.acting_as("wei") as wei:
        if not any(person.name == "wei" for person in ws.people()):
            ws.add_person("wei", Team.BUSINESS, [Role.APPROVER])
        ws.apply_model(MODEL)
        for number in (1, 2):
            _update(folder, ws, wei, number)


def _update(folder, ws, wei, number):
    file = folder / f"{number}.csv"
    rows(number).write_csv(file)
    arrival = ws.add_data("m", [file])
    known = {update.number: update for update in ws.updates("m")}
    if number not in known:
        update = ws.start_update("m", data=arrival.snapshot.id, reason=f"file {number}")
    else:
        update = ws.resume(known[number].id)
    if update.outcome is None and update.stage is Stage.APPROVE:
        update = wei.approve(update.id)
    serving, live = ws.serving(), rows(99)
    while update.outcome is None:
        asked = len(list(ws.home.log.labelled("m")))
        some = live[[(asked + n) % live.height for n in range(25)]]
        keys = [f"u{asked + n}" for n in range(some.height)]
        answers = serving.infer("m", some.drop("y"), keys)
        truth = some["y"].to_list()
        serving.feedback("m", {a.request_id: y for a, y in zip(answers, truth, strict=True)})
        update = ws.update(update.id)


def left(folder):
    """What a killed process left, but for times and random ids: files, rows a table, states."""
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    path, counts = folder / "ws" / "tidegate.sqlite", []
    if path.exists():
        with closing(sqlite3.connect(path)) as raw:
            names = [n for (n,) in raw.execute("SELECT name FROM sqlite_schema WHERE type='table'")]
            counts = [(n, raw.execute(f"SELECT count(*) FROM {n}").fetchone()[0]) for n in names]
    kept = [name for name in files if not name.endswith(("-wal", "-shm"))]
    return json.dumps([kept, sorted(counts), committed(folder)])


def examine(folder, to_the_end):
    """Doubts about what a killed process left, and about the story taken up from there."""
    doubts = []
    if (folder / "ws" / "workspace.json").exists():
        doubts += _doubts(folder)
    if not to_the_end:
        return doubts
    tell(folder)
    doubts += _doubts(folder)
    with Workspace(folder / "ws") as ws:
        found = [(u.id, u.outcome, [f.stage for f in u.filed]) for u in ws.updates("m")]
        if found != [(f"m-{n}", "completed", list(Stage)) for n in (1, 2)]:
            doubts.append(f"the story did not end well: {found}")
        if ws.deployment("m").champion != 2:
            doubts.append("version 2 is not in production")
    return doubts


def _doubts(folder):
    doubts = []
    with Workspace(folder / "ws") as ws:
        doubts += [f"{p.where}: {p.message}" for p in ws.verify().problems]
        updates = {update.id: update for update in ws.updates()}
        with ws.home.journal.read() as reader:
            events = reader.events()
        for update in updates.values():
            stages = [filed.stage for filed in update.filed]
            if stages != list(Stage)[: len(stages)]:
                doubts.append(f"{update.id} holds stages {stages}")
            told = [
                event.note["stage"]
                for event in events
                if event.subject == ("update", update.id)
                and event.kind in ("update.stage", "update.ended")
            ]
            if told != stages:
                doubts.append(f"{update.id} tells of {told} and holds {stages}")
        if any(model.model == "m" for model in ws.models()):
            for logged in ws.log("m"):
                if logged.version.update not in updates:
                    doubts.append(f"{logged.version.name} is an orphan")
                if Stage.TRAIN not in [f.stage for f in updates[logged.version.update].filed]:
                    doubts.append(f"{logged.version.name} is there before it was trained")
    return doubts


def in_child(act):
    """What ``act`` gives, from a forked process; None where that was killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            answer = act()
        except BaseException as error:
            import traceback

            answer = {"raised": f"{error!r}\n{traceback.format_exc()}"}
        with os.fdopen(write, "w") as out:
            json.dump(answer, out)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answers:
        text = answers.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return None
    return json.loads(text)


def reference(folder):
    killer = Killer(-1, folder)
    killer.watch()
    tell(folder)
    return {"states": killer.states, "modules": list(sys.modules)}


def learn(modules):
    """What every child would import and find out anew, once; it takes longer than the story."""
    for name in modules:
        with suppress(ImportError):  # as Alembic names its migrations
            importlib.import_module(name)
    environment()
    gc.freeze()  # a collection in a child would copy every page


def killed(folder, at):
    Killer(at).watch()
    tell(folder)
    return "not killed"


def share_of(boundaries, part, parts):
    """The boundaries of one part: a stretch, since neighbours leave the same state."""
    return range(1 + boundaries * part // parts, 1 + boundaries * (part + 1) // parts)


def main(part, parts):
    with tempfile.TemporaryDirectory() as scratch:
        at = Path(scratch)
        (at / "reference").mkdir()
        told = in_child(lambda: reference(at / "reference"))
        print(json.dumps({"boundaries": told.get("raised") or len(told["states"])}))
        if "raised" in told:
            return
        learn(told["modules"])
        states = told["states"]
        seen = set()
        for boundary in share_of(len(states), part, parts):
            folder = at / str(boundary)
            folder.mkdir()
            survived = in_child(lambda folder=folder, n=boundary: killed(folder, n))
            expected = states[boundary - 1]
            # SQLite finishes or undoes what the dead process had begun when it is next opened.
            found, state = in_child(lambda folder=folder: [committed(folder), left(folder)])
            # From the same state the story goes on the same way: once is enough.
            new = state not in seen
            seen.add(state)
            doubts = in_child(lambda folder=folder, new=new: examine(folder, new))
            print(
                json.dumps(
                    {
                        "boundary": boundary,
                        "survived": survived,
                        "expected": expected,
                        "found": found,
                        "doubts": doubts,
                        "finished": new,
                    }
                ),
                flush=True,
            )
            shutil.rmtree(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
