"""The record: one flat row of attributes per request, the same wherever it is kept or shown.

Owns: the names of the attributes and how an Outcome becomes them, refused and failed requests included.
Refuses: prompts, answers, keys, and a provider's raw words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from laneway.chat import Usage
from laneway.policy.price import nanos_to_usd
from laneway.policy.usage import dearest_nanos
from laneway.route import Attempt, Decision, Outcome, Skipped

PREFIX = "awooop"
_NOTHING = Usage()


class _Own(NamedTuple):
    """The attributes that are the gateway's own, by their names under a prefix."""

    project_id: str
    lane: str
    provider_tier: str
    endpoint: str
    fallback_reason: str
    cost_usd: str
    dearest_usd: str


@lru_cache(maxsize=16)
def _named(prefix: str) -> _Own:
    return _Own(*(f"{prefix}.{name}" for name in _Own._fields))


def attributes(outcome: Outcome, prefix: str = PREFIX) -> Mapping[str, object]:
    """Every attribute is present on every record; what is not known is None."""
    return row_of(outcome, prefix, dearest_nanos(outcome))


def row_of(outcome: Outcome, prefix: str, dearest: int | None) -> Mapping[str, object]:
    """The attributes, for whoever knows already what the dearest candidate would have cost.

    Words of an enumeration stand for themselves: they are texts, and asking each for its value costs as much as all
    the rest of the row.
    """
    attempts = outcome.attempts
    last = attempts[-1] if attempts else None
    served = last if last is not None and last.failure is None else None
    usage = last.usage if last is not None else _NOTHING
    for attempt in attempts[:-1]:
        usage = added(attempt.usage, usage)
    own = _named(prefix)
    return {
        "request_id": outcome.request_id,
        "at_s": outcome.at_s,
        "elapsed_ms": round(outcome.elapsed_s * 1000, 3),
        "front": outcome.front,
        "op": outcome.op,
        "tenant": outcome.tenant,
        "key_id": outcome.key_id,
        "trace": outcome.trace,
        "intent": outcome.intent,
        "stream": outcome.stream,
        "status": outcome.status,
        "failure": outcome.failure.kind if outcome.failure is not None else None,
        "caller_gone": outcome.caller_gone,
        "decided_by": outcome.decision.by if outcome.decision is not None else None,
        "attempts": len(attempts),
        "finish": served.finish if served is not None else None,
        "out_of_budget": served.out_of_budget if served is not None else False,
        "first_content_ms": _ms(served.first_content_s) if served is not None else None,
        "rescue": served.resumed or None if served is not None else None,
        "config": outcome.version,
        own.project_id: outcome.project,
        own.lane: outcome.lane,
        own.provider_tier: last.target.provider.tier if last is not None else None,
        own.endpoint: last.target.provider.name if last is not None else None,
        "gen_ai.request.model": outcome.model,
        "gen_ai.response.model": served.target.upstream if served is not None else None,
        "gen_ai.usage.input_tokens": usage.input,
        "gen_ai.usage.output_tokens": usage.output,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read,
        own.fallback_reason: fallback_reason(outcome) if outcome.skipped or len(attempts) > 1 or not served else None,
        own.cost_usd: nanos_to_usd(outcome.cost_nanos),
        own.dearest_usd: nanos_to_usd(dearest) if dearest is not None else None,
    }


def fallback_reason(outcome: Outcome) -> str | None:
    """Why the first choice did not serve: it was not called, or it failed."""
    return reason_of(outcome.decision, outcome.skipped, outcome.attempts)


def reason_of(decision: Decision | None, skipped: Sequence[Skipped], attempts: Sequence[Attempt]) -> str | None:
    """The same while the request is under way."""
    first = decision.ranked[0].name if decision is not None and decision.ranked else None
    for each in skipped:
        if first is None or each.target.name == first:
            return each.kind
    return next((each.failure.kind.value for each in attempts if each.failure is not None), None)


def added(one: Usage, other: Usage) -> Usage:
    """Two usages of one request, summed; unknown plus known is known."""
    return Usage(
        input=_sum(one.input, other.input),
        output=_sum(one.output, other.output),
        cache_read=_sum(one.cache_read, other.cache_read),
        cache_write_5m=_sum(one.cache_write_5m, other.cache_write_5m),
        cache_write_1h=_sum(one.cache_write_1h, other.cache_write_1h),
        reasoning=_sum(one.reasoning, other.reasoning),
    )


def _sum(one: int | None, other: int | None) -> int | None:
    if one is None:
        return other
    return one if other is None else one + other


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
