"""The courier: one delivery to somebody's address, tried once, and what came of it in words that show no address.

Owns: the clocks of a try, looking a name up before it is called, and reading the answer to its end.
Refuses: repeating (whoever keeps the delivery does), following redirects, and an address of the own network that was
not allowed, whatever name it hides behind.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

from msgspec.structs import replace

from laneway.failure import FailureError
from laneway.ports import Call, Clocks, Upstream
from laneway.wire.retry import read_retry_after

CLOCKS = Clocks(connect_s=5.0, headers_s=10.0, first_content_s=10.0, between_chunks_s=5.0)
TRY_S = 20.0
"""The longest a try may take."""
MOST_READ = 65_536
OWN = "its address is one of the own network, and that was not allowed"


class Tried(NamedTuple):
    """Why it was not taken, "" where it was, and how long the receiver asked to be left alone."""

    reason: str
    asked_s: float | None = None


class Courier:
    """Carries deliveries; any number at the same time."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def deliver(self, call: Call, *, private: bool) -> Tried:
        try:
            async with asyncio.timeout(TRY_S):
                if not private and await _is_own(call.origin):
                    return Tried(OWN)
                return await self._send(call if private else replace(call, public=True))
        except TimeoutError:
            return Tried("no answer in time")
        except FailureError as error:
            # Only the kind: whoever called may have named the address, and a path may hold a token.
            return Tried(error.failure.kind.value)

    async def _send(self, call: Call) -> Tried:
        reply = await self._upstream.open(call, CLOCKS)
        try:
            # Read to its end, so that the connection can serve again.
            size = 0
            while size <= MOST_READ and (piece := await reply.read(CLOCKS.between_chunks_s)):
                size += len(piece)
            if 200 <= reply.status < 300:
                return Tried("")
            return Tried(f"status {reply.status}", read_retry_after(reply.headers))
        finally:
            await reply.close()


async def _is_own(origin: str) -> bool:
    """Whether any address of a host is none of the public internet; one that cannot be resolved is for the engine."""
    parts = urlsplit(origin)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global for *_, address in found)
