"""Laneway's own HTTP/1.1 client: the hot path of every forwarded call.

Owns: writing a call as bytes, finding it a connection, and the one silent repetition when a connection that had
rested turns out to be dead. Refuses: pipelining, redirects, proxies, HTTP/2 (`stock` has those), and any look into
a body: what the provider encoded stays encoded, and it is asked not to encode unless the call says otherwise.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from functools import lru_cache
from typing import Final

from laneway.failure import FailureError, Kind, fail
from laneway.ports import Call, Clocks, Reply
from laneway.upstream.connection import Connection
from laneway.upstream.pool import Limits, Origin, Pool

# Origins are configuration, but behind the transport of `stock` anybody may name them.
_MOST_POOLS: Final = 1024

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_TARGET = re.compile(r"[/*][!-~]*")
_LINE_BREAK = re.compile(rb"[\r\n\0]")  # RFC 9110 section 5.5
_OURS: Final = frozenset((b"host", b"content-length", b"connection", b"transfer-encoding"))
_WITH_CONTENT: Final = frozenset(("POST", "PUT", "PATCH"))


class Engine:
    """`ports.Upstream` over pooled keep-alive connections. It serves one event loop, the first that opens a call.

    A call is sent a second time only if the connection had served before and was lost before one byte of an answer;
    both clocks then start anew.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        per_host: int = 10_000,
        idle_s: float = 30.0,
        dns_s: float = 60.0,
    ) -> None:
        self._limits = Limits(per_host, idle_s, dns_s)
        self._ssl_context = ssl_context
        self._pools: dict[str, Pool] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def connections(self) -> int:
        """Sockets open at this moment, in use or idle."""
        return sum(len(pool.connections) for pool in self._pools.values())

    @property
    def places(self) -> int:
        """Places taken at all origins together: calls that hold or await a connection, and idle connections."""
        return sum(pool.places for pool in self._pools.values())

    async def open(self, call: Call, clocks: Clocks) -> Reply:
        if self._closed:
            raise fail(Kind.STOPPING, "the gateway is stopping and opens no more connections")
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._bind(loop)
        name = f"{call.origin} in public" if call.public else call.origin
        pool = self._pools.get(name) or self._add_pool(name, call, loop)
        head = encode_head(call, pool.host_line)
        connection = pool.pop_idle() or await pool.acquire(clocks.connect_s)
        rested = connection.served > 0
        try:
            return await connection.exchange(call.method, head, call.body, clocks.headers_s)
        except FailureError as error:
            if not rested or error.failure.kind is not Kind.RESET:
                _give_up(pool, connection)
                raise
        except BaseException:
            _give_up(pool, connection)
            raise
        connection = await pool.replace(clocks.connect_s)
        try:
            return await connection.exchange(call.method, head, call.body, clocks.headers_s)
        except BaseException:
            _give_up(pool, connection)
            raise

    async def close(self) -> None:
        self._closed = True
        for pool in self._pools.values():
            await pool.close()

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None:
            raise RuntimeError("this engine belongs to another event loop; make one engine per loop")
        self._loop = loop

    def _add_pool(self, name: str, call: Call, loop: asyncio.AbstractEventLoop) -> Pool:
        origin = Origin.of(call.origin)
        if origin.tls and self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
            self._ssl_context.set_alpn_protocols(["http/1.1"])
        if len(self._pools) >= _MOST_POOLS:
            self._pools = {known: pool for known, pool in self._pools.items() if pool.places or pool.connections}
        pool = self._pools[name] = Pool(origin, self._limits, loop, self._ssl_context, public=call.public)
        return pool


def _give_up(pool: Pool, connection: Connection) -> None:
    connection.abort()
    pool.take_back(connection)


def encode_head(call: Call, host_line: bytes) -> bytes:
    """The request head up to and with its empty line.

    Raises FailureError MALFORMED_REQUEST for anything that would not arrive as the one request it is meant to be.
    """
    head = _lines(call.method, call.target, host_line, call.headers)
    if call.body or call.method in _WITH_CONTENT:
        return head + b"content-length: %d\r\n\r\n" % len(call.body)
    return head + b"\r\n"


# The same from call to call, but for a length and at times an id: checking it again would cost more than sending.
@lru_cache(maxsize=256)
def _lines(method: str, target: str, host_line: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    head = b"".join([_request_line(method, target), host_line, *[_header_line(*header) for header in headers]])
    # Silence would mean that any coding is welcome (RFC 9110 section 12.5.3).
    return head if b"\r\naccept-encoding: " in head else head + b"accept-encoding: identity\r\n"


@lru_cache(maxsize=256)
def _request_line(method: str, target: str) -> bytes:
    if not _TOKEN.fullmatch(method.encode("utf-8", "replace")):
        raise fail(Kind.MALFORMED_REQUEST, f"{method!r} is not an HTTP method")
    if not _TARGET.fullmatch(target):
        raise fail(Kind.MALFORMED_REQUEST, "the path to call must begin with / and be percent-encoded")
    return f"{method} {target} HTTP/1.1\r\n".encode("ascii")


@lru_cache(maxsize=1024)
def _header_line(name: bytes, value: bytes) -> bytes:
    lowered = name.lower()
    if lowered in _OURS or not _TOKEN.fullmatch(name):
        raise fail(Kind.MALFORMED_REQUEST, f"a header may not be named {name.decode('latin-1')!r}")
    if _LINE_BREAK.search(value):
        what = "holds a line break or a NUL; remove it"
        raise fail(Kind.MALFORMED_REQUEST, f"the value of header {lowered.decode('latin-1')!r} {what}")
    return b"%b: %b\r\n" % (lowered, value)
