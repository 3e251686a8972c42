"""Meter: reads what an app's answer used while it passes to the caller.

Owns: following a response of one of our dialects, whole or streamed, and the usage that can be seen in it, counted
from deltas where the app reported none.
Refuses: changing, delaying or withholding a byte.
"""

from __future__ import annotations

from laneway.chat import TextDelta, ThinkingDelta, ToolDelta, Usage, Used
from laneway.dialects import Frame, StreamReader
from laneway.edge import Message, Send
from laneway.exchange import Exchange
from laneway.failure import FailureError
from laneway.policy.price import counted_tokens

MOST_KEPT = 8 << 20


class Meter:
    """A `send` that looks. Ask `usage()` when the app has returned."""

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self._exchange = exchange
        self._send = send
        self._reader: StreamReader | None = None
        self._pieces: list[bytes] = []
        self._kept = 0
        self._usage = Usage()
        self._chars = 0
        self.answered = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.answered = 200 <= message["status"] < 300
            self._exchange.status = message["status"]
            kind = dict(message.get("headers", ())).get(b"content-type", b"")
            if kind.partition(b";")[0] == self._exchange.dialect.stream_type.partition(b";")[0]:
                self._reader = self._exchange.dialect.reader(self._exchange.op)
        elif self.answered:
            self._look(message.get("body", b""))
        await self._send(message)

    def _look(self, data: bytes) -> None:
        if self._reader is None:
            self._kept += len(data)
            if self._kept <= MOST_KEPT:
                self._pieces.append(data)
            return
        try:
            self._count(self._reader.feed(data))
        except FailureError:
            self.answered = False

    def _count(self, frames: list[Frame]) -> None:
        for frame in frames:
            for event in frame.events:
                if isinstance(event, Used):
                    self._usage = self._usage.merged(event.usage)
                elif isinstance(event, TextDelta | ThinkingDelta):
                    self._chars += len(event.text)
                elif isinstance(event, ToolDelta):
                    self._chars += len(event.arguments)

    def usage(self) -> Usage:
        """What was reported; where the answer's or the prompt's figure is missing, what was counted."""
        usage = self._usage
        if self._reader is None and self.answered and self._kept <= MOST_KEPT:
            usage = self._exchange.dialect.glance(self._exchange.op, b"".join(self._pieces)).usage
        view = self._exchange.view
        counted = Usage(
            input=counted_tokens(view.text_chars if view is not None else 0) if self.answered else 0,
            output=counted_tokens(self._chars),
        )
        return counted.merged(usage)
