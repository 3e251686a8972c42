"""An answer written as the event stream of a response.

Owns: the order a caller may rely on: created and in_progress, then items with their parts and deltas, each ended before
the next one begins (calls, which some providers fill in turns, at the finish), then completed or incomplete.
Refuses: to complete an answer unless a finish was given, and any event of its own: strict clients know a closed list.
"""

from __future__ import annotations

from typing import Any

from laneway.chat import (
    Event,
    Faulted,
    Finish,
    Finished,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolBegan,
    ToolDelta,
    Usage,
    Used,
)
from laneway.dialects import Stamp, StreamReader
from laneway.dialects.objects.fault import make_error
from laneway.dialects.responses import items
from laneway.dialects.responses.items import CALL, FREE_CALL, MESSAGE, PREFIXES, REASONING, Item
from laneway.dialects.responses.response import finish_response, frame, name_response
from laneway.dialects.responses.stream import FREE_TAIL, Reader
from laneway.dialects.responses.tools import is_free, own_tools, split_name
from laneway.failure import Failure
from laneway.wire import sse
from laneway.wire.fault import CUT
from laneway.wire.json import encode

_DELTA = (
    b"event: response.output_text.delta\ndata: "
    b'{"type":"response.output_text.delta","item_id":%b,"output_index":%d,"content_index":0,"delta":'
)


