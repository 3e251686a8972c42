"""A turn: one request of a connection and its answer, as the two functions of ASGI.

Owns: giving the body as it comes, the bytes of an answer and how its end is told, and what becomes of an app that
fails. Head and first words leave together, as ASGI's HTTP specification asks of a server: one system call instead of
two. What an app says is checked once over the whole head, not header by header.
Refuses: the connection (doorway) and its clocks (patience), and any opinion about the request.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Protocol

import msgspec

from laneway.dialects import Headers
from laneway.edge import App, Message
from laneway.exchange import Scope

MOST_HELD = 64 * 1024
"""Bytes of a body that nobody has asked for yet; further ones wait in the system's buffers."""
MOST_JOINED = 16 * 1024
"""A longer first piece leaves by itself: copying it would cost more than a system call."""
MOST_NAMES = 1024

_NOTHING, _HEAD, _BODY, _OVER = range(4)
_PLAIN, _LENGTH, _CODING, _CONNECTION = range(4)
_MEANINGS = {b"content-length": _LENGTH, b"transfer-encoding": _CODING, b"connection": _CONNECTION}
_BAD_NAME = re.compile(rb'[\x00-\x20\x7f-\xff()<>@,;:\\\[\]={}"/?]')
_CONTROLS = bytes([*range(9), *range(10, 32), 127])
_NO_BODY = frozenset((204, 304))
log = logging.getLogger("laneway")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


_spoken: tuple[list[tuple[bytes, bytes]], bytes, int] = ([], b"", 0)


def encoded(headers: list[tuple[bytes, bytes]]) -> tuple[bytes, int]:
    """Once for each list of headers, which the server makes anew with each second's date."""
    global _spoken  # noqa: PLW0603 - one list is in force at a time
    if headers is not _spoken[0]:
        _spoken = (headers, b"".join(b"%b: %b\r\n" % header for header in headers), len(headers))
    return _spoken[1], _spoken[2]


STATUS_LINES = {status: b"HTTP/1.1 %d %b\r\n" % (status, _phrase(status).encode()) for status in range(100, 600)}
_names: dict[bytes, tuple[bytes, int]] = {}
_usual: dict[int, tuple[Headers, bytes, int]] = {}
_NO_BLOCK: tuple[Headers, bytes, int] = ((), b"", 0)


