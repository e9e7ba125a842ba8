"""The command line: thin over ``Workspace``, one file a group of commands."""

from tidegate.apps.cli.main import main

__all__ = ["main"]
