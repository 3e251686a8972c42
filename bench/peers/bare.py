"""The yardstick: the least an ASGI app under uvicorn can do to forward a request with Laneway's own engine.

`python -m bench.peers.bare PORT UPSTREAM_PORT`.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn

from laneway.ports import Call, Clocks
from laneway.upstream.engine import Engine

CLOCKS = Clocks()
HEADERS = ((b"content-type", b"application/json"), (b"authorization", b"Bearer upstream-key"))


class Bare:
    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.engine = Engine()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        reply = await self.engine.open(Call("POST", self.origin, "/v1/chat/completions", HEADERS, body), CLOCKS)
        kept = [pair for pair in reply.headers if pair[0] in (b"content-type", b"content-length")]
        await send({"type": "http.response.start", "status": reply.status, "headers": kept})
        while piece := await reply.read(60.0):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        await reply.close()


if __name__ == "__main__":
    app = Bare(f"http://127.0.0.1:{sys.argv[2]}")
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http="httptools",
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=4096,
    )
