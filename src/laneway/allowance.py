"""Allowance: what one request may still spend, while it is being served.

Owns: the request's hold in all of its accounts, what each attempt has used of it, raising it where there is money,
renewing it while the request is served, and settling it once.
Refuses: choosing targets (it only says which one does not fit), and prices (policy has them).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec

from laneway.attempt import Running
from laneway.chat import Finish, Usage
from laneway.dialects import View
from laneway.exchange import Exchange
from laneway.failure import FailureError
from laneway.policy.budgets import Account, Who
from laneway.policy.price import MOST_CHARS, PICOS_PER_NANO, chars_within, cost_nanos, filled, nanos_to_usd
from laneway.policy.terms import Ceiling, Terms, spent_in
from laneway.ports import Allowance, Hold, Ledger, Left, Share, Short
from laneway.route import Attempt, Dropped, Target

MARGIN_TOKENS = 16
"""What may come beside the counted part of a stream before it is ended."""
PIECE_TOKENS = 256
"""A hold is raised by at least so much of an answer."""
RENEW_S = 300.0
"""Between two looks at the holds of requests under way: a third of the time for which a hold lives."""
log = logging.getLogger("laneway")


def who_of(exchange: Exchange) -> Who:
    lane = exchange.lane
    return Who(exchange.tenant.name, exchange.key_id, exchange.project, lane.name if lane is not None else None)


class Purchase(msgspec.Struct, eq=False):
    """A request and its hold. Without accounts that bind it, everything is allowed.

    It has no Exchange, which holds it: a circle would wait for the garbage collector.
    """

    terms: Terms
    _ledger: Ledger
    _clock: Callable[[], float]
    _request_id: str
    _attempts: list[Attempt]
    _view: View | None = None
    _prompt: int = 0
    """Bounds the tokens of the view's prompt."""
    _hold: Hold | None = None
    # What most requests never ask for is made when it is asked for.
    _held: dict[str, int] | None = None
    _ceilings: dict[str, tuple[int, ...]] | None = None

    def hold_now(self, shares: Sequence[Share], now_s: float) -> bool:
        """Sets money aside, if there is any to set aside, where nobody need wait for it."""
        if not shares:
            return True
        made = self._ledger.hold_now(self._request_id, shares, now_s)
        if made is not None:
            self._keep(made)
        return made is not None

    async def hold(self, shares: Sequence[Share], now_s: float) -> Short | None:
        """Sets money aside; what is left where there is too little."""
        if self.hold_now(shares, now_s):
            return None
        answer = await self._ledger.hold(self._request_id, shares, now_s)
        if isinstance(answer, Short):
            return answer
        self._keep(answer)
        return None

    def _keep(self, hold: Hold) -> None:
        self._hold = hold
        self._held = None

    def _held_in(self, account: Account) -> int:
        if self._held is None:
            shares = self._hold.shares if self._hold is not None else ()
            self._held = {share.account: share.nanos for share in shares}
        return self._held.get(account.name, 0)

    def ceilings(self) -> list[Ceiling]:
        """The most that each of the priced candidates may cost."""
        return self.terms.ceilings(self._view, self._prompt) if self._view is not None else []

    def _amounts(self, target: Target) -> tuple[int, ...] | None:
        if self._ceilings is None:
            self._ceilings = {each.target.name: each.amounts for each in self.ceilings() if each.target is not None}
        return self._ceilings.get(target.name)

    def left_nanos(self, target: Target) -> int | None:
        """What the hold still covers for a target beside the attempts that ended; None: nothing binds it."""
        lefts = [self._held_in(each) - self._spent(each) for each in self.terms.accounts if each.binds(target)]
        return min(lefts, default=None)

    def funds(self, target: Target) -> bool:
        """Whether a budget binds the target, and none that does is 0."""
        caps = [each.budget.cap_nanos for each in self.terms.accounts if each.binds(target)]
        return min(caps, default=0) > 0

    async def admit(self, target: Target) -> Dropped | None:
        """Before a further attempt: makes sure that the hold covers it beside those already paid for."""
        if not any(attempt.cost_nanos for attempt in self._attempts):
            return None
        amounts = self._amounts(target)
        if amounts is None:
            return None
        wanted = {each.name: nanos for each, nanos in zip(self.terms.accounts, amounts, strict=True) if nanos}
        left = await self._raised(wanted)
        if left is None:
            return None
        return Dropped(target, over(wanted[left.account], left, "after the attempts before it "))

    async def cover(self, target: Target, nanos: int) -> bool:
        """Makes sure that the hold covers an attempt under way that has come to cost so much."""
        return await self._raised({each.name: nanos for each in self.terms.accounts if each.binds(target)}) is None

    async def _raised(self, wanted: Mapping[str, int]) -> Left | None:
        """Raises the hold so that it covers these amounts on top of what was spent; else what was left too little."""
        shares: list[Share] = []
        lacking: list[int] = []
        for account in self.terms.accounts:
            nanos, held = wanted.get(account.name, 0), self._held_in(account)
            total = nanos + self._spent(account)
            if nanos and total > held:
                shares.append(Share(account.name, total, account.budget.cap_nanos))
                lacking.append(total - held)
        if not shares:
            return None
        answer = await self._ledger.extend(self._request_id, shares, self._clock())
        if isinstance(answer, Hold):
            self._keep(answer)
            return None
        for nanos, left in zip(lacking, answer.lefts, strict=True):
            if nanos > left.free_nanos:
                return left
        return answer.lefts[0]

    @property
    def holds(self) -> bool:
        """Whether money is set aside."""
        return self._hold is not None

    async def renew(self, now_s: float, until_s: float) -> None:
        """Lets a hold that would end by itself before `until_s` live anew: its request is still being served."""
        hold = self._hold
        if hold is not None and hold.expires_s < until_s:
            answer = await self._ledger.extend(self._request_id, hold.shares, now_s)
            if self._hold is None:
                # It was settled meanwhile.
                await self._ledger.release(self._request_id, now_s)
            elif isinstance(answer, Hold):
                self._keep(answer)

    def settle_now(self, now_s: float) -> bool:
        """Charges what all attempts cost, where nobody need wait for it; False, and nothing has happened."""
        spent = self.terms.spent(self._attempts)
        if not spent or not self._ledger.settle_now(self._request_id, spent, now_s):
            return False
        self._hold = None
        return True

    async def settle(self, now_s: float, metered_nanos: int | None = None) -> None:
        """Charges what all attempts cost; `metered_nanos` stands for them where another app answered."""
        hold, self._hold = self._hold, None
        if metered_nanos is None:
            spent = self.terms.spent(self._attempts)
        else:
            accounts = self.terms.accounts if metered_nanos else ()
            spent = {account.name: metered_nanos for account in accounts if account.binds(None)}
        if spent:
            await self._ledger.settle(self._request_id, spent, now_s)
        elif hold is not None:
            await self._ledger.release(self._request_id, now_s)

    def _spent(self, account: Account) -> int:
        return spent_in(account, self._attempts)


