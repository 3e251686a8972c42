"""An answer written as a stream for a caller of this format: content blocks, one after the other.

Owns: the order a caller may rely on: message_start, then blocks with their deltas, message_delta, message_stop.
Refuses: to end an answer as whole unless a finish was given.
"""

from __future__ import annotations

from laneway.chat import Event, Faulted, Finished, Started, TextDelta, ThinkingDelta, ToolBegan, ToolDelta, Usage, Used
from laneway.dialects import Stamp, StreamReader
from laneway.dialects.anthropic import fault
from laneway.dialects.anthropic.answer import read_usage, write_finish, write_id, write_usage
from laneway.dialects.anthropic.stream import Reader
from laneway.failure import Failure
from laneway.wire import sse
from laneway.wire.fault import CUT
from laneway.wire.json import encode

_LEAD = b'{"type":"content_block_delta","index":%d,"delta":{"type":'


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
            self._began = self._began or event
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

    def follow(self, reader: StreamReader) -> bool:
        assert isinstance(reader, Reader)
        self._started = True
        self._usage = read_usage(reader.usage)
        self._tools = {number: index for index, number in reader.tools.items()}
        self._kind, self._open, self._blocks = reader.kind, reader.block, reader.blocks
        self._lead = _LEAD % reader.block
        return not reader.odd

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
        self._lead = _LEAD % index
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
        lead = _LEAD % index
        return sse.encode(lead + said + b"}}", "content_block_delta")
