"""Callers in numbers: some who wait for their answers, or many who come at a steady rate all the same.

`python -m bench.flood PORT SECONDS DEADLINE_S RATE PID CALLERS` prints one JSON object; with RATE 0, CALLERS wait for
their answers. The first seconds, in which connections are made, are not counted; PID is whose CPU is read from then
on. An answer is good if it is a 200 with the model's words within the deadline, counted from when it was due; a 503
with a Retry-After is one turned away. Where all connections are busy, another is opened.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from typing import cast

import uvloop

from bench.peers.race import cpu_s

WARM_S = 4.0
MOST_CONNECTIONS = 12_000
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

    def __init__(self, port: int, seconds: float, deadline_s: float, rate: float, callers: int) -> None:
        self.port = port
        self.rate = rate
        self.callers = callers
        self.seconds = seconds
        self.deadline_s = deadline_s
        self.request = request()
        self.idle: list[Connection] = []
        self.waiting: deque[float] = deque()
        self.connections = self.opening = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.asked = self.good = self.late = self.turned_away = self.wrong = 0
        self.took_s: list[float] = []

    async def run(self, pid: int) -> dict[str, float]:
        if not self.rate:
            self.connections = self.opening = self.callers
            await asyncio.gather(*[self._open() for _ in range(self.callers)])
        await self._drive(WARM_S)
        before, at, cpu = self._counts(), time.perf_counter(), cpu_s(pid)
        self.took_s.clear()
        await self._drive(self.seconds)
        told = {name: count - before[name] for name, count in self._counts().items()}
        ordered = sorted(self.took_s) or [float("nan")]
        return {
            **told,
            "never_sent": len(self.waiting),
            "connections": self.connections,
            "cpu_s": cpu_s(pid) - cpu,
            "seconds": time.perf_counter() - at,
            "p50_ms": ordered[len(ordered) // 2] * 1000,
            "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
        }

    def _counts(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("asked", "good", "late", "turned_away", "wrong")}

    async def _drive(self, seconds: float) -> None:
        began, asked = time.perf_counter(), self.asked
        while (now := time.perf_counter()) < began + seconds:
            if self.rate:
                due = asked + int((now - began) * self.rate)
                self.waiting.extend([now] * (due - self.asked))
                self.asked = due
            self._hand_out()
            await asyncio.sleep(TICK_S)

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


async def main(port: int, seconds: float, deadline_s: float, rate: float, pid: int, callers: int) -> None:
    print(json.dumps(await Flood(port, seconds, deadline_s, rate, callers).run(pid)))


if __name__ == "__main__":
    port, seconds, deadline_s, rate, pid, callers = sys.argv[1:7]
    uvloop.run(main(int(port), float(seconds), float(deadline_s), float(rate), int(pid), int(callers)))
