"""The event stream of a response, read (https://platform.openai.com/docs/api-reference/responses-streaming).

Owns: which item of the output is which part of the answer, what was told of each, and when a stream is whole: after
`response.completed` or `response.incomplete`. Servers differ in what they leave out (deltas, the beginning of an item),
and whatever was not told in pieces is read when its item or the response ends.
Refuses: to call a stream whole that did not say so, and to fall over items and events of tools that run at a provider.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

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
from laneway.dialects.objects.fault import build_failure, judge_stream
from laneway.dialects.responses.answer import CANCELLED, ItemBody, read_item, read_reasoning
from laneway.dialects.responses.items import CALL, FREE_CALL, MESSAGE, REASONING, Item, read_logprobs, read_sealed
from laneway.dialects.responses.tools import join_name, write_arguments
from laneway.dialects.responses.usage import Details, UsageBody, read_finish, read_usage
from laneway.failure import Failure, FailureError
from laneway.wire.fault import CUT
from laneway.wire.json import NONE, UNREADABLE, decode_fields, encode
from laneway.wire.logprobs import TokenBody
from laneway.wire.sse import SseFrame, SseFrames

# Of a body that is no stream of events, this much is kept to see whether it is an error.
_ODD_BYTES = 65536
# What is no longer says that there are none: `null`, `[]`, nothing.
_NO_LOGPROBS = 4
TEXT = "response.output_text.delta"
FREE_HEAD, FREE_TAIL = '{"input":"', '"}'
"""What stands around the text of a free tool's call, where it is told as the arguments of a function."""


class Said(msgspec.Struct, gc=False):
    """Any event. What one of a provider's own tools says under these names may be of any kind."""

    type: str = ""
    delta: Any = None
    output_index: int = 0
    content_index: int = 0
    sequence_number: int | None = None
    item: msgspec.Raw = NONE
    response: msgspec.Raw = NONE
    error: Any = None
    code: Any = None
    message: Any = None
    param: Any = None


class Words(msgspec.Struct, gc=False):
    """`response.output_text.delta`, which nearly every event is."""

    delta: str
    output_index: int = 0
    sequence_number: int | None = None
    logprobs: msgspec.Raw = NONE


