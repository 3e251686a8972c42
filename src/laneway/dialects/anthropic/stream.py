"""Anthropic's event stream, both ways (https://docs.claude.com/en/docs/build-with-claude/streaming).

Owns: which content block of the wire is which part of the answer, the joining of usage that comes in two pieces, and
the order a caller may rely on: message_start, then blocks one after the other, message_delta, message_stop.
Refuses: to end an answer as whole unless `message_stop` came (reading) or a finish was given (writing), and to fall
over events and deltas of tomorrow, which Anthropic's versioning policy allows.
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
    Usage,
    Used,
)
from laneway.dialects import Frame, Stamp
from laneway.dialects.anthropic import fault
from laneway.dialects.anthropic.answer import (
    WireUsage,
    read_finish,
    read_usage,
    write_finish,
    write_id,
    write_usage,
)
from laneway.failure import Failure, FailureError
from laneway.wire import sse
from laneway.wire.fault import CUT, misfit
from laneway.wire.json import NONE, UNREADABLE, encode

# --- reading -----------------------------------------------------------------------------------------------


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


class Reader:
    """One stream of one answer."""

    __slots__ = ("_began", "_finished", "_frames", "_over", "_tools", "_usage")

    def __init__(self) -> None:
        self._frames = sse.SseFrames()
        self._usage = WireUsage()
        # The answer's tool calls by the index of their block on the wire.
        self._tools: dict[int, int] = {}
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
            if event == "error":
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
            number = self._tools.get(said.index)
            return (ToolDelta(number, delta.partial_json),) if number is not None and delta.partial_json else ()
        if delta.thinking is not None:
            return (ThinkingDelta(delta.thinking),) if delta.thinking else ()
        # Servers that imitate Anthropic's may sign with nothing, which is no signature.
        return (ThinkingDelta(signature=delta.signature),) if delta.signature else ()

    def _read_block(self, data: bytes) -> tuple[Event, ...]:
        said = _block_start(data)
        self._began = True
        block = said.content_block
        if block.type == "tool_use":
            number = self._tools[said.index] = len(self._tools)
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
        known = self._usage
        for name in WireUsage.__struct_fields__:
            if (figure := getattr(said, name)) is not None:
                setattr(known, name, figure)
        return Used(read_usage(known))


# --- writing -----------------------------------------------------------------------------------------------


class Writer:
    """One answer as Anthropic streams it.

    `message_start` waits for the first content, because only then a provider has said what the prompt cost, if it
    says so before the end at all; where it does not, message_delta carries the figures.
    """

    __slots__ = (
        "_began",
        "_blocks",
        "_failed",
        "_finish",
        "_kind",
        "_lead",
        "_open",
        "_signed",
        "_stamp",
        "_started",
        "_tools",
        "_usage",
    )

    def __init__(self, stamp: Stamp) -> None:
        self._stamp = stamp
        self._began: Started | None = None
        self._started = False
        self._usage = Usage()
        self._finish: Finished | None = None
        self._failed = False
        # The block being written: its kind ("" for none) and its index; how many there were.
        self._kind = ""
        self._open = 0
        self._blocks = 0
        self._lead = b""
        self._signed = False
        # Block indexes by the number of the tool call.
        self._tools: dict[int, int] = {}

    def write(self, event: Event) -> bytes:
        if self._failed:
            return b""
        kind = type(event)
        if kind is TextDelta:
            return self._write_text(event)  # type: ignore[arg-type]
        if kind is ToolDelta:
            return self._write_arguments(event)  # type: ignore[arg-type]
        if kind is ThinkingDelta:
            return self._write_thinking(event)  # type: ignore[arg-type]
        if kind is ToolBegan:
            return self._begin_tool(event)  # type: ignore[arg-type]
        if isinstance(event, Used):
            self._usage = self._usage.merged(event.usage)
        elif isinstance(event, Finished):
            self._finish = event
        elif isinstance(event, Started):
            self._began = event
        elif isinstance(event, Faulted):
            return self.fault(event.failure)
        return b""

    def fault(self, failure: Failure) -> bytes:
        if self._failed:
            return b""
        self._failed = True
        return sse.encode(fault.write_error(failure), "error")

    def end(self) -> bytes:
        if self._finish is None or self._failed:
            # No stop reason, no whole answer.
            return self.fault(CUT)
        finish = self._finish
        reason = write_finish(finish.finish, called=bool(self._tools))
        said = {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": finish.stop_sequence},
            "usage": write_usage(self._usage),
        }
        return (
            self._start()
            + self._close()
            + sse.encode(encode(said), "message_delta")
            + sse.encode(b'{"type":"message_stop"}', "message_stop")
        )

    def _start(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        began, stamp = self._began, self._stamp
        message: dict[str, object] = {
            "id": write_id(began.id if began else "", stamp),
            "type": "message",
            "role": "assistant",
            "model": (began.model if began else "") or stamp.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_usage(self._usage),
        }
        return sse.encode(encode({"type": "message_start", "message": message}), "message_start")

    def _close(self) -> bytes:
        if not self._kind:
            return b""
        self._kind = ""
        return sse.encode(b'{"type":"content_block_stop","index":%d}' % self._open, "content_block_stop")

    def _begin(self, kind: str, block: bytes) -> bytes:
        """Ends the block before this one, and whatever has to come before both."""
        head = self._start() + self._close()
        index, self._kind, self._signed = self._blocks, kind, False
        self._open, self._blocks = index, index + 1
        self._lead = b'{"type":"content_block_delta","index":%d,"delta":{"type":' % index
        said = b'{"type":"content_block_start","index":%d,"content_block":%b}' % (index, block)
        return head + sse.encode(said, "content_block_start")

    def _delta(self, said: bytes) -> bytes:
        return sse.encode(self._lead + said + b"}}", "content_block_delta")

    def _write_text(self, event: TextDelta) -> bytes:
        if not event.text:
            return b""
        head = b"" if self._kind == "text" else self._begin("text", b'{"type":"text","text":""}')
        return head + self._delta(b'"text_delta","text":' + encode(event.text))

    def _write_thinking(self, event: ThinkingDelta) -> bytes:
        if event.redacted is not None:
            block = b'{"type":"redacted_thinking","data":%b}' % encode(event.redacted)
            return self._begin("redacted", block) + self._close()
        said = b""
        # A signature closes what it signs: whatever comes after it is another block.
        if self._kind != "thinking" or self._signed:
            said = self._begin("thinking", b'{"type":"thinking","thinking":"","signature":""}')
        if event.text:
            said += self._delta(b'"thinking_delta","thinking":' + encode(event.text))
        if event.signature is not None:
            self._signed = True
            said += self._delta(b'"signature_delta","signature":' + encode(event.signature))
        return said

    def _begin_tool(self, event: ToolBegan) -> bytes:
        block = b'{"type":"tool_use","id":%b,"name":%b,"input":{}}' % (encode(event.id), encode(event.name))
        said = self._begin("tool", block)
        self._tools[event.index] = self._open
        return said

    def _write_arguments(self, event: ToolDelta) -> bytes:
        index = self._tools.get(event.index)
        if index is None or not event.arguments:
            return b""
        said = b'"input_json_delta","partial_json":' + encode(event.arguments)
        if index == self._open:
            return self._delta(said)
        # A provider that fills two calls in turns: clients gather arguments by the index, block ended or not.
        lead = b'{"type":"content_block_delta","index":%d,"delta":{"type":' % index
        return sse.encode(lead + said + b"}}", "content_block_delta")
