"""Passage: a request passed to the lane's legacy path as it came, and its answer back, byte for byte.

Owns: which headers belong to the connection and stay here, the path, a light reader beside the answer that learns what
was used, and an honest end where the legacy path breaks off. Keys and sessions that this gateway knows stay here.
Refuses: deciding, retrying, translating, budgets (nobody else's spending is held to them) and any call that is not
known to be free behind a kill.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote

from laneway.allowance import who_of
from laneway.attempt import Running
from laneway.chat import Finished, Op, TextDelta, ThinkingDelta, Used
from laneway.dialects import FRONTS, Front, Stamp, StreamReader, dialect
from laneway.edge import LEFT, Receive, Send, Watch, left, marks, refuse
from laneway.exchange import Exchange, Scope
from laneway.failure import Failure, FailureError, Kind, fail
from laneway.policy.budgets import stopped, told_of
from laneway.ports import Call, Kill, Reply, Upstream
from laneway.route import Decision, Target

# RFC 9110, section 7.6.1, and what the engine or the server writes itself.
OF_THE_CONNECTION = frozenset(
    b"connection proxy-connection keep-alive te trailer transfer-encoding upgrade expect host content-length".split()
)
OF_THE_ANSWER = OF_THE_CONNECTION | {b"date"}
OF_THE_CALL = OF_THE_CONNECTION | {b"cookie"}
"""A browser's session is with this gateway."""
KEYS = frozenset((b"authorization", b"x-api-key"))
MOST_WHOLE = 1 << 20
"""An answer that is no stream is sent when it is whole, up to this size."""
PATHS: Mapping[Front, str] = {front: path for path, front in FRONTS.items()}


class Passage:
    """Passes requests on. One for all lanes."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        killed: Callable[[], Mapping[str, Kill]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upstream = upstream
        self._killed = killed
        self._clock = clock

    async def take(self, exchange: Exchange, target: Target, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers as the legacy path does. What it came to is the last attempt on the Exchange."""
        exchange.decision = Decision(ranked=(target,), by="legacy", reason="the lane passes it to its legacy path")
        running = Running(target, self._clock())
        watch = Watch(scope, receive)
        fault: Failure | None = LEFT
        try:
            with watch:
                fault = await self._pass(exchange, running, scope, send)
        except FailureError as error:
            if not watch.gone:
                self._record(exchange, running, error.failure)
                await refuse(exchange, send, error.failure)
                return
        except asyncio.CancelledError:
            self._record(exchange, running, _STOPPED)
            raise
        except OSError:
            # ASGI's HTTP specification, "Disconnected Client": a server's `send` may raise an OSError then.
            if not exchange.status:
                raise
        finally:
            if running.reply is not None:
                await running.reply.close()
        if fault is LEFT:
            left(exchange)
        elif fault is not None:
            exchange.failure = fault
        self._record(exchange, running, fault)

    def _record(self, exchange: Exchange, running: Running, failure: Failure | None) -> None:
        if not running.recorded:
            running.recorded = True
            exchange.attempts.append(running.ended(exchange.view, self._clock(), failure))

    async def _pass(self, exchange: Exchange, running: Running, scope: Scope, send: Send) -> Failure | None:
        target = running.target
        call = _call(exchange, target, scope)
        kills = self._killed() if self._killed is not None else {}
        if kills and (kill := stopped(kills, who_of(exchange), target)) is not None:
            raise fail(Kind.OVER_BUDGET, f"The legacy path was not called: {told_of(kill)}.")
        running.sent = True
        reply = running.reply = await self._upstream.open(call, target.clocks)
        running.status = reply.status
        limit_s = target.clocks.between_chunks_s
        if _is_stream(reply):
            return await self._stream(exchange, running, reply, b"", send)
        size, pieces = 0, list[bytes]()
        while piece := await reply.read(limit_s):
            pieces.append(piece)
            size += len(piece)
            if size > MOST_WHOLE:
                return await self._stream(exchange, running, reply, b"".join(pieces), send)
        body = b"".join(pieces)
        exchange.status = reply.status
        size_line = (b"content-length", str(size).encode())
        headers = [*_headers(exchange, reply), size_line]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return _noted(exchange, running, reply, body)

    async def _stream(
        self, exchange: Exchange, running: Running, reply: Reply, begun: bytes, send: Send
    ) -> Failure | None:
        """Every read is followed by one send; what it says is looked at behind that."""
        exchange.status = reply.status
        await send({"type": "http.response.start", "status": reply.status, "headers": _headers(exchange, reply)})
        reader = _reader(exchange, reply)
        limit_s, last = running.target.clocks.between_chunks_s, begun
        if begun:
            await send({"type": "http.response.body", "body": begun, "more_body": True})
        try:
            while piece := await reply.read(limit_s):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                last = piece
                if running.first_content_at_s is None:
                    running.first_content_at_s = self._clock()
                if reader is not None and not _look(reader, piece, running):
                    reader = None
        except FailureError as error:
            end = b"" if last.endswith(b"\n") else b"\n" if exchange.front.dialect == "ollama" else b"\n\n"
            stamp = Stamp(id=exchange.request_id, model="", now_s=int(exchange.started_at_s))
            fault = exchange.dialect.writer(exchange.op, stamp, usage=False).fault(error.failure)
            await send({"type": "http.response.body", "body": end + fault, "more_body": False})
            return error.failure
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return None


