"""Budget: money is set aside before a call and settled after it, exactly once.

Owns: how large the hold is, which candidates it can no longer pay for, and settling the cost of all attempts also
when the caller left or the task was cancelled.
Refuses: computing prices (policy does), keeping sums (the ledger does), and failing a request that something free
can still serve.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from laneway.chat import Op
from laneway.dialects import View
from laneway.edge import App, CallerGoneError, Receive, Send, ingest, refuse
from laneway.exchange import Exchange, Scope
from laneway.failure import Failure, FailureError, Kind
from laneway.meter import Meter
from laneway.policy.price import ceiling_nanos, cost_nanos, nanos_to_usd, usd_to_nanos
from laneway.ports import Hold, Ledger, Left, Share
from laneway.route import Dropped, Price, Target, Tenant
from laneway.stores.memory import MemoryLedger

SETTLE_S = 10.0
UNPRICED = "has no price, and this budget cannot be exceeded"
RACES = 4
"""How often a plan is narrowed again because another request took the money in between."""


class Ceiling(NamedTuple):
    """The most one candidate may cost; `target` is None when an app that is not ours is metered."""

    target: Target | None
    nanos: int


class BudgetMiddleware:
    """Holds each tenant to its daily budget.

    In front of an app that is not ours, give `prices` (by model name, "*" for the rest): the answer is then metered
    as it passes. `cap_nanos` is the daily budget of tenants that have none of their own.
    """

    def __init__(
        self,
        app: App,
        *,
        ledger: Ledger | None = None,
        cap_nanos: int | None = None,
        prices: Mapping[str, Price] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.app = app
        self.ledger: Ledger = ledger if ledger is not None else MemoryLedger()
        self.cap_nanos = cap_nanos
        self.prices = prices
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if exchange is None or exchange.holding:
            await self.app(scope, receive, send)
            return
        cap = exchange.tenant.daily_nanos
        if cap is None:
            cap = self.cap_nanos
        if cap is None or exchange.op is Op.COUNT:
            await self.app(scope, receive, send)
            return
        exchange.holding = True
        try:
            if exchange.candidates or self.prices is not None:
                receive = await ingest(exchange, receive)
            hold = await self._hold(exchange, cap)
        except FailureError as error:
            await refuse(exchange, send, error.failure)
            return
        except CallerGoneError:
            return
        meter = Meter(exchange, send) if self.prices is not None else None
        try:
            await self.app(scope, receive, meter.send if meter is not None else send)
        finally:
            # An app of ours that is metered all the same knows better what it used.
            metered = meter is not None and not exchange.attempts
            spent = self._metered(exchange, meter) if meter is not None and metered else exchange.cost_nanos()
            await _shielded(self._settle(exchange, hold, spent))

    async def _hold(self, exchange: Exchange, cap: int) -> Hold:
        """Sets the dearest affordable ceiling aside; a hold of nothing when all that is left is free."""
        now = self.clock()
        budget = day_of(exchange.tenant, now)
        ceilings, unpriced = self._ceilings(exchange)
        exchange.dropped.extend(Dropped(target, UNPRICED) for target in unpriced)
        left = await self.ledger.left(budget, cap, now)
        for _ in range(RACES):
            fitting = [ceiling for ceiling in ceilings if ceiling.nanos <= left.free_nanos]
            dearest = max((ceiling.nanos for ceiling in fitting), default=None)
            if dearest is None:
                break
            shares = (Share(budget, dearest, cap),)
            held = Hold("", shares, 0.0) if dearest == 0 else None
            answer = held or await self.ledger.hold(exchange.request_id, shares, now)
            if isinstance(answer, Hold):
                exchange.dropped.extend(_unaffordable(ceilings, left))
                return answer
            left = answer.lefts[0]
        names = [target.model for target in unpriced]
        if not ceilings and not names and exchange.view is not None:
            names = [exchange.view.model[:120]]
        raise FailureError(_over(exchange.tenant, left, now, names))

    def _ceilings(self, exchange: Exchange) -> tuple[list[Ceiling], list[Target]]:
        """The most that each candidate may cost, and the candidates of which nobody knows it."""
        view, candidates = exchange.view, exchange.candidates
        if candidates and view is not None:
            priced = [
                Ceiling(target, _ceiling(target.price, view, target.output))
                for target in candidates
                if target.price is not None
            ]
            return priced, [target for target in candidates if target.price is None]
        if self.prices is not None and view is not None:
            price = self._price_of(view.model)
            return ([Ceiling(None, _ceiling(price, view, None))] if price is not None else []), []
        # What it will cost is decided further inside: something must be left, and what was spent is settled.
        return [Ceiling(None, 1)], []

    def _price_of(self, model: str) -> Price | None:
        prices = self.prices or {}
        return prices.get(model) or prices.get("*")

    def _metered(self, exchange: Exchange, meter: Meter) -> int:
        price = self._price_of(exchange.view.model) if exchange.view is not None else None
        return cost_nanos(meter.usage(), price) if price is not None else 0

    async def _settle(self, exchange: Exchange, hold: Hold, spent: int) -> None:
        now = self.clock()
        if spent:
            await self.ledger.settle(exchange.request_id, {share.account: spent for share in hold.shares}, now)
        elif hold.request_id:
            await self.ledger.release(exchange.request_id, now)


def day_of(tenant: Tenant, now_s: float) -> str:
    """The name of a tenant's daily budget: a new UTC day begins with nothing spent."""
    return f"tenant:{tenant.name}:{datetime.fromtimestamp(now_s, UTC):%Y-%m-%d}"


def _ceiling(price: Price, view: View, output: int | None) -> int:
    return ceiling_nanos(
        price,
        text_chars=view.text_chars,
        turns=view.turns,
        tools=view.tools,
        images=view.images,
        max_tokens=view.max_tokens,
        output=output,
    )


def _unaffordable(ceilings: Sequence[Ceiling], left: Left) -> list[Dropped]:
    return [
        Dropped(
            target,
            f"may cost {nanos_to_usd(nanos)} USD and {nanos_to_usd(left.free_nanos)} USD of the budget are left",
        )
        for target, nanos in ceilings
        if nanos > left.free_nanos and target is not None
    ]


def _over(tenant: Tenant, left: Left, now_s: float, unpriced: Sequence[str]) -> Failure:
    until_s = 86_400 - now_s % 86_400
    message = (
        f"The daily budget of '{tenant.name}' does not allow this request: "
        f"cap {nanos_to_usd(left.cap_nanos)} USD, spent {nanos_to_usd(left.spent_nanos)} USD, "
        f"held {nanos_to_usd(left.held_nanos)} USD; it resets in {until_s:.0f} seconds (00:00 UTC)."
    )
    if unpriced:
        message += f" Not considered, because they have no price: {', '.join(unpriced[:4])}."
    return Failure(kind=Kind.OVER_BUDGET, message=message)


async def _shielded(settling: Coroutine[None, None, None]) -> None:
    """Settles to the end, within a time limit, however often this task is cancelled meanwhile."""
    task = asyncio.ensure_future(asyncio.wait_for(settling, SETTLE_S))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    failed = task.exception()
    if cancelled is not None:
        raise cancelled from failed
    if failed is not None:
        raise failed


def usd(amount: float | str) -> int:
    """Nano-USD of an amount in USD, for `cap_nanos`."""
    return usd_to_nanos(amount)
