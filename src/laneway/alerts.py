"""Alerts on their way: noticed anywhere, written down once, sent from the background until somebody has them.

Owns: the bounded queue between whoever notices something and the store, looking for what only sums can tell, one try
at a time for each channel, and the daily summary.
Refuses: the request path (nobody ever waits for it), words and waits (policy has them), and the try itself (the
courier's).

Each notice is claimed in the store before it is sent and marked after it, so of many processes one sends it, and a
restart repeats nothing. Only a process killed between the two is followed by a repetition, under the same id.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from time import gmtime, strftime

from laneway.board import Board
from laneway.courier import Courier
from laneway.failure import FailureError
from laneway.policy.alerts import (
    Channel,
    call_of,
    notices_of,
    paid_fallback,
    refused,
    spending,
    summary,
    summary_due,
)
from laneway.policy.budgets import Budget, crossed, known_accounts
from laneway.policy.delivery import wait_s
from laneway.policy.report import total
from laneway.policy.usage import day_of
from laneway.ports import Alert, Journal, Ledger, Moved, Notice, Notices, Question, Reports, Upstream
from laneway.route import Outcome

MOST_QUEUED = 1000
MOST_GROWN = 1000
"""Accounts of callers that are looked at in one round."""
MOST_TOLD = 10_000
ROUND_S = 2.0
"""Between two looks at the sums and at what is due."""
LENT_S = 60.0
"""How long a notice belongs to the process that tries to send it."""
CLOSE_S = 5.0
DAY_S = 86_400.0
log = logging.getLogger("laneway")

Look = Callable[[float], Awaitable[Iterable[Alert]]]
"""Finds alerts in what is stored; the same ones again and again do no harm."""
Tell = Callable[[Alert], None]


class Alerts:
    """Takes alerts from anybody on the loop; what `start` begins sends them. Without channels it does nothing."""

    def __init__(
        self,
        notices: Notices,
        upstream: Upstream,
        *,
        reports: Reports | None = None,
        channels: Iterable[Channel] = (),
        looks: Iterable[Look] = (),
        clock: Callable[[], float] = time.time,
        round_s: float = ROUND_S,
    ) -> None:
        self.dropped = 0
        """Alerts that found the queue full."""
        self.looks = list(looks)
        self._notices = notices
        self._courier = Courier(upstream)
        self._reports = reports
        self._channels: dict[str, Channel] = {}
        self._clock = clock
        self._round_s = round_s
        self._queue: deque[Alert] = deque()
        self._noticed = asyncio.Event()
        self._closing = False
        self._running: asyncio.Task[None] | None = None
        self._told: dict[tuple[str, str, str], None] = {}
        self.use(channels)

    def use(self, channels: Iterable[Channel]) -> None:
        """Puts the channels of a configuration in force."""
        self._channels = {channel.name: channel for channel in channels}

    def alert(self, kind: str, subject: str, period: str, facts: Mapping[str, str]) -> None:
        """Something people want to know, once for the period. Never waits and never raises."""
        self.tell(Alert(kind=kind, subject=subject, period=period, facts=facts))

    def tell(self, alert: Alert) -> None:
        """The same, of an alert that is made already."""
        if not self._channels:
            return
        if len(self._queue) >= MOST_QUEUED:
            self.dropped += 1
            return
        self._queue.append(alert)
        self._noticed.set()

    def hear(self, outcome: Outcome) -> None:
        """Looks at a request that is over; most say nothing, in less than a microsecond."""
        if not self._channels or (outcome.failure is None and len(outcome.attempts) < 2):
            return
        day = day_of(outcome.at_s)
        found = refused(outcome, day) or paid_fallback(outcome, day)
        if found is None or (found.kind, found.subject, found.period) in self._told:
            return
        if len(self._told) >= MOST_QUEUED:
            self._told.clear()
        self._told[found.kind, found.subject, found.period] = None
        self.alert(found.kind, found.subject, found.period, found.facts)

    # --- running -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """On the loop that serves."""
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Ends after the try at hand; what was noticed is written down for the next start."""
        self._closing = True
        self._noticed.set()
        running, self._running = self._running, None
        if running is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await asyncio.shield(running)
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
        with suppress(FailureError):
            await self._write_down(())

    async def _run(self) -> None:
        while not self._closing:
            self._noticed.clear()
            if self._channels or self._queue:
                try:
                    await self.round()
                except FailureError as error:
                    # The store could not be used; everything is looked for again.
                    log.warning("alerts wait: %s", error.failure.message)
                except Exception:
                    log.exception("alerts wait: something unexpected happened")
            if not self._closing:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._round_s):
                        await self._noticed.wait()

    async def round(self) -> None:
        """One look at everything, and one try of whatever is due."""
        now_s = self._clock()
        looks = self.looks if self._channels else ()
        found = [alert for look in looks for alert in await look(now_s)]
        await self._write_down(found)
        await self._summarise(now_s)
        await asyncio.gather(*(self._send_due(channel) for channel in self._channels.values()))

    async def _write_down(self, found: Iterable[Alert]) -> None:
        now_s, channels = self._clock(), self._channels.values()
        queued = list(self._queue)
        self._queue.clear()
        notices = [notice for alert in (*queued, *found) for notice in notices_of(alert, channels, now_s)]
        if not notices:
            return
        try:
            await self._notices.put(notices)
        except BaseException:
            # What could not be written stays queued; what is looked for is found again.
            self._queue.extendleft(reversed(queued))
            raise

    async def _summarise(self, now_s: float) -> None:
        due = [channel for channel in self._channels.values() if summary_due(channel, now_s)]
        day = day_of(now_s - DAY_S)
        if not due or self._reports is None or all(("summary", channel.name, day) in self._told for channel in due):
            return
        figures = total(await self._reports.usage(Question((), day, day)))
        await self._notices.put(notices_of(summary(figures, day), due, now_s))
        for channel in due:
            self._told["summary", channel.name, day] = None

    # --- one channel ---------------------------------------------------------------------------------------

    async def _send_due(self, channel: Channel) -> None:
        while not self._closing:
            now_s = self._clock()
            notice = await self._notices.take(channel.name, now_s, now_s + LENT_S)
            if notice is None:
                return
            await self._try(channel, notice)

    async def _try(self, channel: Channel, notice: Notice) -> None:
        tried = await self._courier.deliver(call_of(channel, notice, self._clock()), private=channel.private)
        now_s = self._clock()
        if not tried.reason:
            await self._notices.ended(notice.id, now_s)
            return
        after_s = wait_s(notice.tries, tried.asked_s)
        if after_s is None:
            log.error("alert %s for channel %s was given up: %s", notice.kind, channel.name, tried.reason)
            await self._notices.ended(notice.id, now_s, reason=tried.reason)
            return
        log.warning("alert %s for channel %s was not taken (%s); again later", notice.kind, channel.name, tried.reason)
        await self._notices.failed(notice.id, tried.reason, now_s + after_s)


