"""Money in SQLite: exact across processes, at the speed of memory.

Owns: when money is leased, given back and reported, and who waits for it meanwhile. Holds live in what this process
has leased, so that the tables alone never show spent and leased above the cap.
Refuses: prices, periods and caps (they are arguments), and to lose a settlement once it was answered: it stands in the
hint file until the tables have it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from laneway.ports import Hold, Kill, Left, Moved, Share, Short
from laneway.stores.holds import Holds, raised
from laneway.stores.schema import HOLD_S, StoreError
from laneway.stores.sqlite import beat, leases
from laneway.stores.sqlite.board import Board
from laneway.stores.sqlite.database import Database
from laneway.stores.sqlite.hints import Hints, Settled
from laneway.stores.sqlite.kills import Kills
from laneway.stores.sqlite.leases import Collected, Given, Granted, Tenure, Want
from laneway.stores.sqlite.opening import failed
from laneway.stores.sqlite.purse import QUIET_TICKS, Purse
from laneway.stores.sqlite.waiter import Waiter

TICK_S = 0.05
"""Between two reports; also how long somebody who ran short waits for what others have idle."""
WAIT_S = 0.5
"""The longest that a hold waits for money to come back from other processes."""
RETRY_S = 0.02
MOST_UNREPORTED = 20_000
log = logging.getLogger("laneway")

_LEFT = """
SELECT coalesce((SELECT spent_nanos FROM accounts WHERE name = ?), 0),
    coalesce((SELECT sum(nanos) FROM leases WHERE account = ? AND lease <> ? AND expires_s > ?), 0)
