"""Streams of Ollama, both ways: one JSON object a line, the last one `done`.

Owns: reading lines into events and writing events as lines. docs/api/streaming.mdx and errors.mdx: an error inside a
stream is a last line `{"error": ...}`, and without a `done` line the answer was cut.
Refuses: tool calls in pieces. Ollama gives a call whole, with its arguments as an object, so the writer keeps the
pieces until the answer ends; a call that the token limit cut off is left out, and `done_reason` says "length".
"""

from __future__ import annotations

from typing import Any

from laneway.chat import (
    Event,
    Faulted,
    Finish,
    Finished,
    Op,
    Skipped,
    Started,
    TextDelta,
    ThinkingDelta,
    Timings,
    ToolBegan,
    ToolCall,
    ToolDelta,
    Usage,
    Used,
)
from laneway.dialects import Frame, Stamp, StreamReader
from laneway.dialects.ollama import answer
from laneway.dialects.ollama.fault import build_failure, write_error
from laneway.dialects.ollama.schema import LINE, Call, Line, arguments
from laneway.failure import Failure, FailureError
from laneway.wire.fault import CUT, misfit
from laneway.wire.instant import read_instant
from laneway.wire.json import UNREADABLE, encode
from laneway.wire.logprobs import read_tokens
from laneway.wire.ndjson import NdjsonFrames

_NOTHING: tuple[Event, ...] = ()
_NO_STREAM = misfit("a stream of the Ollama API")


class Reader:
    """Lines in, events out. Nothing is read after the answer's end, though every byte is still handed on."""

    __slots__ = ("_calls", "_frames", "_over", "_started", "started")

    def __init__(self) -> None:
        self._frames = NdjsonFrames()
        self._started = False
        self.started = Started("", "")
        self._over = False
        self._calls = 0

    def feed(self, data: bytes) -> list[Frame]:
        try:
            frames = self._frames.feed(data)
        except FailureError as error:
            return [Frame(b"", self._fault(error.failure))]
        read = self._read
        return [Frame(frame.raw, _NOTHING if frame.data is None else read(frame.data)) for frame in frames]

    def end(self) -> list[Frame]:
        frames = []
        rest = self._frames.rest()
        if rest:
            # A whole answer sent in place of a stream has no line end; a line that was cut cannot be read.
            frames.append(Frame(rest, self._read(rest) if not rest.isspace() else _NOTHING))
        if not self._over:
            frames.append(Frame(b"", self._fault(CUT if self._started else _NO_STREAM)))
        return frames

    def _fault(self, failure: Failure) -> tuple[Event, ...]:
        if self._over:
            return _NOTHING
        self._over = True
        return (Faulted(failure),)

    def _read(self, data: bytes) -> tuple[Event, ...]:
        if self._over:
            return _NOTHING
        try:
            line = LINE.decode(data)
        except UNREADABLE:
            return (Skipped(len(data)),)
        message = line.message
        # Nearly every line is a little text and nothing else.
        if self._started and not line.done and line.error is None and line.logprobs is None:
            if message is None:
                if line.response and line.thinking is None and line.tool_calls is None:
                    return (TextDelta(line.response),)
            elif message.content and message.thinking is None and message.tool_calls is None:
                return (TextDelta(message.content),)
        if message is None and line.response is None and not line.done and line.error is None:
            return (Skipped(len(data)),)
        return self._events(line)

    def _events(self, line: Line) -> tuple[Event, ...]:
        if line.error is not None:
            return self._fault(build_failure(line.error, line.status or 0))
        message = line.message
        events: list[Event] = []
        if not self._started:
            self._started = True
            self.started = Started("", line.model, read_instant(line.created_at))
            events.append(self.started)
        thinking = line.thinking if message is None else message.thinking
        if thinking:
            events.append(ThinkingDelta(thinking))
        text = line.response if message is None else message.content
        if text or line.logprobs:
            events.append(TextDelta(text or "", read_tokens(line.logprobs or [])))
        for call in (line.tool_calls if message is None else message.tool_calls) or ():
            events += self._call(line, call)
        if line.done:
            self._over = True
            events.append(Used(answer.usage_of(line)))
            finish = answer.finish_of(line.done_reason, self._calls > 0)
            events.append(Finished(finish, timings=answer.timings_of(line)))
        return tuple(events)

    def _call(self, line: Line, call: Call) -> tuple[Event, ...]:
        index = self._calls
        self._calls += 1
        id_ = answer.call_id(line, index, call)
        return (ToolBegan(index, id_, call.function.name), ToolDelta(index, arguments(call)))


