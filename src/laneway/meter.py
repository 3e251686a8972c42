"""Meter: reads what an app's answer used while it passes to the caller.

Owns: following a response of one of our dialects, whole or streamed, and the usage that can be seen in it, counted
from deltas where the app reported none.
Refuses: changing, delaying or withholding a byte.
"""

from __future__ import annotations

from laneway.attempt import body_chars
from laneway.chat import Finished, Op, TextDelta, ThinkingDelta, ToolDelta, Usage, Used
from laneway.dialects import Frame, StreamReader
from laneway.edge import Message, Send
from laneway.exchange import Exchange
from laneway.policy.price import filled

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
        self._whole = False
        self.answered = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.answered = 200 <= message["status"] < 300
            if not self._exchange.status:
                self._exchange.status = message["status"]
            kind = dict(message.get("headers", ())).get(b"content-type", b"")
            if kind.partition(b";")[0] == self._exchange.dialect.stream_type.partition(b";")[0]:
                self._reader = self._exchange.dialect.reader(self._exchange.op)
        elif self.answered:
            self._look(message.get("body", b""))
        await self._send(message)

    def _look(self, data: bytes) -> None:
        if self._reader is not None:
            self._count(self._reader.feed(data))
            return
        self._kept += len(data)
        if self._kept <= MOST_KEPT:
            self._pieces.append(data)

    def _count(self, frames: list[Frame]) -> None:
        for frame in frames:
            for event in frame.events:
                if isinstance(event, Used):
                    self._usage = self._usage.merged(event.usage)
                elif isinstance(event, TextDelta | ThinkingDelta):
                    self._chars += len(event.text)
                elif isinstance(event, ToolDelta):
                    self._chars += len(event.arguments)
                elif isinstance(event, Finished):
                    self._whole = True

    def usage(self) -> Usage:
        """What was reported; where the answer's or the prompt's figure is missing, what was counted."""
        if not self.answered or self._exchange.op is Op.COUNT:
            return Usage()
        if self._reader is not None:
            self._count(self._reader.end())
        else:
            self._read_whole()
        view = self._exchange.view
        prompt_chars = view.text_chars if view is not None else 0
        return filled(self._usage, prompt_chars=prompt_chars, answer_chars=self._chars, whole=self._whole)[0]

    def _read_whole(self) -> None:
        self._whole = True
        speaks, op = self._exchange.dialect, self._exchange.op
        body = b"".join(self._pieces)
        if self._kept == len(body):
            self._usage = speaks.glance(op, body).usage
        if self._usage.output is None and op is not Op.EMBED:
            self._chars = body_chars(speaks, op, body) if self._kept == len(body) else self._kept
