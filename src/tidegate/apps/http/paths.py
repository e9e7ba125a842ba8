"""Which paths are the gateway's."""


def of_gateway(path: str) -> bool:
    """Whether a request to this path is for the gateway, and not for the API beside it."""
    if path == "/metrics" or path.startswith("/v2"):
        return True
    return path.startswith("/v1/models/") and path.rsplit("/", 1)[-1] in ("predict", "feedback")