class Writer:
    """Events in, lines out. The last line waits for `end`, because tokens may be told after the finish."""

    __slots__ = ("_began", "_chat", "_faulted", "_finish", "_head", "_pieces", "_stamp", "_timings", "_usage")

    def __init__(self, op: Op, stamp: Stamp) -> None:
        self._chat = op is not Op.COMPLETE
        self._stamp = stamp
        self._head = self._heading("", None)
        self._began: dict[int, ToolBegan] = {}
        self._pieces: dict[int, list[str]] = {}
        self._finish: Finish | None = None
        self._timings = Timings()
        self._usage = Usage()
        self._faulted = False

    def write(self, event: Event) -> bytes:
        kind = type(event)
        if kind is TextDelta:
            return self._text(event)  # type: ignore[arg-type]
        if kind is ThinkingDelta:
            return self._line(b'"","thinking":' + encode(event.text)) if event.text else b""  # type: ignore[union-attr]
        if kind is Started:
            self._head = self._heading(event.model, event.created_s)  # type: ignore[union-attr]
        elif kind is ToolBegan:
            self._began[event.index] = event  # type: ignore[union-attr, assignment]
        elif kind is ToolDelta:
            self._pieces.setdefault(event.index, []).append(event.arguments)  # type: ignore[union-attr]
        elif kind is Used:
            self._usage = self._usage.merged(event.usage)  # type: ignore[union-attr]
        elif kind is Finished:
            self._finish = event.finish  # type: ignore[union-attr]
            self._timings = event.timings or self._timings  # type: ignore[union-attr]
            return self._calls(event.finish)  # type: ignore[union-attr]
        elif kind is Faulted:
            return self.fault(event.failure)  # type: ignore[union-attr]
        return b""

    def fault(self, failure: Failure) -> bytes:
        self._faulted = True
        return write_error(failure) + b"\n"

    def end(self) -> bytes:
        if self._faulted:
            return b""
        if self._finish is None:
            # Nobody said that the answer is whole.
            return self.fault(CUT)
        last: dict[str, Any] = {"done": True, "done_reason": answer.REASONS[self._finish]}
        last.update(answer.write_metrics(self._usage, self._timings, 0))
        return self._head + (b'""},' if self._chat else b'"",') + encode(last)[1:] + b"\n"

    def follow(self, reader: StreamReader) -> bool:
        assert isinstance(reader, Reader)
        self._head = self._heading(reader.started.model, reader.started.created_s)
        return True

    def _heading(self, model: str, created_s: int | None) -> bytes:
        at_s = self._stamp.now_s if created_s is None else created_s
        stamped = encode({"model": model or self._stamp.model, "created_at": answer.timestamp(at_s)})
        return stamped[:-1] + (b',"message":{"role":"assistant","content":' if self._chat else b',"response":')

    def _text(self, event: TextDelta) -> bytes:
        if event.logprobs:
            logprobs = encode(answer.write_logprobs(event.logprobs))
            return self._line(encode(event.text), b',"logprobs":' + logprobs)
        if not event.text:
            return b""
        return self._line(encode(event.text))

    def _line(self, said: bytes, beside: bytes = b"") -> bytes:
        return self._head + said + (b'},"done":false' if self._chat else b',"done":false') + beside + b"}\n"

    def _calls(self, finish: Finish) -> bytes:
        """The calls of the answer, one line each, as Ollama gives them."""
        began, self._began = self._began, {}
        lines: list[bytes] = []
        for index, call in sorted(began.items()):
            text = "".join(self._pieces.pop(index, ()))
            whole = ToolCall(call.id, call.name, text)
            if answer.was_cut(whole, finish):
                continue
            try:
                written = encode([answer.write_call(index, whole)])
            except FailureError as error:
                return b"".join(lines) + self.fault(error.failure)
            lines.append(self._line(b'"","tool_calls":' + written))
        return b"".join(lines)
