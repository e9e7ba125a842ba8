"""The HTTP API: the same operations as the command line, and the gateway."""

from tidegate.apps.api.app import make_app
from tidegate.apps.api.server import serve

__all__ = ["make_app", "serve"]
