"""Where ASGI becomes values and values become ASGI.

Owns: reading a request's body once within bounds, replaying it, noticing that the caller left, writing whole
responses, and the headers that say where an answer came from. No other room touches `receive`.
Refuses: routing, and any opinion about a body beyond its size and what the caller's dialect says of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Self, TypeAlias

from laneway.dialects import Headers, Written
from laneway.exchange import Exchange, Scope
from laneway.failure import Failure, FailureError, Kind, fail
from laneway.record import reason_of
from laneway.route import Target
from laneway.steps import Begun

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_LIMIT = 64 * 1024 * 1024
BODY_LIMIT_S = 60.0

WATCH = "laneway.watch"
"""Scope key of a cheaper way to learn that the caller left: a function that takes a callback (None: stop)."""
WHOLE = "laneway.whole"
"""Scope key of a cheaper way to a body that has arrived already: a function that gives all of it, or None. What it
gave is not received again."""
ENDING = "laneway.ending"
"""Scope key under which an answer without an end of its own leaves the function that ends it, for a server that
stops."""
LEFT = Failure(kind=Kind.CALLER_GONE, message="The caller left before the answer was complete.")
_MOST_DIGITS = 18


class CallerGoneError(Exception):
    """The caller left before the whole body had arrived; there is nobody to answer, and the Exchange says so."""


def ingest_now(exchange: Exchange, scope: Scope, *, limit_bytes: int) -> bool:
    """Reads and checks a body that is here already; False where it is not, or is not as it should be."""
    if exchange.body is None:
        whole: Callable[[], bytes | None] | None = scope.get(WHOLE)
        declared = exchange.headers.get(b"content-length")
        if whole is None or declared is None or not declared.isdigit() or _number(declared) > limit_bytes:
            return False
        exchange.body = whole()
        if exchange.body is None:
            return False
    if exchange.view is None:
        try:
            exchange.view = exchange.dialect.view(exchange.front.op, exchange.body)
        except FailureError:
            return False
    return True


async def ingest(
    exchange: Exchange, receive: Receive, *, limit_bytes: int = BODY_LIMIT, limit_s: float = BODY_LIMIT_S
) -> Receive:
    """Reads and checks the body unless an outer room did, and returns the `receive` for inner rooms.

    Raises FailureError (TOO_LARGE, BODY_TIMEOUT, MALFORMED_REQUEST) and CallerGoneError.
    """
    if exchange.body is None:
        try:
            body = await _read(exchange, receive, limit_bytes, limit_s)
        except CallerGoneError:
            left(exchange)
            raise
        exchange.body = body
        receive = replay(body, receive)
    if exchange.view is None:
        try:
            exchange.view = exchange.dialect.view(exchange.front.op, exchange.body or b"")
        except FailureError:
            coding = exchange.header(b"content-encoding")
            if coding is None or coding == "identity":
                raise
            message = f"The body is encoded as {coding[:40]!r}, which is not read here: send it as it is."
            raise fail(Kind.MALFORMED_REQUEST, message) from None
    return receive


async def _read(exchange: Exchange, receive: Receive, limit_bytes: int, limit_s: float) -> bytes:
    declared = exchange.headers.get(b"content-length")
    if declared is not None and declared.isdigit() and _number(declared) > limit_bytes:
        raise _too_large(limit_bytes)
    # Nearly every body is there in one piece when it is asked for, and needs no clock.
    begun = Begun(receive())
    if begun.done and not begun.value.get("more_body", False):
        body = _body(begun.value)
        if len(body) > limit_bytes:
            raise _too_large(limit_bytes)
        return body
    try:
        async with asyncio.timeout(limit_s):
            message = await begun
            # One buffer, not a list: a body in pieces of two bytes must not take twenty times its size.
            whole = bytearray(_body(message))
            while message.get("more_body", False) and len(whole) <= limit_bytes:
                message = await receive()
                whole += _body(message)
    except TimeoutError:
        raise fail(Kind.BODY_TIMEOUT, f"The request body did not arrive whole within {limit_s:g} seconds.") from None
    if len(whole) > limit_bytes:
        raise _too_large(limit_bytes)
    return bytes(whole)


def _body(message: Message) -> bytes:
    if message["type"] != "http.request":
        raise CallerGoneError
    body: bytes = message.get("body", b"")
    return body


def _number(digits: bytes) -> int:
    # Python refuses to read thousands of digits; whoever sends them means to send too much.
    return int(digits) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS


def _too_large(limit_bytes: int) -> FailureError:
    return fail(Kind.TOO_LARGE, f"The request body is larger than the limit of {limit_bytes} bytes.")


def left(exchange: Exchange) -> None:
    """Notes that the caller left; a status that went out before stays."""
    exchange.gone = True
    exchange.failure = LEFT
    if not exchange.status:
        exchange.status = LEFT.status


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the whole body first and then whatever the caller does next."""
    given = False

    async def again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        # What is asked behind the body may be an outer room's replay that was never read: no app gets a body twice.
        while (message := await receive())["type"] == "http.request":
            pass
        return message

    return again


