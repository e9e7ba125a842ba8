"""What a training run ran on: part of the evidence, so that a difference can be explained."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

_LIBRARIES = ("tidegate", "numpy", "scipy", "scikit-learn")


def environment(*, threads: bool = True) -> dict[str, str]:
    """Python, platform, library versions, and threads per numeric library.

    Without ``threads`` it is the same in every process of one machine: which numeric libraries
    count depends on what was imported before.
    """
    found = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": str(os.cpu_count()),
    }
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    for pool in threadpool_info() if threads else ():
        kind = pool["user_api"]
        detail = f"{pool['internal_api']} {pool.get('version') or ''}".strip()
        found[f"threads.{kind}"] = f"{pool['num_threads']} ({detail})"
    return dict(sorted(found.items()))
