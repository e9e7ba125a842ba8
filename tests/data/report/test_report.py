import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from tidegate.data.drift.drift import drift
from tidegate.data.drift.since import dated
from tidegate.data.profile.correlation import correlations, strongest
from tidegate.data.profile.profile import profile_of
from tidegate.data.report.picture import column_picture, timeline
from tidegate.data.report.report import comparison_page, profile_page, verdict
from tidegate.domain.schema import Kind

HOSTILE = "<script>alert('x')</script>&\"\x07"


def _frame(seed, *, shift=0.0, city=("Rome", "Oslo")):
    random = np.random.default_rng(seed)
    x = random.normal(shift, size=1500)
    return pl.DataFrame(
        {
            "x": x,
            "twice": 2 * x + 0.1 * random.normal(size=1500),
            "city": random.choice([*city, HOSTILE], 1500),
            HOSTILE: random.normal(size=1500),
            "day": (np.datetime64("2024-01-01") + random.integers(0, 99, 1500)).astype(str),
            "vector": pl.Series(random.normal(size=(1500, 3)), dtype=pl.Array(pl.Float64, 3)),
            "none": pl.Series([None] * 1500, dtype=pl.Float64),
            "one": np.ones(1500),
            "said": [f"whatever {city[0]} was told {n} times" for n in range(1500)],
        }
    )


class _Page(HTMLParser):
    """What a browser would make of a page: its tags and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not any(name.startswith("on") or "://" in (value or "") for name, value in attrs
                       if name != "xmlns")  # fmt: skip

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_page_shows_every_column_and_runs_nothing(lang):
    a, b = _frame(0), _frame(1, shift=1.0, city=("Rome", "Bonn"))
    before, now = profile_of(a, HOSTILE), profile_of(b, "week 2")
    found = dated(drift(before, now), before, now, (lambda _: [a], lambda _: [b]))
    page = _Page(comparison_page(found, before, now, lang, [("week 1", found), (HOSTILE, found)]))
    assert "script" not in page.tags
    assert page.tags.count("svg") == 10  # nine columns and the timeline
    for name in a.columns:
        assert name.replace("\x07", "") in page.text.replace("\x07", "")
    assert ("new: Bonn" if lang == "en" else "新出现：Bonn") in page.text
    assert ("drifted (large)" if lang == "en" else "已漂移（大）") in page.text
    assert ("since row 0" if lang == "en" else "始于第 0 行") in page.text


def test_a_profile_is_a_page_too():
    page = _Page(profile_page(profile_of(_frame(0), "week 1")))
    assert page.tags.count("svg") == 9
    assert "x · twice" in page.text
    assert "1,500 Rows" in page.text


def test_pictures_are_sound_whatever_they_show():
    a, b = profile_of(_frame(0), "a"), profile_of(_frame(1, shift=9), "b")
    for one, other in zip(a.columns, b.columns, strict=True):
        for svg in (column_picture(one), column_picture(one, other)):
            ET.fromstring(svg.replace("\x07", ""))
    ET.fromstring(timeline(["a", HOSTILE], [HOSTILE], [["small", None]]))
    # Numbers on one side and texts on the other are drawn as texts.
    assert "<rect" in column_picture(a.column("x"), b.column("city"))


def test_the_picture_is_of_the_numbers():
    still, moved = (profile_of(pl.DataFrame({"x": np.repeat([0.0, 1.0], counts)}), "t").columns[0]
                    for counts in ([75, 25], [25, 75]))  # fmt: skip
    svg = column_picture(still, moved)
    heights = [float(bar.get("height")) for bar in ET.fromstring(svg).iter(
        "{http://www.w3.org/2000/svg}rect")]  # fmt: skip
    assert heights[0] == pytest.approx(3 * heights[-1], rel=0.01)


def test_the_verdict_is_a_sentence():
    a = profile_of(_frame(0), "a")
    assert verdict(drift(a, a)).text() == "consistent"
    few = profile_of(_frame(0)[:20], "few")
    assert verdict(drift(a, few)).text() == "too little data to tell"


def test_correlations_are_those_of_ranks():
    random = np.random.default_rng(0)
    x = random.normal(size=2000)
    frame = pl.DataFrame(
        {
            "x": x,
            "grows": np.exp(3 * x),
            "falls": np.where(np.arange(2000) % 10, -x, np.nan),
            "other": random.normal(size=2000),
            "one": np.ones(2000),
        },
        nan_to_null=True,
    )
    names, found = correlations(frame, frame.columns)
    assert names == ["x", "grows", "falls", "other"]
    assert found[0, 1] == pytest.approx(1)
    assert found[0, 2] == pytest.approx(-0.95, abs=0.03)
    assert abs(found[0, 3]) < 0.07
    pairs = strongest(frame, dict.fromkeys(frame.columns, Kind.NUMERIC))
    assert {(one, other) for one, other, _ in pairs} == {
        ("x", "grows"), ("x", "falls"), ("grows", "falls")
    }  # fmt: skip
    assert correlations(frame[:1], frame.columns)[0] == []
