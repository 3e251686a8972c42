"""A provider's stream, read.

Owns: what each chunk means, in chat's shape and in completions', and when a stream is whole: after `[DONE]`, or after
a finish reason where the connection then ends. Servers differ most in tool calls (whole calls in one chunk, no index,
one index for all, no id), and every known way is read here.
Refuses: to call a stream whole that did not say so, and to pass on a frame that no client could read.
Where `n` asked for several choices, the first one is what the neutral events tell; of the others only the words
count, which is all that bytes passing as they came need.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from laneway.chat import (
    Event,
    Faulted,
    Finish,
    Finished,
    Skipped,
    Started,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolBegan,
    ToolDelta,
    Used,
)
from laneway.dialects import Frame
from laneway.dialects.objects.fault import build_failure, judge_stream
from laneway.dialects.openai.usage import GIVEN_UP, LogprobsBody, UsageBody, read_finish, read_logprobs, read_usage
from laneway.failure import Failure, FailureError, Kind
from laneway.wire.fault import CUT
from laneway.wire.json import UNREADABLE, encode
from laneway.wire.sse import SseFrame, SseFrames

# Of a body that is no stream of events, this much is kept to see whether it is an error.
_ODD_BYTES = 65536


class FunctionDelta(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CallDelta(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class Delta(msgspec.Struct, gc=False):
    """`reasoning_content` is DeepSeek's, vLLM's and llama.cpp's name, `reasoning` OpenRouter's and Ollama's; some send
    both, saying the same. Mistral's thinking models send `content` as parts."""

    content: str | list[Any] | None = None
    tool_calls: list[CallDelta] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    function_call: FunctionDelta | None = None


class ChoiceChunk(msgspec.Struct, gc=False):
    index: int = 0
    delta: Delta | None = None
    logprobs: LogprobsBody | None = None
    finish_reason: str | None = None
    text: str | None = None
    stop_reason: str | int | None = None


class Chunk(msgspec.Struct, gc=False):
    id: str | None = None
    created: int | float | None = None
    model: str | None = None
    choices: list[ChoiceChunk] | None = None
    usage: UsageBody | None = None
    service_tier: Any = None
    error: Any = None


_decode: Final = msgspec.json.Decoder(Chunk).decode


class Slot(msgspec.Struct):
    """One tool call of the answer; it begins when its name is known."""

    number: int
    id: str = ""
    begun: bool = False
    held: str = ""