"""


class SqliteLedger:
    """Accounts shared by all processes that open the same file."""

    def __init__(self, database: Database, *, hold_s: float = HOLD_S) -> None:
        self._database = database
        self._holds = Holds(hold_s)
        self._purse = Purse(hold_s)
        self._pending: list[Settled] = []
        self._reporting: asyncio.Future[list[Moved]] | None = None
        self._returning = 0
        self._waiters: list[Waiter] = []
        self._leasing = False
        self._timer: beat.Due | None = None
        self._tight = 0
        self._recalls = b""
        self._late = False
        """Settlements wait for the store: said once, for they are tried again many times a second."""
        self._hints: Hints | None = None
        self._board: Board | None = None
        self._kills = Kills(database, self._opened_board)
        self.on_moved: Callable[[Sequence[Moved]], None] | None = None
        database.add_life(self._begin, self._end)
        database.add_chore(leases.prune)

    # --- the port ------------------------------------------------------------------------------------------

    async def left(self, account: str, cap_nanos: int, now_s: float) -> Left:
        await self._reported()
        self._expire(now_s)
        return await self._left(account, cap_nanos, now_s)

    async def hold(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | Short:
        made = self.hold_now(request_id, shares, now_s)
        if made is not None:
            return made
        self._expire(now_s)
        held = self._holds.get(request_id)
        if held is not None:
            return held
        if not self._purse.set_aside(shares, now_s):
            short = await self._obtain(shares, now_s)
            if short is not None:
                return short
            held = self._holds.get(request_id)
            if held is not None:
                # The same request asked twice at once.
                self._purse.put_back(shares)
                return held
        return self._holds.add(request_id, shares, now_s)

    def hold_now(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | None:
        holds = self._holds
        if holds.next_s <= now_s or holds.get(request_id) is not None or not self._purse.set_aside(shares, now_s):
            return None
        return holds.add(request_id, shares, now_s)

    async def extend(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | Short:
        self._expire(now_s)
        while True:
            before = self._holds.get(request_id)
            after, more = raised(before, shares)
            if not (self._purse.lasts(after, now_s) and self._purse.set_aside(more, now_s)):
                short = await self._obtain(more, now_s)
                if short is not None:
                    return short
                if self._holds.get(request_id) is not before:
                    self._purse.put_back(more)
                    continue
            self._holds.end(request_id)
            return self._holds.add(request_id, after, now_s)

    async def settle(self, request_id: str, spent: Mapping[str, int], now_s: float) -> None:
        if not self._database.is_open:
            raise StoreError("The gateway's store is not open.")
        self._settle(request_id, spent, now_s)
        if len(self._pending) >= MOST_UNREPORTED:
            # Another process has kept the file locked for long: those who come now wait for it.
            await self._reported()

    def settle_now(self, request_id: str, spent: Mapping[str, int], now_s: float) -> bool:
        if len(self._pending) >= MOST_UNREPORTED or not self._database.is_open:
            return False
        self._settle(request_id, spent, now_s)
        return True

    def _settle(self, request_id: str, spent: Mapping[str, int], now_s: float) -> None:
        hold = self._holds.end(request_id)
        again = self._holds.settled(request_id)
        self._purse.settle(hold.shares if hold is not None else (), {} if again else spent)
        if again:
            return
        settled = Settled(request_id, now_s, spent)
        self._pending.append(settled)
        self._hint(settled)
        self._wake()

    async def release(self, request_id: str, now_s: float) -> None:
        hold = self._holds.end(request_id)
        if hold is not None:
            self._purse.put_back(hold.shares)

    async def kill(self, scope: str, reason: str, now_s: float) -> None:
        await self._kills.add(scope, reason, now_s)

    async def unkill(self, scope: str) -> bool:
        return await self._kills.take_back(scope)

    def killed(self) -> Mapping[str, Kill]:
        return self._kills.now()

    # --- what is leased ------------------------------------------------------------------------------------

    def _expire(self, now_s: float) -> None:
        while (hold := self._holds.expired(now_s)) is not None:
            self._purse.put_back(hold.shares)

    async def _obtain(self, shares: Sequence[Share], now_s: float) -> Short | None:
        """Sets the shares aside once enough is leased; what is missing, where it cannot be."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + WAIT_S
        while True:
            waiter = Waiter(shares, now_s, loop.create_future())
            self._waiters.append(waiter)
            if not self._leasing:
                self._leasing = True
                # Whoever runs short in the same turn of the loop is asked for together.
                loop.call_soon(self._lease)
            try:
                answer = await waiter.done
            except asyncio.CancelledError:
                if waiter.done.done() and not waiter.done.cancelled() and waiter.done.result() is None:
                    self._purse.put_back(shares)
                raise
            if answer is None:
                return None
            short, waits = answer
            if not waits or loop.time() >= until_s:
                return short
            await asyncio.sleep(RETRY_S)

    def _lease(self) -> None:
        """Asks the tables for what all waiters need, in one transaction."""
        waiters = self._waiters = [waiter for waiter in self._waiters if not waiter.done.done()]
        served: list[Waiter] = []
        needs: dict[str, list[int]] = {}
        caps: dict[str, int] = {}
        for waiter in waiters:
            # A cap that changes meanwhile waits for the next time.
            if any(caps.setdefault(share.account, share.cap_nanos) != share.cap_nanos for share in waiter.shares):
                continue
            served.append(waiter)
            for share in waiter.shares:
                needs.setdefault(share.account, []).append(share.nanos)
        if not served:
            self._leasing = False
            return
        self._waiters = [waiter for waiter in waiters if waiter not in served]
        now_s = max(waiter.now_s for waiter in served)
        try:
            owner = self._opened_hints().owner
        except OSError as error:
            # Without it a kill would lose what is settled; and nobody may wait for an answer that never comes.
            self._unleased(served, [], failed(error))
            return
        wants = [self._purse.want(owner, account, caps[account], needs[account]) for account in needs]
        tenure = Tenure(owner, self._database.path, now_s, now_s + 2 * self._holds.hold_s)
        try:
            self._report()
            recall = self._opened_board().recall
            asked = self._database.submit(partial(leases.grant, wants=wants, tenure=tenure, recall=recall))
        except StoreError as error:
            self._unleased(served, wants, error)
            return
        asked.add_done_callback(partial(self._leased, served, wants, tenure))

    def _leased(self, served: list[Waiter], wants: list[Want], tenure: Tenure, asked: asyncio.Future[Granted]) -> None:
        error = asked.exception()
        if error is not None:
            self._unleased(served, wants, error)
            return
        granted = asked.result()
        self._take_away(granted.collected)
        given: dict[str, Given] = {}
        for want, each in zip(wants, granted.given, strict=True):
            given[want.account] = each
            self._purse.receive(want, each, tenure.expires_s)
        for waiter in served:
            if not waiter.done.done():
                waits = all(given[share.account].waits or self._fits(share) for share in waiter.shares)
                fits = self._purse.set_aside(waiter.shares, waiter.now_s)
                waiter.done.set_result(None if fits else (self._short(waiter.shares, given), waits))
        for waiter in self._waiters:
            if not waiter.done.done() and self._purse.set_aside(waiter.shares, waiter.now_s):
                waiter.done.set_result(None)
        self._wake()
        self._lease()

    def _fits(self, share: Share) -> bool:
        return self._purse.accounts[share.account].idle >= share.nanos

    def _short(self, shares: Sequence[Share], given: Mapping[str, Given]) -> Short:
        lefts: list[Left] = []
        for share in shares:
            account = share.account
            # What was settled and is not in the tables yet still stands in the lease.
            spent = given[account].spent_nanos + self._purse.accounts[account].used
            held = self._holds.nanos.get(account, 0) + given[account].others_nanos
            lefts.append(Left(account=account, cap_nanos=share.cap_nanos, spent_nanos=spent, held_nanos=held))
        return Short(tuple(lefts))

    def _unleased(self, served: list[Waiter], wants: list[Want], error: BaseException) -> None:
        self._leasing = False
        self._purse.put_back_idle((want.idle_nanos, want.account, want.lease) for want in wants)
        for waiter in [*served, *self._waiters]:
            if not waiter.done.done():
                waiter.done.set_exception(error)
        self._waiters.clear()

    async def _left(self, account: str, cap_nanos: int, now_s: float) -> Left:
        leased = self._purse.accounts.get(account)
        lease = leased.lease if leased is not None else ""
        row = await self._database.row(_LEFT, (account, account, lease, now_s))
        spent, others = row if row is not None else (0, 0)
        held = self._holds.nanos.get(account, 0) + others
        return Left(account=account, cap_nanos=cap_nanos, spent_nanos=spent, held_nanos=held)

    # --- what was spent ------------------------------------------------------------------------------------

    def _hint(self, settled: Settled) -> None:
        try:
            self._opened_hints().append(settled)
        except OSError as error:
            # It is still reported; only a kill within the next moments would lose it.
            log.warning("a settlement could not be written beside the store: %s", error.strerror)

    def _report(self) -> None:
        """Puts what was settled on its way into the tables; one report at a time, so that order is kept."""
        if self._reporting is not None or not self._pending:
            return
        batch, self._pending = self._pending, []
        used = self._purse.take_used(batch)
        try:
            self._reporting = self._database.submit(partial(leases.report, settled=batch, used=used))
        except StoreError:
            self._unreported(batch, used)
            raise
        self._reporting.add_done_callback(partial(self._told, batch, used))

    def _told(
        self, batch: list[Settled], used: dict[tuple[str, str], int], reporting: asyncio.Future[list[Moved]]
    ) -> None:
        self._reporting = None
        if reporting.cancelled() or reporting.exception() is not None:
            self._unreported(batch, used)
            if not self._late:
                log.warning("settlements wait, because the store could not be written: %s", reporting.exception())
            self._late = True
            return
        if self._late:
            self._late = False
            log.warning("the settlements that waited are in the store")
        if self._hints is not None:
            with suppress(OSError):
                self._hints.forget(self._pending)
        self._tell(reporting.result())

    def _unreported(self, batch: list[Settled], used: dict[tuple[str, str], int]) -> None:
        self._pending = batch + self._pending
        self._purse.put_back_used(used)

    async def _reported(self) -> None:
        """Returns when everything settled before is in the tables."""
        while self._pending or self._reporting is not None:
            self._report()
            if (reporting := self._reporting) is not None:
                await asyncio.wait([reporting])
                error = reporting.exception()
                if error is not None:
                    raise error

    def _tell(self, moved: Sequence[Moved]) -> None:
        if moved and self.on_moved is not None:
            self.on_moved(moved)

    def _take_away(self, collected: Collected) -> None:
        for path in collected.paths:
            with suppress(OSError):
                path.unlink()
        self._tell(collected.moved)

    # --- time ----------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._timer is None:
            self._timer = self._database.beat.join(self._tick, TICK_S)

    def _tick(self) -> None:
        self._timer = None
        if not self._database.is_open:
            return
        self._report()
        recalls = self._opened_board().recalls()
        recalled = recalls != self._recalls
        if recalled:
            self._recalls = recalls
            self._tight = QUIET_TICKS * 2
        self._tight = max(self._tight - 1, 0)
        self._give_back(self._purse.take_idle(recalled=recalled, tight=self._tight > 0))
        if not (self._leasing or self._returning):
            self._purse.forget(self._holds.nanos.keys())
        if self._purse.accounts or self._pending or self._reporting is not None:
            self._wake()

    def _give_back(self, idle: list[tuple[int, str, str]]) -> None:
        if idle:
            returned = self._database.submit(partial(leases.give_back, idle=idle))
            self._returning += 1
            returned.add_done_callback(partial(self._returned, idle))

    def _returned(self, idle: list[tuple[int, str, str]], returned: asyncio.Future[None]) -> None:
        self._returning -= 1
        if returned.cancelled() or returned.exception() is not None:
            self._purse.put_back_idle(idle)

    # --- life ----------------------------------------------------------------------------------------------

    def _opened_hints(self) -> Hints:
        if self._hints is None:
            self._hints = Hints(self._database.path)
        return self._hints

    def _opened_board(self) -> Board:
        if self._board is None:
            if not self._database.is_open:
                raise StoreError("The gateway's store is not open.")
            self._board = Board(self._database.path)
        return self._board

    async def _begin(self) -> None:
        """Whoever comes next writes down what the dead had settled."""
        self._recalls = self._opened_board().recalls()
        self._take_away(await self._database.submit(partial(leases.collect, store=self._database.path)))

    async def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        hints, board, self._hints, self._board = self._hints, self._board, None, None
        keep = True
        if hints is not None:
            with suppress(StoreError):
                await self._reported()
                await self._database.submit(partial(leases.end, owner=hints.owner))
                keep = False
            hints.close(keep=keep)
        if board is not None:
            board.close()
