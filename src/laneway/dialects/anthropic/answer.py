"""Whole answers, token counts and model lists in Anthropic's format, both ways.

Owns: the message object, its usage, its stop reasons, the answer of /v1/messages/count_tokens (an `Answer` without
parts whose usage is the count), and the pages of /v1/models.
Refuses: to let Anthropic's convention of counting cached tokens (`tokens`) out of here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from laneway.calls import answer_arguments
from laneway.chat import Answer, Card, Finish, Glance, Op, Part, Text, Thinking, ToolCall, Usage
from laneway.dialects import Stamp, Written
from laneway.dialects.anthropic import fault
from laneway.failure import Failure, FailureError
from laneway.tokens import count_fresh, gather, read_service, sum_stored
from laneway.wire.fault import UNFINISHED, misfit
from laneway.wire.instant import read_instant
from laneway.wire.json import NONE, UNREADABLE, encode

# --- usage and stop reasons --------------------------------------------------------------------------------


class CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: int | None = None


class WireUsage(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None
    service_tier: str | None = None
    """https://platform.claude.com/docs/en/api/service-tiers"""


def read_usage(said: WireUsage) -> Usage:
    stored, split, details = said.cache_creation_input_tokens, said.cache_creation, said.output_tokens_details
    hour = split.ephemeral_1h_input_tokens if split else None
    if stored is None and split is not None:
        stored = split.ephemeral_5m_input_tokens + split.ephemeral_1h_input_tokens
    reasoning = details.thinking_tokens if details else None
    usage = gather(said.input_tokens, said.output_tokens, said.cache_read_input_tokens, stored, hour, reasoning)
    service = read_service(said.service_tier)
    return usage if service is None else msgspec.structs.replace(usage, service=service)


