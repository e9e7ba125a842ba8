"""The same work on many things, on every core; and work that is to take fewer."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def on_threads(work: Callable[[T], R], things: Iterable[T], threads: int | None = None) -> list[R]:
    """What ``work`` gives for each thing, in their order; raises the first error and stops.

    numpy, BLAKE3 and Blosc let other threads run while they work. No more things are taken up
    than there are threads.
    """
    count = threads or os.cpu_count() or 1
    given = list(things)
    if count == 1 or len(given) <= 1:
        return [work(thing) for thing in given]
    results: dict[int, R] = {}
    running: dict[Future[R], int] = {}
    left = iter(enumerate(given))
    with ThreadPoolExecutor(count, "params") as pool:
        while True:
            for index, thing in left:
                running[pool.submit(work, thing)] = index
                if len(running) == count:
                    break
            if not running:
                return [results[index] for index in range(len(given))]
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                results[running.pop(future)] = future.result()


def openmp(threads: int) -> AbstractContextManager[Any]:
    """Compiled parts of scikit-learn take no more than so many threads, within this thread."""
    limited: AbstractContextManager[Any] = _pools().limit(limits=threads, user_api="openmp")
    return limited


@cache
def _pools() -> Any:
    """The thread pools that are loaded, found once: it takes as long as a small fit."""
    import sklearn.utils.parallel  # noqa: F401 - what is not loaded yet is not found
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()
