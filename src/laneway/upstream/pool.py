"""The connections to one origin: how many there may be, who waits for one, and how a new one comes about.

Owns: the places of an origin (one per connection in use, idle or being made), the first-come queue for them, the
idle connections, the cached addresses and the race between them. Refuses: HTTP, which is the connection's, and
requests, which are the engine's. A place belongs to whoever holds its connection: the pool while it is idle, else
the caller of `acquire`, who owes it to `take_back` or, having no connection any more, to `vacate`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections import deque
from collections.abc import Coroutine
from itertools import chain, zip_longest
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from laneway.failure import Failure, FailureError, Kind, fail
from laneway.upstream.connection import LONGEST_S, Connection

RACE_DELAY_S: Final = 0.25
"""Head start of one address before the next is tried beside it (RFC 8305 section 8 recommends 250 ms)."""
UNRESOLVED_S: Final = 1.0
"""How long a failed resolution answers for those who ask the same."""


class Origin(msgspec.Struct, frozen=True):
    """Where a pool's connections lead."""

    host: str
    port: int
    tls: bool
    host_line: bytes

    @classmethod
    def of(cls, text: str) -> Origin:
        """Reads `scheme://host[:port]`, and nothing more than that."""
        try:
            parts = urlsplit(text)
            host, port, netloc = parts.hostname, parts.port, parts.netloc.encode("ascii")
        except ValueError:
            raise _bad_origin() from None
        bare = text == f"{parts.scheme}://{parts.netloc}" and "@" not in text and " " not in text
        if not host or not bare or not text.isprintable() or parts.scheme not in ("http", "https"):
            raise _bad_origin()
        tls = parts.scheme == "https"
        return cls(host, port or (443 if tls else 80), tls, b"host: " + netloc + b"\r\n")


class Limits(msgspec.Struct, frozen=True):
    """What every pool of one engine keeps to."""

    per_host: int
    idle_s: float
    dns_s: float


