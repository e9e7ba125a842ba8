"""Answers written off the request path: all of them, soon; and what is lost is counted."""

import threading

from tidegate.domain.answer import Answer, Asked
from tidegate.monitoring.log_writer import LogWriter
from tidegate.monitoring.prediction_log import Counts, PredictionLog


def answer(request_id):
    return Answer(
        request_id, "m", 1, "champion", 7, None, None, None, None, None, False, 1.0, "p", 1
    )


class Log:
    """Keeps what is written, once it may."""

    def __init__(self, *, open_=True):
        self.rows, self.may = [], threading.Event()
        if open_:
            self.may.set()

    def write_rows(self, rows):
        if not self.may.is_set():
            raise OSError("the disk is full")
        self.rows += rows


def put(writer, count, start=0):
    for number in range(start, start + count):
        asked = Asked(("x",), 1, columns={"x": [number]})
        writer.put(asked, [answer(str(number))])


def test_all_are_written_in_order():
    log = Log()
    writer = LogWriter(log, lambda: "now")
    put(writer, 5000)
    assert writer.flush()
    assert [row[0] for row in log.rows] == [str(number) for number in range(5000)]
    assert log.rows[3][8] == '{"x":3}'
    writer.close()


def test_closing_writes_what_waits():
    log = Log()
    writer = LogWriter(log, lambda: "now")
    put(writer, 10)
    writer.close()
    assert len(log.rows) == 10


def test_what_finds_no_room_is_counted_and_the_rest_is_kept(monkeypatch):
    monkeypatch.setattr("tidegate.monitoring.log_writer.PAUSE_SECONDS", 0.02)
    log = Log(open_=False)
    writer = LogWriter(log, lambda: "now", most_waiting=100)
    put(writer, 130)
    assert writer.lost == 30
    assert not writer.flush(0.2)
    log.may.set()
    assert writer.flush()
    assert len(log.rows) == 100
    put(writer, 1, start=500)
    writer.close()
    assert log.rows[-1][0] == "500"


def test_long_rows_find_no_room_either(monkeypatch):
    monkeypatch.setattr("tidegate.monitoring.log_writer.PAUSE_SECONDS", 0.02)
    monkeypatch.setattr("tidegate.monitoring.log_writer.MOST_CHARACTERS", 1000)
    log = Log(open_=False)
    writer = LogWriter(log, lambda: "now")
    for number in range(4):
        writer.put(Asked(("x",), 1, columns={"x": ["x" * 400]}), [answer(str(number))])
    assert writer.lost == 2
    log.may.set()
    assert writer.flush()
    writer.put(Asked(("x",), 1, columns={"x": ["x" * 900]}), [answer("last")])
    assert writer.flush()
    assert [row[0] for row in log.rows] == ["0", "1", "last"]
    writer.close()


def test_long_rows_are_written_a_few_at_a_time(monkeypatch):
    """A batch is told another process in one piece."""
    monkeypatch.setattr("tidegate.monitoring.log_writer.CHARACTERS_AT_ONCE", 1000)
    sizes, log = [], Log()
    write = log.write_rows

    def counted(rows):
        sizes.append(len(rows))
        write(rows)

    log.write_rows = counted
    writer = LogWriter(log, lambda: "now")
    for number, length in enumerate([300] * 7 + [5000] * 2):
        writer.put(Asked(("x",), 1, columns={"x": ["x" * length]}), [answer(str(number))])
    assert writer.flush()
    assert [row[0] for row in log.rows] == [str(number) for number in range(9)]
    assert max(sizes) <= 4
    writer.close()


def test_it_goes_on_after_a_commit_of_which_it_did_not_hear(database, monkeypatch):
    monkeypatch.setattr("tidegate.monitoring.log_writer.PAUSE_SECONDS", 0.02)
    log, heard = PredictionLog(database), []
    write = log.write_rows

    def lost(rows):
        write(rows)
        if not heard:
            heard.append(len(rows))
            raise OSError("the server closed the connection unexpectedly")

    log.write_rows = lost
    writer = LogWriter(log, lambda: "now")
    put(writer, 10)
    put(writer, 10, start=10)
    assert writer.flush()
    assert heard
    assert log.counts("m") == Counts(answers=20, labelled=0)
    writer.close()
