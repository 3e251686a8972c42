"""The record: one flat row of attributes per request, the same wherever it is kept or shown.

Owns: the names of the attributes and how an Outcome becomes them, refused and failed requests included.
Refuses: prompts, answers, keys, and a provider's raw words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from laneway.chat import Usage
from laneway.policy.price import nanos_to_usd
from laneway.policy.usage import dearest_nanos
from laneway.route import Attempt, Decision, Outcome, Skipped

PREFIX = "awooop"
_NOTHING = Usage()


class Row(msgspec.Struct, array_like=True, gc=False):
    """A record by the plain names of its attributes, in their order. As JSON it is an array."""

    request_id: str
    at_s: float
    elapsed_ms: float
    front: str
    op: str
    tenant: str
    key_id: str | None
    trace: str | None
    intent: str | None
    stream: bool
    status: int
    failure: str | None
    caller_gone: bool
    decided_by: str | None
    attempts: int
    finish: str | None
    out_of_budget: bool
    first_content_ms: float | None
    rescue: str | None
    config: str
    project_id: str | None
    lane: str | None
    provider_tier: str | None
    endpoint: str | None
    request_model: str
    response_model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    fallback_reason: str | None
    cost_usd: str
    dearest_usd: str | None


_OWN = ("project_id", "lane", "provider_tier", "endpoint", "fallback_reason", "cost_usd", "dearest_usd")
"""The attributes that are the gateway's own: their names stand under a prefix."""
_COMMON = {
    "request_model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
}


@lru_cache(maxsize=16)
def names_of(prefix: str) -> tuple[str, ...]:
    """The names under which the attributes are known, in the order of a row."""
    names = _COMMON | {name: f"{prefix}.{name}" for name in _OWN}
    return tuple(names.get(field, field) for field in Row.__struct_fields__)


def attributes(outcome: Outcome, prefix: str = PREFIX) -> Mapping[str, object]:
    """Every attribute is present on every record; what is not known is None."""
    row = msgspec.structs.astuple(row_of(outcome, dearest_nanos(outcome)))
    return dict(zip(names_of(prefix), row, strict=True))


def row_of(outcome: Outcome, dearest: int | None) -> Row:
    """For whoever knows already what the dearest candidate would have cost.

    Words of an enumeration stand for themselves: they are texts, and asking each for its value takes its time.
    """
    attempts = outcome.attempts
    last = attempts[-1] if attempts else None
    served = last if last is not None and last.failure is None else None
    usage = last.usage if last is not None else _NOTHING
    for attempt in attempts[:-1]:
        usage = added(attempt.usage, usage)
    target = last.target if last is not None else None
    nanos = outcome.cost_nanos
    cost = nanos_to_usd(nanos)
    # In the order of the fields, for names would cost as much again.
    return Row(
        outcome.request_id,
        outcome.at_s,
        # Rounding to a number of digits would take as long as ten of the other lines.
        round(outcome.elapsed_s * 1_000_000) / 1000,
        outcome.front,
        outcome.op,
        outcome.tenant,
        outcome.key_id,
        outcome.trace,
        outcome.intent,
        outcome.stream,
        outcome.status,
        outcome.failure.kind if outcome.failure is not None else None,
        outcome.caller_gone,
        outcome.decision.by if outcome.decision is not None else None,
        len(attempts),
        served.finish if served is not None else None,
        served.out_of_budget if served is not None else False,
        _ms(served.first_content_s) if served is not None else None,
        served.resumed or None if served is not None else None,
        outcome.version,
        outcome.project,
        outcome.lane,
        target.provider.tier if target is not None else None,
        target.provider.name if target is not None else None,
        outcome.model,
        served.target.upstream if served is not None else None,
        usage.input,
        usage.output,
        usage.cache_read,
        fallback_reason(outcome) if outcome.skipped or len(attempts) > 1 or not served else None,
        cost,
        # Where there was no choice it is the cost itself.
        cost if dearest == nanos else nanos_to_usd(dearest) if dearest is not None else None,
    )


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
    return None if seconds is None else round(seconds * 1_000_000) / 1000
