"""A candidate taken off traffic by hand, under full load, again and again."""

import time
from pathlib import Path

from benchmarks.release import canary
from benchmarks.release.arms import CONCURRENCY, Bench
from benchmarks.release.timeline import Timeline

#: Full load before the decision; and after the call has returned, twenty times as long as a gateway
#: takes to look at the record again.
BEFORE, AFTER = 0.4, 0.4


def trial(bench: Bench, house: canary.House, port: int, champion: int, number: int) -> dict:
    """A canary, full load, a rollback in the middle, and who answered when."""
    candidate = house.on_traffic(1 + number % 6, port)
    file: Path = bench.folder / "timeline"
    bench.load.start(**bench.order(
        port, canary.PATH, "columns", "tidegate", house.expected, timeline=str(file), seconds=60.0,
        concurrency=CONCURRENCY[number % len(CONCURRENCY)],
    ))  # fmt: skip
    time.sleep(BEFORE)
    decided = time.monotonic()
    house.ws.rollback("bench", reason="the benchmark's middle")
    returned = time.monotonic()
    time.sleep(AFTER)
    bench.load.stop()
    run = bench.load.result()
    line = Timeline.read(file)
    last = line.last_answer(candidate)
    return {
        "requests": run["requests"],
        "failures": run["failed"],
        "failed": line.failed,
        "by_candidate": run["versions"].get(str(candidate), 0),
        "call": 1000 * (returned - decided),
        "from_call": 1000 * (max(last, decided) - decided) if last else None,
        "from_return": 1000 * (max(last, returned) - returned) if last else None,
        "late": line.sent_after(returned, not_by=champion),
        "foreign": line.neither(champion, candidate),
    }


def trials(bench: Bench, house: canary.House, champion: int, count: int) -> list[dict]:
    """So many trials on one gateway."""
    found = []
    with house.gateway() as (port, _):
        for number in range(count):
            found.append(trial(bench, house, port, champion, number))
            bench.say(f"rollback {number + 1} of {count}: {found[-1]}")
    return found
