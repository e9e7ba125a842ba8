import os
import stat
import subprocess
import sys
import threading

import pytest

from tidegate.data.output import check_apart, write_file
from tidegate.domain.errors import DataError, WrongUsage


def test_the_file_behind_a_link_is_replaced_and_nothing_else(tmp_path):
    (tmp_path / "o.json").write_text("old")
    (tmp_path / "o.json.part").write_text("someone's")
    (tmp_path / "link").symlink_to("o.json")
    (tmp_path / "new").symlink_to("made")
    write_file(tmp_path / "link", "ä")
    write_file(tmp_path / "new", "b")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "o.json").read_text("utf-8") == "ä"
    assert (tmp_path / "made").read_text() == "b"
    assert (tmp_path / "o.json.part").read_text() == "someone's"
    assert len(list(tmp_path.iterdir())) == 5


def test_a_pipe_is_written_to_and_stays(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()), daemon=True)
    reader.start()
    write_file(pipe, "text")
    reader.join(10)
    assert got == ["text"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_standard_output_goes_on_behind_what_was_written(tmp_path):
    code = (
        "from pathlib import Path; from tidegate.data.output import write_file;"
        "write_file(Path('/dev/stdout'), 'first '); print('then')"
    )
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "first then\n"


@pytest.mark.parametrize("name", ["file/x", "x" * 300, "none/x", "loop", "folder"])
def test_what_cannot_be_written_is_told_by_name_and_reason(tmp_path, name):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="cannot be written") as caught:
        write_file(tmp_path / name, "text")
    assert str(tmp_path / name) in str(caught.value)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_write_that_fails_leaves_the_earlier_file_and_no_other(tmp_path, monkeypatch):
    (tmp_path / "o").write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DataError, match="No space left"):
        write_file(tmp_path / "o", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("o", "old")]


def test_what_is_read_is_not_written_over(tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "a.csv").write_text("x\n1\n")
    (tmp_path / "link").symlink_to("rows/a.csv")
    (tmp_path / "hard").hardlink_to(folder / "a.csv")
    for out in (folder / "a.csv", tmp_path / "link", tmp_path / "hard"):
        for read in (folder / "a.csv", folder):
            with pytest.raises(WrongUsage, match="written over rows that are read"):
                check_apart(out, [tmp_path / "none", read])
    check_apart(folder / "new", [folder])
    (folder / "_about").write_text("no rows")
    check_apart(folder / "_about", [folder])
