"""Raw ASGI that sends each body back: what the server itself can do."""

import uvicorn
from model import port

HEAD = [(b"content-type", b"application/json")]


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        part = await receive()
        body += part.get("body", b"")
        more = part.get("more_body", False)
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*HEAD, length]})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=port(), http="httptools", loop="uvloop",
                access_log=False, log_level="warning", lifespan="off")  # fmt: skip
