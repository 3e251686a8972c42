"""Whole answers and embeddings, both ways, and the glance at an answer that passes as it came.

Owns: what an Ollama answer says of text, thinking, tool calls, tokens and durations, and how one is written.
docs/api.md: durations are nanoseconds; `prompt_eval_count` may be absent when the prompt was cached, which is not 0.
Refuses: answers that are not done. A whole answer and the last line of a stream have one shape, so the stream uses
these readers too, and reads either path's shape (`message` or `response`) whichever was asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from time import gmtime, strftime
from typing import Any

import msgspec
from msgspec import Raw, Struct

from laneway.calls import answer_arguments, read_arguments
from laneway.chat import (
    Answer,
    Embedding,
    EmbedRequest,
    Finish,
    Glance,
    Op,
    Part,
    Text,
    Thinking,
    Timings,
    TokenLogprob,
    ToolCall,
    Usage,
)
from laneway.dialects import Stamp, Written
from laneway.dialects.ollama.fault import build_failure
from laneway.dialects.ollama.outgoing import pack
from laneway.dialects.ollama.schema import (
    LINE,
    VECTORS,
    Call,
    Line,
    Number,
    Vectors,
    arguments,
    whole,
)
from laneway.failure import FailureError
from laneway.wire.fault import UNFINISHED, misfit
from laneway.wire.instant import read_instant
from laneway.wire.json import NONE, UNREADABLE, encode
from laneway.wire.logprobs import read_tokens

# llm/server.go knows stop and length, server/routes.go adds load and unload, and calling a tool is a stop. The last
# three are words of ours for what Ollama never says: a truncated answer must not read as a whole one.
_FINISHES = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "load": Finish.STOP,
    "unload": Finish.STOP,
    "content_filter": Finish.FILTERED,
    "refusal": Finish.REFUSED,
    "pause": Finish.PAUSED,
}
REASONS = {
    Finish.STOP: "stop",
    Finish.STOP_SEQUENCE: "stop",
    Finish.TOOLS: "stop",
    Finish.LENGTH: "length",
    Finish.FILTERED: "content_filter",
    Finish.REFUSED: "refusal",
    Finish.PAUSED: "pause",
}
_FORM = "an answer of the Ollama API"
_NO_ANSWER = misfit(_FORM)


# --- reading -----------------------------------------------------------------------------------------------


def read_answer(body: bytes) -> Answer:
    """Raises FailureError: what a 200 carrying an error says, MALFORMED_ANSWER, or CUT."""
    try:
        line = LINE.decode(body)
    except UNREADABLE as error:
        raise _not_an_answer(error) from None
    if line.error is not None:
        raise FailureError(build_failure(line.error, line.status or 0))
    if not line.done:
        raise FailureError(_NO_ANSWER if line.message is None and line.response is None else UNFINISHED)
    message = line.message
    thinking = line.thinking if message is None else message.thinking
    text = line.response if message is None else message.content
    calls = (line.tool_calls if message is None else message.tool_calls) or ()
    parts: list[Part] = []
    if thinking:
        parts.append(Thinking(thinking))
    if text:
        parts.append(Text(text))
    for index, call in enumerate(calls):
        parts.append(ToolCall(call_id(line, index, call), call.function.name, arguments(call)))
    return Answer(
        model=line.model,
        parts=tuple(parts),
        finish=finish_of(line.done_reason, bool(calls)),
        created_s=read_instant(line.created_at),
        usage=usage_of(line),
        logprobs=read_tokens(line.logprobs) if line.logprobs else (),
        timings=timings_of(line),
    )


def _not_an_answer(error: Exception) -> FailureError:
    return FailureError(misfit(_FORM, str(error)))


def finish_of(reason: str | None, called: bool) -> Finish:
    finish = _FINISHES.get(reason or "stop", Finish.STOP)
    return Finish.TOOLS if called and finish is Finish.STOP else finish


def call_id(line: Line, index: int, call: Call) -> str:
    """The provider's id. Servers before 0.12 give none: one is made that repeats with the bytes and else does not."""
    if call.id:
        return call.id
    seed = f"{line.created_at}/{index}/{call.function.name}/".encode() + bytes(call.function.arguments)
    return f"call_{hashlib.blake2b(seed, digest_size=9).hexdigest()}"


def usage_of(line: Line) -> Usage:
    # The cached tokens are part of prompt_eval_count (api/types.go, Metrics), as they are neutrally.
    return Usage(
        input=whole(line.prompt_eval_count),
        output=whole(line.eval_count),
        cache_read=whole(line.prompt_eval_cached_count),
    )


def timings_of(line: Line) -> Timings:
    return Timings(
        total_ns=whole(line.total_duration),
        load_ns=whole(line.load_duration),
        prompt_ns=whole(line.prompt_eval_duration),
        answer_ns=whole(line.eval_duration),
    )


# --- writing -----------------------------------------------------------------------------------------------


def timestamp(at_s: int) -> str:
    """RFC 3339 with nanoseconds, as Go writes it; nobody has a finer clock here than seconds."""
    return strftime("%Y-%m-%dT%H:%M:%S.000000000Z", gmtime(at_s))


