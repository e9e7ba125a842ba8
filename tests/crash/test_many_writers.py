"""Eight writers with collectors running, killed at every step: nothing lost, nothing corrupt."""

import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest


@pytest.fixture(params=["local", "s3"])
def place(request, tmp_path):
    """Where a store is, and the options to open it."""
    if request.param == "local":
        return str(tmp_path / "objects"), {}
    url, options = request.getfixturevalue("s3")
    return f"{url}/{uuid.uuid4().hex}", options


@pytest.mark.timeout(600)
def test_nothing_is_lost_and_no_reference_names_a_missing_byte(place, tmp_path):
    url, options = place
    program = [sys.executable, str(Path(__file__).with_name("writers.py")), url]
    done = subprocess.run(
        [*program, json.dumps(options), str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["doubts"] == [], done.stderr
    assert told["failed"] == 0, done.stderr
    assert told["killed"] > 60
    assert told["collectors killed"] >= 2
    assert told["promised"] > 100
    assert told["kept"] == 5
    assert told["freed meanwhile"] + told["freed at the end"] > 10
