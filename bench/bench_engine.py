"""What one call costs in the upstream engine, beside stock httpx: CPU per request and per streamed chunk.

Owns: a provider of fixed answers in a process of its own, the callers, and the table that is printed; rounds are
interleaved, so that a busy machine burdens all alike. Refuses: to judge; the numbers hold for the machine that ran it.

    PYTHONPATH=src python -m bench.bench_engine [--connections 64] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection as Pipe

import httpx
import uvloop

from laneway.ports import Call, Clocks, Upstream
from laneway.upstream.engine import Engine
from laneway.upstream.stock import EngineTransport, StockUpstream

CHUNKS = 50
_BODY = b'{"choices":[{"message":{"content":"%b"}}]}' % (b"x" * 560)
_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nserver: fixed\r\ncontent-length: %d\r\n\r\n" % len(
    _BODY
)
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_EVENT = b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n'
_CHUNK = b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT)

_HEADERS = (
    (b"authorization", b"Bearer sk-0123456789abcdef0123456789abcdef"),
    (b"content-type", b"application/json"),
    (b"accept", b"application/json"),
    (b"user-agent", b"bench"),
)
_PROMPT = b'{"model":"m","messages":[{"role":"user","content":"%b"}]}' % (b"y" * 300)
_CLOCKS = Clocks(connect_s=5.0, headers_s=30.0)

Caller = Callable[[], Awaitable[None]]


class Fixed(asyncio.Protocol):
    """Answers every `_PROMPT`: under `/stream` with chunks a millisecond apart, elsewhere at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.left = 0
        self.come = b""

    def data_received(self, data: bytes) -> None:
        self.come += data
        if not self.come.endswith(_PROMPT):
            return
        stream, self.come = self.come.startswith(b"POST /stream"), b""
        if stream:
            self.left = CHUNKS
            self.transport.write(_STREAM)  # type: ignore[attr-defined]
            self.next_chunk()
        else:
            self.transport.write(_WHOLE + _BODY)  # type: ignore[attr-defined]

    def next_chunk(self) -> None:
        if self.transport.is_closing():
            return
        self.left -= 1
        self.transport.write(_CHUNK if self.left else _CHUNK + b"0\r\n\r\n")  # type: ignore[attr-defined]
        if self.left:
            asyncio.get_running_loop().call_later(0.001, self.next_chunk)


def serve(pipe: Pipe) -> None:
    """Runs until the other end of the pipe is closed."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Fixed, "127.0.0.1", 0, backlog=1024)
        pipe.send(server.sockets[0].getsockname()[1])
        gone = asyncio.Event()
        loop.add_reader(pipe.fileno(), gone.set)
        await gone.wait()
        loop.remove_reader(pipe.fileno())
        server.close()

    uvloop.run(main())


def through_port(upstream: Upstream, origin: str, target: str, length: int) -> Caller:
    call = Call("POST", origin, target, _HEADERS, _PROMPT)

    async def caller() -> None:
        reply = await upstream.open(call, _CLOCKS)
        got = 0
        while piece := await reply.read(30.0):
            got += len(piece)
        await reply.close()
        check(reply.status, got, length)

    return caller


def through_client(client: httpx.AsyncClient, origin: str, target: str, length: int) -> Caller:
    headers = [(name.decode(), value.decode()) for name, value in _HEADERS]

    async def caller() -> None:
        got = 0
        async with client.stream("POST", origin + target, headers=headers, content=_PROMPT) as reply:
            async for piece in reply.aiter_raw():
                got += len(piece)
        check(reply.status_code, got, length)

    return caller


def check(status: int, got: int, length: int) -> None:
    if (status, got) != (200, length):
        raise SystemExit(f"status {status} with {got} bytes instead of {length}: the figures would be of no use")


async def timed(caller: Caller, calls: int, connections: int) -> tuple[float, float]:
    """CPU seconds of this process and calls per second, for so many calls by so many callers at once."""
    left = calls

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await caller()

    cpu_s, wall_s = time.process_time(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(work())
    return time.process_time() - cpu_s, calls / (time.perf_counter() - wall_s)


async def compare(origin: str, connections: int, rounds: int) -> None:
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    engine, stock = Engine(per_host=connections), StockUpstream(per_host=connections)
    mounted = httpx.AsyncClient(transport=EngineTransport(Engine(per_host=connections)))
    plain = httpx.AsyncClient(limits=limits, trust_env=False)
    for target, length, unit in (("/whole", len(_BODY), 1), ("/stream", len(_EVENT) * CHUNKS, CHUNKS)):
        runs = {
            "engine": (through_port(engine, origin, target, length), 200 * connections),
            "engine under httpx.AsyncClient": (through_client(mounted, origin, target, length), 40 * connections),
            "StockUpstream": (through_port(stock, origin, target, length), 10 * connections),
            "httpx.AsyncClient": (through_client(plain, origin, target, length), 10 * connections),
        }
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for turn in range(rounds + 1):
            for name, (caller, whole) in runs.items():
                calls = max(whole // unit, connections)
                cpu_s, per_s = await timed(caller, calls, connections)
                if turn:  # the first round warms up
                    figures[name].append((cpu_s / calls / unit * 1e6, per_s))
        report("request" if unit == 1 else "chunk", connections, figures)
    for client in (mounted, plain):
        await client.aclose()
    await engine.close()
    await stock.close()


def report(unit: str, connections: int, figures: dict[str, list[tuple[float, float]]]) -> None:
    best = statistics.median(cpu_us for cpu_us, _ in figures["engine"])
    print(f"\n{connections} connections, per {unit}{'CPU us':>42}{'spread':>16}{'against engine':>16}{'calls/s':>10}")
    for name, rows in figures.items():
        cpus = [cpu_us for cpu_us, _ in rows]
        middle, per_s = statistics.median(cpus), statistics.median(per_s for _, per_s in rows)
        spread = f"{min(cpus):.1f}-{max(cpus):.1f}"
        print(f"  {name:<58}{middle:>10.1f}{spread:>16}{middle / best:>15.1f}x{per_s:>10.0f}")


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    reader.add_argument("--connections", type=int, default=64)
    reader.add_argument("--rounds", type=int, default=5)
    options = reader.parse_args()
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    provider = context.Process(target=serve, args=(there,))
    provider.start()
    there.close()
    try:
        uvloop.run(compare(f"http://127.0.0.1:{here.recv()}", options.connections, options.rounds))
    finally:
        here.close()
        provider.join(5)


if __name__ == "__main__":
    main()
