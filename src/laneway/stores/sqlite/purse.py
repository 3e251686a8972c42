"""The purse: what this process has leased of each account, and how it is used.

Owns: the arithmetic of idle, held and used money. In the tables stands the sum of the three, so that whatever happens
here at the speed of memory is covered there.
Refuses: to ask the tables (the ledger does), and single requests (holds are kept elsewhere).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from laneway.ports import Share
from laneway.stores.sqlite.hints import Settled
from laneway.stores.sqlite.leases import Given, Want

QUIET_TICKS = 20
"""An account nobody used for so many ticks gives back what is idle in it."""


class Leased:
    """This process's part of one account. `used` is what was settled out of it and not yet reported."""

    __slots__ = ("cap", "expires_s", "idle", "lease", "quiet", "used")

    def __init__(self) -> None:
        self.lease = ""
        self.idle = 0
        self.used = 0
        self.cap = 0
        self.expires_s = 0.0
        self.quiet = 0


class Purse:
    """All of it, by account. A lease outlives every hold in it by `hold_s`."""

    def __init__(self, hold_s: float) -> None:
        self.accounts: dict[str, Leased] = {}
        self._hold_s = hold_s
        self._number = 0

    def set_aside(self, shares: Sequence[Share], now_s: float) -> bool:
        """Takes all shares out of what is idle, or none. False also where a lease may not cover them to their end, or
        was granted under a higher cap."""
        accounts, until_s = self.accounts, now_s + self._hold_s
        for share in shares:
            if share.nanos:
                leased = accounts.get(share.account)
                if (
                    leased is None
                    or leased.idle < share.nanos
                    or leased.cap > share.cap_nanos
                    or leased.expires_s < until_s
                ):
                    return False
        for share in shares:
            if share.nanos:
                leased = accounts[share.account]
                leased.idle -= share.nanos
                leased.quiet = 0
        return True

    def lasts(self, shares: Sequence[Share], now_s: float) -> bool:
        """Whether what is leased outlives a hold of these shares that begins now."""
        accounts, until_s = self.accounts, now_s + self._hold_s
        return all(
            share.account in accounts and accounts[share.account].expires_s >= until_s
            for share in shares
            if share.nanos
        )

    def settle(self, shares: Sequence[Share], spent: Mapping[str, int]) -> None:
        """What was held comes back, and what was spent is used, as far as anything is idle."""
        self.put_back(shares)
        accounts = self.accounts
        for account, nanos in spent.items():
            leased = accounts.get(account)
            if leased is not None and leased.idle > 0 and nanos > 0:
                used = min(leased.idle, nanos)
                leased.idle -= used
                leased.used += used

    def put_back(self, shares: Sequence[Share]) -> None:
        accounts = self.accounts
        for share in shares:
            if share.nanos:
                leased = accounts.get(share.account)
                if leased is not None:
                    leased.idle += share.nanos

    # --- reporting -----------------------------------------------------------------------------------------

    def take_used(self, batch: Iterable[Settled]) -> dict[tuple[str, str], int]:
        """What a batch of settlements used, by account and lease. It is on its way out of the leases."""
        taken: dict[tuple[str, str], int] = {}
        for settled in batch:
            for account in settled.spent:
                leased = self.accounts.get(account)
                if leased is not None and leased.used:
                    taken[account, leased.lease] = leased.used
                    leased.used = 0
        return taken

    def put_back_used(self, taken: dict[tuple[str, str], int]) -> None:
        for (account, lease), nanos in taken.items():
            leased = self.accounts.get(account)
            if leased is not None and leased.lease == lease:
                leased.used += nanos

    # --- leasing -------------------------------------------------------------------------------------------

    def want(self, owner: str, account: str, cap_nanos: int, needs: Iterable[int]) -> Want:
        """What to ask for. Until `receive` or `put_back_idle`, nothing of the account is idle."""
        leased = self.accounts.get(account)
        if leased is None:
            leased = self.accounts[account] = Leased()
        self._number += 1
        idle, leased.idle = leased.idle, 0
        return Want(account, leased.lease, f"{owner}/{self._number}", cap_nanos, idle, tuple(needs))

    def receive(self, want: Want, given: Given, expires_s: float) -> None:
        leased = self.accounts[want.account]
        if given.lease != want.lease:
            # The old lease came to its end, and what was put back meanwhile was of it.
            leased.lease, leased.idle, leased.used = given.lease, 0, 0
        leased.idle += given.idle_nanos
        leased.expires_s = expires_s
        leased.quiet = 0
        if given.fits:
            leased.cap = want.cap_nanos

    def put_back_idle(self, idle: Iterable[tuple[int, str, str]]) -> None:
        for nanos, account, lease in idle:
            leased = self.accounts.get(account)
            if leased is not None and leased.lease == lease:
                leased.idle += nanos

    def take_idle(self, *, recalled: bool, tight: bool) -> list[tuple[int, str, str]]:
        """What goes back, by account and lease: all idle money where somebody is short, else what rests for long."""
        taken: list[tuple[int, str, str]] = []
        for account, leased in self.accounts.items():
            leased.quiet += 1
            if leased.lease and (recalled or (leased.idle > 0 and (tight or leased.quiet > QUIET_TICKS))):
                taken.append((max(leased.idle, 0), account, leased.lease))
                leased.idle = min(leased.idle, 0)
        return taken

    def forget(self, held: Collection[str]) -> None:
        """Drops accounts of which nothing is leased any more, while nothing of them is on its way."""
        tired = [
            account
            for account, leased in self.accounts.items()
            if leased.quiet > QUIET_TICKS and not (leased.idle or leased.used or account in held)
        ]
        for account in tired:
            del self.accounts[account]
