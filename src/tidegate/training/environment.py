"""What a training run ran on: part of the evidence, so that a difference can be explained."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

_LIBRARIES = ("tidegate", "numpy", "scipy", "scikit-learn")


def environment() -> dict[str, str]:
    """Python, platform, library versions, and threads per numeric library."""
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
    for pool in threadpool_info():
        kind = pool["user_api"]
        detail = f"{pool['internal_api']} {pool.get('version') or ''}".strip()
        found[f"threads.{kind}"] = f"{pool['num_threads']} ({detail})"
    return dict(sorted(found.items()))
