"""Whole answers and model lists in Bedrock's format, both ways.

Owns: the message, its usage, its stop reasons and its latency, and ListFoundationModels
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html).
Refuses: to let Bedrock's convention of counting cached tokens (`tokens`) out of here. The answer names no model:
`Answer.model` is "".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from laneway.calls import answer_arguments
from laneway.chat import Answer, Card, Finish, Glance, Part, Text, Thinking, Timings, ToolCall, Usage
from laneway.dialects import Stamp, Written
from laneway.dialects.converse.request import read_reasoning_content
from laneway.dialects.converse.schema import ReasoningContent, ToolUse, Wire
from laneway.failure import Failure, FailureError, Kind
from laneway.tokens import count_fresh, gather, read_service, sum_stored
from laneway.wire.fault import misfit
from laneway.wire.json import UNREADABLE, encode
from laneway.wire.redact import redact

# --- usage and stop reasons --------------------------------------------------------------------------------


class CacheDetail(Wire):
    ttl: str
    input_tokens: int


class WireUsage(Wire):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[CacheDetail] | None = None


class Metrics(Wire):
    latency_ms: int | None = None


class ServiceTier(Wire):
    """https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ServiceTier.html"""

    type: str | None = None


def read_usage(said: WireUsage, tier: ServiceTier | None = None) -> Usage:
    stored, details = said.cache_write_input_tokens, said.cache_details or ()
    hour = sum(detail.input_tokens for detail in details if detail.ttl == "1h") if details else None
    usage = gather(said.input_tokens, said.output_tokens, said.cache_read_input_tokens, stored, hour)
    service = read_service(tier.type) if tier is not None else None
    return usage if service is None else msgspec.structs.replace(usage, service=service)


def write_usage(usage: Usage) -> dict[str, Any]:
    """The first three are always there, because the format requires them."""
    stored, fresh, output = sum_stored(usage), count_fresh(usage), usage.output or 0
    wire: dict[str, Any] = {
        "inputTokens": fresh,
        "outputTokens": output,
        "totalTokens": fresh + (usage.cache_read or 0) + (stored or 0) + output,
    }
    if usage.cache_read is not None:
        wire["cacheReadInputTokens"] = usage.cache_read
    if stored is not None:
        wire["cacheWriteInputTokens"] = stored
    if usage.cache_write_1h is not None:
        wire["cacheDetails"] = [
            {"ttl": "1h", "inputTokens": usage.cache_write_1h},
            {"ttl": "5m", "inputTokens": usage.cache_write_5m or 0},
        ]
    return wire


_FINISHES = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "tool_use": Finish.TOOLS,
    "guardrail_intervened": Finish.FILTERED,
    "content_filtered": Finish.FILTERED,
}
_REASONS = {
    Finish.STOP: "end_turn",
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.LENGTH: "max_tokens",
    Finish.TOOLS: "tool_use",
    Finish.PAUSED: "end_turn",
    Finish.REFUSED: "content_filtered",
    Finish.FILTERED: "content_filtered",
}


def read_finish(reason: str) -> Finish | Failure:
    """Two stop reasons say that the model's own output could not be read: an answer, but no whole one."""
    if reason.startswith("malformed_"):
        return Failure(
            kind=Kind.MALFORMED_ANSWER,
            message="The model's output could not be read by its provider.",
            detail=redact(reason),
        )
    # A reason of tomorrow is still a reason: the answer ended, and its provider said so.
    return _FINISHES.get(reason, Finish.STOP)


def write_finish(finish: Finish, *, called: bool) -> str:
    """Some providers stop with "stop" after a forced tool call; Bedrock's callers go by `tool_use` alone."""
    return "tool_use" if called and finish is Finish.STOP else _REASONS[finish]


# --- whole answers -----------------------------------------------------------------------------------------


class _Words(Wire):
    text: str | None = None


class _Cited(Wire):
    content: list[_Words] | None = None


class _Block(Wire):
    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: ReasoningContent | None = None
    citations_content: _Cited | None = None


class _Message(Wire):
    content: list[_Block]


class _Output(Wire):
    message: _Message


class _Answer(Wire):
    output: _Output
    stop_reason: str
    usage: WireUsage | None = None
    service_tier: ServiceTier | None = None
    metrics: Metrics | None = None


class _GlimpsedOutput(Wire):
    message: msgspec.Raw


class _Glimpse(Wire):
    output: _GlimpsedOutput
    stop_reason: str
    usage: WireUsage | None = None
    service_tier: ServiceTier | None = None


_answer = msgspec.json.Decoder(_Answer)
_glimpse = msgspec.json.Decoder(_Glimpse)


