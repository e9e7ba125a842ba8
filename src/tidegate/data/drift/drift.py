"""Whether new rows come from where the old ones came: column by column, and all together."""

import time
from collections.abc import Sequence

import numpy as np

from tidegate.data.drift.joint import Separation, separation
from tidegate.data.drift.measures import Lines, Look, Measured, by_name, measure, missing_look
from tidegate.data.drift.novelty import novelty
from tidegate.data.drift.words import words
from tidegate.data.profile.column import ColumnProfile
from tidegate.data.profile.numbers import Summary
from tidegate.data.profile.profile import Profile
from tidegate.domain.drift import ColumnDrift, Consistency, Grade, JointDrift, grade_of
from tidegate.domain.errors import DataError
from tidegate.domain.intervals import holm
from tidegate.domain.messages import Message, say
from tidegate.domain.policy import DataPolicy
from tidegate.domain.schema import Kind
from tidegate.params.parallel import on_threads

#: Fewer rows on a side are too few to tell: below 50 even a shift by one standard deviation is
#: missed more often than one time in ten at the usual significance.
MIN_ROWS = 50
#: Categories that are named as new or vanished.
NAMED = 10
#: A clock or counter has at least so many values on either side: a column that goes up once, or
#: a few times, has changed.
STEPS = 20
#: A category with a smaller share than this is not news, wherever it is.
RARE = 0.01


def drift(
    reference: Profile,
    current: Profile,
    columns: Sequence[str] | None = None,
    *,
    target: str | None = None,
    policy: DataPolicy | None = None,
    seed: int = 0,
) -> Consistency:
    """How ``current`` differs from ``reference``, ranked by effect.

    ``columns``: all that both have, where none are named. A column has drifted where its effect
    reaches policy's *and* its p-value, corrected over all columns (Holm 1979), lies below policy's
    significance: the first keeps 10 million rows from making news of nothing, the second keeps
    100 columns from it. The columns together have drifted where a classifier tells the sides apart
    as well as one column at that effect would let it, as surely. ``target`` is reported apart.
    """
    began, policy = time.monotonic(), policy or DataPolicy()
    unmatched = _unmatched(reference, current) if columns is None else {}
    pairs = _pairs(reference, current, columns, target)
    if min(reference.rows, current.rows) < MIN_ROWS or not pairs:
        return Consistency(
            verdict="too_little_data",
            rows_reference=reference.rows,
            rows_current=current.rows,
            seconds=round(time.monotonic() - began, 3),
            **unmatched,
        )
    found = on_threads(lambda pair: _measured(*pair, reference, current), pairs)
    looks = [one.told(policy.drift_effect, policy.significance) for one in found]
    judged = [place for place, one in enumerate(found) if one.looks]
    names = [
        pairs[place][0].name
        for place in judged
        if pairs[place][0].name != target
        and not (found[place].retyped or _only_grows(*pairs[place]))
    ]
    together = separation(reference.sample, current.sample, names, seed=seed) if names else None
    raw = [looks[place].p_value for place in judged]
    corrected = holm(raw + ([together.p_value] if together else []))
    sure = dict(zip(judged, corrected, strict=False))
    drifts = [
        _column(a, b, one, Look(look.effect, sure[place]), policy)
        if place in sure
        else _not_judged(a)
        for place, ((a, b), one, look) in enumerate(zip(pairs, found, looks, strict=True))
    ]
    joint = _joint(together, corrected[-1], policy) if together else None
    told = _verdict(drifts, joint, target, reference.rows, current.rows, began)
    return told.model_copy(update=unmatched)


def _unmatched(reference: Profile, current: Profile) -> dict[str, list[str]]:
    """Columns that only one side has."""
    before, now = ([one.name for one in side.columns] for side in (reference, current))
    return {
        "gone": [name for name in before if name not in now],
        "new": [name for name in now if name not in before],
    }


def _pairs(
    reference: Profile, current: Profile, columns: Sequence[str] | None, target: str | None
) -> list[tuple[ColumnProfile, ColumnProfile]]:
    there = {column.name: column for column in current.columns}
    before = {column.name: column for column in reference.columns}
    names = [name for name in before if name in there] if columns is None else list(columns)
    if target is not None and target in before and target in there and target not in names:
        names.append(target)
    for name in names:
        if name not in before or name not in there:
            raise DataError(
                "column '{column}' is not on both sides",
                do="compare columns that both have",
                column=name,
            )
    return [(before[name], there[name]) for name in names]


def _only_grows(a: ColumnProfile, b: ColumnProfile) -> bool:
    """Whether a column goes on upwards over both sides, row by row and through many values."""
    if a.value is None or b.value is None:
        return False
    many = min(len(a.value.summary.values), len(b.value.summary.values)) >= STEPS
    upwards = a.value.rising and b.value.rising
    return many and upwards and a.value.moments.maximum <= b.value.moments.minimum


def _measured(a: ColumnProfile, b: ColumnProfile, reference: Profile, current: Profile) -> Measured:
    if _only_grows(a, b):
        # That it differs says nothing; that it is missing does.
        gone = missing_look(a, b)
        return Measured([] if gone is None else [gone])
    found = measure(a, b)
    if a.tally is None or b.tally is None:
        return found
    samples = reference.sample[a.name], current.sample[b.name]
    if Kind.TEXT in (a.kind, b.kind):
        spoken = words(*samples)
        return found if spoken is None else found.plus(spoken, words=spoken.effect)
    if Kind.DATE not in (a.kind, b.kind) and (a.tally.more or b.tally.more):
        new, lost = novelty(*samples)
        return found.plus(new, lost, new=new.effect, gone=lost.effect)
    return found


