"""Whole answers, both ways, and the glance at one that passes as it came.

Owns: chat.completion and text_completion bodies. One choice is an answer; a refusal is its words with a finish of its
own; reasoning comes first, then words, then tool calls.
Refuses: several choices (they pass, but have no neutral form), and an answer that is not finished.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from laneway.chat import Answer, Finish, Glance, Op, Part, Text, Thinking, ToolCall, Usage
from laneway.dialects import Stamp, Written
from laneway.dialects.objects.fault import build_failure
from laneway.dialects.openai.chunks import name_answer
from laneway.dialects.openai.stream import GAVE_UP, Delta, FunctionDelta, spell_arguments, split_parts
from laneway.dialects.openai.usage import (
    FINISHES,
    GIVEN_UP,
    LogprobsBody,
    UsageBody,
    read_finish,
    read_logprobs,
    read_usage,
    write_finish,
    write_logprobs,
    write_token_lists,
    write_usage,
)
from laneway.failure import FailureError, Kind, fail
from laneway.wire.fault import UNFINISHED, misfit
from laneway.wire.json import UNREADABLE, encode


class ChoiceBody(msgspec.Struct):
    message: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: LogprobsBody | None = None
    stop_reason: str | int | None = None


class AnswerBody(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    choices: list[ChoiceBody] | None = None
    usage: UsageBody | None = None
    service_tier: Any = None
    error: Any = None


class ChoiceGlance(msgspec.Struct, gc=False):
    finish_reason: str | None = None


class AnswerGlance(msgspec.Struct, gc=False):
    """`data` is an embedding's; it is looked at no further than that it is there."""

    choices: list[ChoiceGlance] | None = None
    usage: UsageBody | None = None
    service_tier: Any = None
    error: Any = None
    data: msgspec.Raw = msgspec.Raw()


_read_body: Final = msgspec.json.Decoder(AnswerBody).decode
_read_glance: Final = msgspec.json.Decoder(AnswerGlance).decode

NO_JSON: Final = misfit("JSON of OpenAI's form")
NO_ANSWER: Final = misfit("an answer in its body")


def glance(op: Op, body: bytes) -> Glance:
    try:
        seen = _read_glance(body)
    except UNREADABLE:
        return Glance(failure=NO_JSON)
    if seen.error:
        return Glance(failure=build_failure(seen.error, 0))
    usage = Usage() if seen.usage is None else read_usage(seen.usage, seen.service_tier)
    if op is Op.EMBED:
        return Glance(usage=usage, failure=None if bytes(memoryview(seen.data)[:1]) == b"[" else NO_ANSWER)
    if not seen.choices:
        return Glance(usage=usage, failure=NO_ANSWER)
    for choice in seen.choices:
        if choice.finish_reason is None:
            return Glance(usage=usage, failure=UNFINISHED)
        if choice.finish_reason in GIVEN_UP:
            return Glance(usage=usage, failure=GAVE_UP)
    return Glance(usage=usage, finish=FINISHES.get(seen.choices[0].finish_reason or "", Finish.STOP))


def read_answer(body: bytes) -> Answer:
    try:
        read = _read_body(body)
    except UNREADABLE:
        raise FailureError(NO_JSON) from None
    if read.error:
        raise FailureError(build_failure(read.error, 0))
    if not read.choices:
        raise FailureError(NO_ANSWER)
    if len(read.choices) > 1:
        raise fail(Kind.UNSUPPORTED, "Several choices cannot be translated; ask for one (`n` = 1).", field="n")
    choice = read.choices[0]
    if choice.finish_reason is None:
        raise FailureError(UNFINISHED)
    if choice.finish_reason in GIVEN_UP:
        raise FailureError(GAVE_UP)
    reply = choice.message or Delta(content=choice.text)
    parts = _read_parts(reply, read.id or "")
    finish, sequence = read_finish(
        choice.finish_reason,
        choice.stop_reason,
        tools=any(isinstance(part, ToolCall) for part in parts),
        refused=bool(reply.refusal),
    )
    return Answer(
        model=read.model or "",
        parts=parts,
        finish=finish,
        id=read.id or "",
        created_s=None if read.created is None else int(read.created),
        stop_sequence=sequence,
        usage=Usage() if read.usage is None else read_usage(read.usage, read.service_tier),
        logprobs=() if choice.logprobs is None else read_logprobs(choice.logprobs),
    )


def _read_parts(reply: Delta, answer_id: str) -> tuple[Part, ...]:
    thought, words = reply.reasoning_content or reply.reasoning or "", reply.content
    if isinstance(words, list):
        inner, words = split_parts(words)
        thought += inner
    parts: list[Part] = [Thinking(thought)] if thought else []
    parts += [Text(text) for text in (words, reply.refusal) if text]
    for number, call in enumerate(reply.tool_calls or ()):
        if call.function is not None:
            parts.append(_read_call(call.id or f"call_{answer_id}_{number}", call.function))
    if reply.function_call is not None and not reply.tool_calls:
        parts.append(_read_call(f"call_{answer_id}_0", reply.function_call))
    return tuple(parts)


def _read_call(call_id: str, function: FunctionDelta) -> ToolCall:
    return ToolCall(call_id, function.name or "", spell_arguments(function))


def write_answer(op: Op, answer: Answer, stamp: Stamp) -> Written:
    chat = op is not Op.COMPLETE
    choice: dict[str, Any] = {"index": 0}
    tools = any(isinstance(part, ToolCall) for part in answer.parts)
    reason = write_finish(answer.finish, tools=tools)
    if chat:
        choice["message"] = message = _write_message(answer)
        choice["logprobs"] = write_logprobs(answer.logprobs)
        if message["refusal"]:
            # How OpenAI itself ends a refusal that has words.
            reason = "stop"
    else:
        choice["text"] = _join(answer)
        choice["logprobs"] = write_token_lists(answer.logprobs)
    choice["finish_reason"] = reason
    if answer.stop_sequence is not None:
        choice["stop_reason"] = answer.stop_sequence
    body: dict[str, Any] = {
        "id": name_answer(answer.id, stamp, chat=chat),
        "object": "chat.completion" if chat else "text_completion",
        "created": stamp.now_s if answer.created_s is None else answer.created_s,
        "model": answer.model or stamp.model,
        "choices": [choice],
    }
    usage = write_usage(answer.usage)
    if usage is not None:
        body["usage"] = usage
    return Written(200, encode(body))


def _write_message(answer: Answer) -> dict[str, Any]:
    words: str | None = _join(answer)
    calls = [part for part in answer.parts if isinstance(part, ToolCall)]
    refusal = None
    if answer.finish is Finish.REFUSED and words:
        words, refusal = None, words
    message: dict[str, Any] = {
        "role": "assistant",
        "content": (words or None) if calls else words,
        "refusal": refusal,
    }
    thought = "".join(part.text for part in answer.parts if isinstance(part, Thinking))
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = [
            # Clients parse the arguments, and an empty text is no JSON.
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
            for call in calls
        ]
    return message


def _join(answer: Answer) -> str:
    return "".join(part.text for part in answer.parts if isinstance(part, Text))
