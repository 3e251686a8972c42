"""The load in a race: N connections that each send the next request when the last answer is whole.

`python -m bench.peers.load PORT CONNECTIONS REQUESTS KIND` with KIND "whole" or "stream"; prints one JSON object.
Every body is checked, not only the status: an answer that is not the provider's counts as wrong.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import cast

import uvloop

from bench.peers.upstream import CHUNK, LAST, WHOLE

PROMPT = "Summarise the following report in three sentences. " * 8


def request(stream: bool) -> bytes:
    body = json.dumps(
        {
            "model": "race-model",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROMPT}],
            "max_tokens": 200,
            **({"stream": True, "stream_options": {"include_usage": True}} if stream else {}),
        },
        separators=(",", ":"),
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"user-agent: race\r\nauthorization: Bearer race-key-0001\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Tally:
    """Shared by all connections."""

    def __init__(self, requests: int) -> None:
        self.to_send = requests
        self.to_come = requests
        self.wrong = 0
        self.latencies: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, tally: Tally, stream: bool) -> None:
        self.tally = tally
        self.stream = stream
        self.request = request(stream)
        self.buffer = bytearray()
        self.began = 0.0
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)
        self.next()

    def next(self) -> None:
        assert self.transport is not None
        if self.tally.to_send <= 0:
            self.transport.close()
            return
        self.tally.to_send -= 1
        self.began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.stream:
            if self.buffer.endswith(b"0\r\n\r\n"):
                self.arrived(self.buffer.count(CHUNK.strip()) > 0 and LAST.strip()[-14:] in self.buffer)
            return
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.buffer[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self.buffer) >= end + 4 + length:
            self.arrived(self.buffer[end + 4 :] == WHOLE)

    def arrived(self, right: bool) -> None:
        tally = self.tally
        tally.latencies.append(time.perf_counter() - self.began)
        tally.wrong += not (right and self.buffer.startswith(b"HTTP/1.1 200"))
        self.buffer.clear()
        tally.to_come -= 1
        if tally.to_come == 0 and not tally.done.done():
            tally.done.set_result(None)
        self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.buffer or (self.tally.to_come > 0 and self.tally.to_send > 0 and not self.tally.done.done()):
            self.tally.done.set_exception(ConnectionError("a connection was lost in the middle of the race"))


async def main(port: int, connections: int, requests: int, kind: str) -> None:
    loop = asyncio.get_running_loop()
    tally = Tally(requests)
    began = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Caller(tally, kind == "stream"), "127.0.0.1", port)
    await asyncio.wait_for(tally.done, 120)
    took = time.perf_counter() - began
    ordered = sorted(tally.latencies)
    print(
        json.dumps(
            {
                "requests": len(ordered),
                "wrong": tally.wrong,
                "seconds": took,
                "p50_ms": ordered[len(ordered) // 2] * 1000,
                "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
            }
        )
    )


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
