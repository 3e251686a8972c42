"""Inline: the events of a request inside its own stream, for a caller who asked for them.

Owns: a frame for each event in the caller's format, where it may stand (before the frame that ends the stream), and
keeping that one back until everything is known.
Refuses: streams of callers who did not ask, whole answers (their headers say it), and formats whose clients would
stumble: OpenAI's read a chunk without choices, Anthropic's an event of a type that they do not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from laneway.edge import Message, Send
from laneway.exchange import Exchange

HEADER = b"x-laneway-events"
_ENDS = {"openai": (b"data: [DONE]", b"data:[DONE]"), "anthropic": (b"event: message_stop", b"event:message_stop")}
_encode = msgspec.json.Encoder().encode


def asked(exchange: Exchange) -> bool:
    return exchange.headers[HEADER].strip().lower() == b"inline" and exchange.front.dialect in _ENDS


class Inline:
    """A `send` that puts events between the pieces of a stream. `finish` comes when the app has returned."""

    __slots__ = ("_ends", "_exchange", "_frames", "_held", "_line", "_send", "_streams")

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self._exchange = exchange
        self._send = send
        self._ends = _ENDS[exchange.front.dialect]
        self._frames: list[bytes] = []
        self._streams = False
        self._line = True
        """What went out last ended a line, so that a mark may follow."""
        self._held: bytes | None = None

    def add(self, name: str, facts: Mapping[str, object]) -> None:
        """Goes out with the next piece."""
        # What cannot be put into words must not spoil the answer.
        with suppress(TypeError, ValueError):
            self._frames.append(_frame(self._exchange, name, facts))

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kind = dict(message.get("headers", ())).get(b"content-type", b"")
            self._streams = kind.partition(b";")[0] == b"text/event-stream"
        elif self._streams:
            await self._pass(message)
            return
        await self._send(message)

    async def _pass(self, message: Message) -> None:
        body: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        if self._held is None:
            at = self._end_in(body)
            if at is not None:
                body, self._held = body[:at], body[at:]
        else:
            self._held += body
            body = b""
        if not more and self._held is None:
            self._held = b""
        if body:
            self._line = body.endswith((b"\n", b"\r"))
            out = b"".join((*self._frames, body)) if self._line else body
            if self._line:
                self._frames.clear()
            await self._send({"type": "http.response.body", "body": out, "more_body": True})

    def _end_in(self, body: bytes) -> int | None:
        """Where the frame begins that ends the stream; a mark inside somebody's text is escaped, and begins no line."""
        for mark in self._ends:
            at = body.rfind(mark)
            if at > 0 and body[at - 1 : at] in (b"\n", b"\r"):
                return at
            if at == 0 and self._line:
                return at
        return None

    async def finish(self, name: str, facts: Mapping[str, object]) -> None:
        """The last event, and what was kept back. Nothing where no stream was under way, or its caller left."""
        if self._held is None or self._exchange.gone:
            return
        self.add(name, facts)
        # ASGI's HTTP specification, "Disconnected Client": a server's `send` may raise then.
        with suppress(OSError):
            await self._send({"type": "http.response.body", "body": b"".join((*self._frames, self._held))})


def _frame(exchange: Exchange, name: str, facts: Mapping[str, object]) -> bytes:
    data: dict[str, object]
    if exchange.front.dialect == "anthropic":
        data = {"type": name, "laneway": facts}
    else:
        view = exchange.view
        data = {
            "id": exchange.request_id,
            "object": "text_completion" if exchange.front.op.value == "complete" else "chat.completion.chunk",
            "created": int(exchange.started_at_s),
            "model": view.model if view is not None else "",
            "choices": [],
            "laneway": facts,
        }
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode(data))
