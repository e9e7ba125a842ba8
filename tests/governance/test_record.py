"""The update record: whole, in both languages, and safe against what people write into it."""

import re

import pytest

from tidegate import Workspace
from tidegate.governance.deployment import LABELS as DEPLOYMENT
from tidegate.governance.record import LABELS


@pytest.fixture
def ws(tmp_path):
    import numpy as np
    from safetensors.numpy import save_file

    with Workspace.init(tmp_path / "ws", actor="ada") as opened:
        opened.apply_model({"model": "t", "adapter": "tensors"})
        save_file({"w": np.arange(3.0)}, tmp_path / "w.safetensors")
        nasty = "a | b\n# no heading <script>alert(1)</script> `tick`"
        opened.import_params("t", tmp_path / "w.safetensors", reason=nasty)
        yield opened


def test_every_stage_is_told_reached_or_not(ws):
    text = ws.document("t-1")
    assert len(re.findall(r"^## \d\. ", text, re.MULTILINE)) == 8
    assert text.count("_not reached_") == 3
    assert ws.update("t-1").case_digest in text


def test_what_people_wrote_stays_inside_its_cell(ws):
    text = ws.document("t-1")
    assert "<script>" not in text
    assert not re.search(r"^# no heading", text, re.MULTILINE)
    assert "a \\| b" in text


def test_the_same_record_is_the_same_text(ws):
    assert ws.document("t-1") == ws.document("t-1")


@pytest.mark.parametrize(
    ("template", "labels"),
    [("record.md.j2", LABELS), ("deployment.md.j2", {**LABELS, **DEPLOYMENT})],
)
def test_every_label_of_the_template_is_known(template, labels):
    from pathlib import Path

    import tidegate.governance as room

    text = (Path(room.__file__).parent / "templates" / template).read_text()
    used = set(re.findall(r'\bt\("([^"]+)"', text))
    assert used
    assert used <= labels.keys()


def test_as_a_page_it_holds_no_tag_link_or_picture_that_people_wrote(tmp_path, ws):
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"w": np.arange(3.0) + 1}, tmp_path / "v.safetensors")
    nasty = "![p](http://evil/p.png) [a](http://evil) <img src=x> <http://evil>"
    ws.import_params("t", tmp_path / "v.safetensors", reason=nasty)
    page = ws.document("t-2", form="html")
    assert page.count("<h2>") == ws.document("t-2").count("\n## ") > 8
    assert "![p](http://evil/p.png)" in page
    assert not re.search("<(img|a|script)\\b", page)
    assert '<html lang="zh-CN">' in ws.document("t-2", "zh", form="html")