def read_answer(body: bytes) -> Answer:
    try:
        said = _answer.decode(body)
        parts = tuple(part for block in said.output.message.content if (part := _read_block(block)) is not None)
    except UNREADABLE as error:
        raise FailureError(_no_answer(str(error))) from None
    finish = read_finish(said.stop_reason)
    if isinstance(finish, Failure):
        raise FailureError(finish)
    return Answer(
        model="",
        parts=parts,
        finish=finish,
        usage=read_usage(said.usage, said.service_tier) if said.usage else Usage(),
        timings=read_timings(said.metrics),
    )


def read_timings(metrics: Metrics | None) -> Timings:
    latency_ms = metrics.latency_ms if metrics else None
    return Timings() if latency_ms is None else Timings(total_ns=latency_ms * 1_000_000)


def _read_block(block: _Block) -> Part | None:
    """None for blocks that only requests can cause which are never translated (pictures, results of its own tools)."""
    if block.text is not None:
        return Text(block.text)
    if block.tool_use is not None:
        return ToolCall(block.tool_use.tool_use_id, block.tool_use.name, bytes(block.tool_use.input).decode())
    if block.reasoning_content is not None:
        return read_reasoning_content(block.reasoning_content)
    if block.citations_content is not None:
        return Text("".join(words.text or "" for words in block.citations_content.content or ()))
    return None


def _no_answer(detail: str) -> Failure:
    return misfit("an answer in Bedrock's Converse format", detail)


def glance(body: bytes) -> Glance:
    try:
        said = _glimpse.decode(body)
    except UNREADABLE as error:
        return Glance(failure=_no_answer(str(error)))
    usage = read_usage(said.usage, said.service_tier) if said.usage else Usage()
    finish = read_finish(said.stop_reason)
    if isinstance(finish, Failure):
        return Glance(usage=usage, failure=finish)
    return Glance(usage=usage, finish=finish)


def write_answer(answer: Answer, stamp: Stamp) -> Written:
    content = [block for part in answer.parts if (block := _write_part(part)) is not None]
    called = any(type(part) is ToolCall for part in answer.parts)
    body = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": write_finish(answer.finish, called=called),
        "usage": write_usage(answer.usage),
        "metrics": {"latencyMs": write_latency(answer.timings, stamp)},
    }
    return Written(200, encode(body), headers=((b"x-amzn-requestid", (stamp.id or answer.id).encode()),))


def write_latency(timings: Timings | None, stamp: Stamp) -> int:
    total_ns = timings.total_ns if timings else None
    return (stamp.elapsed_ns if total_ns is None else total_ns) // 1_000_000


def _write_part(part: Part) -> dict[str, Any] | None:
    if type(part) is Text:
        return {"text": part.text}
    if type(part) is Thinking:
        if part.redacted is not None:
            return {"reasoningContent": {"redactedContent": part.redacted}}
        said = {"text": part.text} if part.signature is None else {"text": part.text, "signature": part.signature}
        return {"reasoningContent": {"reasoningText": said}}
    if type(part) is ToolCall:
        return {"toolUse": {"toolUseId": part.id, "name": part.name, "input": answer_arguments(part)}}
    return None


# --- model lists -------------------------------------------------------------------------------------------


class _Model(Wire):
    model_id: str
    model_name: str | None = None
    input_modalities: list[str] | None = None
    output_modalities: list[str] | None = None


class _List(Wire):
    model_summaries: list[_Model]


_list = msgspec.json.Decoder(_List)


def read_models(body: bytes) -> list[Card]:
    try:
        models = _list.decode(body).model_summaries
    except UNREADABLE as error:
        raise FailureError(misfit("a model list in Bedrock's format", str(error))) from None
    return [
        Card(
            id=model.model_id,
            display=model.model_name,
            kind="embed" if "EMBEDDING" in (model.output_modalities or ()) else "chat",
            abilities=("vision",) if "IMAGE" in (model.input_modalities or ()) else (),
        )
        for model in models
    ]


def write_models(cards: Sequence[Card]) -> Written:
    summaries = [
        {
            "modelId": card.id,
            "modelName": card.display or card.id,
            "providerName": card.provider,
            "inputModalities": ["TEXT", "IMAGE"] if "vision" in card.abilities else ["TEXT"],
            "outputModalities": ["EMBEDDING"] if card.kind == "embed" else ["TEXT"],
            "responseStreamingSupported": card.kind != "embed",
            "inferenceTypesSupported": ["ON_DEMAND"],
            "modelLifecycle": {"status": "ACTIVE"},
        }
        for card in cards
    ]
    return Written(200, encode({"modelSummaries": summaries}))
