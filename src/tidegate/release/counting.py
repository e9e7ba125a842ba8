"""What a release has seen, counted: labelled answers, pairs, failures, events without labels."""

from collections.abc import Mapping, Sequence

from tidegate.domain.rollout import Release, Tally


def record(
    release: Release,
    *,
    step: int,
    arm: str,
    bad: bool,
    first: bool = True,
    first_bad: bool = True,
    segments: Sequence[int] = (),
    matched: tuple[int, int] | None = None,
) -> Release:
    """The release with one more labelled answer, counted at the step it was given in.

    ``first`` says that the answer's entity has no labelled answer before it, ``first_bad`` that it
    has no bad one, ``segments`` (places) in which of them it has none. ``matched``: the pairs it
    completes, where the split is not Tidegate's.
    """
    tally = release.tallies[step]
    mine = 0 if arm == "champion" else 1
    labels, bads = f"{arm}_labels", f"{arm}_bad"
    counted = tally.model_copy(
        update={
            labels: getattr(tally, labels) + 1,
            bads: getattr(tally, bads) + bad,
            f"{arm}_bad_entities": tally.bad_entities[mine] + (bad and first_bad),
            f"{arm}_first_bad": tally.first_bad[mine] + (bad and first),
            **_segments(release, tally, arm, segments if bad else ()),
        }
    )
    if matched is not None:
        ours, theirs = tally.matched or (0, 0)
        both = ours + matched[0], theirs + matched[1]
        counted = counted.model_copy(update={"matched": both})
    return _with_tally(release, step, counted)


def record_pair(
    release: Release,
    *,
    step: int,
    champion_bad: bool,
    candidate_bad: bool,
    first: bool = True,
    first_differing: bool = True,
    segments: Sequence[int] = (),
) -> Release:
    """The release with one more labelled request that both answered in its shadow.

    ``first`` says that the request's entity has no such request before it, ``first_differing`` that
    it has none on which one answer was bad and the other was not, ``segments`` (places) in which of
    them it has none.
    """
    tally = release.tallies[step]
    bads = {"champion": champion_bad, "candidate": candidate_bad}
    changed: dict[str, object] = {
        "both_first_bad": tally.both_first_bad + (first and champion_bad and candidate_bad)
    }
    for arm, bad in bads.items():
        mine = 0 if arm == "champion" else 1
        only = bad and champion_bad != candidate_bad
        changed |= {
            f"{arm}_labels": getattr(tally, f"{arm}_labels") + 1,
            f"{arm}_bad": getattr(tally, f"{arm}_bad") + bad,
            f"{arm}_first_bad": tally.first_bad[mine] + (bad and first),
            f"{arm}_only": getattr(tally, f"{arm}_only") + (only and first_differing),
            **_segments(release, tally, arm, segments if only else ()),
        }
    return _with_tally(release, step, tally.model_copy(update=changed))


def _segments(
    release: Release, tally: Tally, arm: str, places: Sequence[int]
) -> dict[str, tuple[int, ...]]:
    """An arm's counts by segment with one more in each of ``places``."""
    if not release.segments:
        return {}
    name = f"{arm}_segments"
    counts = list(getattr(tally, name) or (0,) * len(release.segments))
    for place in places:
        counts[place] += 1
    return {name: tuple(counts)}


def with_failures(release: Release, failures: Mapping[tuple[int, str], int]) -> Release:
    """The release with each arm's failed requests at each step, as the log counts them.

    Those of a step that began since the release was read are for the next look.
    """
    for (step, arm), count in failures.items():
        if step >= len(release.tallies):
            continue
        counted = release.tallies[step].model_copy(update={f"{arm}_failures": count})
        release = _with_tally(release, step, counted)
    return release


def with_answers(release: Release, answers: Mapping[tuple[int, str], int]) -> Release:
    """The release with the requests that came to each arm at each step, as the log counts them."""
    for step, tally in enumerate(release.tallies):
        both = answers.get((step, "champion"), 0), answers.get((step, "candidate"), 0)
        release = _with_tally(release, step, tally.model_copy(update={"answers": both}))
    return release


def with_events(
    release: Release, kind: str, counts: Mapping[tuple[int, str], Sequence[int]], length: int
) -> Release:
    """The release with entities that had an event, by step and arm, as the log counts them.

    ``kind`` is ``slow``, a count for each of ``length`` limits, or ``bands``, one for each band.
    """
    none = (0,) * length
    for step, tally in enumerate(release.tallies):
        counted = {
            f"{arm}_{kind}": tuple(counts.get((step, arm), none))
            for arm in ("champion", "candidate")
        }
        release = _with_tally(release, step, tally.model_copy(update=counted))
    return release


def _with_tally(release: Release, step: int, tally: Tally) -> Release:
    tallies = [*release.tallies[:step], tally, *release.tallies[step + 1 :]]
    return release.model_copy(update={"tallies": tallies})
