"""The log kept by another process is the log kept here: the same rows, labels and refusals."""

import errno
import json
import os
import signal
import threading
import time
from dataclasses import asdict, replace

import pytest

from tidegate import Workspace
from tidegate.domain.errors import Busy, StorageError, TidegateError
from tidegate.monitoring.prediction_log import Counts, Logged, PredictionLog
from tidegate.process import scribe as module
from tidegate.process.scribe import Scribe

ANSWER = Logged(
    request_id="r0", model="m", version=1, arm="champion", update_id="m-2", step=0, key=None,
    prediction='"up"', features="{}", failed=False, latency_ms=1.5, at="t0",
)  # fmt: skip
#: What a log may be given: predictions, and labels for them, by request id.
PREDICTIONS = {
    "a": '"up"', "b": "1", "c": "0.1", "d": "null", "e": "true", "f": "3.0", "g": '"\u4f60"',
}  # fmt: skip
DEEP = []
for _ in range(2000):
    DEEP = [DEEP]
LABELS = {
    "a": "down", "b": "2", "c": 0.30000000000000004, "d": 2**70, "e": "True", "f": 3.5,
    "g": "\u597d", "unknown": 1, "deep": DEEP, "odd": {"x": DEEP},
}  # fmt: skip


def rows():
    told = PREDICTIONS | {"deep": "1", "odd": '"up"'}
    answers = [replace(ANSWER, request_id=one, prediction=text) for one, text in told.items()]
    quoted = '{"x":"\\n\'\\"\\u2028 \u2028"}'
    answers.append(replace(ANSWER, request_id="theirs", model="n", key="\n", features=quoted))
    return [tuple(asdict(answer).values()) for answer in answers]


@pytest.fixture
def folder(tmp_path):
    with Workspace.init(tmp_path / "ws", actor="ada"):
        return tmp_path / "ws"


@pytest.fixture
def scribe(folder):
    made = Scribe(folder)
    yield made
    made.close()


def told(log):
    """All that a log says of the same rows and labels, but for the moment."""
    log.write_rows(rows())
    log.write_rows(rows())
    found = []
    for labels in (LABELS | {"theirs": "up"}, LABELS, {"a": "up", "b": 2.0}):
        said = log.label_many(labels, model="m", whole={1})
        kept = [replace(one, at="", features="") for one in said.kept]
        assert all(one.at.startswith("20") for one in said.kept)
        why = {one: (type(error), error.text("zh")) for one, error in said.refused.items()}
        found.append((kept, why, said.unknown))
    return found


def test_it_says_and_keeps_what_the_log_does(scribe, folder, database):
    assert told(scribe) == told(PredictionLog(database))
    with Workspace(folder) as ws:
        theirs, here = (list(log.labelled("m")) for log in (ws.home.log, PredictionLog(database)))
        assert [replace(one, at="") for one in theirs] == [replace(one, at="") for one in here]
        assert ws.home.log.counts("m") == PredictionLog(database).counts("m")


def test_what_is_no_number_is_refused(scribe):
    scribe.write_rows(rows())
    told = scribe.label_many({"c": float("inf"), "f": float("nan"), "d": 2**70}, model="m")
    assert (set(told.refused), len(told.kept)) == ({"c", "f"}, 1)


def ended(scribe):
    """The process, ended by somebody else."""
    pid = scribe.pid
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def test_one_that_was_killed_is_started_again_and_nothing_counts_twice(
    scribe, folder, monkeypatch, caplog
):
    scribe.write_rows(rows())
    first = ended(scribe)
    with pytest.raises(Busy, match="again in a second"):
        scribe.write_rows(rows())
    assert caplog.records[-1].event == "scribe_ended"
    monkeypatch.setattr(scribe, "_next", time.monotonic() + 60)
    with pytest.raises(Busy):  # another one is not started at once
        scribe.write_rows(rows())
    monkeypatch.setattr(scribe, "_next", 0.0)
    scribe.write_rows(rows())
    assert scribe.pid != first
    with Workspace(folder) as ws:
        assert ws.home.log.counts("m") == Counts(answers=len(rows()) - 1, labelled=0)


def test_an_answer_that_nobody_waited_for_is_not_the_next_ones(scribe, monkeypatch):
    scribe.start()

    class Interrupted:
        def __init__(self, pipe):
            self.pipe = pipe

        def readline(self):
            raise KeyboardInterrupt

        def close(self):
            self.pipe.close()

    scribe._process.stdout = Interrupted(scribe._process.stdout)
    with pytest.raises(KeyboardInterrupt):
        scribe.write_rows(rows())
    monkeypatch.setattr(scribe, "_next", 0.0)
    assert scribe.label_many({"who": 1}).unknown == 1