class Writer:
    """Writes one stream."""

    __slots__ = (
        "_begun",
        "_calls",
        "_finish",
        "_framed",
        "_items",
        "_key",
        "_lead",
        "_next",
        "_open",
        "_over",
        "_own",
        "_sequence",
        "_stamp",
        "_started",
        "_usage",
    )

    def __init__(self, stamp: Stamp) -> None:
        self._stamp = stamp
        self._own = own_tools(stamp.request)
        self._framed: dict[str, Any] = {}
        self._key = ""
        self._started = self._begun = self._over = False
        self._sequence = -1
        self._finish: Finish | None = None
        self._usage = Usage()
        self._items: list[Item] = []
        # Every item has an index, those of a provider's own tools, too.
        self._next = 0
        self._calls: dict[int, Item] = {}
        # The message or the thought that is being told, and what is before each piece of a message.
        self._open: Item | None = None
        self._lead = b""

    def write(self, event: Event) -> bytes:
        if self._over:
            return b""
        kind = type(event)
        if kind is TextDelta:
            return self._write_text(event)  # type: ignore[arg-type]
        if kind is ToolDelta:
            return self._write_arguments(event)  # type: ignore[arg-type]
        if kind is ThinkingDelta:
            return self._write_thought(event)  # type: ignore[arg-type]
        if kind is ToolBegan:
            return self._begin_call(event)  # type: ignore[arg-type]
        if isinstance(event, Started):
            return self._start(event)
        if isinstance(event, Used):
            self._usage = self._usage.merged(event.usage)
        elif isinstance(event, Finished):
            self._finish = event.finish
        elif isinstance(event, Faulted):
            return self.fault(event.failure)
        return b""

    def fault(self, failure: Failure) -> bytes:
        """Some clients end at the error, some at the response that failed."""
        if self._over:
            return b""
        self._over = True
        self._frame()
        error = make_error(failure)
        short = {"code": "server_error" if failure.status >= 500 else error["code"], "message": error["message"]}
        told = {name: error[name] for name in ("code", "message", "param")}
        output = [item.write("incomplete" if item.open else "completed") for item in self._items]
        failed = self._framed | {"status": "failed", "error": short, "output": output}
        return self._say("error", **told, error=error) + self._say("response.failed", response=failed)

    def end(self) -> bytes:
        if self._finish is None or self._over:
            # No finish, no whole answer.
            return self.fault(CUT)
        response = finish_response(self._framed, self._finish, (), self._usage)
        said = self._begin() + self._end_open(response["status"])
        for item in self._calls.values():
            said += self._end_call(item, response["status"])
        self._over = True
        response = self._framed | {name: response[name] for name in ("status", "incomplete_details", "usage")}
        response["output"] = [item.write(self._status(item, response["status"])) for item in self._items]
        return said + self._say(f"response.{response['status']}", response=response)

    def follow(self, reader: StreamReader) -> bool:
        assert isinstance(reader, Reader)
        if reader.framed is not None:
            self._framed = dict(reader.framed)
            self._key = self._stamp.id
        self._frame()
        self._started = self._begun = True
        self._sequence = reader.sequence
        self._items = [reader.items[index] for index in sorted(reader.items)]
        self._next = max(reader.items, default=-1) + 1
        for index, number in reader.calls.items():
            self._calls[number] = item = reader.items[index]
            if item.open and item.kind == FREE_CALL and item.pieces:
                item.pieces.append(FREE_TAIL)
        told = [item for item in self._items if item.open and item.kind in (MESSAGE, REASONING)]
        if told:
            self._open = told[-1]
            self._lead = self._lead_of(told[-1])
        return not reader.odd and len(told) <= 1

    # --- the frame -----------------------------------------------------------------------------------------

    def _say(self, kind: str, **said: object) -> bytes:
        self._sequence += 1
        return sse.encode(encode({"type": kind, **said, "sequence_number": self._sequence}), kind)

    def _frame(self, began: Started | None = None) -> None:
        if self._framed:
            return
        stamp = self._stamp
        name = name_response(began.id if began else "", stamp)
        created_s = began.created_s if began is not None and began.created_s is not None else stamp.now_s
        self._key = name.removeprefix("resp_")
        self._framed = frame(name, (began.model if began else "") or stamp.model, created_s, stamp.request)

    def _start(self, event: Started) -> bytes:
        if self._started or self._begun:
            # Another target goes on, and only its name is new.
            self._framed["model"] = event.model or self._framed["model"]
            return b""
        self._started = True
        self._frame(event)
        return self._begin()

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        self._frame()
        return self._say("response.created", response=self._framed) + self._say(
            "response.in_progress", response=self._framed
        )

    @staticmethod
    def _status(item: Item, status: str) -> str:
        return "completed" if status == "completed" or not item.open else "incomplete"

    # --- items ---------------------------------------------------------------------------------------------

    def _add(self, kind: str, call_id: str = "", space: str = "", name: str = "") -> tuple[Item, bytes]:
        """Ends the item before this one, and whatever has to come before both."""
        head = self._begin() + self._end_open("completed")
        index = self._next
        self._next += 1
        item = Item(kind, f"{PREFIXES[kind]}_{self._key}_{index}", index, call_id, name, space)
        self._items.append(item)
        return item, head + self._say("response.output_item.added", output_index=index, item=item.write("in_progress"))

    def _tell(self, kind: str, item: Item, **said: object) -> bytes:
        return self._say(f"response.{kind}", item_id=item.id, output_index=item.index, **said)

    def _done(self, item: Item, status: str) -> bytes:
        written = item.write("completed" if status == "completed" else "incomplete")
        item.open = status != "completed"
        return self._say("response.output_item.done", output_index=item.index, item=written)

    def _end_open(self, status: str) -> bytes:
        item, self._open, self._lead = self._open, None, b""
        if item is None:
            return b""
        said = b""
        if item.part:
            text = item.end_part()
            if item.kind == MESSAGE:
                logprobs = items.write_logprobs(item.logprobs)
                said += self._tell("output_text.done", item, content_index=0, text=text, logprobs=logprobs)
                part = items.write_text(text, item.logprobs)
                said += self._tell("content_part.done", item, content_index=0, part=part)
            else:
                at, part = len(item.texts) - 1, items.write_summary(text)
                said += self._tell("reasoning_summary_text.done", item, summary_index=at, text=text)
                said += self._tell("reasoning_summary_part.done", item, summary_index=at, part=part)
        return said + self._done(item, status)

    @staticmethod
    def _lead_of(item: Item) -> bytes:
        return _DELTA % (encode(item.id), item.index) if item.kind == MESSAGE else b""

    def _write_text(self, event: TextDelta) -> bytes:
        if not event.text and not event.logprobs:
            return b""
        head = b""
        item = self._open
        if item is None or not self._lead:
            item, head = self._add(MESSAGE)
            self._open, self._lead, item.part = item, self._lead_of(item), True
            head += self._tell("content_part.added", item, content_index=0, part=items.write_text(""))
        item.pieces.append(event.text)
        logprobs = b"[]"
        if event.logprobs:
            item.logprobs += event.logprobs
            logprobs = encode(items.write_logprobs(event.logprobs))
        self._sequence += 1
        return b'%b%b%b,"logprobs":%b,"sequence_number":%d}\n\n' % (
            head,
            self._lead,
            encode(event.text),
            logprobs,
            self._sequence,
        )

    def _write_thought(self, event: ThinkingDelta) -> bytes:
        said, item = b"", self._open
        # A seal closes what it seals: whatever comes after it is another thought.
        if item is None or item.kind != REASONING or item.sealed is not None or event.redacted is not None:
            item, said = self._add(REASONING)
            self._open = item
        if event.text:
            if not item.part:
                item.part = True
                part = items.write_summary("")
                said += self._tell("reasoning_summary_part.added", item, summary_index=len(item.texts), part=part)
            item.pieces.append(event.text)
            at = len(item.texts)
            said += self._tell("reasoning_summary_text.delta", item, summary_index=at, delta=event.text)
        item.sealed = items.write_seal(event.signature, event.redacted)
        return said

    def _begin_call(self, event: ToolBegan) -> bytes:
        tool = self._own.get(event.name)
        item, said = self._add(FREE_CALL if is_free(tool) else CALL, event.id, *split_name(tool, event.name))
        self._calls[event.index] = item
        return said

    def _write_arguments(self, event: ToolDelta) -> bytes:
        item = self._calls.get(event.index)
        if item is None or not event.arguments:
            return b""
        item.pieces.append(event.arguments)
        if item.kind == FREE_CALL:
            # Its text stands inside of the arguments, and is told when they are whole.
            return b""
        return self._tell("function_call_arguments.delta", item, delta=event.arguments)

    def _end_call(self, item: Item, status: str) -> bytes:
        if not item.open:
            return b""
        written = item.write()
        if item.kind == FREE_CALL:
            text = written["input"]
            said = self._tell("custom_tool_call_input.delta", item, delta=text)
            said += self._tell("custom_tool_call_input.done", item, input=text)
        else:
            arguments = written["arguments"]
            # A call without arguments is `{}` to clients that parse what they joined.
            said = b"" if item.pieces else self._tell("function_call_arguments.delta", item, delta=arguments)
            said += self._tell("function_call_arguments.done", item, name=item.name, arguments=arguments)
        return said + self._done(item, status)
