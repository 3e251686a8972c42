"""Where upstreams are tried: one fake provider, one upstream, one event loop, and nothing left afterwards.

Owns: opening and closing the two in the right order, and the check that every connection has ended then. Refuses:
to know any particular upstream or script.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop

from laneway.failure import Failure, FailureError
from laneway.ports import Call, Clocks, Reply, Upstream
from tests.fakes.upstream import FakeUpstream
from tests.harness.loop import run

T = TypeVar("T")
U = TypeVar("U", bound=Upstream)

LOOPS = ("asyncio", "uvloop")
PATIENT = Clocks(connect_s=60.0, headers_s=60.0)
"""Clocks that never ring in a test that works; in one that does not, the limit of `run` comes first."""
SHORT_S = 0.03
"""A limit that is meant to run out."""


@contextlib.contextmanager
def loop_of_kind(kind: str) -> Iterator[None]:
    """Makes `tests.harness.loop.run` use this kind of event loop, and counts sockets before and after."""
    before = _sockets()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy() if kind == "uvloop" else None)
    try:
        yield
    finally:
        asyncio.set_event_loop_policy(None)
    gc.collect(1)  # what a test made is young
    assert _sockets() <= before, "sockets were left open"


def _sockets() -> int:
    files = Path("/proc/self/fd")
    count = 0
    for entry in files.iterdir() if files.exists() else ():
        with contextlib.suppress(OSError):
            count += str(entry.readlink()).startswith("socket:")
    return count


@contextlib.asynccontextmanager
async def stage(fake: FakeUpstream, upstream: U) -> AsyncIterator[tuple[FakeUpstream, U]]:
    """Both are open inside; at the end the upstream is closed, and the provider must see every caller leave."""
    async with fake:
        try:
            yield fake, upstream
        finally:
            await upstream.close()
        await fake.quiet()


def call_to(
    fake: FakeUpstream,
    *headers: tuple[bytes, bytes],
    method: str = "POST",
    target: str = "/v1/chat",
    body: bytes = b"{}",
) -> Call:
    return Call(method=method, origin=fake.origin, target=target, headers=headers, body=body)


async def drain(reply: Reply, limit_s: float = 10.0) -> bytes:
    """The rest of the body, read to its end."""
    body = bytearray()
    while piece := await reply.read(limit_s):
        body += piece
    return bytes(body)


async def fetch(upstream: Upstream, call: Call, clocks: Clocks = PATIENT) -> tuple[int, bytes]:
    reply = await upstream.open(call, clocks)
    try:
        return reply.status, await drain(reply)
    finally:
        await reply.close()


async def failing(work: Coroutine[Any, Any, object]) -> Failure:
    """The failure with which `work` ends."""
    with pytest.raises(FailureError) as caught:
        await work
    return caught.value.failure


__all__ = ["LOOPS", "PATIENT", "SHORT_S", "call_to", "drain", "failing", "fetch", "loop_of_kind", "run", "stage"]