def write_answer(op: Op, answer: Answer, stamp: Stamp) -> Written:
    """Raises FailureError MALFORMED_ANSWER for a tool call whose arguments are no JSON object."""
    text = "".join(part.text for part in answer.parts if type(part) is Text)
    thinking = "".join(part.text for part in answer.parts if type(part) is Thinking)
    calls = [part for part in answer.parts if type(part) is ToolCall and not was_cut(part, answer.finish)]
    body: dict[str, Any] = {
        "model": answer.model or stamp.model,
        "created_at": timestamp(stamp.now_s if answer.created_s is None else answer.created_s),
    }
    if op is Op.COMPLETE:
        said = body
        said["response"] = text
    else:
        said = body["message"] = {"role": "assistant", "content": text}
    if thinking:
        said["thinking"] = thinking
    if calls:
        said["tool_calls"] = [write_call(index, call) for index, call in enumerate(calls)]
    body["done"] = True
    body["done_reason"] = REASONS[answer.finish]
    if answer.logprobs:
        body["logprobs"] = write_logprobs(answer.logprobs)
    body.update(write_metrics(answer.usage, answer.timings, stamp.elapsed_ns))
    return Written(200, encode(body))


def was_cut(call: ToolCall, finish: Finish) -> bool:
    """The token limit fell into the call's arguments: it is no call, and `done_reason` tells why."""
    return finish is Finish.LENGTH and read_arguments(call.arguments) is None


def write_call(index: int, call: ToolCall) -> dict[str, Any]:
    packed = pack(answer_arguments(call, f"tool_calls[{index}].function.arguments"))
    return {"id": call.id, "function": {"index": index, "name": call.name, "arguments": packed}}


def write_logprobs(logprobs: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    written = []
    for one in logprobs:
        entry: dict[str, Any] = {"token": one.token, "logprob": one.logprob}
        if one.bytes is not None:
            entry["bytes"] = one.bytes
        if one.top:
            entry["top_logprobs"] = write_logprobs(one.top)
        written.append(entry)
    return written


def write_metrics(usage: Usage, timings: Timings, elapsed_ns: int) -> dict[str, int]:
    """Only what is known. The gateway's own time stands in where the provider reported none."""
    named = (
        ("total_duration", timings.total_ns if timings.total_ns is not None else elapsed_ns or None),
        ("load_duration", timings.load_ns),
        ("prompt_eval_count", usage.input),
        ("prompt_eval_cached_count", usage.cache_read),
        ("prompt_eval_duration", timings.prompt_ns),
        ("eval_count", usage.output),
        ("eval_duration", timings.answer_ns),
    )
    return {name: value for name, value in named if value is not None}


# --- the glance --------------------------------------------------------------------------------------------


class _Message(Struct, gc=False):
    tool_calls: Raw = NONE


class _Glanced(Struct, gc=False):
    done: bool = False
    done_reason: str | None = None
    message: _Message | None = None
    tool_calls: Raw = NONE
    prompt_eval_count: Number | None = None
    prompt_eval_cached_count: Number | None = None
    eval_count: Number | None = None
    embeddings: Raw = NONE
    embedding: Raw = NONE
    error: Any = None
    status: int | None = None


_GLANCED = msgspec.json.Decoder(_Glanced)


def glance(op: Op, body: bytes) -> Glance:
    try:
        seen = _GLANCED.decode(body)
    except UNREADABLE as error:
        return Glance(failure=_not_an_answer(error).failure)
    if seen.error is not None:
        return Glance(failure=build_failure(seen.error, seen.status or 0))
    usage = Usage(
        input=whole(seen.prompt_eval_count),
        output=whole(seen.eval_count),
        cache_read=whole(seen.prompt_eval_cached_count),
    )
    if op is Op.EMBED:
        known = bytes(seen.embeddings) or bytes(seen.embedding)
        return Glance(usage=usage, failure=None if known else _NO_ANSWER)
    if not seen.done:
        return Glance(usage=usage, failure=UNFINISHED)
    calls = bytes(seen.tool_calls if seen.message is None else seen.message.tool_calls)
    return Glance(usage=usage, finish=finish_of(seen.done_reason, calls not in (b"", b"[]", b"null")))


# --- embeddings --------------------------------------------------------------------------------------------


def read_embedding(body: bytes) -> Embedding:
    """Either form of answer: `embeddings`, or `embedding` of the older path."""
    try:
        seen: Vectors = VECTORS.decode(body)
    except UNREADABLE as error:
        raise _not_an_answer(error) from None
    if seen.error is not None:
        raise FailureError(build_failure(seen.error, 0))
    vectors = seen.embeddings if seen.embedding is None else [seen.embedding]
    if vectors is None:
        raise FailureError(_NO_ANSWER)
    return Embedding(
        model=seen.model,
        vectors=tuple(map(tuple, vectors)),
        usage=Usage(input=whole(seen.prompt_eval_count)),
        timings=Timings(total_ns=whole(seen.total_duration), load_ns=whole(seen.load_duration)),
    )


def write_embedding(embedding: Embedding, stamp: Stamp) -> Written:
    request = stamp.request
    if isinstance(request, EmbedRequest) and request.one:
        return Written(200, encode({"embedding": embedding.vectors[0] if embedding.vectors else ()}))
    body: dict[str, Any] = {"model": embedding.model or stamp.model, "embeddings": embedding.vectors}
    body.update(write_metrics(embedding.usage, embedding.timings, stamp.elapsed_ns))
    return Written(200, encode(body))