def test_what_is_wrong_with_the_workspace_is_told_until_it_is_mended(scribe, folder):
    config = folder / "workspace.json"
    kept = config.read_text()
    config.write_text(json.dumps(json.loads(kept) | {"format": 999}))
    with pytest.raises(TidegateError) as here, Workspace(folder):
        pass
    with pytest.raises(TidegateError) as there:
        scribe.write_rows(rows())
    assert (type(there.value), str(there.value)) == (type(here.value), str(here.value))
    config.write_text(kept)
    scribe.write_rows(rows())


def test_what_nobody_foresaw_is_told_with_its_place(scribe):
    with pytest.raises(RuntimeError, match=r"write_rows[\s\S]*TypeError"):
        scribe._asked({"rows": 7})
    scribe.write_rows(rows())


def test_what_the_store_refused_is_no_reason_to_refuse_again(folder, monkeypatch):
    """What is open may have been opened while nothing could be written."""
    keeping, asked = module._Keeping(folder), json.dumps({"rows": rows()}).encode()
    assert keeping.told(asked) == {}
    first = keeping._home

    def refusing(home, request):
        raise StorageError("full", do="make room")

    with monkeypatch.context() as patched:
        patched.setattr(module, "_done", refusing)
        assert "error" in keeping.told(asked)
    assert keeping.told(asked) == {}
    assert keeping._home is not first
    keeping.close()


def test_it_ends_what_it_is_at(scribe):
    scribe.write_rows(rows())
    process = scribe._process
    scribe.close()
    assert process.poll() == 0
    with pytest.raises(Busy):  # nobody would close another one
        scribe.write_rows(rows())
    assert scribe.pid is None


@pytest.fixture
def hanging(scribe):
    """The process, which does nothing more."""
    scribe.write_rows(rows())
    process = scribe._process
    os.kill(process.pid, signal.SIGSTOP)
    return process


def test_one_that_hangs_is_ended_at_the_end(scribe, hanging, monkeypatch):
    monkeypatch.setattr(module, "STOP_SECONDS", 0.2)
    scribe.close()
    assert hanging.poll() == -signal.SIGKILL


class _Asking(threading.Thread):
    """Asks it, and keeps what it raises."""

    def __init__(self, scribe):
        super().__init__(daemon=True)
        self.scribe, self.error = scribe, None

    def run(self):
        try:
            self.scribe.write_rows(rows())
        except Exception as error:
            self.error = error


@pytest.fixture
def asking(scribe, hanging):
    """Who waits for the process that hangs."""
    thread = _Asking(scribe)
    thread.start()
    until = time.monotonic() + 10
    while scribe._asked_at is None and time.monotonic() < until:
        time.sleep(0.01)
    return thread


def test_who_waits_for_one_that_hangs_does_not_hold_up_the_end(
    scribe, hanging, asking, monkeypatch
):
    monkeypatch.setattr(module, "STOP_SECONDS", 0.2)
    scribe.close()
    asking.join(10)
    assert isinstance(asking.error, Busy)
    assert hanging.poll() == -signal.SIGKILL
    assert scribe.pid is None


def test_one_that_hangs_is_ended_in_time(scribe, hanging, asking, monkeypatch):
    scribe.see_to()
    assert hanging.poll() is None
    monkeypatch.setattr(module, "HUNG_SECONDS", 0.0)
    scribe.see_to()
    asking.join(10)
    assert isinstance(asking.error, Busy)
    scribe.see_to()  # nobody asks, so none hangs
    monkeypatch.setattr(scribe, "_next", 0.0)
    scribe.write_rows(rows())


def test_who_comes_later_waits_so_long_and_no_longer(scribe, hanging, asking, monkeypatch):
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.1)
    with pytest.raises(Busy, match=r"for 0\.1 seconds"):
        scribe.label_many({"a": "up"})
    os.kill(hanging.pid, signal.SIGCONT)
    asking.join(30)
    assert asking.error is None


def test_a_machine_that_can_start_no_process_is_busy(scribe, monkeypatch):
    def refusing(*_: object):
        raise BlockingIOError(errno.EAGAIN, "no more")

    with monkeypatch.context() as patched:
        patched.setattr(module, "started", refusing)
        scribe.start()
        monkeypatch.setattr(scribe, "_next", 0.0)
        with pytest.raises(Busy, match="cannot be started: Resource temporarily unavailable"):
            scribe.write_rows(rows())
    monkeypatch.setattr(scribe, "_next", 0.0)
    scribe.write_rows(rows())


def test_what_a_terminal_tells_its_foreground_is_not_for_it(scribe):
    scribe.start()
    assert os.getpgid(scribe.pid) == scribe.pid
