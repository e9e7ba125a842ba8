"""What a training run ran on: part of the evidence, so that a difference can be explained."""

import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

_LIBRARIES = ("tidegate", "numpy", "scipy", "scikit-learn")
#: What the name of an installed package begins with.
PACKAGE = "package."


def environment(*, threads: bool = True) -> dict[str, str]:
    """Python, platform, hardware, every installed package, and threads per numeric library.

    Without ``threads`` it is the same in every process of one machine: which numeric libraries
    count depends on what was imported before.
    """
    packages = _packages()
    found = {
        **{name: packages.get(f"{PACKAGE}{name}", "not installed") for name in _LIBRARIES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": str(os.cpu_count()),
        "cpu": _processor(),
        **packages,
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            found[f"gpu.{number}"] = torch.cuda.get_device_name(number)
    for pool in threadpool_info() if threads else ():
        kind = pool["user_api"]
        detail = f"{pool['internal_api']} {pool.get('version') or ''}".strip()
        found[f"threads.{kind}"] = f"{pool['num_threads']} ({detail})"
    return dict(sorted(found.items()))


def changes(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Where two environments differ: ``name: was -> now``."""
    return [
        f"{name}: {was.get(name, '-')} -> {now.get(name, '-')}"
        for name in sorted(was.keys() | now.keys())
        if now.get(name) != was.get(name)
    ]


@cache
def _packages() -> dict[str, str]:
    """The environment's lock: what was installed when this process began."""
    named = {each.metadata["Name"]: each.version for each in distributions()}
    return {f"{PACKAGE}{name.lower()}": version for name, version in named.items() if name}


@cache
def _processor() -> str:
    """The processor's own name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