class ChunkReader:
    """Reads one stream. `feed` never raises: a broken framing is a fault like any other."""

    __slots__ = ("_finish", "_frames", "_id", "_last", "_odd", "_others", "_over", "_refused", "_slots", "started")

    def __init__(self) -> None:
        self._frames = SseFrames()
        self._id: str | None = None
        """None until the first chunk of an answer."""
        self.started: Started | None = None
        self._finish: Finish | None = None
        self._over = False
        """Ended by `[DONE]` or by a fault: what comes now passes unread."""
        self._refused = False
        self._slots: dict[int, Slot] = {}
        self._last: Slot | None = None
        self._others: set[int] = set()
        self._odd = b""

    def feed(self, data: bytes) -> list[Frame]:
        try:
            return [self._read(frame) for frame in self._frames.feed(data)]
        except FailureError as error:
            return [Frame(b"", self._fault(error.failure))]

    def end(self) -> list[Frame]:
        found = [self._read(frame) for frame in self._frames.end()]
        rest = self._frames.rest()
        if rest.lstrip()[:5] == b"data:":
            # A last event without its blank line; some servers close right behind `[DONE]`.
            found += self.feed(b"\n\n")
            rest = b""
        if self._over or (self._finish is not None and not self._others):
            return [*found, Frame(rest, ())] if rest else found
        failure = judge_stream(self._odd + rest) if self._id is None else CUT
        return [*found, Frame(b"", self._fault(failure))]

    @property
    def tools(self) -> int:
        return len(self._slots)

    @property
    def odd(self) -> bool:
        """Something was told that no neutral event says: a refusal, or a choice beside the first one."""
        return self._refused or bool(self._others)

    def _read(self, frame: SseFrame) -> Frame:
        raw, data = frame.raw, frame.data
        if data is None:
            if self._id is None and len(self._odd) < _ODD_BYTES:
                self._odd += raw[:_ODD_BYTES]
            return Frame(raw, ())
        if data[:1] == b"[" and data.strip() == b"[DONE]":
            return Frame(raw, self._read_done())
        if self._over or not data:
            return Frame(raw, ())
        try:
            chunk = _decode(data)
        except UNREADABLE:
            return Frame(raw, (Skipped(len(raw)),))
        choices = chunk.choices
        if (
            self._id is None
            or chunk.usage is not None
            or chunk.error is not None
            or choices is None
            or len(choices) != 1
        ):
            return Frame(raw, tuple(self._read_rare(chunk)))
        # Nearly every frame of nearly every stream ends here.
        choice = choices[0]
        delta = choice.delta
        if (
            delta is not None
            and choice.finish_reason is None
            and choice.logprobs is None
            and choice.index == 0
            and delta.tool_calls is None
            and delta.reasoning_content is None
            and delta.reasoning is None
            and delta.refusal is None
            and delta.function_call is None
        ):
            content = delta.content
            if type(content) is str:
                return Frame(raw, (TextDelta(content),) if content else ())
        events: list[Event] = []
        self._read_choice(choice, events)
        return Frame(raw, tuple(events))

    def _read_rare(self, chunk: Chunk) -> list[Event]:
        events: list[Event] = []
        if chunk.error:
            return list(self._fault(build_failure(chunk.error, 0)))
        choices = chunk.choices or ()
        if self._id is None and choices:
            self._id = chunk.id or ""
            created_s = None if chunk.created is None else int(chunk.created)
            self.started = Started(self._id, chunk.model or "", created_s)
            events.append(self.started)
        for choice in choices:
            self._read_choice(choice, events)
        if chunk.usage is not None:
            events.append(Used(read_usage(chunk.usage, chunk.service_tier)))
        return events

    def _read_choice(self, choice: ChoiceChunk, events: list[Event]) -> None:
        logprobs = read_logprobs(choice.logprobs) if choice.logprobs is not None else ()
        if choice.index != 0:
            self._read_other(choice, events)
            return
        delta = choice.delta
        if delta is not None:
            self._read_delta(delta, logprobs, events)
        elif choice.text or logprobs:
            events.append(TextDelta(choice.text or "", logprobs))
        if choice.finish_reason is not None and self._finish is None:
            self._read_finish(choice, events)

    def _read_delta(self, delta: Delta, logprobs: tuple[TokenLogprob, ...], events: list[Event]) -> None:
        thought = delta.reasoning_content or delta.reasoning
        if thought:
            events.append(ThinkingDelta(thought))
        content = delta.content
        if isinstance(content, list):
            thought, content = split_parts(content)
            if thought:
                events.append(ThinkingDelta(thought))
        if delta.refusal:
            self._refused = True
            content = (content or "") + delta.refusal
        if content or logprobs:
            events.append(TextDelta(content or "", logprobs))
        for call in delta.tool_calls or ():
            self._read_call(call, events)
        if delta.function_call is not None:
            self._read_call(CallDelta(0, None, delta.function_call), events)

    def _read_other(self, choice: ChoiceChunk, events: list[Event]) -> None:
        """A choice beside the first one: its words count as content, and it must end like the first."""
        content = choice.delta.content if choice.delta is not None else choice.text
        if isinstance(content, str) and content:
            events.append(TextDelta(content))
        if choice.finish_reason is None:
            self._others.add(choice.index)
        else:
            self._others.discard(choice.index)

    def _read_finish(self, choice: ChoiceChunk, events: list[Event]) -> None:
        reason = choice.finish_reason or ""
        if reason in GIVEN_UP:
            events += self._fault(GAVE_UP)
            return
        tools = bool(self._slots)
        self._finish, sequence = read_finish(reason, choice.stop_reason, tools=tools, refused=self._refused)
        events.append(Finished(self._finish, sequence))

    def _read_call(self, call: CallDelta, events: list[Event]) -> None:
        function = call.function
        name = function.name if function is not None else None
        arguments = spell_arguments(function)
        slot = self._find_slot(call, name)
        slot.id = slot.id or call.id or ""
        if not slot.begun and name:
            slot.begun = True
            slot.id = slot.id or f"call_{self._id or ''}_{slot.number}"
            events.append(ToolBegan(slot.number, slot.id, name))
            arguments, slot.held = slot.held + arguments, ""
        if not slot.begun:
            slot.held += arguments
        elif arguments:
            events.append(ToolDelta(slot.number, arguments))

    def _find_slot(self, call: CallDelta, name: str | None) -> Slot:
        """The call a delta belongs to. A new id with a new name is another call, whatever the index says."""
        if call.index is None:
            known = next((slot for slot in self._slots.values() if call.id and slot.id == call.id), None)
            slot = known or (None if name else self._last)
        else:
            slot = self._slots.get(call.index)
            if slot is not None and name and call.id and slot.begun and slot.id != call.id:
                slot = None
        if slot is None:
            number = self._last.number + 1 if self._last is not None else 0
            slot = Slot(number)
            self._slots[number if call.index is None else call.index] = slot
            self._last = slot
        return slot

    def _read_done(self) -> tuple[Event, ...]:
        """OpenAI's end of a stream. A server that sends it without a finish reason has said that it is done."""
        if self._over:
            return ()
        if self._id is None:
            return self._fault(judge_stream(b""))
        self._over = True
        if self._finish is not None:
            return ()
        self._finish, _ = read_finish("stop", None, tools=bool(self._slots), refused=self._refused)
        return (Finished(self._finish),)

    def _fault(self, failure: Failure) -> tuple[Event, ...]:
        if self._over:
            return ()
        self._over = True
        return (Faulted(failure),)


def spell_arguments(function: FunctionDelta | None) -> str:
    """JSON text; some servers send the object itself, as Ollama's own API does."""
    if function is None or function.arguments is None:
        return ""
    return function.arguments if isinstance(function.arguments, str) else encode(function.arguments).decode()


def split_parts(parts: list[Any]) -> tuple[str, str]:
    """Thinking and words of a content that came as parts: Mistral's `thinking` holds text parts of its own."""
    thought, words = "", ""
    for part in parts:
        if not isinstance(part, dict):
            continue
        inner = part.get("thinking")
        if isinstance(inner, list):
            thought += split_parts(inner)[1]
        elif isinstance(inner, str):
            thought += inner
        elif isinstance(part.get("text"), str):
            words += part["text"]
    return thought, words


GAVE_UP = Failure(kind=Kind.CUT, message="The provider gave the answer up before it was complete.")
