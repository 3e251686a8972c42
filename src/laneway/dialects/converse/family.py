"""What Bedrock's families of models call things that Converse itself has no word for.

Owns: `top_k` and thinking in `additionalModelRequestFields`, chosen by the model's id, and how much thinking an
effort stands for with models that take a budget.
Refuses: to guess. A family that is not known here gets UNSUPPORTED for what it may not have.
"""

from __future__ import annotations

import re
from typing import Any

from laneway.chat import ChatRequest, Reasoning
from laneway.failure import Kind, fail

EFFORT_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 24576}
"""Tokens of thinking that a named effort stands for, where a model takes a budget and not an effort. The most, with
`ANSWER_TOKENS` behind it, stays below the smallest output limit of those models (32,000)."""

ANSWER_TOKENS = 4096
"""Room for the answer behind the thinking, where the caller set no limit: thinking counts towards `maxTokens`."""

MIN_BUDGET = 1024
"""The smallest `budget_tokens` that Anthropic takes."""

_CLAUDE_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_THREE_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}

_CLAUDE = re.compile(r"anthropic|claude")
# Claude up to 4.5 takes a budget only; from 4.6 on `adaptive` with an effort, and some models nothing else
# (https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html).
_BUDGET_ONLY = re.compile(r"claude-(?:[23][-.]|instant|(?:opus|sonnet|haiku)-4(?:$|[-.@:](?:\d{6,}|[015](?!\d)|v\d)))")
_NOVA = re.compile(r"amazon\.nova")
_NOVA_2 = re.compile(r"amazon\.nova-2")
_MISTRAL = re.compile(r"mistral\.")
_COHERE = re.compile(r"cohere\.command")
_GPT = re.compile(r"openai\.gpt")

Wire = dict[str, Any]


def write_extras(request: ChatRequest, model: str, said: Wire, omitted: list[str]) -> None:
    extras: Wire = {}
    if request.top_k is not None:
        extras.update(_write_top_k(request.top_k, model))
    if request.reasoning is not None:
        _write_thinking(request, request.reasoning, model, said, extras, omitted)
    if extras:
        said["additionalModelRequestFields"] = extras


def _write_top_k(top_k: int, model: str) -> Wire:
    if _CLAUDE.search(model) or _MISTRAL.search(model):
        return {"top_k": top_k}
    if _NOVA.search(model):
        return {"inferenceConfig": {"topK": top_k}}
    if _COHERE.search(model):
        return {"k": top_k}
    raise fail(Kind.UNSUPPORTED, "This model is not known to take `top_k`.", field="top_k")


def _write_thinking(
    request: ChatRequest, reasoning: Reasoning, model: str, said: Wire, extras: Wire, omitted: list[str]
) -> None:
    off = reasoning.enabled is False or reasoning.effort == "none"
    if not off and reasoning.effort is not None and reasoning.effort not in _CLAUDE_EFFORTS:
        raise fail(
            Kind.UNSUPPORTED,
            f"This provider knows the efforts {', '.join(_CLAUDE_EFFORTS)}, not this one.",
            field="reasoning_effort",
        )
    if _CLAUDE.search(model):
        if off:
            extras["thinking"] = {"type": "disabled"}
        else:
            _write_claude(request, reasoning, model, said, extras, omitted)
    elif off:
        # Models without thinking are off already, and those that always think cannot be told.
        omitted.append("reasoning_effort")
    elif reasoning.budget is not None:
        raise fail(Kind.UNSUPPORTED, "This model is not known to take a thinking budget.", field="reasoning.max_tokens")
    elif _GPT.search(model):
        extras["reasoning_effort"] = _THREE_EFFORTS[reasoning.effort or "medium"]
    elif _NOVA_2.search(model):
        effort = _THREE_EFFORTS[reasoning.effort or "medium"]
        extras["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": effort}
    else:
        raise fail(Kind.UNSUPPORTED, "This model is not known to take `reasoning_effort`.", field="reasoning_effort")


def _write_claude(
    request: ChatRequest, reasoning: Reasoning, model: str, said: Wire, extras: Wire, omitted: list[str]
) -> None:
    budget_only = _BUDGET_ONLY.search(model) is not None
    budget, effort = reasoning.budget, reasoning.effort
    if budget is None and budget_only:
        budget = _fit_budget(effort, request.max_tokens)
        if budget is None:
            omitted.append("reasoning_effort")
            return
    elif budget_only and effort is not None:
        omitted.append("reasoning_effort")
    if budget is None:
        extras["thinking"] = {"type": "adaptive"}
    else:
        extras["thinking"] = {"type": "enabled", "budget_tokens": budget}
        if request.max_tokens is None:
            said.setdefault("inferenceConfig", {})["maxTokens"] = budget + ANSWER_TOKENS
    if not budget_only and effort is not None:
        said.setdefault("outputConfig", {})["effort"] = _CLAUDE_EFFORTS[effort]


def _fit_budget(effort: str | None, max_tokens: int | None) -> int | None:
    """The budget for an effort, below what the caller allows in all; None where there is no room to think."""
    budget = EFFORT_BUDGETS[effort or "medium"]
    if max_tokens is None:
        return budget
    return min(budget, max(MIN_BUDGET, max_tokens // 2)) if max_tokens > MIN_BUDGET else None
