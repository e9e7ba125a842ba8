"""Tidegate: a case file that passes eight gates, with a proof for every version."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidegate.process.workspace import Workspace as Workspace

__version__ = "0.1.0"
__all__ = ["Workspace"]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: importing a single room stays quick, and stays within its arrows.
    if name == "Workspace":
        from tidegate.process.workspace import Workspace

        return Workspace
    raise AttributeError(f"module 'tidegate' has no attribute '{name}'")
