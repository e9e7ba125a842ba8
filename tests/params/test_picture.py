"""A picture of a diff: true to its rows, and whole XML whatever the tensors are called."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.version import TensorInfo
from tidegate.params.picture import MOST_LAYERS, layers, picture
from tidegate.params.rows import same_row, told_row


def info(name, size=4):
    return TensorInfo(name=name, id="", dtype="F32", shape=[size], size_bytes=4 * size)


def moved(name, share, cosine, size=4, **more):
    figures = {"changed_share": share, "cosine": cosine, "max_step": 0.5} | more
    return told_row(info(name, size), info(name, size), **figures)


def words(svg):
    return " ".join(text for text in ET.fromstring(svg).itertext() if text.strip())


def bars(svg):
    rects = ET.fromstring(svg).findall("{*}rect")[1:]
    return [float(rect.get("width")) for rect in rects[1::2]]


def test_layers_weigh_tensors_by_their_elements():
    rows = [
        moved("h.0.w", 1.0, 0.0, size=3), moved("h.0.b", 0.0, 1.0, size=1),
        same_row(info("h.1.w")), told_row(None, info("head.w")),
    ]  # fmt: skip
    first, second, head = layers(rows)
    assert (first.name, first.tensors, first.changed_share) == ("h.0", 2, 0.75)
    assert first.degrees == pytest.approx(90)
    assert (second.name, second.changed_share, second.degrees) == ("h.1", 0.0, 0.0)
    assert (head.name, head.others, head.degrees) == ("head", 1, None)


def test_bars_are_as_long_as_what_they_tell():
    svg = picture([moved("a.w", 0.5, 0.0), moved("b.w", 1.0, 0.5)], "m@1", "m@2")
    assert bars(svg) == [95.0, 190.0, 190.0, pytest.approx(190 * 60 / 90, abs=0.1)]
    for told in ("m@1 → m@2", "50%", "100%", "90°", "60°", "0.5"):
        assert told in words(svg)


def test_alarms_are_told_in_both_languages():
    rows = [moved("a.w", 1.0, None, new_nonfinite=3), told_row(info("gone"), None)]
    assert "3 new NaN or infinite" in words(picture(rows, "a", "b"))
    assert "新增 3 个 NaN 或无穷" in words(picture(rows, "a", "b", "zh"))
    assert "1 not comparable" in words(picture(rows, "a", "b"))


def test_of_very_many_layers_those_are_drawn_that_moved_most():
    rows = [moved(f"h.{i}.w", 1.0, 1 - i / 1000) for i in range(MOST_LAYERS + 50)]
    told = words(picture(rows, "a", "b"))
    assert "and 50 more" in told
    assert f"h.{MOST_LAYERS + 49}" in told
    assert "h.49 " not in told


@given(st.lists(st.text(max_size=40), unique=True, max_size=8))
def test_any_names_give_whole_xml(names):
    svg = picture([moved(name, 1.0, 0.5) for name in names], "<a>&\x00", "b\x1b[31m")
    ET.fromstring(svg.encode())
