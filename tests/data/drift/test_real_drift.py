"""What the comparison says of real data, where it is known what happened."""

import numpy as np
import polars as pl
import pytest

from tidegate.data.drift.drift import drift
from tidegate.data.drift.since import dated
from tidegate.data.profile.profile import profile_of
from tidegate.data.read import read_files
from tidegate.data.report.report import comparison_page
from tidegate.domain.drift import Grade


def _compare(a, b, columns=None, target=None):
    before, now = profile_of(a, "before"), profile_of(b, "now")
    found = dated(
        drift(before, now, columns, target=target), before, now, (lambda _: [a], lambda _: [b])
    )
    page = comparison_page(found, before, now)
    assert page.count("<svg") == len(found.columns) + (target is not None)
    return found


@pytest.mark.parametrize("cut", [15_000, 20_000, 22_656, 30_000])
def test_electricity_names_the_columns_that_begin_to_vary_and_the_row(shared_data, cut):
    # Victoria joined the market in May 1997: until then its columns are constant.
    frame = read_files([shared_data / "electricity.csv"])
    varies = frame["vicprice"].to_numpy() != frame["vicprice"][0]
    begins = int(np.argmax(varies))
    assert begins == 17_424
    columns = [name for name in frame.columns if name != "class"]
    found = _compare(frame[:cut], frame[cut:], columns, target="class")
    assert (found.verdict, found.grade) == ("drifted", Grade.LARGE)
    joined = {"vicprice", "vicdemand", "transfer"}
    assert {column.name for column in found.columns[:3]} == joined
    for column in found.columns[:3]:
        since = column.since
        row = since.row + (cut if since.side == "current" else 0)
        assert row == begins, column.name


def test_beijing_year_by_year(shared_data):
    # The same air, seasons and instruments: weather moves a little, nothing is new.
    frame = read_files([shared_data / "beijing_pm25.csv"])
    columns = [c for c in frame.columns if c not in ("No", "year", "month", "day", "hour", "pm2.5")]
    years = {year: frame.filter(pl.col("year") == year) for year in range(2010, 2015)}
    for year in range(2011, 2015):
        found = _compare(years[year - 1], years[year], columns, target="pm2.5")
        assert found.rows_current in (8760, 8784)
        wind = next(column for column in found.columns if column.name == "cbwd")
        assert (wind.appeared, wind.vanished) == ([], [])
        for column in found.columns:
            assert column.effect < 0.2, (year, column.name)  # no year is a large change
    # Against its own last half year any column that has seasons has moved far.
    halves = _compare(years[2012][:4392], years[2012][4392:], ["TEMP", "PRES", "DEWP"])
    assert halves.columns[0].drifted
    # A counter and the calendar are not judged, or said to be what they are.
    found = _compare(years[2010], years[2011], ["No", "TEMP"])
    assert {column.name: column.judged for column in found.columns} == {"No": False, "TEMP": True}


def test_bikes_grew_from_one_year_to_the_next(shared_data):
    frame = read_files([shared_data / "bike_sharing_hourly.csv"])
    a, b = (frame.filter(pl.col("yr") == year) for year in (0, 1))
    weather = ["season", "mnth", "hr", "weekday", "weathersit", "temp", "hum", "windspeed"]
    found = _compare(a, b, weather, target="cnt")
    assert (found.label.drifted, found.label.grade) == (True, Grade.LARGE)
    assert "median: 109 before, 191 now" in found.label.detail.text()
    for calendar in ("season", "mnth", "hr", "weekday"):
        column = next(column for column in found.columns if column.name == calendar)
        assert not column.drifted, calendar
