"""A provider made of raw bytes, over a real socket.

Owns: accepting connections on loopback and playing one script on each of them, byte for byte: pieces, pauses, cuts,
resets, hangs, with or without TLS. Refuses: to be an HTTP server. It reads requests, because tests look at them; what
it answers is whatever the script writes, right or wrong.

    async def script(wire: Wire) -> None:
        request = await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", b"ok")

    async with FakeUpstream(script) as fake:
        ...  # call fake.origin; afterwards fake.requests holds what arrived

A connection is closed when its script returns. An error in a script (a failed assert, too) is raised where the
`async with` ends. A caller that leaves ends the script quietly.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

_TLS = Path(__file__).parent / "tls"


class Gone(Exception):
    """The caller closed the connection."""


class Request(msgspec.Struct, frozen=True):
    """One request as it arrived; header names in lower case."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""

    def header(self, name: bytes) -> bytes | None:
        return next((value for own, value in self.headers if own == name), None)


class Wire:
    """One accepted connection, as its script sees it. `number` counts the connections of a fake from 0."""

    def __init__(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, requests: list[Request]
    ) -> None:
        self.number = number
        self._reader = reader
        self._writer = writer
        self._requests = requests

    async def request(self) -> Request:
        """Reads one whole request (its body by content-length); raises Gone when none comes any more."""
        request = await self.head()
        length = int(request.header(b"content-length") or b"0")
        body = await self.take(length)
        request = msgspec.structs.replace(request, body=body)
        self._requests[-1:] = [request]
        return request

    async def head(self) -> Request:
        """Reads a request up to its empty line and leaves the body where it is."""
        try:
            text = await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Gone from error
        first, *lines = text[:-4].split(b"\r\n")
        method, target, _ = first.decode("latin-1").split(" ")
        pairs = (line.partition(b": ") for line in lines)
        request = Request(method, target, tuple((name.lower(), value) for name, _, value in pairs))
        self._requests.append(request)
        return request

    async def send(self, *pieces: bytes, gap_s: float | None = None) -> None:
        """Each piece is a write of its own, once the one before has left; `gap_s` later if given."""
        try:
            for place, piece in enumerate(pieces):
                if place and gap_s is not None:
                    await asyncio.sleep(gap_s)
                if self._writer.is_closing():
                    raise Gone
                self._writer.write(piece)
                await self._writer.drain()
        except OSError as error:
            raise Gone from error

    def finish(self) -> None:
        """Closes after what was sent: the caller sees an orderly end."""
        self._writer.close()

    def reset(self) -> None:
        """Closes with a TCP reset; bytes not yet delivered may be lost with it."""
        peer: socket.socket = self._writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def gone(self) -> None:
        """Hangs until the caller closes the connection, swallowing whatever it still sends."""
        try:
            while await self._reader.read(65_536):
                pass
        except OSError:
            return

    async def take(self, length: int) -> bytes:
        """So many bytes of what the caller sends, after `head`."""
        try:
            return await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Gone from error


Script = Callable[[Wire], Awaitable[None]]


class FakeUpstream:
    """`async with FakeUpstream(script) as fake`: listens on a free port of loopback, or on `port`."""

    def __init__(
        self, script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.requests: list[Request] = []
        """Requests in the order in which their heads arrived, over all connections."""
        self.accepted = 0
        self.open = 0
        """Connections whose script has not ended."""
        self.port = port
        self._script = script
        self._tls = tls
        self._host = host
        self._numbers = itertools.count()
        self._playing: set[asyncio.Task[None]] = set()
        self._errors: list[Exception] = []

    @property
    def origin(self) -> str:
        # The certificate names localhost; plain connections save themselves the look-up.
        return f"https://localhost:{self.port}" if self._tls else f"http://{self._host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self.port, ssl=self._tls, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        playing = list(self._playing)
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)
        # A handshake that the caller broke off is still a task of the server's own for some turns of the loop.
        if shaking := {task for task in asyncio.all_tasks() if "_accept_connection" in repr(task.get_coro())}:
            await asyncio.wait(shaking, timeout=1)
        await self._server.wait_closed()
        if error is None and self._errors:
            raise self._errors[0]

    async def quiet(self) -> None:
        """Waits until every script has ended: until all callers have left, usually."""
        while self._playing:
            await asyncio.wait(set(self._playing))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine: the task is ours, so that leaving the fake can end it.
        task = asyncio.get_running_loop().create_task(self._play(reader, writer))
        self._playing.add(task)
        task.add_done_callback(self._playing.discard)

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open += 1
        try:
            await self._script(Wire(next(self._numbers), reader, writer, self.requests))
        except Gone:
            pass
        except Exception as error:  # noqa: BLE001 - raised again where the test can see it
            self._errors.append(error)
        finally:
            self.open -= 1
            writer.close()
            try:
                async with asyncio.timeout(1):
                    await writer.wait_closed()
            except (OSError, TimeoutError):
                writer.transport.abort()


def server_tls() -> ssl.SSLContext:
    """For `FakeUpstream(tls=...)`: a certificate for `localhost`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_TLS / "localhost.pem")
    return context


def client_tls() -> ssl.SSLContext:
    """Trusts the authority that signed the certificate of `server_tls`, and nobody else."""
    return ssl.create_default_context(cafile=_TLS / "authority.pem")


def response(body: bytes = b"", *headers: bytes, status: int = 200) -> bytes:
    """A well-formed answer with its length declared; headers as `b"name: value"`."""
    lines = [b"HTTP/1.1 %d Whatever" % status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


def chunked(*pieces: bytes, headers: tuple[bytes, ...] = ()) -> list[bytes]:
    """The same in chunks: the head, then one write per chunk, then the last chunk."""
    head = b"\r\n".join([b"HTTP/1.1 200 OK", b"transfer-encoding: chunked", *headers, b"", b""])
    return [head, *(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece), b"0\r\n\r\n"]


def answering(*answers: bytes) -> Script:
    """Keep-alive: the n-th request of a connection gets the n-th answer, the last one again and again."""

    async def script(wire: Wire) -> None:
        for answer in itertools.chain(answers, itertools.repeat(answers[-1])):
            await wire.request()
            await wire.send(answer)

    return script


def once(*pieces: bytes, then_reset: bool = False) -> Script:
    """One request, these writes, then the end of the connection, orderly or by reset."""

    async def script(wire: Wire) -> None:
        await wire.request()
        # Writes a moment apart arrive as reads of their own, more often than not.
        await wire.send(*pieces, gap_s=0.002)
        if then_reset:
            wire.reset()

    return script


def holding(*pieces: bytes) -> Script:
    """One request, these writes, then silence until the caller leaves."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(*pieces, gap_s=0.002)
        await wire.gone()

    return script
