"""Shadowing: what becomes of a request in a lane that is not simply active, as one row.

Owns: turning an Exchange into a row: what was decided or served, what the legacy path chose, and in what they differ;
and how long each target's answers have taken lately, which is what a decision is expected to take.
Refuses: keeping rows (a port does), deciding, and delaying anything.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from laneway.chat import Usage
from laneway.exchange import Exchange
from laneway.failure import Blame, Kind, fail
from laneway.foresight import in_order, would_call
from laneway.gates import LEGACY
from laneway.policy.expected import expected_nanos
from laneway.policy.price import cost_nanos, counted_tokens, usd_to_nanos
from laneway.policy.shadows import compared
from laneway.ports import Choice, ShadowRow, Shadows
from laneway.route import Attempt, Target

MOST_PACES = 4096
LATEST = 0.2
"""How much the latest answer counts among those before it."""


class Told(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody says of the legacy path's choice."""

    host: str | None = None
    provider: str | None = None
    model: str | None = None
    tier: str | None = None
    fallback: bool | None = None
    denied: bool | str | None = None
    latency_ms: float | None = None
    cost_usd: str | float | None = None


_told = msgspec.json.Decoder(Told)


def read_choice(text: bytes) -> Choice:
    """Raises FailureError for what is no choice."""
    try:
        said = _told.decode(text)
        cost = None if said.cost_usd is None else usd_to_nanos(said.cost_usd)
    except (msgspec.DecodeError, ArithmeticError) as error:
        known = ", ".join(Told.__struct_fields__)
        message = f"legacy: expected an object with some of {known} ({str(error)[:120]})."
        raise fail(Kind.BAD_REQUEST, message, field="legacy") from None
    denied = ("denied" if said.denied else None) if isinstance(said.denied, bool) else said.denied
    return Choice(
        host=said.host or said.provider,
        model=said.model,
        tier=said.tier,
        fallback=said.fallback,
        denied=denied,
        latency_ms=said.latency_ms,
        cost_nanos=cost,
    )


class Shadowing:
    """Makes rows for one process."""

    def __init__(self, shadows: Shadows) -> None:
        self._shadows = shadows
        self._paces_ms: dict[str, float] = {}

    def decided(self, exchange: Exchange, legacy: Choice | None, used: Usage | None = None, *, known: bool) -> None:
        """Of a request that was decided and not executed. `used` is what the legacy answer took; it is what the
        decision's would have taken. `known` is False where the decision failed."""
        decided, first = self._choice(exchange, used) if known else (None, None)
        kinds: tuple[str, ...] = ()
        if decided is not None and legacy is not None:
            kept_off = [each.target for each in exchange.skipped if each.kind == "denied"]
            kinds = compared(decided, legacy, target=first, kept_off=kept_off)
        both = decided is not None and legacy is not None
        self._keep(exchange, decided=decided, legacy=legacy, compared=both, kinds=kinds)

    def executed(self, exchange: Exchange) -> None:
        """Of a request that the lane really served, or failed to serve."""
        if exchange.gone:
            return
        failure, last = exchange.failure, exchange.attempts[-1] if exchange.attempts else None
        served = last if last is not None and last.failure is None else None
        first = next(iter(in_order(exchange)), None)
        decided, paid = Choice(denied=failure.kind.value if failure is not None else None), False
        if served is not None:
            # By name: near a deadline what is called is a copy with other clocks.
            fallback = first is not None and served.target.name != first.name
            decided = _made(served, fallback=fallback, denied=decided.denied)
            free = first is not None and first.price is not None and first.price.free
            paid = fallback and free and served.cost_nanos > 0
        own = failure is not None and failure.rule.blame is not Blame.CALLER
        if failure is None or own:
            # A caller's own mistake says nothing of the lane.
            self._keep(exchange, executed=True, failed=own, paid=paid, decided=decided)

    def note(self, attempts: list[Attempt]) -> None:
        """Learns how long targets take."""
        paces = self._paces_ms
        for attempt in attempts:
            if attempt.failure is None:
                name, took_ms = attempt.target.name, (attempt.ended_s - attempt.started_s) * 1000
                known_ms = paces.get(name)
                if known_ms is None and len(paces) >= MOST_PACES:
                    paces.clear()
                paces[name] = took_ms if known_ms is None else known_ms + LATEST * (took_ms - known_ms)

    def _choice(self, exchange: Exchange, used: Usage | None) -> tuple[Choice, Target | None]:
        """What would have been called."""
        if exchange.failure is not None:
            return Choice(denied=exchange.failure.kind.value), None
        ahead, first = in_order(exchange), would_call(exchange)
        if first is None:
            kinds = [each.kind for each in exchange.skipped]
            return Choice(denied=kinds[0] if kinds else Kind.NO_TARGET.value), None
        choice = Choice(
            host=first.provider.name,
            model=first.upstream,
            tier=first.provider.tier.value,
            fallback=first is not ahead[0],
            latency_ms=self._paces_ms.get(first.name),
            cost_nanos=_cost_nanos(exchange, first, used),
        )
        return choice, first

    def _keep(self, exchange: Exchange, **fields: object) -> None:
        row = ShadowRow(
            request_id=exchange.request_id,
            at_s=exchange.started_at_s,
            lane=exchange.lane.name if exchange.lane is not None else "",
            stage=exchange.stage.value if exchange.stage is not None else "",
            tenant=exchange.tenant.name,
            front=exchange.front.dialect,
            model=exchange.view.model[:256] if exchange.view is not None else "",
            trace=exchange.trace,
            **fields,  # type: ignore[arg-type]
        )
        self._shadows.keep(row)


def passed(exchange: Exchange) -> tuple[Choice | None, Usage | None]:
    """What a legacy path that was passed through has done: its choice, and what its answer took where it told."""
    attempt, failure = exchange.attempts[-1] if exchange.attempts else None, exchange.failure
    if attempt is None or exchange.gone or (failure is not None and failure.rule.blame is Blame.CALLER):
        # A caller's own mistake is refused by either, and says nothing.
        return None, None
    view, target = exchange.view, attempt.target
    model = target.upstream or (view.model if view is not None else None)
    denied = failure.kind.value if failure is not None else None
    made = _made(attempt, fallback=None, denied=denied)
    known = not attempt.counted and attempt.usage.output is not None
    cost = made.cost_nanos if known else None
    return msgspec.structs.replace(made, model=model, cost_nanos=cost), attempt.usage if known else None


def _made(attempt: Attempt, *, fallback: bool | None, denied: str | None) -> Choice:
    target = attempt.target
    named = target.provider.name
    return Choice(
        host=urlsplit(target.provider.origin).netloc if named == LEGACY else named,
        model=target.upstream or None,
        # What stands behind a url is known to nobody here.
        tier=target.provider.tier.value if named != LEGACY else None,
        fallback=fallback,
        denied=denied,
        latency_ms=round((attempt.ended_s - attempt.started_s) * 1000, 3),
        cost_nanos=attempt.cost_nanos if target.price is not None else None,
    )


def _cost_nanos(exchange: Exchange, target: Target, used: Usage | None) -> int | None:
    """What the answer would have cost there: by what the legacy one took, or else as is expected of the prompt."""
    view = exchange.view
    if target.price is None or view is None:
        return None
    if used is not None:
        return cost_nanos(used, target.price)
    expected = expected_nanos(target.price, counted_tokens(view.text_chars), max_tokens=view.max_tokens)
    return None if expected is None else round(expected)