def _column(
    a: ColumnProfile, b: ColumnProfile, found: Measured, look: Look, policy: DataPolicy
) -> ColumnDrift:
    drifted = look.effect >= policy.drift_effect and look.p_value < policy.significance
    appeared, vanished = _news(a, b) if drifted else ([], [])
    detail = None
    if drifted and (found.retyped or a.kind is not b.kind):
        detail = say("it held {before}, and now {now}", before=say(a.kind), now=say(b.kind))
    elif drifted:
        detail = _detail(a, b, look.effect)
    return ColumnDrift(
        name=a.name,
        drifted=drifted,
        effect=look.effect,
        p_value=look.p_value,
        grade=grade_of(look.effect) if drifted else None,
        kind=a.kind,
        measures=found.others,
        appeared=appeared,
        vanished=vanished,
        detail=detail,
    )


def _not_judged(a: ColumnProfile) -> ColumnDrift:
    return ColumnDrift(
        name=a.name,
        drifted=False,
        effect=0.0,
        p_value=1.0,
        kind=a.kind,
        judged=False,
        detail=say("it only ever grows, as clocks and counters do, and is not judged"),
    )


def _joint(together: Separation, p: float, policy: DataPolicy) -> JointDrift:
    effect = together.effect
    drifted = effect >= policy.drift_effect and p < policy.significance
    return JointDrift(
        drifted=drifted,
        score=together.score,
        columns=together.columns,
        grade=grade_of(effect) if drifted else None,
    )


def _verdict(
    drifts: list[ColumnDrift],
    joint: JointDrift | None,
    target: str | None,
    rows_reference: int,
    rows_current: int,
    began: float,
) -> Consistency:
    ranked = sorted(drifts, key=lambda one: (-one.effect, one.p_value, one.name))
    grades = [one.grade for one in [*ranked, joint] if one is not None and one.grade is not None]
    return Consistency(
        verdict="drifted" if grades else "consistent",
        grade=max(grades, key=list(Grade).index) if grades else None,
        columns=[one for one in ranked if one.name != target],
        joint=joint or JointDrift(drifted=False, score=0.5, columns=[]),
        label=next((one for one in ranked if one.name == target), None),
        rows_reference=rows_reference,
        rows_current=rows_current,
        seconds=round(time.monotonic() - began, 3),
    )


def _news(a: ColumnProfile, b: ColumnProfile) -> tuple[list[str], list[str]]:
    """Categories that only the current rows have, and those that only the reference has."""
    if a.tally is None or b.tally is None or Kind.CATEGORICAL not in (a.kind, b.kind):
        return [], []
    if a.tally.more is not None or b.tally.more is not None:
        return [], []  # one that is not named may be there all the same
    names, before, after = by_name(a.tally, b.tally)
    new = _top(names, np.where(before == 0, after, 0), b.held)
    return new, _top(names, np.where(after == 0, before, 0), a.held)


def _top(names: list[str], counts: np.ndarray, rows: int) -> list[str]:
    order = np.argsort(-counts, kind="stable")[:NAMED]
    return [names[place] for place in order if counts[place] >= RARE * rows]


def _detail(a: ColumnProfile, b: ColumnProfile, effect: float) -> Message:
    """In a sentence, what moved most: missing values, the middle, or one category's share."""
    gone = (a.missing_share, b.missing_share)
    # Where the missing values are all of the effect, nothing else moved as far.
    if abs(gone[0] - gone[1]) >= min(0.1, 0.999 * effect) or not (a.held and b.held):
        return say("missing: {before:.1%} before, {after:.1%} now", before=gone[0], after=gone[1])
    if a.kind is b.kind is Kind.NUMERIC:
        assert a.value is not None and b.value is not None  # noqa: S101, PT018
        return _of_numbers(a.value.summary, b.value.summary)
    if Kind.EMBEDDING in (a.kind, b.kind):
        return say("the vectors lie elsewhere than before")
    if Kind.TEXT in (a.kind, b.kind):
        return say("the texts are of other lengths or use other words")
    if a.kind is b.kind is Kind.DATE:
        assert a.value is not None and b.value is not None  # noqa: S101, PT018
        middles = [quantile(side.value.summary, 0.5) for side in (a, b) if side.value is not None]
        days = [str(np.datetime64(int(middle), "us"))[:10] for middle in middles]
        return say("median: {before} before, {after} now", before=days[0], after=days[1])
    names, before, after = by_name(a.texts(), b.texts())
    shares = before / max(1, a.held), after / max(1, b.held)
    most = int(np.argmax(np.abs(shares[0] - shares[1])))
    return say(
        "'{value}': {before:.1%} before, {after:.1%} now",
        value=names[most],
        before=float(shares[0][most]),
        after=float(shares[1][most]),
    )


def _of_numbers(a: Summary, b: Summary) -> Message:
    single = Lines.of(a, b).single(a.rows, b.rows)
    if single is not None and max(single.before, single.after) >= 0.5:
        return say(
            "{value:.6g}: {before:.1%} of rows before, {after:.1%} now",
            value=single.value,
            before=single.before,
            after=single.after,
        )
    return say(
        "median: {before:.4g} before, {after:.4g} now; middle half {low:.4g} to {high:.4g} "
        "before, {low_now:.4g} to {high_now:.4g} now",
        before=quantile(a, 0.5),
        after=quantile(b, 0.5),
        low=quantile(a, 0.25),
        high=quantile(a, 0.75),
        low_now=quantile(b, 0.25),
        high_now=quantile(b, 0.75),
    )


def quantile(given: Summary, share: float) -> float:
    """The smallest value that at least this share of a column's values do not exceed."""
    ends = np.cumsum(given.counts)
    at = int(np.searchsorted(ends, share * ends[-1] * (1 - 1e-12)))
    return float(given.values[min(at, len(ends) - 1)])
