"""The load in a race: N connections that each send the next request when the last answer is whole, for some seconds.

`python -m bench.peers.load PORT CONNECTIONS SECONDS KIND [HEADERS]` with KIND "whole",
"stream" or "translated", and headers as JSON;
prints one JSON object. Every body is looked at, not only the status: an answer without the provider's words is wrong.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from typing import cast

import httptools
import uvloop

from bench.peers.contestants import KEY, body

PROMPT = "Summarise the following report in three sentences. " * 8
WORDS = b"word " * 74


def request(kind: str, headers: Mapping[str, str]) -> bytes:
    asked = body(kind, PROMPT)
    path = "/v1/messages" if kind == "translated" else "/v1/chat/completions"
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"user-agent: race\r\nauthorization: Bearer {KEY}\r\n{more}content-length: {len(asked)}\r\n\r\n"
    )
    return head.encode() + asked


class Tally:
    """Shared by all connections. What is under way when the time is over is neither counted nor wrong."""

    def __init__(self, seconds: float) -> None:
        self.until = time.perf_counter() + seconds
        self.wrong = 0
        self.latencies: list[float] = []


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, tally: Tally, kind: str, sent: bytes, chunks: int) -> None:
        self.tally = tally
        self.kind = kind
        self.request = sent
        self.chunks = chunks
        self.answer = bytearray()
        self.began = 0.0
        self.idle = True
        self.transport: asyncio.WriteTransport | None = None
        self.parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)
        self.next()

    def next(self) -> None:
        assert self.transport is not None
        self.began = time.perf_counter()
        self.idle = self.began >= self.tally.until
        if not self.idle:
            self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.answer.clear()

    def on_body(self, data: bytes) -> None:
        self.answer += data

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        status = self.parser.get_status_code()
        if now < self.tally.until:
            self.tally.latencies.append(now - self.began)
            self.tally.wrong += not (status == 200 and self.right())
        self.next()

    def right(self) -> bool:
        if self.kind == "whole":
            return WORDS in self.answer
        if self.kind == "translated":
            return self.answer.count(b'"text":"word "') == self.chunks and b"message_stop" in self.answer
        # Gateways write JSON anew, with or without a space behind the colon.
        said = self.answer.count(b'"content":"word "') + self.answer.count(b'"content": "word "')
        return said == self.chunks and b"[DONE]" in self.answer

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.idle and time.perf_counter() < self.tally.until:
            self.tally.wrong += 1


async def main(port: int, connections: int, seconds: float, kind: str, headers: Mapping[str, str], chunks: int) -> None:
    loop = asyncio.get_running_loop()
    tally = Tally(seconds)
    sent = request(kind, headers)
    began = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Caller(tally, kind, sent, chunks), "127.0.0.1", port)
    await asyncio.sleep(max(tally.until - time.perf_counter(), 0))
    took = time.perf_counter() - began
    ordered = sorted(tally.latencies) or [float("nan")]
    told = {
        "requests": len(tally.latencies),
        "wrong": tally.wrong,
        "seconds": took,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    port, connections, seconds, kind, headers, chunks = sys.argv[1:7]
    uvloop.run(main(int(port), int(connections), float(seconds), kind, json.loads(headers), int(chunks)))
