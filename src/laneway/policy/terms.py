"""Terms: what a list of candidates may cost in the accounts that a request is charged to.

Owns: which account counts a target at which price, the candidates nobody knows the price of, the ceiling of each of
the others, and what has to be set aside for the dearest. Made once for accounts and targets that come together.
Refuses: sums and holds (the ledger keeps them), and saying no: whoever asks sees what fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from laneway.dialects import View
from laneway.policy.budgets import Account
from laneway.policy.price import ceiling_nanos, cost_nanos
from laneway.ports import Left, Share
from laneway.route import Attempt, Price, Target


class Ceiling(NamedTuple):
    """The most one candidate may cost in each of the accounts; `target` is None for an app that is not ours."""

    target: Target | None
    amounts: tuple[int, ...]


class Terms:
    """Without accounts, everything costs nothing."""

    __slots__ = ("_caps", "_names", "_plain", "_rows", "_tierless", "accounts", "refused", "targets")

    def __init__(self, accounts: Sequence[Account], targets: Iterable[Target] = ()) -> None:
        self.accounts = accounts
        self.targets = tuple(targets)
        self.refused: tuple[Target, ...] = ()
        """Candidates without a price, where some account takes only what has one."""
        rows: list[tuple[Target, tuple[Price | None, ...]]] = []
        for target in self.targets:
            if any(_unknown(account, target) for account in accounts):
                self.refused += (target,)
            else:
                rows.append((target, tuple(_price_in(account, target) for account in accounts)))
        self._rows = tuple(rows)
        # Where every account counts every target at its own price, one figure is all of them.
        self._plain = bool(rows and accounts) and all(
            price is not None and price is target.price for target, prices in rows for price in prices
        )
        self._tierless = all(account.tier is None for account in accounts)
        self._names = tuple(account.name for account in accounts)
        self._caps = tuple((account.name, account.budget.cap_nanos) for account in accounts)

    def ceilings(self, view: View, prompt: int) -> list[Ceiling]:
        """The most that each priced candidate may cost; `prompt` bounds the tokens of the request's prompt."""
        made: list[Ceiling] = []
        for target, prices in self._rows:
            # Most accounts count alike.
            known: dict[int, int] = {id(None): 0}
            for price in prices:
                if price is not None and id(price) not in known:
                    known[id(price)] = ceiling_nanos(price, view, prompt, window=target.window, output=target.output)
            made.append(Ceiling(target, tuple([known[id(price)] for price in prices])))
        return made

    def dearest(self, view: View, prompt: int) -> tuple[Share, ...] | None:
        """What has to be set aside for the dearest of all candidates, where every account counts them alike."""
        if not self._plain:
            return None
        dearest = 0
        for target, prices in self._rows:
            price = prices[0]
            if price is not None:
                nanos = ceiling_nanos(price, view, prompt, window=target.window, output=target.output)
                dearest = max(dearest, nanos)
        return tuple([Share(name, dearest, cap) for name, cap in self._caps]) if dearest else ()

    def shares(self, ceilings: Sequence[Ceiling]) -> tuple[Share, ...]:
        """The same of some of them; accounts in which nothing costs anything are left alone."""
        return tuple(
            Share(name, dearest, cap)
            for index, (name, cap) in enumerate(self._caps)
            if (dearest := max((each.amounts[index] for each in ceilings), default=0))
        )

    def amount(self, ceiling: Ceiling, account: str) -> int:
        return ceiling.amounts[self._names.index(account)]

    def spent(self, attempts: Sequence[Attempt]) -> dict[str, int]:
        """What attempts have cost in each account; accounts in which that is nothing are not named."""
        if self._tierless:
            total = 0
            for attempt in attempts:
                if attempt.target.price is None:
                    break
                total += attempt.cost_nanos
            else:
                return dict.fromkeys(self._names, total) if total else {}
        spent = {account.name: spent_in(account, attempts) for account in self.accounts}
        return {name: nanos for name, nanos in spent.items() if nanos}


def spent_in(account: Account, attempts: Iterable[Attempt]) -> int:
    """What attempts have cost in one account."""
    return sum(_charge(account, attempt) for attempt in attempts if account.binds(attempt.target))


def _charge(account: Account, attempt: Attempt) -> int:
    """What an attempt costs an account: its price, or what the budget says where it has none."""
    if attempt.target.price is not None or account.budget.unpriced is None:
        return attempt.cost_nanos
    return cost_nanos(attempt.usage, account.budget.unpriced)


def _unknown(account: Account, target: Target) -> bool:
    return target.price is None and account.budget.unpriced is None and account.binds(target)


def _price_in(account: Account, target: Target) -> Price | None:
    """At what price an account counts a target; None where it does not."""
    if not account.binds(target):
        return None
    return account.budget.unpriced if target.price is None else target.price


def first_short(accounts: Sequence[Account], amounts: Sequence[int], lefts: Mapping[str, Left]) -> Left | None:
    """The first account that is known to have too little for these amounts."""
    for account, nanos in zip(accounts, amounts, strict=True):
        left = lefts.get(account.name)
        if left is not None and nanos > left.free_nanos:
            return left
    return None