class Connection(Protocol):
    """What a turn asks of the connection it is on."""

    transport: Any
    write_paused: bool

    def write(self, data: bytes) -> None: ...

    def close(self) -> None:
        """Behind all that was written."""

    def spoken(self) -> tuple[bytes, int]:
        """Headers of every answer, as bytes and how many lines."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    async def writable(self) -> None: ...

    def answered(self) -> None: ...


class Turn(msgspec.Struct, eq=False):
    """Made when a request's head is complete; `run` is the task that serves it. It is ASGI's `send` itself."""

    _connection: Connection
    scope: Scope
    keep_alive: bool
    _asks_leave: bool
    _headless: bool
    _body: bytes | bytearray = b""
    more_body: bool = True
    _news: bool = False
    _read: bool = False
    """Somebody has asked for the body."""
    _event: asyncio.Event | None = None
    _state: int = _NOTHING
    _lines: list[bytes] = []
    _chunked: bool = False
    _left: int | None = None
    """Bytes of the answer that are still due; None where its end is told another way."""
    complete: bool = False
    gone: bool = False
    task: asyncio.Task[None] | None = None
    over: Callable[[], None] | None = None
    """Told when the app has returned, whatever came of it."""

    @property
    def begun(self) -> bool:
        """Whether anything of the answer is out."""
        return self._state > _HEAD

    async def run(self, app: App, tasks: set[asyncio.Task[None]]) -> None:
        try:
            await app(self.scope, self.receive, self)
            if not self.complete and not self.gone:
                log.error("the app returned without %s", "an answer" if self._state == _NOTHING else "the rest of one")
                await self._give_up()
        except asyncio.CancelledError:
            await self._give_up()
        except Exception as error:
            log.error("the app failed", exc_info=error)
            await self._give_up()
        finally:
            if self.over is not None:
                self.over()
            if self.task is not None:
                tasks.discard(self.task)
                self.task = None

    async def _give_up(self) -> None:
        if self.complete or self.gone:
            return
        if not self.begun:
            self._state, self._left, self._chunked = _NOTHING, None, False
            text = b"Internal Server Error"
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
            await self({"type": "http.response.start", "status": 500, "headers": [*headers, (b"connection", b"close")]})
            await self({"type": "http.response.body", "body": text})
        else:
            # Only an end that comes too soon tells the caller that the answer is not whole.
            self._connection.close()

    # --- the request ---------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        if not self._body:
            self._body = data
        else:
            if type(self._body) is bytes:
                self._body = bytearray(self._body)
            self._body += data
        if len(self._body) > MOST_HELD:
            self._connection.pause_reading()
        self._wake()

    def fill(self, body: bytes) -> None:
        """All of the body, before anybody could ask for it."""
        self._body = body
        self.more_body = False
        self._news = True
        if len(body) > MOST_HELD:
            self._connection.pause_reading()

    def end(self) -> None:
        self.more_body = False
        self._wake()

    def leave(self) -> None:
        """The caller is gone."""
        self.gone = True
        self._wake()

    def _wake(self) -> None:
        self._news = True
        if self._event is not None:
            self._event.set()

    def whole(self) -> bytes | None:
        """The body, if all of it is here and nobody has asked for any of it; it is not received again."""
        if self.more_body or self._read or self._asks_leave or self.gone or self.complete:
            return None
        self._read = True
        body, self._body = bytes(self._body), b""
        self._news = False
        if len(body) > MOST_HELD:
            self._connection.resume_reading()
        return body

    async def receive(self) -> Message:
        self._read = True
        if self._asks_leave:
            self._asks_leave = False
            if self._state == _NOTHING and not self._connection.transport.is_closing():
                self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self.gone and not self.complete:
            self._connection.resume_reading()
            if not self._news:
                if self._event is None:
                    self._event = asyncio.Event()
                await self._event.wait()
            self._news = False
            if self._event is not None:
                self._event.clear()
        if self.gone or self.complete:
            return {"type": "http.disconnect"}
        body, self._body = bytes(self._body), b""
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    # --- the answer ----------------------------------------------------------------------------------------

    def say(self, status: int, usual: Headers, headers: Headers, body: bytes) -> bool:
        """A whole answer, at once; False, and nothing was said, where it has to be sent piece by piece."""
        if self._state != _NOTHING or self.gone or self._connection.write_paused:
            return False
        self._begin(status, headers, usual)
        self._write(body, more=False)
        return True

    async def __call__(self, message: Message) -> None:
        """ASGI's `send`."""
        connection = self._connection
        if connection.write_paused and not self.gone:
            await connection.writable()
        if self.gone:
            return
        state, kind = self._state, message["type"]
        if state == _NOTHING:
            if kind != "http.response.start":
                raise RuntimeError(f"an answer begins with 'http.response.start', not with {kind!r}")
            self._begin(message["status"], message.get("headers", ()))
            return
        if state == _OVER or kind != "http.response.body":
            raise RuntimeError(f"{kind!r} after {'the end' if state == _OVER else 'the beginning'} of an answer")
        self._write(message.get("body", b""), more=message.get("more_body", False))

    def _write(self, body: bytes, *, more: bool) -> None:
        out = self._framed(body, more)
        if self._state == _HEAD:
            self._state = _BODY
            if len(out) <= MOST_JOINED:
                self._lines.append(out)
                out = b""
            self._connection.write(b"".join(self._lines))
            self._lines = []
        if out:
            self._connection.write(out)
        if not more:
            self._end()

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]], usual: Headers = ()) -> None:
        """Holds the head until there are words. Raises RuntimeError for one that cannot be said."""
        spoken, count = self._connection.spoken()
        lines = [STATUS_LINES[status], spoken]
        if usual:
            block, more = _usual.get(id(usual), _NO_BLOCK)[1:]
            if not more:
                block, more = _kept(usual)
            lines.append(block)
            count += more
        closes = told = False
        for name, value in headers:
            prefix, meaning = _names.get(name) or _learned(name)
            lines += (prefix, value, b"\r\n")
            count += 1
            if meaning:
                if meaning == _CONNECTION:
                    closes = closes or b"close" in value.lower().replace(b" ", b"").split(b",")
                elif meaning == _LENGTH and not told:
                    self._left, told = int(value), True
                elif meaning == _CODING and value.lower() == b"chunked":
                    self._left, self._chunked, told = None, True, True
        if closes:
            self.keep_alive = False
        if not told and not self._headless and status not in _NO_BODY:
            # Who speaks 1.0 knows no chunks, and hears the end by the connection's (RFC 9112, section 6.3).
            self._chunked = self.scope["http_version"] != "1.0"
            if self._chunked:
                lines.append(b"transfer-encoding: chunked\r\n")
                count += 1
        elif not told:
            self._left = 0
        if not self.keep_alive and not closes:
            lines.append(b"connection: close\r\n")
            count += 1
        head = b"".join(lines)
        if len(head) - len(head.translate(None, _CONTROLS)) != 2 * (count + 1):
            raise RuntimeError("a header of the answer holds a control character")
        self._lines = [head, b"\r\n"]
        self._state = _HEAD

    def _framed(self, body: bytes, more: bool) -> bytes:
        if self._headless:
            self._left = 0
            return b""
        if self._chunked:
            out = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return out if more else out + b"0\r\n\r\n"
        if self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError(f"the body is {'longer' if self._left < 0 else 'shorter'} than its content-length")
        return body

    def _end(self) -> None:
        self._state = _OVER
        self.complete = True
        self._wake()
        if not self.keep_alive:
            self._connection.close()
        self._connection.answered()


def _kept(usual: Headers) -> tuple[bytes, int]:
    """Headers that say nothing of the framing and come with many answers, as one piece."""
    lines = [(*(_names.get(name) or _learned(name)), value) for name, value in usual]
    if any(meaning for _, meaning, _ in lines):
        raise RuntimeError("a usual header says how long an answer is")
    if len(_usual) >= MOST_NAMES:
        _usual.clear()
    # They are kept with their bytes, so that an id can never come to mean others.
    block = b"".join([b"%b%b\r\n" % (prefix, value) for prefix, _, value in lines])
    _usual[id(usual)] = (usual, block, len(lines))
    return block, len(lines)


def _learned(name: bytes) -> tuple[bytes, int]:
    """How a header's name is written and what it means for the framing. Raises RuntimeError for one that is none."""
    if not name or _BAD_NAME.search(name):
        raise RuntimeError(f"{name!r} is no name of a header")
    if len(_names) >= MOST_NAMES:
        _names.clear()
    lower = name.lower()
    learned = _names[name] = (lower + b": ", _MEANINGS.get(lower, _PLAIN))
    return learned
