"""Callers in numbers: some who wait for their answers, or many who come at a steady rate all the same.

`python -m bench.flood PORT SECONDS DEADLINE_S RATE` prints one JSON object; with RATE 0 it is 64 callers who wait. An
answer is good if it is a 200 with the model's words within the deadline, counted from the moment it was due; a 503
with a Retry-After is one turned away. A connection carries one request at a time; where all are busy, one is opened.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from typing import cast

import uvloop

WAITING = 64
MOST_CONNECTIONS = 9000
TICK_S = 0.002
ASKED = {
    "model": "flood",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}
WORDS = b"The capital of France is Paris."
KEY = "flood-key-0001"


def request() -> bytes:
    body = json.dumps(ASKED).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"user-agent: flood\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Flood:
    """Shared by all connections."""

    def __init__(self, port: int, seconds: float, deadline_s: float, rate: float) -> None:
        self.port = port
        self.rate = rate
        self.seconds = seconds
        self.deadline_s = deadline_s
        self.request = request()
        self.idle: list[Connection] = []
        self.waiting: deque[float] = deque()
        self.connections = self.opening = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.asked = self.good = self.late = self.turned_away = self.wrong = 0
        self.took_s: list[float] = []

    async def run(self) -> dict[str, float]:
        began = time.perf_counter()
        if not self.rate:
            self.connections = self.opening = WAITING
            await asyncio.gather(*[self._open() for _ in range(WAITING)])
        while (now := time.perf_counter()) < began + self.seconds:
            if self.rate:
                due = int((now - began) * self.rate)
                self.waiting.extend([now] * (due - self.asked))
                self.asked = due
            else:
                self.asked += len(self.idle)
                self.waiting.extend([now] * len(self.idle))
            self._hand_out()
            await asyncio.sleep(TICK_S)
        ordered = sorted(self.took_s) or [float("nan")]
        return {
            "asked": self.asked,
            "good": self.good,
            "late": self.late,
            "turned_away": self.turned_away,
            "wrong": self.wrong,
            "never_sent": len(self.waiting),
            "connections": self.connections,
            "seconds": time.perf_counter() - began,
            "p50_ms": ordered[len(ordered) // 2] * 1000,
            "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
        }

    def _hand_out(self) -> None:
        while self.waiting and self.idle:
            self.idle.pop().ask(self.waiting.popleft())
        while self.opening < min(len(self.waiting), 256) and self.connections < MOST_CONNECTIONS:
            self.connections += 1
            self.opening += 1
            opening = asyncio.ensure_future(self._open())
            self._tasks.add(opening)
            opening.add_done_callback(self._tasks.discard)

    async def _open(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: Connection(self), "127.0.0.1", self.port)

    def answered(self, answer: bytes, took_s: float) -> None:
        if answer.startswith(b"HTTP/1.1 503 ") and b"retry-after: " in answer:
            self.turned_away += 1
        elif not answer.startswith(b"HTTP/1.1 200 ") or WORDS not in answer:
            self.wrong += 1
        elif took_s > self.deadline_s:
            self.late += 1
        else:
            self.good += 1
            self.took_s.append(took_s)


class Connection(asyncio.Protocol):
    """Reads just enough HTTP for answers with a length."""

    def __init__(self, flood: Flood) -> None:
        self._flood = flood
        self._held = b""
        self._due = 0.0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._flood.opening -= 1
        self._next()

    def ask(self, due: float) -> None:
        assert self._transport is not None
        self._due = due
        self._transport.write(self._flood.request)

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self._held.find(b"content-length: ")
        length = int(self._held[at + 16 : self._held.index(b"\r", at)])
        if len(self._held) < end + 4 + length:
            return
        self._flood.answered(self._held, time.perf_counter() - self._due)
        self._held = b""
        self._next()

    def _next(self) -> None:
        flood = self._flood
        if flood.waiting:
            self.ask(flood.waiting.popleft())
        elif flood.rate:
            flood.idle.append(self)
        else:
            flood.asked += 1
            self.ask(time.perf_counter())

    def connection_lost(self, exc: Exception | None) -> None:
        self._flood.connections -= 1
        self._flood.wrong += 1


async def main(port: int, seconds: float, deadline_s: float, rate: float) -> None:
    print(json.dumps(await Flood(port, seconds, deadline_s, rate).run()))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), *map(float, sys.argv[2:5])))