class Renewals:
    """Requests that are being served, however long that takes: before their holds end, they begin anew.

    One timer serves them all; it runs only while there are any.
    """

    def __init__(self, clock: Callable[[], float], every_s: float = RENEW_S) -> None:
        self._clock = clock
        self._every_s = every_s
        self._open: dict[Purchase, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._renewing: asyncio.Task[None] | None = None

    def begin(self, purchase: Purchase) -> None:
        self._open[purchase] = None
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # None, or one of before, which took its timer with it.
            self._loop = loop
            loop.call_later(self._every_s, self._tick, loop)

    def end(self, purchase: Purchase) -> None:
        self._open.pop(purchase, None)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._open:
            self._loop = None
            return
        loop.call_later(self._every_s, self._tick, loop)
        if self._renewing is None or self._renewing.done():
            self._renewing = loop.create_task(self._renew())

    async def _renew(self) -> None:
        now_s = self._clock()
        for purchase in list(self._open):
            try:
                await purchase.renew(now_s, now_s + 2 * self._every_s)
            except FailureError as error:
                # The store could not be used; the next look comes long before the hold ends.
                log.warning("holds were not renewed: %s", error.failure.message)
                return


class Reach:
    """How far a stream goes on what is held for it: at `chars` it asks again, and at a new figure of usage."""

    __slots__ = ("_allowance", "_view", "chars")

    def __init__(self, allowance: Allowance, view: View) -> None:
        self._allowance = allowance
        self._view = view
        self.chars = 0

    async def goes_on(self, running: Running) -> bool:
        """Whether there is money for more of the answer; the hold is raised by a piece where it runs out."""
        target = running.target
        price, left = target.price, self._allowance.left_nanos(target)
        if price is None or price.free or left is None:
            self.chars = MOST_CHARS
            return True
        spent = cost_nanos(self.used(running), price)
        margin = MARGIN_TOKENS * price.output // PICOS_PER_NANO
        if spent + margin > left:
            piece = max(spent // 4, PIECE_TOKENS * price.output // PICOS_PER_NANO)
            if not (
                await self._allowance.cover(target, spent + margin + piece)
                or await self._allowance.cover(target, spent + margin)
            ):
                return False
            left = self._allowance.left_nanos(target) or 0
        self.chars = running.chars + chars_within(left - spent - margin, price)
        return True

    def end(self, running: Running) -> None:
        """Notes that there is no money for more. What the last piece brought beyond the hold is not charged: nobody
        was asked for it, and a cap is a cap."""
        running.out_of_budget = True
        running.finish = Finish.LENGTH
        price, left = running.target.price, self._allowance.left_nanos(running.target)
        if price is not None and left is not None:
            reported = self.used(running)
            prompt = cost_nanos(msgspec.structs.replace(reported, output=0), price)
            running.chars = min(running.chars, chars_within(left - prompt, price))

    def used(self, running: Running) -> Usage:
        """What the stream has used so far, as it is counted while it passes."""
        prompt_chars = self._view.text_chars + running.begun_chars
        return filled(running.usage, prompt_chars=prompt_chars, answer_chars=running.chars, whole=False)[0]


def over(nanos: int, left: Left, when: str = "") -> str:
    """Why a target does not fit, in words."""
    name = left.account.rpartition(":")[0]
    free = nanos_to_usd(left.free_nanos)
    return f"may cost {nanos_to_usd(nanos)} USD and {when}{free} USD of the budget '{name}' are left"
