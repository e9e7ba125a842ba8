"""Killed with SIGKILL at every boundary between two writes, and taken up again from there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PARTS = 4


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_half_done_or_done_twice(part):
    story = Path(__file__).with_name("story.py")
    done = subprocess.run(
        [sys.executable, str(story), str(part), str(PARTS)], capture_output=True, text=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    boundaries = lines[0]["boundaries"]
    assert isinstance(boundaries, int), boundaries
    assert boundaries > 100
    walked = lines[1:]
    first, last = boundaries * part // PARTS, boundaries * (part + 1) // PARTS
    assert [line["boundary"] for line in walked] == list(range(first + 1, last + 1))
    assert sum(line["finished"] for line in walked) > 10
    for line in walked:
        assert line["survived"] is None, line
        assert line["found"] == line["expected"], line
        assert line["doubts"] == [], line