class Watch:
    """While entered, ends what is inside when the caller leaves: the block is left quietly, and `gone` says so.

    Our own server tells by a callback, which costs nothing; under any other server a task reads `receive`. A
    cancellation that comes from elsewhere goes through.
    """

    __slots__ = ("_asked", "_cancelled", "_hook", "_reader", "_receive", "_task", "gone")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._hook: Callable[[Callable[[], None] | None], None] | None = scope.get(WATCH)
        self._receive = receive
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = self.gone = False

    def __enter__(self) -> Self:
        self._task = task = asyncio.current_task()
        self._asked = task.cancelling() if task is not None else 0
        self._reader: asyncio.Task[None] | None = None
        if self._hook is not None:
            self._hook(self._left)
        else:
            self._reader = asyncio.ensure_future(self._read())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        if self._hook is not None:
            self._hook(None)
        elif self._reader is not None:
            self._reader.cancel()
        task, self._task = self._task, None
        if task is None or not self._cancelled:
            return False
        # Only what this watch asked for is taken back: who cancelled the task as well still finds it cancelled.
        return task.uncancel() <= self._asked and kind is not None and issubclass(kind, asyncio.CancelledError)

    async def _read(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left()

    def _left(self) -> None:
        if self._task is not None and not self.gone:
            self.gone = True
            # A server may tell while the task itself runs (in a send): it is cancelled where it waits, or not at all.
            self._task.get_loop().call_soon(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._cancelled = True
            self._task.cancel()


Say: TypeAlias = Callable[[int, Headers, Headers, bytes], bool]
"""A `send` may have this as its `say`: it takes a whole answer at once, or answers that it cannot. The first headers
are one and the same object for many answers."""


async def answer(
    exchange: Exchange,
    send: Send,
    written: Written,
    headers: list[tuple[bytes, bytes]] | None = None,
    *,
    usual: Headers = (),
) -> None:
    """Answers the caller with a whole response. The `usual` headers are the same for many."""
    exchange.status = written.status
    # Our own server takes all of it at once, if nobody stands between.
    say: Say | None = getattr(send, "say", None)
    head = _headers(exchange, written, headers)
    if say is None or not say(written.status, usual, head, written.body):
        await send({"type": "http.response.start", "status": written.status, "headers": [*head, *usual]})
        await send({"type": "http.response.body", "body": written.body})


async def deliver(
    exchange: Exchange, send: Send, written: Written, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """Sends a whole response that an outer room may still hold back, so that nothing is noted of it."""
    head = _headers(exchange, written, headers)
    await send({"type": "http.response.start", "status": written.status, "headers": head})
    await send({"type": "http.response.body", "body": written.body})


def _headers(
    exchange: Exchange, written: Written, headers: list[tuple[bytes, bytes]] | None
) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", written.content_type),
        (b"content-length", b"%d" % len(written.body)),
        *written.headers,
        *(headers if headers is not None else marks(exchange, None)),
    ]


async def refuse(
    exchange: Exchange, send: Send, failure: Failure, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """Answers with a failure, in the caller's own dialect."""
    exchange.failure = failure
    written = exchange.dialect.write_failure(failure, exchange.request_id)
    if failure.kind is Kind.BODY_TIMEOUT:
        # The rest of the body is not waited for, so the connection cannot carry another request. Of a body that is
        # too large the server lets the rest pass unread: closing would take the answer from a caller still sending.
        written = Written(
            written.status, written.body, written.content_type, (*written.headers, (b"connection", b"close"))
        )
    await answer(exchange, send, written, headers)


def is_ours(app: object) -> bool:
    """Whether only rooms of ours are inside, down to the innermost: they note on the Exchange how they answered."""
    while type(app).__module__.startswith("laneway."):
        inner = getattr(app, "app", None)
        if inner is None:
            return True
        app = inner
    return False


def noting(exchange: Exchange, send: Send) -> Send:
    """A `send` that notes the status of an app which is not ours."""

    async def noted(message: Message) -> None:
        if message["type"] == "http.response.start" and not exchange.status:
            exchange.status = message["status"]
        await send(message)

    return noted


def stream_head(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """What every stream begins with, whoever serves it."""
    return [
        (b"content-type", exchange.dialect.stream_type),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ]


def early_head(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """The head of a stream that goes out before anybody knows who will serve it."""
    return [*stream_head(exchange), *usual_marks(exchange, None), *_own(exchange)]


_marks: dict[tuple[int, int, str], tuple[tuple[object, object], tuple[tuple[bytes, bytes], ...]]] = {}


def marks(exchange: Exchange, target: Target | None, *, calls: int | None = None) -> list[tuple[bytes, bytes]]:
    """The headers that say where an answer came from; `calls` where the last attempt is not on record yet."""
    return [*usual_marks(exchange, target), *own_marks(exchange, target, calls=calls)]


def own_marks(exchange: Exchange, target: Target | None, *, calls: int | None = None) -> list[tuple[bytes, bytes]]:
    """Those of them that are this request's alone."""
    headers = _own(exchange)
    headers.append((b"x-laneway-attempts", b"%d" % (made(exchange) if calls is None else calls)))
    attempts = exchange.attempts
    if target is not None and (exchange.skipped or (attempts and attempts[0].failure is not None)):
        reason = reason_of(exchange.decision, exchange.skipped, attempts)
        if reason is not None:
            headers.append((b"x-laneway-fallback", reason.encode()))
    return headers


def _own(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """Those that are known before anybody has answered."""
    headers = [(b"x-laneway-request-id", exchange.request_id.encode())]
    if exchange.receipt is not None:
        headers.append((b"x-laneway-decision", exchange.receipt.id.encode()))
    return headers


def usual_marks(exchange: Exchange, target: Target | None) -> tuple[tuple[bytes, bytes], ...]:
    """Those that are the same for every answer of a target in a lane: the same object."""
    lane = exchange.lane
    key = (id(target), id(lane), exchange.version)
    found = _marks.get(key)
    if found is None:
        if len(_marks) > 4096:
            _marks.clear()
        # The objects are kept with their headers, so that an id can never come to mean another one.
        found = _marks[key] = ((target, lane), _fixed_marks(exchange, target))
    return found[1]


def made(exchange: Exchange) -> int:
    """How many calls of providers this request has led to."""
    calls = 0
    for attempt in exchange.attempts:
        calls += attempt.called
    return calls


def _fixed_marks(exchange: Exchange, target: Target | None) -> tuple[tuple[bytes, bytes], ...]:
    fixed: list[tuple[str, str]] = []
    if target is not None:
        fixed += [
            ("x-llm-backend", target.provider.name),
            ("x-laneway-provider", target.provider.name),
            ("x-laneway-model", target.upstream),
            ("x-laneway-tier", target.provider.tier.value),
        ]
    if exchange.lane is not None:
        fixed.append(("x-laneway-lane", exchange.lane.name))
        if target is not None and (badge := exchange.lane.badges.get(target.name)):
            fixed.append(("x-laneway-badge", badge))
    if exchange.version:
        fixed.append(("x-laneway-config", exchange.version))
    return tuple((name.encode(), value.encode("utf-8", "replace")) for name, value in fixed)
