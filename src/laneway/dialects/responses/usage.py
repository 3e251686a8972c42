"""Tokens and ends of an answer: the small words that whole answers and streams share.

Owns: reading and writing both, in OpenAI's convention, whose prompt includes cached tokens as the neutral one does.
Refuses: guessing: a figure that was not reported stays None.
"""

from __future__ import annotations

from typing import Any

import msgspec

from laneway.chat import Finish, Usage
from laneway.tokens import read_service, sum_stored


class InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class UsageBody(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class Details(msgspec.Struct, gc=False):
    """Why an answer is incomplete."""

    reason: str | None = None


def read_usage(body: UsageBody, tier: object = None) -> Usage:
    """`tier` is the response's `service_tier`: the one it was really given in."""
    sent, received, output = body.input_tokens_details, body.output_tokens_details, body.output_tokens
    reasoning = received.reasoning_tokens if received is not None else None
    if reasoning and output is not None and body.total_tokens == (body.input_tokens or 0) + output + reasoning:
        # xAI counts reasoning beside the output, OpenAI within it; the total tells which it was.
        output += reasoning
    return Usage(
        input=body.input_tokens,
        output=output,
        cache_read=sent.cached_tokens if sent is not None else None,
        cache_write_5m=sent.cache_write_tokens if sent is not None else None,
        reasoning=reasoning,
        service=read_service(tier) if tier is not None else None,
    )


def write_usage(usage: Usage) -> dict[str, Any] | None:
    """None when nothing was reported. Else all details are there, because clients read them unasked."""
    if usage.input is None and usage.output is None:
        return None
    sent, received = usage.input or 0, usage.output or 0
    return {
        "input_tokens": sent,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read or 0,
            "cache_write_tokens": sum_stored(usage) or 0,
        },
        "output_tokens": received,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": sent + received,
    }


def read_finish(status: str, reason: str | None, *, called: bool, refused: bool) -> Finish:
    """Of a response that is completed or incomplete. A reason nobody knows still says that something is missing."""
    if status != "completed":
        return Finish.FILTERED if reason == "content_filter" else Finish.LENGTH
    if called:
        return Finish.TOOLS
    return Finish.REFUSED if refused else Finish.STOP


_REASONS: dict[Finish, str] = {
    Finish.LENGTH: "max_output_tokens",
    # A paused turn is not a whole one, and this is the reason by which this format's clients notice that.
    Finish.PAUSED: "max_output_tokens",
    Finish.FILTERED: "content_filter",
    Finish.REFUSED: "content_filter",
}


def write_reason(finish: Finish) -> str | None:
    """Why the response is incomplete; None for a whole one."""
    return _REASONS.get(finish)
