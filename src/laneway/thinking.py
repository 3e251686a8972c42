"""How much a model is to think: named efforts, budgets in tokens, and the way from one to the other.

Owns: the scale of efforts, the tokens each stands for, the nearest effort that a format knows, which of Claude's
models take a budget and no effort, wherever they are served, and whose signature a thought bears.
Refuses: how any of it is written; that is each dialect's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

BUDGETS: Mapping[str, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 24576,
    "max": 24576,
}
"""Tokens of thinking that a named effort stands for, from the least to the most. The most, with ANSWER_TOKENS behind
it, stays below the smallest output limit of the models that take a budget (32,000)."""

USUAL = "medium"
"""The effort of a request that wants thinking and does not say how much."""

ANSWER_TOKENS = 4096
"""Room for the answer itself, where a limit must be said for a caller who said none: thinking counts towards it."""

MIN_BUDGET = 1024
"""The smallest budget that Anthropic takes."""

ENCRYPTED = "responses:"
"""How a signature begins that is encrypted reasoning of the Responses API: only models behind it take that back."""

# Claude up to 4.5 takes a budget only; from 4.6 on `adaptive` with an effort, and from 4.7 on nothing else
# (https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking, and the page of that name in Bedrock's
# user guide).
_BUDGET_ONLY = re.compile(r"claude-(?:[23][-.]|instant|(?:opus|sonnet|haiku)-4(?:$|[-.@:](?:\d{6,}|[015](?!\d)|v\d)))")


def is_signed(signature: str | None) -> bool:
    """Whether a thought bears a signature as Claude's models give and check it."""
    return signature is not None and not signature.startswith(ENCRYPTED)


def takes_budget_only(model: str) -> bool:
    return _BUDGET_ONLY.search(model) is not None


def map_efforts(*known: str) -> dict[str, str]:
    """Every effort, and the one of `known` that a format says for it: the next one below, or else the least."""
    found: dict[str, str] = {}
    nearest = next(name for name in BUDGETS if name in known)
    for name in BUDGETS:
        nearest = name if name in known else nearest
        found[name] = nearest
    return found


def fit_budget(effort: str | None, max_tokens: int | None) -> int | None:
    """The budget for an effort, below what the caller allows in all; None where there is no room to think."""
    budget = BUDGETS[effort or USUAL]
    if max_tokens is None:
        return budget
    return min(budget, max(MIN_BUDGET, max_tokens // 2)) if max_tokens > MIN_BUDGET else None


def name_effort(budget: int) -> str:
    """The effort that a budget comes to, of the three that every model with efforts takes."""
    return next((name for name in ("low", "medium") if budget <= BUDGETS[name]), "high")