class Head(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created_at: int | float | None = None


class Ended(msgspec.Struct, gc=False):
    output: list[msgspec.Raw] | None = None
    incomplete_details: Details | None = None
    usage: UsageBody | None = None
    service_tier: Any = None
    error: Any = None


_decode: Final = msgspec.json.Decoder(Said).decode
_words: Final = msgspec.json.Decoder(Words).decode
_head: Final = msgspec.json.Decoder(Head).decode
_ended: Final = msgspec.json.Decoder(Ended).decode
_tokens: Final = msgspec.json.Decoder(list[TokenBody] | None).decode


class Reader:
    """Reads one stream. `feed` never raises: a broken framing is a fault like any other."""

    __slots__ = ("_began", "_frames", "_over", "_refused", "_strange", "calls", "framed", "items", "odd", "sequence")

    def __init__(self) -> None:
        self._frames = SseFrames()
        self._began = False
        self._over = False
        """Ended or failed: what comes now passes unread."""
        self._refused = False
        self._strange = b""
        self.framed: dict[str, msgspec.Raw] | None = None
        """The response object as it began."""
        self.items: dict[int, Item] = {}
        self.calls: dict[int, int] = {}
        """Numbers of the answer's calls by the index of their item."""
        self.sequence = -1
        self.odd = False
        """Something was told that no neutral event says, or in a way that only its provider can go on from."""

    def feed(self, data: bytes) -> list[Frame]:
        try:
            return [Frame(frame.raw, self._read(frame)) for frame in self._frames.feed(data)]
        except FailureError as error:
            return [Frame(b"", self._fail(error.failure))]

    def end(self) -> list[Frame]:
        found = [Frame(frame.raw, self._read(frame)) for frame in self._frames.end()]
        rest = self._frames.rest()
        if rest.lstrip()[:6] in (b"data: ", b"event:"):
            # A last event without its blank line.
            found += self.feed(b"\n\n")
            rest = b""
        if self._over:
            return [*found, Frame(rest, ())] if rest else found
        failure = CUT if self._began else judge_stream(self._strange + rest)
        return [*found, Frame(b"", self._fail(failure))]

    def _fail(self, failure: Failure) -> tuple[Event, ...]:
        if self._over:
            return ()
        self._over = True
        return (Faulted(failure),)

    def _read(self, frame: SseFrame) -> tuple[Event, ...]:
        data = frame.data
        if data is None:
            if not self._began and len(self._strange) < _ODD_BYTES:
                self._strange += frame.raw[:_ODD_BYTES]
            return ()
        if self._over or not data or data.strip() == b"[DONE]":
            return ()
        try:
            if frame.event == TEXT:
                return self._read_text(_words(data))
            said = _decode(data)
            kind = said.type or frame.event
            if kind == TEXT:
                return self._read_text(_words(data))
            if said.sequence_number is not None:
                self.sequence = said.sequence_number
            return tuple(self._read_rare(kind, said))
        except UNREADABLE:
            return (Skipped(len(frame.raw)),)

    def _read_text(self, said: Words) -> tuple[Event, ...]:
        text = said.delta
        if said.sequence_number is not None:
            self.sequence = said.sequence_number
        item = self.items.get(said.output_index)
        if item is None:
            self._began = True
            item = self._begin(said.output_index, MESSAGE)
        elif item.kind != MESSAGE:
            return ()
        item.pieces.append(text)
        item.part = True
        if len(said.logprobs) > _NO_LOGPROBS:
            logprobs = read_logprobs(_tokens(said.logprobs) or ())
            item.logprobs += logprobs
            return (TextDelta(text, logprobs),)
        return (TextDelta(text),) if text else ()

    def _read_rare(self, kind: str, said: Said) -> Iterator[Event]:
        self._began = self._began or kind.startswith("response.")
        if kind in ("response.created", "response.in_progress", "response.queued"):
            yield from self._read_head(said)
        elif kind == "response.output_item.added":
            yield from self._add(said)
        elif kind == "response.output_item.done":
            yield from self._end(said.output_index, said.item)
        elif kind in ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta"):
            yield from self._read_arguments(said)
        elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            yield from self._read_thought(said, summary="summary" in kind)
        elif kind == "response.reasoning_summary_part.added":
            yield from self._part_thought(said)
        elif kind == "response.content_part.added":
            # A second text of one message: only who began it can go on with it.
            self.odd = self.odd or said.content_index > 0
        elif kind == "response.refusal.delta":
            self.odd = self._refused = True
            if type(said.delta) is str:
                yield from self._read_text(Words(said.delta, said.output_index))
        elif kind in ("response.completed", "response.incomplete"):
            yield from self._finish(kind.removeprefix("response."), said)
        elif kind == "response.failed":
            ended = _ended(said.response) if said.response else Ended()
            if ended.usage is not None:
                yield Used(read_usage(ended.usage, ended.service_tier))
            yield from self._fail(build_failure(ended.error or said.error, 0))
        elif kind == "response.cancelled":
            yield from self._fail(CANCELLED)
        elif kind == "error":
            told = {"message": said.message, "code": said.code, "param": said.param}
            yield from self._fail(build_failure(said.error or told, 0))

    def _read_head(self, said: Said) -> Iterator[Event]:
        if self.framed is not None or not said.response:
            return
        head = _head(said.response)
        self.framed = decode_fields(said.response)
        yield Started(head.id or "", head.model or "", None if head.created_at is None else int(head.created_at))

    # --- items ---------------------------------------------------------------------------------------------

    def _begin(self, index: int, kind: str, body: ItemBody | None = None) -> Item:
        item = Item(kind, (body.id if body else None) or f"{kind}_{index}", index)
        self.items[index] = item
        return item

    def _add(self, said: Said) -> Iterator[Event]:
        body = read_item(said.item)
        if body is None:
            self.odd = True
        elif said.output_index not in self.items:
            yield from self._add_known(said.output_index, body)

    def _add_known(self, index: int, body: ItemBody) -> Iterator[Event]:
        item = self._begin(index, body.type, body)
        if body.type in (CALL, FREE_CALL):
            item.call_id, item.name = body.call_id or body.id or f"call_{index}", body.name or ""
            item.space = body.namespace or ""
            number = self.calls[index] = len(self.calls)
            yield ToolBegan(number, item.call_id, join_name(item.space, item.name))

    def _read_arguments(self, said: Said) -> Iterator[Event]:
        item, number, text = self.items.get(said.output_index), self.calls.get(said.output_index), said.delta
        if item is None or number is None or type(text) is not str or not text:
            return
        if item.kind == FREE_CALL:
            # Piece by piece what the text is as a field of an object.
            text = ("" if item.pieces else FREE_HEAD) + encode(text)[1:-1].decode()
        item.pieces.append(text)
        yield ToolDelta(number, text)

    def _read_thought(self, said: Said, *, summary: bool) -> Iterator[Event]:
        text = said.delta
        item = self.items.get(said.output_index) or self._begin(said.output_index, REASONING)
        if type(text) is not str or not text or item.kind != REASONING:
            return
        # Thoughts themselves are told in another part of the item than summaries of them, which is what we write.
        self.odd = self.odd or not summary
        item.pieces.append(text)
        item.part = True
        yield ThinkingDelta(text)

    def _part_thought(self, said: Said) -> Iterator[Event]:
        item = self.items.get(said.output_index)
        if item is None or item.kind != REASONING:
            return
        if item.pieces:
            item.end_part()
            yield ThinkingDelta("\n\n")
        item.part = True

    def _end(self, index: int, raw: msgspec.Raw) -> Iterator[Event]:
        """The item as a whole; what of it was not told before is told now."""
        body = read_item(raw)
        if body is None:
            self.odd = True
            return
        if index not in self.items:
            yield from self._add_known(index, body)
        item = self.items[index]
        if not item.open or item.kind != body.type:
            return
        told = bool(item.pieces or item.texts)
        if item.kind == MESSAGE:
            if not told:
                self._refused = self._refused or any(part.type == "refusal" for part in body.content or ())
                item.pieces += [part.text or part.refusal or "" for part in body.content or ()]
                yield from (TextDelta(text) for text in item.pieces if text)
        elif item.kind == REASONING:
            thought = read_reasoning(body)
            if not told and thought.text:
                item.pieces.append(thought.text)
                yield ThinkingDelta(thought.text)
            if body.encrypted_content:
                item.sealed = body.encrypted_content
                seal = read_sealed("", body.encrypted_content)
                yield ThinkingDelta(signature=seal.signature, redacted=seal.redacted)
        else:
            yield from self._end_call(item, body)
        if item.pieces:
            item.end_part()
        item.open = item.part = False

    def _end_call(self, item: Item, body: ItemBody) -> Iterator[Event]:
        rest = ""
        if item.kind == FREE_CALL:
            rest = FREE_TAIL if item.pieces else write_arguments(body.input or "")
        elif not item.pieces:
            rest = body.arguments or ""
        if rest:
            item.pieces.append(rest)
            yield ToolDelta(self.calls[item.index], rest)

    def _finish(self, status: str, said: Said) -> Iterator[Event]:
        ended = _ended(said.response)
        for index, raw in enumerate(ended.output or ()):
            if index not in self.items:
                yield from self._end(index, raw)
        if ended.usage is not None:
            yield Used(read_usage(ended.usage, ended.service_tier))
        reason = ended.incomplete_details.reason if ended.incomplete_details is not None else None
        self._over = True
        yield Finished(read_finish(status, reason, called=bool(self.calls), refused=self._refused))