def look_at_breakers(board: Board) -> Look:
    """Finds what the board leaves alone after timeouts; told once an hour for each target."""

    async def look(now_s: float) -> list[Alert]:
        board.refresh()
        hour = strftime("%Y-%m-%d %H:00 UTC", gmtime(now_s))
        return [
            Alert(kind="breaker", subject=target, period=hour, facts={"timeouts": str(breaker.strikes)})
            for host in board.hosts.values()
            for target, breaker in host.breakers.items()
            if breaker.trips
        ]

    return look


def look_at_kills(ledger: Ledger) -> Look:
    """Finds the kills in force, whoever ordered them."""

    async def look(_: float) -> list[Alert]:
        return [
            Alert(kind="kill", subject=kill.scope, period=f"{kill.at_s:.3f}", facts={"reason": kill.reason})
            for kill in ledger.killed().values()
        ]

    return look


def look_at_spending(ledger: Ledger, budgets: Callable[[], Iterable[Budget]]) -> Look:
    """Finds budgets past a threshold, in the accounts that are known without a caller. It stops nothing."""

    async def look(now_s: float) -> list[Alert]:
        found: list[Alert] = []
        for budget in budgets():
            for account in known_accounts(budget, now_s) if budget.alerts else ():
                spent = (await ledger.left(account.name, budget.cap_nanos, now_s)).spent_nanos
                name, _, period = account.name.rpartition(":")
                parts = crossed(budget, 0, spent)
                found += [spending(name, period, spent, budget.cap_nanos, part) for part in parts]
        return found

    return look


def look_at_callers(ledger: Ledger, budgets: Callable[[], Iterable[Budget]], tell: Tell) -> Look:
    """The same for accounts that only callers name (*): those in which something was spent since the last look."""
    grown: dict[str, int] = {}
    told: dict[tuple[str, float], None] = {}

    def hear(moved: Iterable[Moved]) -> None:
        for each in moved:
            # What finds no room is heard of again when it grows again.
            if len(grown) < MOST_GROWN or each.account in grown:
                grown[each.account] = each.after_nanos

    async def look(now_s: float) -> list[Alert]:
        named = {budget.name: budget for budget in budgets() if budget.alerts and not known_accounts(budget, now_s)}
        if len(told) > MOST_TOLD:
            told.clear()
        for account, spent in grown.items():
            name, _, period = account.rpartition(":")
            budget = named.get(name.partition("/")[0])
            for part in crossed(budget, 0, spent) if budget is not None else ():
                if budget is not None and (account, part) not in told:
                    told[account, part] = None
                    tell(spending(name, period, spent, budget.cap_nanos, part))
        grown.clear()
        # They are told, not found: nobody would find them again should the store fail now.
        return []

    ledger.on_moved = hear
    return look


class Overheard:
    """A journal that lets Alerts hear what it records."""

    def __init__(self, journal: Journal, alerts: Alerts) -> None:
        self._journal = journal
        self._alerts = alerts
        self.recent = journal.recent
        self.search = journal.search

    def record(self, outcome: Outcome) -> None:
        self._journal.record(outcome)
        self._alerts.hear(outcome)

    @property
    def dropped(self) -> int:
        return self._journal.dropped