class Pool:
    """The `Owner` of every connection to one origin."""

    def __init__(
        self,
        origin: Origin,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        ssl_context: ssl.SSLContext | None,
        *,
        public: bool = False,
    ) -> None:
        self.host_line = origin.host_line
        self.places = 0
        self.connections: set[Connection] = set()
        """Those whose transport is not gone yet; the ones being closed have no place any more."""
        self._origin = origin
        self._limits = limits
        self._loop = loop
        self._ssl_context = ssl_context
        self._public = public
        self._addresses = _Addresses(origin, limits.dns_s, loop)
        self._idle: deque[Connection] = deque()
        self._queue: deque[asyncio.Future[Connection | None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False
        self._on_forget: asyncio.Future[None] | None = None

    # Lending

    def pop_idle(self) -> Connection | None:
        """The connection that rested shortest, so that those not needed grow old and are closed."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            self.vacate()
        return None

    async def acquire(self, connect_s: float) -> Connection:
        """A place and a connection in it, first come first served; new, or just given back by somebody else."""
        return await self._in_time(self._take_place(), connect_s)

    async def replace(self, connect_s: float) -> Connection:
        """A new connection in the place of one that was found dead."""
        return await self._in_time(self._fill_place(), connect_s)

    def take_back(self, connection: Connection) -> None:
        """The holder is done; the connection rests, goes to the first in the queue, or is closed."""
        if self._closed:
            connection.usable = False
        if not connection.rest():
            self.vacate()
        elif (waiter := self._next_in_queue()) is not None:
            waiter.set_result(connection)
        else:
            connection.idle_since = self._loop.time()
            self._idle.append(connection)
            if self._sweeper is None:
                self._sweeper = self._loop.call_later(self._limits.idle_s, self._sweep)

    def vacate(self) -> None:
        """Gives up a place, to the first in the queue if there is one."""
        waiter = self._next_in_queue()
        if waiter is not None:
            waiter.set_result(None)
        else:
            self.places -= 1

    def forget(self, connection: Connection) -> None:
        """The transport is gone. Whoever holds the connection still holds its place."""
        self.connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
            self.vacate()
        if self._on_forget is not None and not self._on_forget.done():
            self._on_forget.set_result(None)

    async def close(self) -> None:
        """Closes what is idle and waits until its transports are gone; what is in use is closed when given back."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        while self._idle:
            self._idle.pop().abort()
            self.vacate()
        while any(connection.aborted for connection in self.connections):
            self._on_forget = self._loop.create_future()
            await self._on_forget

    def _sweep(self) -> None:
        self._sweeper = None
        oldest_s = self._loop.time() - self._limits.idle_s
        while self._idle and self._idle[0].idle_since <= oldest_s:
            self._idle.popleft().abort()
            self.vacate()
        if self._idle:
            self._sweeper = self._loop.call_at(self._idle[0].idle_since + self._limits.idle_s, self._sweep)

    # Places

    async def _take_place(self) -> Connection:
        if self.places < self._limits.per_host:
            self.places += 1
            return await self._fill_place()
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._queue.append(waiter)
        try:
            connection = await waiter
        except asyncio.CancelledError:
            # What was handed over in the same moment must not be lost with the one it was meant for.
            if waiter.done() and not waiter.cancelled():
                self._hand_on(waiter.result())
            elif waiter in self._queue:
                self._queue.remove(waiter)
            raise
        if connection is not None and connection.usable:
            return connection
        return await self._fill_place()

    def _hand_on(self, connection: Connection | None) -> None:
        if connection is None or not connection.usable:
            self.vacate()
        else:
            self.take_back(connection)

    def _next_in_queue(self) -> asyncio.Future[Connection | None] | None:
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.done():
                return waiter
        return None

    async def _fill_place(self) -> Connection:
        try:
            return await self._race(await self._addresses.get())
        except BaseException:
            self.vacate()
            raise

    # Connecting

    async def _in_time(self, work: Coroutine[Any, Any, Connection], connect_s: float) -> Connection:
        error: Exception
        limit = asyncio.timeout(min(connect_s, LONGEST_S))
        try:
            async with limit:
                return await work
        except (OSError, UnicodeError) as caught:
            error = caught
        self._addresses.doubt()
        # The kernel's ETIMEDOUT is a TimeoutError too, and no clock of ours.
        if isinstance(error, TimeoutError) and limit.expired():
            busy = f"; all {self._limits.per_host} allowed were in use" if self.places >= self._limits.per_host else ""
            raise FailureError(
                Failure(
                    kind=Kind.TIMEOUT,
                    message=f"no connection to the provider within connect={connect_s:g} s{busy}",
                    clock="connect",
                )
            )
        raise fail(Kind.CONNECT, _reason(error), detail=f"{self._origin.host}:{self._origin.port}: {error}")

    async def _race(self, addresses: list[str]) -> Connection:
        """The first address that answers, each later one starting a little after the one before (RFC 8305).

        Written out because one of the event loops in use has no race of its own.
        """
        if len(addresses) == 1:
            return await self._connect(addresses[0])
        won: list[Connection] = []
        errors: list[OSError] = []

        async def attempt(address: str) -> None:
            try:
                connection = await self._connect(address)
            except OSError as error:
                errors.append(error)
                return
            if won:
                connection.abort()
            else:
                won.append(connection)

        waiting = deque(addresses)
        running: set[asyncio.Task[None]] = set()
        try:
            async with asyncio.TaskGroup() as group:
                while not won and (waiting or running):
                    if waiting:
                        running.add(group.create_task(attempt(waiting.popleft())))
                    _, running = await asyncio.wait(
                        running, timeout=RACE_DELAY_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
                    )
                for task in running:
                    task.cancel()
        except BaseException:
            for connection in won:
                connection.abort()
            raise
        if won:
            return won[0]
        raise errors[0]

    async def _connect(self, address: str) -> Connection:
        # Asked of the very address that is called: a name may mean another one the next time it is looked up.
        if self._public and not ipaddress.ip_address(address.partition("%")[0]).is_global:
            raise _OwnNetworkError
        connection = Connection(self._loop, self)
        self.connections.add(connection)
        tls = self._ssl_context if self._origin.tls else None
        try:
            await self._loop.create_connection(
                lambda: connection,
                address,
                self._origin.port,
                ssl=tls,
                server_hostname=self._origin.host if tls else None,
            )
        except BaseException:
            if connection.connected:
                connection.abort()
            else:
                self.connections.discard(connection)
            raise
        return connection


class _Addresses:
    """The addresses of one host, asked for once in `dns_s`."""

    def __init__(self, origin: Origin, dns_s: float, loop: asyncio.AbstractEventLoop) -> None:
        self._origin = origin
        self._dns_s = dns_s
        self._loop = loop
        self._known: list[str] = []
        self._failed: OSError | None = None
        self._until_s = loop.time()
        self._asking = asyncio.Lock()
        try:
            ipaddress.ip_address(origin.host)
        except ValueError:
            return
        self._known = [origin.host]
        self._until_s = float("inf")

    async def get(self) -> list[str]:
        if self._loop.time() < self._until_s and self._known:
            return self._known
        async with self._asking:
            if self._loop.time() >= self._until_s:
                await self._ask()
            if self._failed is not None:
                raise socket.gaierror(*self._failed.args)
            return self._known

    def doubt(self) -> None:
        """None of them answered: the host may have moved, so the next caller asks again."""
        if self._known and self._until_s != float("inf"):
            self._until_s = self._loop.time()

    async def _ask(self) -> None:
        try:
            found = await self._loop.getaddrinfo(self._origin.host, self._origin.port, type=socket.SOCK_STREAM)
        except OSError as error:
            self._known, self._failed = [], error
            self._until_s = self._loop.time() + UNRESOLVED_S
            return
        # RFC 8305 section 4: keep the resolver's preference, but let the families take turns.
        first = [str(entry[4][0]) for entry in found if entry[0] == found[0][0]]
        other = [str(entry[4][0]) for entry in found if entry[0] != found[0][0]]
        pairs = chain.from_iterable(zip_longest(first, other))
        self._known, self._failed = list(dict.fromkeys(address for address in pairs if address is not None)), None
        self._until_s = self._loop.time() + self._dns_s


class _OwnNetworkError(OSError):
    """The address is none of the public internet."""


def _bad_origin() -> FailureError:
    return fail(Kind.CONNECT, "the provider's url must begin with http://host[:port] or https://host[:port]")


def _reason(error: Exception) -> str:
    if isinstance(error, _OwnNetworkError):
        return "its address is one of the own network, and that was not allowed"
    if isinstance(error, ConnectionRefusedError):
        return "the provider refused the connection; is it running, and is its url right?"
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return "the provider's host name cannot be resolved"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the provider's TLS certificate was not accepted"
    if isinstance(error, ssl.SSLError):
        return "the TLS handshake with the provider failed; is its url https by mistake?"
    return "the provider cannot be reached"
