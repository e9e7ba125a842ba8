"""Profiles and comparisons as a page for people: one HTML file, pictures inside, no network."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import jinja2

from tidegate.data.profile.column import ColumnProfile
from tidegate.data.profile.correlation import strongest
from tidegate.data.profile.profile import Profile
from tidegate.data.report.picture import BEFORE, GRADES, NOW, column_picture, timeline
from tidegate.domain.drift import VERDICTS, ColumnDrift, Consistency
from tidegate.domain.messages import Message, say

#: Words of the page; named here so that each has its translation.
_WORDS = (
    say("Column"), say("Columns"), say("Rows"), say("Effect"), say("p (corrected)"), say("Missing"),
    say("Spread"), say("Drift over time"), say("Columns that go together"),
    say("Rank correlation"),
    say("Effect: the largest difference in a share of rows; a normal column shifted by one "
        "standard deviation has 0.38."),
)  # fmt: skip


def profile_page(given: Profile, lang: str = "en") -> str:
    """The HTML page of one table."""
    rows = [_row(column, None, None, lang) for column in given.columns]
    return _page(lang, title=given.name, reference=given, rows=rows)


def comparison_page(
    found: Consistency, reference: Profile, current: Profile, lang: str = "en",
    history: "Sequence[tuple[str, Consistency]]" = (),
) -> str:  # fmt: skip
    """The HTML page of a comparison; ``history``: earlier ones by the name of what was new."""
    judged = [*([found.label] if found.label else []), *found.columns]
    rows = []
    for drift in judged:
        a, b = reference.column(drift.name), current.column(drift.name)
        if a is not None:
            rows.append(_row(a, b, drift, lang))
    return _page(
        lang,
        title=say(
            "{current} against {reference}", current=current.name, reference=reference.name
        ).text(lang),
        reference=reference,
        current=current,
        rows=rows,
        found=found,
        verdict=verdict(found).text(lang),
        unmatched=[one.text(lang) for one in unmatched(found)],
        joint=say(
            "together the columns tell the two apart (AUC {score:.2f}), most of all: {columns}",
            score=found.joint.score,
            columns=found.joint.columns,
        ).text(lang),
        timeline=_history(history) if history else "",
    )


def verdict(found: Consistency) -> Message:
    """The verdict in a sentence: how far, and most in which columns."""
    drifted = [column.name for column in found.columns if column.drifted]
    if found.verdict == "drifted" and found.grade is not None and drifted:
        return say(
            "drifted ({grade}): {count} of {all} columns, most in {columns}",
            grade=say(found.grade),
            count=len(drifted),
            all=len(found.columns),
            columns=drifted[:5],
        )
    return VERDICTS[found.verdict]


def unmatched(found: Consistency) -> list[Message]:
    """Columns that only one side has, in a sentence each."""
    told = []
    if found.gone:
        told.append(say("columns that are gone: {columns}", columns=found.gone))
    if found.new:
        told.append(say("columns that are new: {columns}", columns=found.new))
    return told


def since_text(column: ColumnDrift) -> Message | None:
    """Since which row, and when, a column is what it is now; None where that is not known."""
    if column.since is None:
        return None
    values = {"row": column.since.row, "time": column.since.time or ""}
    if column.since.side == "reference":
        return say("row {row:,} of the reference {time}", **values)
    return say("row {row:,} {time}", **values)


def p_text(value: float) -> str:
    """A p-value as people write it.

    >>> p_text(0.0), p_text(0.034)
    ('< 1e-300', '0.034')
    """
    return "< 1e-300" if value < 1e-300 else f"{value:.2g}"


def _row(
    a: ColumnProfile, b: ColumnProfile | None, drift: ColumnDrift | None, lang: str
) -> dict[str, Any]:
    told: list[Message] = []
    row: dict[str, Any] = {
        "name": a.name,
        "kind": a.kind,
        "picture": column_picture(a, b),
        "grade": None,
    }
    gone = [f"{side.missing_share:.1%}" for side in (a, b) if side is not None]
    row["missing"] = " → ".join(gone) if a.missing or (b is not None and b.missing) else "-"
    if drift is not None:
        row |= {"grade": drift.grade, "effect": "-", "p": "-"}
        if drift.judged:
            row |= {"effect": f"{drift.effect:.3f}", "p": p_text(drift.p_value)}
        told = [drift.detail] if drift.detail is not None else []
        when = since_text(drift)
        if when is not None:
            told.append(say("since {place}", place=when))
        if drift.appeared:
            told.append(say("new: {names}", names=drift.appeared))
        if drift.vanished:
            told.append(say("gone: {names}", names=drift.vanished))
    return row | {"told": [message.text(lang) for message in told]}


def _history(history: "Sequence[tuple[str, Consistency]]") -> str:
    names = [name for name, _ in history]
    grades = [{column.name: column.grade for column in found.columns} for _, found in history]
    columns = list(dict.fromkeys(name for one in grades for name, grade in one.items() if grade))
    return timeline(names, columns, [[one.get(column) for one in grades] for column in columns])


def _page(lang: str, **values: Any) -> str:
    reference: Profile = values["reference"]
    kinds = {column.name: column.kind for column in reference.columns}
    values = {"found": None, "timeline": "", **values}
    return _template().render(
        lang=lang,
        t=lambda words: say(str(words)).text(lang),
        before=BEFORE,
        now=NOW,
        grades=GRADES,
        pairs=strongest(reference.sample, kinds),
        **values,
    )


@cache
def _template() -> jinja2.Template:
    pages = jinja2.Environment(
        loader=jinja2.PackageLoader("tidegate.data.report.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return pages.get_template("report.html.j2")
