"""Money: holds, settlements, kills, and the budgets that were made while the gateway ran.

Owns: the ledger's verbs and what each of them guarantees. Refuses: any implementation, and knowing a price.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from laneway.route import Dropped, Target


class Share(msgspec.Struct, frozen=True):
    """A hold's part in one account, with the cap that holds there."""

    account: str
    nanos: int
    cap_nanos: int


class Hold(msgspec.Struct, frozen=True):
    """Money set aside for one request, in all of its accounts, until it is settled, released, or expires."""

    request_id: str
    shares: tuple[Share, ...]
    expires_s: float


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What an account looks like at an instant, in nano-USD."""

    account: str
    cap_nanos: int
    spent_nanos: int
    held_nanos: int
    """By requests under way, and by what other processes have leased."""

    @property
    def free_nanos(self) -> int:
        return max(self.cap_nanos - self.spent_nanos - self.held_nanos, 0)


class Short(msgspec.Struct, frozen=True):
    """A hold that was refused: what each of its accounts has left, in the order of its shares."""

    lefts: tuple[Left, ...]


class Moved(NamedTuple):
    """A sum that grew."""

    account: str
    before_nanos: int
    after_nanos: int


class Kill(msgspec.Struct, frozen=True):
    """An order to make no more paid calls within a scope, until somebody takes it back."""

    scope: str
    reason: str
    at_s: float


class Ledger(Protocol):
    """Money. Every verb is atomic, idempotent by request id, and exact across processes sharing a store.

    An account's name holds its period (`team-daily/acme:2026-11-21`), so a new period starts at nothing spent; the cap
    is an argument, because it is configuration, while what was spent is state. Spent and held together never pass the
    cap, as long as what is settled was held.
    """

    on_moved: Callable[[Sequence[Moved]], None] | None
    """Told of every sum that grew, once it is kept; each movement by one process only. It must be quick."""

    async def left(self, account: str, cap_nanos: int, now_s: float) -> Left: ...

    async def hold(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | Short:
        """Reserves all of the shares, or none. The same id again: the first hold, as long as it lives."""

    def hold_now(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | None:
        """As `hold`, where that is a matter of memory alone; None, and nothing has happened: ask `hold`."""

    async def extend(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | Short:
        """Raises a hold to these amounts, all of them or none, and lets it live anew; one that expired is made again.
        Accounts that are not named stay as they are."""

    async def settle(self, request_id: str, spent: Mapping[str, int], now_s: float) -> None:
        """What was really spent in each account, held or not; ends the hold in all of them. A second settlement of
        the same id changes nothing. When it returns, a killed process no longer loses it."""

    def settle_now(self, request_id: str, spent: Mapping[str, int], now_s: float) -> bool:
        """As `settle`, where nobody need wait for it; False, and nothing has happened: ask `settle`."""

    async def release(self, request_id: str, now_s: float) -> None:
        """Ends a hold of which nothing was spent."""

    async def kill(self, scope: str, reason: str, now_s: float) -> None:
        """Stops paid calls within a scope: when it returns, every process sharing the store knows. The first reason
        stays until `unkill`."""

    async def unkill(self, scope: str) -> bool:
        """False when there was no such kill."""

    def killed(self) -> Mapping[str, Kill]:
        """The kills in force, by scope, as of this instant and at no cost: it is asked before every call."""


class Allowance(Protocol):
    """What one request may still spend; the budget room leaves it on the Exchange."""

    def left_nanos(self, target: Target) -> int | None:
        """What the request's hold still covers for a target; None: nothing limits it."""

    def funds(self, target: Target) -> bool:
        """Whether somebody set money aside for such a target: a budget binds it, and none that does is 0."""

    async def admit(self, target: Target) -> Dropped | None:
        """Before a further attempt: why it does not fit beside what the attempts before it have cost, or None."""

    async def cover(self, target: Target, nanos: int) -> bool:
        """Whether an attempt under way may cost so much; its hold is raised where it has to be."""


class BookEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A budget that was made while the gateway ran: the table as it would stand in the file, in JSON."""

    name: str
    table: str
    changed_s: float


class Book(Protocol):
    """Budgets made while the gateway ran, shared by all processes of a store."""

    async def list(self) -> Sequence[BookEntry]:
        """By name."""

    async def put(self, entry: BookEntry, *, new: bool) -> bool:
        """False, and nothing happens, where the name is taken already; if it is not new, where it is not there."""

    async def remove(self, name: str) -> bool:
        """False when there is none of that name."""

    async def edition(self) -> int:
        """Grows with every change, whichever process made it. Asked every few seconds."""
