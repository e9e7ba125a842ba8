"""A picture of a diff: true to its rows, and whole XML whatever the tensors are called."""

from itertools import pairwise
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
    assert (head.name, head.added, head.changed_share, head.degrees) == ("head", 1, None, None)


def test_bars_are_as_long_as_what_they_tell():
    svg = picture([moved("a.w", 0.5, 0.0), moved("b.w", 1.0, 0.5)], "m@1", "m@2")
    assert bars(svg) == [95.0, 190.0, 190.0, pytest.approx(190 * 60 / 90, abs=0.1)]
    for told in ("m@1 → m@2", "50%", "100%", "90°", "60°", "0.5"):
        assert told in words(svg)


def test_alarms_are_told_in_both_languages():
    rows = [moved("a.w", 1.0, None, new_nonfinite=3), told_row(info("gone"), None)]
    assert "3 new NaN or infinite" in words(picture(rows, "a", "b"))
    assert "新增 3 个 NaN 或无穷" in words(picture(rows, "a", "b", "zh"))
    assert "1 removed" in words(picture(rows, "a", "b"))


def test_what_has_nothing_before_has_no_share():
    """Neither a bar nor a 0% for a tensor that is new, or of another shape."""
    rows = [told_row(None, info("new.w")), told_row(info("wide.w", 3), info("wide.w", 4))]
    drawn = picture(rows, "a", "b")
    assert bars(drawn) == []
    assert "%" not in words(drawn)
    assert "1 new tensor(s)" in words(drawn)
    assert "1 of another shape or type" in words(drawn)


def test_a_small_change_is_not_drawn_as_none():
    assert "<1%" in words(picture([moved("a.w", 0.0001, 1.0)], "a", "b"))


def test_the_scale_of_the_angles_is_told():
    drawn = words(picture([moved("a.w", 1.0, 0.5)], "a", "b"))
    assert "Turned by (whole bar: 60°)" in drawn


def test_no_two_columns_overlap():
    """Everything in a line ends before the next thing begins, at the widest there is."""
    name = "abcdefghij." * 4 + "w"
    rows = [moved(name, 0.99999, -0.123456, max_step=-1.23e-300, new_nonfinite=10**9)]
    texts = ET.fromstring(picture(rows, "a", "b")).findall("{*}text")
    spans = []
    for text in texts:
        if text.get("y") == "99":
            width = 0.56 * float(text.get("font-size")) * len(text.text)  # a digit of Helvetica
            at = float(text.get("x"))
            left = at - width if text.get("text-anchor") == "end" else at
            spans.append((left, left + width))
    assert len(spans) == 5
    for (_, stop), (start, _) in pairwise(sorted(spans)):
        assert stop <= start


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
