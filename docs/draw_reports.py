"""Pages on three real streams, each half against the other: ``make reports``.

Writes reports/*.html from the data beside the repository (../shared/data).
"""

import sys
from pathlib import Path

from tidegate.data.drift.drift import drift
from tidegate.data.drift.since import dated
from tidegate.data.profile.profile import profile_of
from tidegate.data.read import read_files
from tidegate.data.report.report import comparison_page
from tidegate.data.table import taken

HERE = Path(__file__).resolve().parents[1]
DATA, OUT = HERE.parent / "shared" / "data", HERE / "reports"
#: Each file's target, what else is left out, and into how many parts time is cut.
FILES = {
    "electricity.csv": ("class", {"period"}, 12),
    "beijing_pm25.csv": ("pm2.5", {"No", "year", "month", "day", "hour"}, 10),
    "bike_sharing_hourly.csv": ("cnt", {"instant", "casual", "registered", "dteday", "yr"}, 8),
}


def draw(name: str) -> Path:
    """The page of one file: the second half against the first, and every part against it."""
    target, aside, parts = FILES[name]
    frame = read_files([DATA / name])
    half, size = frame.height // 2, frame.height // parts
    a, b = frame[:half], frame[half:]
    before, now = profile_of(a, f"{name}, first half"), profile_of(b, f"{name}, second half")
    columns = [column for column in frame.columns if column not in {*aside, target}]
    found = dated(
        drift(before, now, columns, target=target), before, now,
        (lambda names: [taken(a, names)], lambda names: [taken(b, names)]),
    )  # fmt: skip
    history = []
    for part in range(parts):
        rows = profile_of(frame[part * size : (part + 1) * size], f"rows {part * size:,} on")
        history.append((rows.name, drift(before, rows, columns, target=target)))
    path = OUT / f"{name.removesuffix('.csv')}.html"
    path.write_text(comparison_page(found, before, now, "en", history), encoding="utf-8")
    return path


if __name__ == "__main__":
    if not DATA.is_dir():
        sys.exit("the real data beside the repository (../shared/data) are not here")
    OUT.mkdir(exist_ok=True)
    for name in FILES:
        print(draw(name).relative_to(HERE))
