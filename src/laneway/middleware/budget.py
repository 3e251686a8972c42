"""Budget: money is set aside before a call and settled after it, exactly once.

Owns: how large the hold is in each account, which candidates it can no longer pay for, which ones a kill forbids, and
settling the cost of all attempts also when the caller left or the task was cancelled.
Refuses: computing prices (policy does), keeping sums (the ledger does), and failing a request that something free
can still serve.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from laneway.allowance import RENEW_S, Purchase, Renewals, over, who_of
from laneway.chat import Op
from laneway.dialects import View
from laneway.edge import App, CallerGoneError, Receive, Send, ingest, is_ours, refuse
from laneway.exchange import Exchange, Scope
from laneway.failure import Failure, FailureError, Kind
from laneway.meter import Meter
from laneway.policy.budgets import Account, Budget, Budgets, Who, stopped, told_left, told_of
from laneway.policy.price import bound_prompt, ceiling_nanos, cost_nanos, nanos_to_usd, usd_to_nanos
from laneway.policy.terms import Ceiling, Terms, first_short
from laneway.ports import Kill, Ledger, Left, Share, Short
from laneway.route import Dropped, Price, Target
from laneway.steps import Begun
from laneway.stores.memory import MemoryLedger

SETTLE_S = 10.0
UNPRICED = "has no price, and this budget cannot be exceeded"
RACES = 4
"""How often a plan is narrowed again because another request took the money in between."""
UNKNOWN_NANOS = 1
"""What must be left for an app whose prices nobody told."""
_MOST_TERMS = 1024


class BudgetMiddleware:
    """Holds callers to their budgets, and everybody to a kill.

    In front of an app that is not ours, give `prices` (by model name, "*" for the rest): the answer is then metered
    as it passes. `cap_nanos` is the daily budget of tenants that have none of their own.
    """

    def __init__(
        self,
        app: App,
        *,
        ledger: Ledger | None = None,
        budgets: Iterable[Budget] = (),
        cap_nanos: int | None = None,
        prices: Mapping[str, Price] | None = None,
        clock: Callable[[], float] = time.time,
        renew_s: float = RENEW_S,
    ) -> None:
        self.app = app
        self.ledger: Ledger = ledger if ledger is not None else MemoryLedger()
        self.budgets = Budgets(budgets)
        self.cap_nanos = cap_nanos
        self.prices = prices
        self.clock = clock
        self._ours = is_ours(app)
        self._terms: dict[tuple[int, ...], Terms] = {}
        self._latest = Terms(())
        self._renewals = Renewals(clock, renew_s)

    def ahead(self, exchange: Exchange, _scope: Scope) -> bool:
        """Whether nothing stands against the request, and the money for it is at hand."""
        if exchange.holding or exchange.front.op is Op.COUNT:
            return True
        view = exchange.view
        if self.prices is not None or not exchange.candidates or view is None or self.ledger.killed():
            return False
        now_s = self.clock()
        accounts = self._accounts(exchange, who_of(exchange), now_s)
        if not accounts:
            return True
        purchase, shares = self._offer(exchange, view, accounts)
        if purchase.terms.refused or shares is None or not purchase.hold_now(shares, now_s):
            return False
        exchange.holding = True
        exchange.allowance = purchase
        if purchase.holds:
            self._renewals.begin(purchase)
        return True

    def behind(self, exchange: Exchange) -> Awaitable[None] | None:
        purchase = exchange.allowance
        if not isinstance(purchase, Purchase):
            return None
        if purchase.holds:
            self._renewals.end(purchase)
        now_s = self.clock()
        return None if purchase.settle_now(now_s) else _shielded(purchase.settle(now_s))

    def _accounts(self, exchange: Exchange, who: Who, now_s: float) -> tuple[Account, ...]:
        daily = exchange.tenant.daily_nanos
        return self.budgets.accounts(who, now_s, self.cap_nanos if daily is None else daily)

    def _offer(
        self, exchange: Exchange, view: View, accounts: Sequence[Account]
    ) -> tuple[Purchase, tuple[Share, ...] | None]:
        """What the request may cost, and what has to be set aside for it where all accounts count alike."""
        targets = exchange.remaining() if exchange.dropped else exchange.candidates or ()
        terms, prompt = self._terms_of(accounts, targets), bound_prompt(view, len(exchange.body or b""))
        purchase = Purchase(terms, self.ledger, self.clock, exchange.request_id, exchange.attempts, view, prompt)
        return purchase, terms.dearest(view, prompt)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if exchange is None or exchange.holding or exchange.front.op is Op.COUNT:
            await self.app(scope, receive, send)
            return
        who, kills, now_s = who_of(exchange), self.ledger.killed(), self.clock()
        accounts = self._accounts(exchange, who, now_s)
        if not accounts and not kills:
            await self.app(scope, receive, send)
            return
        exchange.holding = True
        try:
            if exchange.view is None and (exchange.candidates or self.prices is not None):
                receive = await ingest(exchange, receive)
            if kills:
                self._stop(exchange, kills, who)
            purchase = await self._begin(exchange, accounts, now_s)
        except FailureError as error:
            await refuse(exchange, send, error.failure)
            return
        except CallerGoneError:
            return
        meter = Meter(exchange, send) if self.prices is not None else None
        renewals = self._renewals if purchase.holds else None
        if renewals is not None:
            renewals.begin(purchase)
        try:
            await self.app(scope, receive, meter.send if meter is not None else send)
        finally:
            spent: int | None = None
            # An app of ours that is metered all the same knows better what it used.
            if meter is not None and not exchange.attempts:
                spent = self._metered(exchange, meter)
            if renewals is not None:
                renewals.end(purchase)
            if spent is not None or not purchase.settle_now(self.clock()):
                await _shielded(purchase.settle(self.clock(), spent))

    # --- what may be called --------------------------------------------------------------------------------

    def _stop(self, exchange: Exchange, kills: Mapping[str, Kill], who: Who) -> None:
        """Takes out what a kill forbids. Raises FailureError where nothing is left."""
        candidates = exchange.remaining()
        if not candidates:
            price = self._price_of(exchange.view.model) if exchange.view is not None else None
            kill = None if price is not None and price.free else stopped(kills, who, None)
            # Inside a stack of ours the last door asks again, for each target.
            if kill is not None and not (self._ours and self.prices is None):
                raise FailureError(_killed(kill))
            return
        found = [(target, stopped(kills, who, target)) for target in candidates]
        exchange.dropped.extend(Dropped(target, told_of(kill)) for target, kill in found if kill is not None)
        last = found[-1][1]
        if last is not None and all(kill is not None for _, kill in found):
            raise FailureError(_killed(last))

    async def _begin(self, exchange: Exchange, accounts: Sequence[Account], now_s: float) -> Purchase:
        """Sets the dearest affordable ceiling aside in every account; nothing when all that is left is free."""
        view = exchange.view
        if view is None or not exchange.candidates:
            purchase = Purchase(Terms(accounts), self.ledger, self.clock, exchange.request_id, exchange.attempts)
            await self._narrow(exchange, purchase, self._foreign(exchange, accounts), None, now_s)
            return purchase
        purchase, shares = self._offer(exchange, view, accounts)
        terms, short = purchase.terms, None
        if terms.refused:
            exchange.dropped.extend(Dropped(target, UNPRICED) for target in terms.refused)
        exchange.allowance = purchase
        if shares is not None and (not shares or (short := await purchase.hold(shares, now_s)) is None):
            return purchase
        await self._narrow(exchange, purchase, purchase.ceilings(), short, now_s)
        return purchase

    def _terms_of(self, accounts: Sequence[Account], targets: tuple[Target, ...]) -> Terms:
        latest = self._latest
        if latest.accounts is accounts and latest.targets is targets:
            return latest
        key = (id(accounts), *map(id, targets))
        found = self._terms.get(key)
        if found is None:
            if len(self._terms) >= _MOST_TERMS:
                self._terms.clear()
            # Both are kept in it, so that an id can never come to mean another one.
            found = self._terms[key] = Terms(accounts, targets)
        self._latest = found
        return found

    async def _narrow(
        self,
        exchange: Exchange,
        purchase: Purchase,
        ceilings: Sequence[Ceiling],
        short: Short | None,
        now_s: float,
    ) -> None:
        """Holds for those candidates that still fit; `short` is how a hold for all of them was refused."""
        terms, fitting, lefts = purchase.terms, ceilings, dict[str, Left]()
        for _ in range(RACES):
            if short is not None:
                lefts |= {left.account: left for left in short.lefts}
                fitting = _fitting(exchange, terms, fitting, lefts)
            shares = terms.shares(fitting)
            if not shares or (short := await purchase.hold(shares, now_s)) is None:
                break
        else:
            fitting = []
        if not fitting:
            raise FailureError(await self._over(exchange, terms, ceilings, lefts))

    def _foreign(self, exchange: Exchange, accounts: Sequence[Account]) -> list[Ceiling]:
        """The ceiling of an app that is not ours; none where nobody knows its price."""
        view, nanos = exchange.view, UNKNOWN_NANOS
        if view is not None and self.prices is not None:
            price = self._price_of(view.model)
            if price is None:
                return []
            nanos = ceiling_nanos(price, view, bound_prompt(view, len(exchange.body or b"")))
        # Else its cost shows further inside: something must be left, and what was spent is settled.
        return [Ceiling(None, tuple(nanos if account.binds(None) else 0 for account in accounts))]

    async def _over(
        self, exchange: Exchange, terms: Terms, ceilings: Sequence[Ceiling], lefts: Mapping[str, Left]
    ) -> Failure:
        """Why nothing fits: the account in which the cheapest candidate has too little."""
        now_s, accounts = self.clock(), terms.accounts
        cheapest = min((each.amounts for each in ceilings), key=max, default=None)
        left = first_short(accounts, cheapest, lefts) if cheapest is not None else None
        tight = next(
            (account for account in accounts if left is not None and account.name == left.account), accounts[0]
        )
        left = left or lefts.get(tight.name)
        left = left or await self.ledger.left(tight.name, tight.budget.cap_nanos, now_s)
        name = tight.name.rpartition(":")[0]
        message = f"The budget '{name}' does not allow this request: {told_left(tight, left, now_s)}."
        nanos = cheapest[accounts.index(tight)] if cheapest is not None else 0
        if nanos > UNKNOWN_NANOS:
            message += f" It may cost {nanos_to_usd(nanos)} USD; less with a lower limit for the answer."
        names = [target.model for target in terms.refused]
        if not ceilings and not names and exchange.view is not None:
            names = [exchange.view.model[:120]]
        if names:
            message += f" Not considered, because they have no price: {', '.join(names[:4])}."
        return Failure(kind=Kind.OVER_BUDGET, message=message)

    def _price_of(self, model: str) -> Price | None:
        prices = self.prices or {}
        return prices.get(model) or prices.get("*")

    def _metered(self, exchange: Exchange, meter: Meter) -> int:
        price = self._price_of(exchange.view.model) if exchange.view is not None else None
        return cost_nanos(meter.usage(), price) if price is not None else 0


def _fitting(exchange: Exchange, terms: Terms, ceilings: Sequence[Ceiling], lefts: Mapping[str, Left]) -> list[Ceiling]:
    """Those of the candidates that still fit; the others are dropped, each with its reason."""
    fitting: list[Ceiling] = []
    for each in ceilings:
        left = first_short(terms.accounts, each.amounts, lefts)
        if left is None:
            fitting.append(each)
        elif each.target is not None:
            nanos = terms.amount(each, left.account)
            exchange.dropped.append(Dropped(each.target, over(nanos, left)))
    return fitting


def _killed(kill: Kill) -> Failure:
    return Failure(kind=Kind.OVER_BUDGET, message=f"No model can serve this request: {told_of(kill)}.")


async def _shielded(settling: Coroutine[Any, None, None]) -> None:
    """Settles to the end, within a time limit, however often this task is cancelled meanwhile."""
    begun = Begun(settling)
    if begun.done:
        return
    task = asyncio.ensure_future(asyncio.wait_for(begun, SETTLE_S))
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
