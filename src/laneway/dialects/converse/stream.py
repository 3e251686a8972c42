"""Bedrock's binary event stream of one answer, both ways
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html).

Owns: which content block of the wire is which part of the answer, and the order a caller may rely on: messageStart,
blocks one after the other, messageStop, and behind it the metadata with the usage.
Refuses: to end an answer as whole unless `messageStop` came (reading) or a finish was given (writing), and to fall
over events of tomorrow. The latency in the metadata comes after the finish and is not read.
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
from laneway.dialects import Frame, Stamp, StreamReader
from laneway.dialects.converse import fault
from laneway.dialects.converse.answer import (
    ServiceTier,
    WireUsage,
    read_finish,
    read_usage,
    write_finish,
    write_latency,
    write_usage,
)
from laneway.dialects.converse.schema import Wire
from laneway.failure import Failure, FailureError
from laneway.wire import eventstream
from laneway.wire.fault import CUT
from laneway.wire.json import UNREADABLE, encode

# --- reading -----------------------------------------------------------------------------------------------


class _ToolPiece(Wire):
    input: str


class _Reasoning(Wire):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Delta(Wire):
    text: str | None = None
    tool_use: _ToolPiece | None = None
    reasoning_content: _Reasoning | None = None


class _BlockDelta(Wire):
    content_block_index: int
    delta: _Delta


class _Tool(Wire):
    tool_use_id: str
    name: str


class _Begun(Wire):
    tool_use: _Tool | None = None


class _BlockStart(Wire):
    content_block_index: int
    start: _Begun


class _Stop(Wire):
    stop_reason: str


class _Metadata(Wire):
    usage: WireUsage | None = None
    service_tier: ServiceTier | None = None


_block_delta = msgspec.json.Decoder(_BlockDelta).decode
_block_start = msgspec.json.Decoder(_BlockStart).decode
_stop = msgspec.json.Decoder(_Stop).decode
_metadata = msgspec.json.Decoder(_Metadata).decode


class Reader:
    """One stream of one answer. The format names neither the answer nor its model."""

    __slots__ = ("_failed", "_frames", "_stopped", "_tools", "blocks")

    def __init__(self) -> None:
        self._frames = eventstream.EventFrames()
        # The answer's tool calls by the index of their block on the wire.
        self._tools: dict[int, int] = {}
        self.blocks = 0
        self._stopped = False
        self._failed = False

    def feed(self, data: bytes) -> list[Frame]:
        try:
            frames = self._frames.feed(data)
        except FailureError as error:
            return [Frame(b"", self._fail(error.failure))]
        return [Frame(frame.raw, self._read(frame)) for frame in frames]

    def end(self) -> list[Frame]:
        rest = self._frames.rest()
        if self._stopped or self._failed:
            return [Frame(rest, ())] if rest else []
        return [Frame(rest, self._fail(CUT))]

    def _fail(self, failure: Failure) -> tuple[Event, ...]:
        if self._failed:
            return ()
        self._failed = True
        return (Faulted(failure),)

    def _read(self, frame: eventstream.EventFrame) -> tuple[Event, ...]:
        headers, payload = frame.headers, frame.payload
        if headers.get(":message-type") != "event":
            return self._read_exception(frame)
        event = headers.get(":event-type")
        try:
            if event == "contentBlockDelta":
                return self._read_delta(payload)
            if event == "contentBlockStart":
                return self._read_block(payload)
            if event == "messageStart":
                return (Started("", ""),)
            if event == "messageStop":
                return self._read_stop(payload)
            if event == "metadata":
                said = _metadata(payload)
                return (Used(read_usage(said.usage, said.service_tier)),) if said.usage else ()
        except UNREADABLE:
            return (Skipped(len(frame.raw)),)
        return ()

    def _read_exception(self, frame: eventstream.EventFrame) -> tuple[Event, ...]:
        """A modeled exception has its name in `:exception-type`, an unmodeled error in `:error-code`
        (https://smithy.io/2.0/aws/amazon-eventstream.html)."""
        headers = frame.headers
        if headers.get(":message-type") == "exception":
            name, said = str(headers.get(":exception-type", "")), fault.read_said(frame.payload)
        else:
            name, said = str(headers.get(":error-code", "")), fault.Said(str(headers.get(":error-message", "")))
        return self._fail(fault.build_failure(name, said, 0))

    def _read_delta(self, payload: bytes) -> tuple[Event, ...]:
        said = _block_delta(payload)
        delta = said.delta
        self.blocks = said.content_block_index + 1
        if delta.text is not None:
            return (TextDelta(delta.text),)
        if delta.tool_use is not None:
            number = self._tools.get(said.content_block_index)
            pieces = delta.tool_use.input
            return (ToolDelta(number, pieces),) if number is not None and pieces else ()
        thought = delta.reasoning_content
        if thought is None:
            return ()
        if thought.text is not None:
            return (ThinkingDelta(thought.text),) if thought.text else ()
        if thought.signature is not None:
            return (ThinkingDelta(signature=thought.signature),)
        return () if thought.redacted_content is None else (ThinkingDelta(redacted=thought.redacted_content),)

    def _read_block(self, payload: bytes) -> tuple[Event, ...]:
        said = _block_start(payload)
        tool = said.start.tool_use
        if tool is None:
            return ()
        number = self._tools[said.content_block_index] = len(self._tools)
        return (ToolBegan(number, tool.tool_use_id, tool.name),)

    def _read_stop(self, payload: bytes) -> tuple[Event, ...]:
        finish = read_finish(_stop(payload).stop_reason)
        if isinstance(finish, Failure):
            return self._fail(finish)
        self._stopped = True
        return (Finished(finish),)


# --- writing -----------------------------------------------------------------------------------------------


def _event(name: str, payload: bytes) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return eventstream.encode(headers, payload)


class Writer:
    """One answer as Bedrock streams it."""

    __slots__ = ("_blocks", "_failed", "_finish", "_kind", "_open", "_signed", "_stamp", "_started", "_tools", "_usage")

    def __init__(self, stamp: Stamp) -> None:
        self._stamp = stamp
        self._started = False
        self._usage = Usage()
        self._finish: Finished | None = None
        self._failed = False
        # The block being written: its kind ("" for none) and its index; how many there were.
        self._kind = ""
        self._open = 0
        self._blocks = 0
        self._signed = False
        # Block indexes by the number of the tool call.
        self._tools: dict[int, int] = {}

    def write(self, event: Event) -> bytes:
        if self._failed:
            return b""
        if isinstance(event, TextDelta):
            if not event.text:
                return b""
            return self._in("text") + self._delta(b'{"text":%b}' % encode(event.text))
        if isinstance(event, ToolDelta):
            return self._write_arguments(event)
        if isinstance(event, ThinkingDelta):
            return self._write_thinking(event)
        if isinstance(event, ToolBegan):
            return self._begin_tool(event)
        if isinstance(event, Started):
            return self._start()
        if isinstance(event, Used):
            self._usage = self._usage.merged(event.usage)
        elif isinstance(event, Finished):
            self._finish = event
        elif isinstance(event, Faulted):
            return self.fault(event.failure)
        return b""

    def fault(self, failure: Failure) -> bytes:
        if self._failed:
            return b""
        self._failed = True
        name, payload = fault.write_streamed(failure)
        headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
        return eventstream.encode(headers, payload)

    def end(self) -> bytes:
        if self._finish is None or self._failed:
            # No stop reason, no whole answer.
            return self.fault(CUT)
        reason = write_finish(self._finish.finish, called=bool(self._tools))
        latency_ms = write_latency(self._finish.timings, self._stamp)
        metadata = {"usage": write_usage(self._usage), "metrics": {"latencyMs": latency_ms}}
        return (
            self._start()
            + self._close()
            + _event("messageStop", encode({"stopReason": reason}))
            + _event("metadata", encode(metadata))
        )

    def follow(self, reader: StreamReader) -> bool:
        assert isinstance(reader, Reader)
        self._started, self._blocks = True, reader.blocks
        return True

    def _start(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        return _event("messageStart", b'{"role":"assistant"}')

    def _close(self) -> bytes:
        if not self._kind:
            return b""
        self._kind = ""
        return _event("contentBlockStop", b'{"contentBlockIndex":%d}' % self._open)

    def _in(self, kind: str) -> bytes:
        """Whatever has to come before a delta of a block of that kind. Only tool calls announce themselves."""
        if self._kind == kind:
            return b""
        head = self._start() + self._close()
        self._kind, self._open, self._signed = kind, self._blocks, False
        self._blocks += 1
        return head

    def _delta(self, delta: bytes, index: int | None = None) -> bytes:
        at = self._open if index is None else index
        return _event("contentBlockDelta", b'{"contentBlockIndex":%d,"delta":%b}' % (at, delta))

    def _write_thinking(self, event: ThinkingDelta) -> bytes:
        redacted = event.redacted is not None
        # A signature closes what it signs, and what is redacted stands alone.
        head = self._close() if self._signed or (redacted and self._kind == "thinking") else b""
        head += self._in("thinking")
        if redacted:
            head += self._delta(b'{"reasoningContent":{"redactedContent":%b}}' % encode(event.redacted))
        if event.text:
            head += self._delta(b'{"reasoningContent":{"text":%b}}' % encode(event.text))
        if event.signature is not None:
            head += self._delta(b'{"reasoningContent":{"signature":%b}}' % encode(event.signature))
        self._signed = redacted or event.signature is not None
        return head

    def _begin_tool(self, event: ToolBegan) -> bytes:
        head = self._start() + self._close() + self._in("tool")
        self._tools[event.index] = self._open
        said = {
            "contentBlockIndex": self._open,
            "start": {"toolUse": {"toolUseId": event.id, "name": event.name}},
        }
        return head + _event("contentBlockStart", encode(said))

    def _write_arguments(self, event: ToolDelta) -> bytes:
        # Where a provider fills two calls in turns, clients gather arguments by the index, block ended or not.
        index = self._tools.get(event.index)
        if index is None or not event.arguments:
            return b""
        return self._delta(b'{"toolUse":{"input":%b}}' % encode(event.arguments), index)
