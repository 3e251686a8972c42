"""What Bedrock's families of models call things that Converse itself has no word for.

Owns: `top_k` and thinking in `additionalModelRequestFields`, chosen by the model's id.
Refuses: to guess. A family that is not known here gets UNSUPPORTED for what it may not have.
"""

from __future__ import annotations

import re
from typing import Any

from laneway.chat import ChatRequest, Reasoning
from laneway.failure import Kind, fail
from laneway.thinking import ANSWER_TOKENS, USUAL, fit_budget, map_efforts, takes_budget_only

_CLAUDE_EFFORTS = map_efforts("low", "medium", "high", "xhigh", "max")
_THREE_EFFORTS = map_efforts("low", "medium", "high")

_CLAUDE = re.compile(r"anthropic|claude")
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
        extras["reasoning_effort"] = _THREE_EFFORTS[reasoning.effort or USUAL]
    elif _NOVA_2.search(model):
        effort = _THREE_EFFORTS[reasoning.effort or USUAL]
        extras["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": effort}
    else:
        raise fail(Kind.UNSUPPORTED, "This model is not known to take `reasoning_effort`.", field="reasoning_effort")


def _write_claude(
    request: ChatRequest, reasoning: Reasoning, model: str, said: Wire, extras: Wire, omitted: list[str]
) -> None:
    budget_only = takes_budget_only(model)
    budget, effort = reasoning.budget, reasoning.effort
    if budget is None and budget_only:
        budget = fit_budget(effort, request.max_tokens)
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
