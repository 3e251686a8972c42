"""Saving a stream whose provider failed: the words for it, and the request by which another target goes on.

Owns: the ways a stream may be saved, who can go on from a begun answer, what it is asked then, and what the caller is
told that all of it used.
Refuses: streams themselves, and going on where thinking, a prescribed format or a forced tool would be broken by it.
"""

from __future__ import annotations

import msgspec

from laneway.chat import ChatRequest, Message, Role, Text, ToolMode, Usage
from laneway.dialects import View
from laneway.policy.price import counted_tokens
from laneway.route import Target

ERROR, CONTINUE, HOLD = RESCUES = ("error", "continue", "hold")
"""Tell the fault; let the next target go on from what was sent; send nothing before all of it has come."""


def way(mode: str, view: View) -> str:
    """The way in which this stream may be saved: several answers, or the probabilities of one model's words, cannot be
    taken from two."""
    return ERROR if mode == CONTINUE and (view.choices > 1 or "logprobs" in view.needs) else mode


def begun(request: ChatRequest, said: str, target: Target) -> ChatRequest | None:
    """The request with the answer so far as its last turn; None where the target cannot go on from that.

    Anthropic refuses a last turn that ends in white space, and a begun answer beside thinking or a prescribed format
    (https://docs.claude.com/en/docs/build-with-claude/prompt-engineering/prefill-claudes-response).
    """
    words = said.rstrip()
    if not words or target.abilities is None or "prefill" not in target.abilities or _thinks(request):
        return None
    if request.format is not None or (request.tool_choice is not None and request.tool_choice.mode in _FORCED):
        return None
    limit = request.max_tokens
    if limit is not None:
        limit = max(limit - counted_tokens(len(said)), 1)
    return msgspec.structs.replace(request, messages=_answered(request.messages, words), max_tokens=limit)


def _answered(messages: tuple[Message, ...], words: str) -> tuple[Message, ...]:
    last = messages[-1] if messages else None
    if last is None or last.role is not Role.ASSISTANT:
        return (*messages, Message(Role.ASSISTANT, (Text(words),)))
    # The caller had begun the answer already: it stays one text, which no writer puts anything between.
    *parts, end = last.parts or (Text(""),)
    whole = (*parts, Text(end.text + words)) if isinstance(end, Text) else (*parts, end, Text(words))
    return (*messages[:-1], Message(Role.ASSISTANT, whole, last.name))


def _thinks(request: ChatRequest) -> bool:
    reasoning = request.reasoning
    return reasoning is not None and reasoning.enabled is not False and reasoning.effort != "none"


_FORCED = (ToolMode.ANY, ToolMode.ONE)


def told_usage(usage: Usage, begun_chars: int) -> Usage:
    """What the caller of one answer is told: who went on from its beginning was sent that as prompt, and to the caller
    it is answer. The sum is what was reported; what every call really cost is in the record and in the bill."""
    cached = (usage.cache_read or 0) + (usage.cache_write_5m or 0) + (usage.cache_write_1h or 0)
    moved = min(counted_tokens(begun_chars), max((usage.input or 0) - cached, 0))
    if not moved or usage.output is None:
        return usage
    return msgspec.structs.replace(usage, input=(usage.input or 0) - moved, output=usage.output + moved)