_STOPPED = Failure(kind=Kind.STOPPING, message="The gateway was stopped while it passed this request on.")


def _call(exchange: Exchange, target: Target, scope: Scope) -> Call:
    provider, body = target.provider, exchange.body or b""
    own = {name for name, _ in provider.headers}
    # A key of this gateway is nobody else's business; one that is not known here is the legacy path's own.
    dropped = OF_THE_CALL | own | _listed(exchange) | (KEYS if exchange.key_id is not None or own else set())
    headers = [(name, value) for name, value in scope["headers"] if name not in dropped]
    view = exchange.view
    if target.upstream and view is not None and view.model != target.upstream:
        body = exchange.dialect.patch(exchange.op, body, target.upstream, ask_usage=False)
    query: bytes = scope.get("query_string", b"")
    path = _path(provider.path, PATHS[exchange.front]) + (f"?{query.decode('latin-1')}" if query else "")
    return Call("POST", provider.origin, path, (*headers, *provider.headers), body)


def _listed(exchange: Exchange) -> set[bytes]:
    """Headers that the caller's `connection` names belong to it as well."""
    value = exchange.headers.get(b"connection", b"").lower()
    return {name.strip() for name in value.split(b",")} if value else set()


def _path(base: str, front: str) -> str:
    """A front's path behind a base url, which may hold the beginning of it: `.../v1`, however its clients write it."""
    begin = next((begin for begin in ("/v1", "/api") if base.endswith(begin)), "")
    return quote(base.removesuffix(begin), safe="/%:@!$&'()*+,;=~-._") + front


def _is_stream(reply: Reply) -> bool:
    kind = next((value.lower() for name, value in reply.headers if name == b"content-type"), b"")
    return kind.startswith((b"text/event-stream", b"application/x-ndjson"))


def _headers(exchange: Exchange, reply: Reply) -> list[tuple[bytes, bytes]]:
    stage = exchange.stage.value.encode() if exchange.stage is not None else b""
    theirs = [(name, value) for name, value in reply.headers if name not in OF_THE_ANSWER]
    return [*theirs, *marks(exchange, None, calls=1), (b"x-laneway-stage", stage)]


def _noted(exchange: Exchange, running: Running, reply: Reply, body: bytes) -> Failure | None:
    """What a whole answer says of itself. It has gone out, and nothing that is odd about it can hurt it any more."""
    try:
        if not 200 <= reply.status < 300:
            return exchange.dialect.read_failure(reply.status, reply.headers, body)
        if _is_plain(reply):
            seen = exchange.dialect.glance(exchange.op, body)
            running.usage, running.finish = seen.usage, seen.finish
            return seen.failure
    except Exception:  # noqa: BLE001 - whatever stands in somebody else's answer
        return None
    return None


def _is_plain(reply: Reply) -> bool:
    return all(name != b"content-encoding" or value == b"identity" for name, value in reply.headers)


def _reader(exchange: Exchange, reply: Reply) -> StreamReader | None:
    if exchange.op not in (Op.CHAT, Op.COMPLETE) or not _is_plain(reply) or not 200 <= reply.status < 300:
        return None
    return dialect(exchange.front.dialect).reader(exchange.op)


def _look(reader: StreamReader, piece: bytes, running: Running) -> bool:
    """Learns what was used; False where it cannot be read, and then nobody tries again."""
    try:
        for frame in reader.feed(piece):
            for event in frame.events:
                kind = type(event)
                if kind is Used:
                    running.usage = running.usage.merged(event.usage)  # type: ignore[union-attr]
                elif kind is TextDelta or kind is ThinkingDelta:
                    running.chars += len(event.text)  # type: ignore[union-attr]
                elif kind is Finished:
                    running.finish = event.finish  # type: ignore[union-attr]
    except Exception:  # noqa: BLE001 - whatever stands in somebody else's answer
        return False
    return True
