"""Anthropic's event stream, read (https://docs.claude.com/en/docs/build-with-claude/streaming).

Owns: which content block of the wire is which part of the answer, and the joining of usage that comes in two pieces.
Refuses: to call an answer whole unless `message_stop` came, and to fall over events and deltas of tomorrow, which
Anthropic's versioning policy allows.
"""

from __future__ import annotations

import msgspec

from laneway.chat import (
    Event,
    Faulted,
    Finished,
    Skipped,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolBegan,
    ToolDelta,
    Used,
)
from laneway.dialects import Frame
from laneway.dialects.anthropic import fault
from laneway.dialects.anthropic.answer import (
    WireUsage,
    read_finish,
    read_usage,
)
from laneway.failure import Failure, FailureError
from laneway.wire import sse
from laneway.wire.fault import CUT, misfit
from laneway.wire.json import NONE, UNREADABLE


class _Delta(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None


class _BlockDelta(msgspec.Struct, gc=False):
    index: int
    delta: _Delta


class _Block(msgspec.Struct, gc=False):
    type: str
    text: str | None = None
    thinking: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = NONE


class _BlockStart(msgspec.Struct, gc=False):
    index: int
    content_block: _Block


class _Head(msgspec.Struct, gc=False):
    id: str = ""
    model: str = ""
    usage: WireUsage | None = None


class _MessageStart(msgspec.Struct, gc=False):
    message: _Head


class _Stop(msgspec.Struct, gc=False):
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _MessageDelta(msgspec.Struct, gc=False):
    delta: _Stop
    usage: WireUsage | None = None


class _Error(msgspec.Struct, gc=False):
    error: fault.Said


class _Name(msgspec.Struct, gc=False):
    type: str


_block_delta = msgspec.json.Decoder(_BlockDelta).decode
_block_start = msgspec.json.Decoder(_BlockStart).decode
_message_start = msgspec.json.Decoder(_MessageStart).decode
_message_delta = msgspec.json.Decoder(_MessageDelta).decode
_error = msgspec.json.Decoder(_Error).decode
_name = msgspec.json.Decoder(_Name).decode
_NO_STREAM = misfit("a stream in Anthropic's format")
_KINDS = {"text": "text", "thinking": "thinking", "redacted_thinking": "redacted", "tool_use": "tool"}


class Reader:
    """One stream of one answer."""

    __slots__ = ("_began", "_finished", "_frames", "_over", "block", "blocks", "kind", "odd", "tools", "usage")

    def __init__(self) -> None:
        self._frames = sse.SseFrames()
        self.usage = WireUsage()
        # The answer's tool calls by the index of their block on the wire.
        self.tools: dict[int, int] = {}
        # The block being told: its kind ("" for none) and its index; how many there were.
        self.kind = ""
        self.block = 0
        self.blocks = 0
        # There was a block that no neutral event says.
        self.odd = False
        # An answer came, or the beginning of one.
        self._began = False
        self._finished = False
        # Whole or failed: in either case nothing more is said about the end.
        self._over = False

    def feed(self, data: bytes) -> list[Frame]:
        try:
            frames = self._frames.feed(data)
        except FailureError as error:
            return [Frame(b"", self._fail(error.failure))]
        return [Frame(frame.raw, self._read(frame)) for frame in frames]

    def end(self) -> list[Frame]:
        frames = [Frame(frame.raw, self._read(frame)) for frame in self._frames.end()]
        rest = self._frames.rest()
        if not self._over:
            return [*frames, Frame(rest, self._fail(CUT if self._began else _NO_STREAM))]
        return [*frames, Frame(rest, ())] if rest else frames

    def _fail(self, failure: Failure) -> tuple[Event, ...]:
        if self._over:
            return ()
        self._over = True
        return (Faulted(failure),)

    def _read(self, frame: sse.SseFrame) -> tuple[Event, ...]:
        data = frame.data
        if data is None:
            return ()
        try:
            event = frame.event or _name(data).type
            if event == "content_block_delta":
                return self._read_delta(data)
            if event == "content_block_start":
                return self._read_block(data)
            if event == "message_start":
                message = _message_start(data).message
                self._began = True
                started = Started(message.id, message.model)
                return (started, self._use(message.usage)) if message.usage else (started,)
            if event == "message_delta":
                return self._read_end(data)
            if event == "message_stop":
                return self._read_stop()
            if event == "content_block_stop":
                self.kind = ""
            elif event == "error":
                return self._read_error(data)
        except UNREADABLE:
            return (Skipped(len(frame.raw)),)
        return ()

    def _read_stop(self) -> tuple[Event, ...]:
        if not self._finished:
            # An end without a reason: the chunk that gave it was lost or never came.
            return self._fail(CUT)
        self._over = True
        return ()

    def _read_error(self, data: bytes) -> tuple[Event, ...]:
        try:
            said = _error(data).error
        except UNREADABLE:
            # Whatever it says, the provider called it an error.
            said = fault.Said()
        return self._fail(fault.build_failure(said, 0))

    def _read_delta(self, data: bytes) -> tuple[Event, ...]:
        said = _block_delta(data)
        delta = said.delta
        if delta.text is not None:
            return (TextDelta(delta.text),)
        if delta.partial_json is not None:
            # A tool that runs at Anthropic has no number: it is no call the caller has to answer.
            number = self.tools.get(said.index)
            return (ToolDelta(number, delta.partial_json),) if number is not None and delta.partial_json else ()
        if delta.thinking is not None:
            return (ThinkingDelta(delta.thinking),) if delta.thinking else ()
        # Servers that imitate Anthropic's may sign with nothing, which is no signature.
        return (ThinkingDelta(signature=delta.signature),) if delta.signature else ()

    def _read_block(self, data: bytes) -> tuple[Event, ...]:
        said = _block_start(data)
        self._began = True
        block = said.content_block
        self.kind = _KINDS.get(block.type, block.type)
        self.block, self.blocks = said.index, max(self.blocks, said.index + 1)
        self.odd = self.odd or block.type not in _KINDS
        if block.type == "tool_use":
            number = self.tools[said.index] = len(self.tools)
            began = ToolBegan(number, block.id or "", block.name or "")
            # Anthropic begins with {} and sends the arguments behind it; some others send them whole, here.
            whole = bytes(block.input)
            return (began,) if whole in (b"", b"{}") else (began, ToolDelta(number, whole.decode()))
        if block.type == "redacted_thinking":
            return (ThinkingDelta(redacted=block.data),)
        if block.text:
            return (TextDelta(block.text),)
        return (ThinkingDelta(block.thinking),) if block.thinking else ()

    def _read_end(self, data: bytes) -> tuple[Event, ...]:
        said = _message_delta(data)
        events: tuple[Event, ...] = (self._use(said.usage),) if said.usage else ()
        if said.delta.stop_reason is None:
            return events
        self._finished = True
        return (*events, Finished(read_finish(said.delta.stop_reason), said.delta.stop_sequence))

    def _use(self, said: WireUsage) -> Used:
        """The figures of a message_delta are sums; one it does not name stays as message_start said it."""
        known = self.usage
        for name in WireUsage.__struct_fields__:
            if (figure := getattr(said, name)) is not None:
                setattr(known, name, figure)
        return Used(read_usage(known))
