"""Tokens, finish reasons and logprobs: the small words that whole answers and streams share.

Owns: reading and writing each of them, with the readings of compatible servers that differ from OpenAI's.
Refuses: guessing: a figure that was not reported stays None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from laneway.chat import Finish, TokenLogprob, Usage
from laneway.tokens import read_service, sum_stored
from laneway.wire.logprobs import TokenBody, read_tokens


class PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class UsageBody(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's name for the cached part."""


def read_usage(body: UsageBody, tier: object = None) -> Usage:
    """OpenAI counts cached tokens into `prompt_tokens`, which is the neutral convention too.

    `tier` is the answer's `service_tier`: the one it was really given in
    (https://platform.openai.com/docs/api-reference/chat/object).
    """
    prompt, completion = body.prompt_tokens_details, body.completion_tokens_details
    output = body.completion_tokens
    reasoning = completion.reasoning_tokens if completion is not None else None
    if reasoning and output is not None and body.total_tokens == (body.prompt_tokens or 0) + output + reasoning:
        # xAI counts reasoning beside completion_tokens, OpenAI within them; the total tells which it was.
        output += reasoning
    cached = prompt.cached_tokens if prompt is not None else None
    return Usage(
        input=body.prompt_tokens,
        output=output,
        cache_read=body.prompt_cache_hit_tokens if cached is None else cached,
        cache_write_5m=prompt.cache_write_tokens if prompt is not None else None,
        reasoning=reasoning,
        service=read_service(tier) if tier is not None else None,
    )


def write_usage(usage: Usage) -> dict[str, object] | None:
    """None when nothing was reported. The two cache lifetimes are one figure in this format."""
    if usage.input is None and usage.output is None:
        return None
    sent, received = usage.input or 0, usage.output or 0
    body: dict[str, object] = {
        "prompt_tokens": sent,
        "completion_tokens": received,
        "total_tokens": sent + received,
    }
    details: dict[str, int] = {}
    if usage.cache_read is not None:
        details["cached_tokens"] = usage.cache_read
    stored = sum_stored(usage)
    if stored is not None:
        details["cache_write_tokens"] = stored
    if details:
        body["prompt_tokens_details"] = details
    if usage.reasoning is not None:
        body["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return body


# OpenAI's five, then what compatible servers say (TGI, Mistral, and gateways that let Anthropic's words through).
FINISHES: dict[str, Finish] = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "tool_calls": Finish.TOOLS,
    "content_filter": Finish.FILTERED,
    "function_call": Finish.TOOLS,
    "eos": Finish.STOP,
    "eos_token": Finish.STOP,
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "model_length": Finish.LENGTH,
    "tool_use": Finish.TOOLS,
}

# "Finish reasons" that say the answer was given up: it must not pass for a whole one. vLLM says abort, OpenRouter
# error, DeepSeek the last one.
GIVEN_UP = frozenset({"abort", "error", "insufficient_system_resource"})

_REASONS: dict[Finish, str] = {
    Finish.STOP: "stop",
    Finish.STOP_SEQUENCE: "stop",
    Finish.LENGTH: "length",
    Finish.TOOLS: "tool_calls",
    Finish.FILTERED: "content_filter",
    Finish.REFUSED: "content_filter",
    # A paused turn is not a whole one, and "length" is the only reason by which OpenAI's clients notice that.
    Finish.PAUSED: "length",
}


def read_finish(reason: str, stop_reason: object, *, tools: bool, refused: bool) -> tuple[Finish, str | None]:
    """The finish and the stop sequence that caused it, which vLLM names in `stop_reason`.

    A reason nobody knows still says that the model ended by itself.
    """
    finish = FINISHES.get(reason, Finish.STOP)
    if finish is Finish.STOP:
        if refused:
            return Finish.REFUSED, None
        if tools:
            # With a forced tool OpenAI says "stop" although the answer is a call.
            return Finish.TOOLS, None
        if isinstance(stop_reason, str):
            return Finish.STOP_SEQUENCE, stop_reason
    return finish, None


def write_finish(finish: Finish, *, tools: bool) -> str:
    return "tool_calls" if tools and finish is Finish.STOP else _REASONS[finish]


class LogprobsBody(msgspec.Struct):
    """Chat says `content` (and `refusal`), completions the three parallel lists."""

    content: list[TokenBody] | None = None
    refusal: list[TokenBody] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None


def read_logprobs(body: LogprobsBody) -> tuple[TokenLogprob, ...]:
    if body.content or body.refusal:
        return read_tokens((*(body.content or ()), *(body.refusal or ())))
    found: list[TokenLogprob] = []
    tops = body.top_logprobs or []
    for place, (token, logprob) in enumerate(zip(body.tokens or (), body.token_logprobs or (), strict=False)):
        top = tops[place] if place < len(tops) else None
        # The first token of an echoed prompt has none; 0.0 would be a claim.
        if logprob is not None:
            likely = tuple(TokenLogprob(word, value) for word, value in (top or {}).items())
            found.append(TokenLogprob(token, logprob, None, likely))
    return tuple(found)


def write_logprobs(logprobs: Sequence[TokenLogprob]) -> dict[str, object] | None:
    """Chat's form; None without any."""
    if not logprobs:
        return None
    return {
        "content": [_write_token(item) | {"top_logprobs": [_write_token(top) for top in item.top]} for item in logprobs]
    }


def _write_token(item: TokenLogprob) -> dict[str, Any]:
    return {"token": item.token, "logprob": item.logprob, "bytes": None if item.bytes is None else list(item.bytes)}


def write_token_lists(logprobs: Sequence[TokenLogprob], offset: int = 0) -> dict[str, object] | None:
    """Completions' form; `offset` is where in the text the first token stands."""
    if not logprobs:
        return None
    offsets: list[int] = []
    for item in logprobs:
        offsets.append(offset)
        offset += len(item.token)
    return {
        "tokens": [item.token for item in logprobs],
        "token_logprobs": [item.logprob for item in logprobs],
        "top_logprobs": [{top.token: top.logprob for top in item.top} for item in logprobs],
        "text_offset": offsets,
    }