def write_usage(usage: Usage) -> dict[str, Any]:
    """`input_tokens` and `output_tokens` are always there, because Anthropic's clients read them unasked."""
    stored = sum_stored(usage)
    wire: dict[str, Any] = {"input_tokens": count_fresh(usage)}
    if stored is not None:
        wire["cache_creation_input_tokens"] = stored
    if usage.cache_read is not None:
        wire["cache_read_input_tokens"] = usage.cache_read
    if usage.cache_write_1h is not None:
        wire["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write_5m or 0,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    wire["output_tokens"] = usage.output or 0
    if usage.reasoning is not None:
        wire["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return wire


FINISHES = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "tool_use": Finish.TOOLS,
    "pause_turn": Finish.PAUSED,
    "refusal": Finish.REFUSED,
}
_REASONS = {
    Finish.STOP: "end_turn",
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.LENGTH: "max_tokens",
    Finish.TOOLS: "tool_use",
    Finish.PAUSED: "pause_turn",
    Finish.REFUSED: "refusal",
    Finish.FILTERED: "refusal",
}


def read_finish(reason: str) -> Finish:
    """A reason of tomorrow is still a reason: the answer ended, and its provider said so."""
    return FINISHES.get(reason, Finish.STOP)


def write_finish(finish: Finish, *, called: bool) -> str:
    """Some providers stop with "stop" after a forced tool call; Anthropic's callers go by `tool_use` alone."""
    return "tool_use" if called and finish is Finish.STOP else _REASONS[finish]


# --- whole answers -----------------------------------------------------------------------------------------


class _Block(msgspec.Struct, gc=False):
    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = NONE


class _Message(msgspec.Struct, gc=False):
    type: str = ""
    id: str = ""
    model: str = ""
    content: list[_Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: WireUsage | None = None
    error: fault.Said | None = None


class _Glimpse(msgspec.Struct, gc=False):
    type: str = ""
    stop_reason: str | None = None
    usage: WireUsage | None = None
    error: fault.Said | None = None
    input_tokens: int | None = None


_message = msgspec.json.Decoder(_Message)
_glimpse = msgspec.json.Decoder(_Glimpse)


def read_answer(op: Op, body: bytes) -> Answer:
    if op is Op.COUNT:
        return Answer(model="", parts=(), finish=Finish.STOP, usage=Usage(input=_read_count(body)))
    try:
        said = _message.decode(body)
        parts = tuple(part for block in said.content or () if (part := _read_block(block)) is not None)
    except UNREADABLE as error:
        raise FailureError(_no_message(str(error))) from None
    failure = _judge(said.type, said.stop_reason, said.error)
    if failure is not None:
        raise FailureError(failure)
    return Answer(
        model=said.model,
        parts=parts,
        finish=read_finish(said.stop_reason or ""),
        id=said.id,
        stop_sequence=said.stop_sequence,
        usage=read_usage(said.usage) if said.usage else Usage(),
    )


def _read_block(block: _Block) -> Part | None:
    """None for blocks of tools that run at Anthropic: a request that may cause them is never translated."""
    if block.type == "text":
        return Text(block.text or "")
    if block.type == "tool_use":
        return ToolCall(block.id or "", block.name or "", bytes(block.input).decode())
    if block.type == "thinking":
        return Thinking(block.thinking or "", block.signature or None)
    return Thinking(redacted=block.data) if block.type == "redacted_thinking" else None


def _read_count(body: bytes) -> int:
    try:
        said = _glimpse.decode(body)
    except UNREADABLE as error:
        raise FailureError(_no_message(str(error))) from None
    if said.input_tokens is None:
        raise FailureError(fault.build_failure(said.error, 0) if said.error else _no_message("no input_tokens"))
    return said.input_tokens


def _judge(kind: str, stop_reason: str | None, error: fault.Said | None) -> Failure | None:
    """Why a 200 is no answer, if it is none."""
    if error is not None or kind == "error":
        return fault.build_failure(error or fault.Said(), 0)
    if kind != "message":
        return _no_message(f"type {kind!r}")
    if stop_reason is None:
        return UNFINISHED
    return None


def _no_message(detail: str) -> Failure:
    return misfit("a message in Anthropic's format", detail)


def glance(op: Op, body: bytes) -> Glance:
    try:
        said = _glimpse.decode(body)
    except UNREADABLE as error:
        return Glance(failure=_no_message(str(error)))
    if op is Op.COUNT:
        if said.input_tokens is not None:
            return Glance(usage=Usage(input=said.input_tokens))
        return Glance(failure=fault.build_failure(said.error, 0) if said.error else _no_message("no input_tokens"))
    return Glance(
        usage=read_usage(said.usage) if said.usage else Usage(),
        finish=None if said.stop_reason is None else read_finish(said.stop_reason),
        failure=_judge(said.type, said.stop_reason, said.error),
    )


def write_answer(op: Op, answer: Answer, stamp: Stamp) -> Written:
    if op is Op.COUNT:
        return Written(200, encode({"input_tokens": answer.usage.input or 0}))
    content = [block for part in answer.parts if (block := _write_part(part)) is not None]
    called = any(type(part) is ToolCall for part in answer.parts)
    return Written(
        200,
        encode(
            {
                "id": write_id(answer.id, stamp),
                "type": "message",
                "role": "assistant",
                "model": answer.model or stamp.model,
                "content": content,
                "stop_reason": write_finish(answer.finish, called=called),
                "stop_sequence": answer.stop_sequence,
                "usage": write_usage(answer.usage),
            }
        ),
    )


def write_id(given: str, stamp: Stamp) -> str:
    """Anthropic's own id where there is one, else ours in the shape of one."""
    if given.startswith("msg_"):
        return given
    return stamp.id if stamp.id.startswith("msg_") else f"msg_{stamp.id}"


def _write_part(part: Part) -> dict[str, Any] | None:
    if type(part) is Text:
        return {"type": "text", "text": part.text}
    if type(part) is Thinking:
        if part.redacted is not None:
            return {"type": "redacted_thinking", "data": part.redacted}
        return {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}
    if type(part) is ToolCall:
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": answer_arguments(part)}
    return None


# --- model lists -------------------------------------------------------------------------------------------


class _Support(msgspec.Struct, gc=False):
    supported: bool = False


class _Capabilities(msgspec.Struct, gc=False):
    image_input: _Support | None = None
    pdf_input: _Support | None = None
    structured_outputs: _Support | None = None
    thinking: _Support | None = None


class _Model(msgspec.Struct, gc=False):
    id: str
    display_name: str | None = None
    created_at: str | None = None
    max_input_tokens: int | None = None
    max_tokens: int | None = None
    capabilities: _Capabilities | None = None


class _Page(msgspec.Struct, gc=False):
    data: list[_Model]


_page = msgspec.json.Decoder(_Page)
_ABILITIES = {
    "image_input": "vision",
    "pdf_input": "documents",
    "structured_outputs": "schema",
    "thinking": "thinking",
}


def read_models(body: bytes) -> list[Card]:
    try:
        page = _page.decode(body)
    except UNREADABLE as error:
        raise FailureError(misfit("a model list in Anthropic's format", str(error))) from None
    return [
        Card(
            id=model.id,
            created_s=read_instant(model.created_at),
            modified=model.created_at,
            display=model.display_name,
            window=model.max_input_tokens,
            output=model.max_tokens,
            abilities=_read_abilities(model.capabilities),
        )
        for model in page.data
    ]


def _read_abilities(said: _Capabilities | None) -> tuple[str, ...]:
    """Every model of the Messages API takes tools; the list has no word for that."""
    found = [word for name, word in _ABILITIES.items() if said and (can := getattr(said, name)) and can.supported]
    return ("tools", *found)


def write_models(cards: Sequence[Card]) -> Written:
    """One page with everything; `provider` is ours, and clients of this format skip what they do not know."""
    data = []
    for card in cards:
        # The epoch stands for an unknown date (https://docs.claude.com/en/api/models-list).
        created = datetime.fromtimestamp(card.created_s or 0, UTC)
        data.append(
            {
                "type": "model",
                "id": card.id,
                "display_name": card.display or card.id,
                "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "lifecycle": "active",
                "max_input_tokens": card.window,
                "max_tokens": card.output,
                "provider": card.provider,
            }
        )
    first, last = (cards[0].id, cards[-1].id) if cards else (None, None)
    return Written(200, encode({"data": data, "has_more": False, "first_id": first, "last_id": last}))
