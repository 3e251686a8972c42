"""Runs: requests that were accepted to be answered later, executed through the gateway's own stack.

Owns: which runs this process has under way, the lease that says so, how an execution is walked and how it is ended
from outside, and writing down what came of it together with the end of the run.
Refuses: a way around any room: lanes, budgets, failover and records see a run as they see any request. States and their
order are policy/runs; telling of the end is the messenger's.

Execution is at least once, the result exactly once: a process that was killed, or lost its lease, records nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple, TypeVar

from laneway.dialects import FRONTS
from laneway.edge import App, Receive, Send
from laneway.errand import Ear, scope_of, silence
from laneway.exchange import Exchange, Scope
from laneway.failure import Failure, FailureError, Kind
from laneway.layout import Layout
from laneway.messenger import Messenger
from laneway.middleware.lane import LaneMiddleware
from laneway.policy import runs as policy
from laneway.policy.runs import End, Lease
from laneway.ports import Upstream
from laneway.ports.runs import Change, Run, Runs, State, Step, Texts
from laneway.route import Attempt, Tenant
from laneway.settings import RunsTable
from laneway.wire.json import UNREADABLE, decode_any

TICK_S = 0.2
"""Between two looks at what this process has under way: steps are written down, and orders to end are heard."""
IDLE_S = 1.0
"""Between two looks for runs that another process accepted; this one's own are begun at once."""
PRUNE_S = 60.0
PRUNED = 200
MOST_WAIT_S = 5.0
CLOSE_S = 5.0
log = logging.getLogger("laneway")

T = TypeVar("T")


class Ways(NamedTuple):
    """What one configuration says of runs."""

    table: RunsTable
    stack: App
    porch: App
    """The lane's room alone: who may go in, without anything being executed."""
    tenant: Callable[[str], Tenant]
    prefixes: Sequence[str]
    lease_s: float

    @classmethod
    def of(cls, layout: Layout, stack: App, tenant: Callable[[str], Tenant], scale: float) -> Ways:
        headed, table = layout.settings.server.header_prefixes, layout.settings.runs
        porch = LaneMiddleware(_nothing, directory=layout, header_prefixes=headed)
        return cls(table, stack, porch, tenant, headed, table.lease * scale)


class _Heard(list[Attempt]):
    """The attempts of an exchange, told as they end."""

    def __init__(self, tell: Callable[[Attempt], None]) -> None:
        super().__init__()
        self._tell = tell

    def append(self, attempt: Attempt) -> None:
        super().append(attempt)
        self._tell(attempt)


class _Work:
    """A run under way in this process."""

    def __init__(self, run: Run, wall_s: float) -> None:
        self.run = run
        self.steps: list[Step] = []
        """What has happened and is not written down yet."""
        self.exchange: Exchange | None = None
        self.leaving = False
        self.end: Change | None = None
        """What came of it, until it is written down."""
        self._leave: Callable[[], None] | None = None
        self._wall_s = wall_s
        self._passed = 0

    def watch(self, leave: Callable[[], None] | None) -> None:
        self._leave = leave
        if leave is not None and self.leaving:
            leave()

    def leave(self) -> None:
        """As a caller does who does not wait any more: the connection to the provider is closed at once."""
        self.leaving = True
        if self._leave is not None:
            self._leave()

    def tell(self, attempt: Attempt) -> None:
        if self.exchange is None:
            return
        attempts, skipped = self.exchange.attempts, self.exchange.skipped
        before = attempts[-2] if len(attempts) > 1 else None
        self.steps += policy.attempt_steps(attempt, before, skipped[self._passed :], self._wall_s)
        self._passed = len(skipped)

    def taken(self) -> tuple[Step, ...]:
        """The steps, as somebody else's from now on."""
        steps, self.steps = tuple(self.steps), []
        return steps


class Worker:
    """Executes runs of a store, `concurrent` at a time. Any number of processes may do so."""

    def __init__(
        self,
        runs: Runs,
        upstream: Upstream,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.runs = runs
        self._now = now
        self._clock = clock
        self._owner = os.urandom(12).hex()
        self._ways: Ways | None = None
        self._messenger = Messenger(runs, upstream, now=now)
        self._working: dict[str, _Work] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._closing = False
        self._running: asyncio.Task[None] | None = None
        self._renewed_s = self._pruned_s = 0.0

    @property
    def ways(self) -> Ways:
        if self._ways is None:
            raise RuntimeError("no configuration is in force yet")
        return self._ways

    def use(self, ways: Ways) -> None:
        """Puts a configuration in force; runs under way finish on what they began with."""
        self._ways = ways
        self._messenger.use(ways.table)

    def wake(self) -> None:
        """Something was accepted, or is to end."""
        self._woken.set()

    def leave(self, run_id: str) -> None:
        """Ends one that is under way here, without waiting for the next look."""
        work = self._working.get(run_id)
        if work is not None:
            work.leave()

    # --- running -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """On the loop that serves."""
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Lets go of everything under way, so that the next process begins it at once."""
        self._closing = True
        self._woken.set()
        running, self._running = self._running, None
        if running is not None:
            # Not cancelled at first: what it takes in this moment must be let go as well.
            await _ended([running])
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await _ended(tasks)
        for work in list(self._working.values()):
            with suppress(FailureError):
                await self._let_go(work)
        await self._messenger.close()

    async def _run(self) -> None:
        while not self._closing:
            self._woken.clear()
            try:
                await self._round()
            except FailureError as error:
                log.warning("runs wait: %s", error.failure.message)
            except Exception:
                log.exception("runs wait: something unexpected happened")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._rest_s()):
                    await self._woken.wait()

    def _rest_s(self) -> float:
        return min(TICK_S if self._working else IDLE_S, self.ways.lease_s / 4)

    async def _round(self) -> None:
        await self._look_after()
        await self._begin()
        await self._messenger.look()
        now_s = self._now()
        if abs(now_s - self._pruned_s) >= PRUNE_S:
            more = await self.runs.prune(now_s - self.ways.table.keep_days * 86_400, PRUNED) == PRUNED
            self._pruned_s = 0.0 if more else now_s

    async def _begin(self) -> None:
        table = self.ways.table
        while len(self._working) < table.concurrent and not self._closing:
            now_s = self._now()
            lease = Lease(self._owner, now_s, now_s + self.ways.lease_s)
            run = await self.runs.take(now_s, partial(policy.begun, lease=lease, most_starts=table.starts))
            if run is None:
                return
            if run.owner == self._owner and run.id not in self._working:
                work = self._working[run.id] = _Work(run, now_s - self._clock())
                self._tasks[run.id] = asyncio.get_running_loop().create_task(self._work(work))
            elif run.kind == policy.GIVEN_UP:
                log.error("run %s was given up after %d starts", run.id, run.starts)

    async def _look_after(self) -> None:
        """Writes down what happened, hears who is to end, and keeps what is under way this process's own."""
        if not self._working:
            return
        for work in list(self._working.values()):
            if work.steps and work.end is None:
                await self._note(work)
        now_s, lease_s = self._now(), self.ways.lease_s
        if abs(now_s - self._renewed_s) >= lease_s / 3:
            await self.runs.renew(self._owner, list(self._working), now_s + lease_s)
            self._renewed_s = now_s
        held = {run.id: run for run in await self.runs.held(self._owner)}
        for run_id, work in list(self._working.items()):
            if run_id not in held:
                if work.end is None and (task := self._tasks.get(run_id)) is not None:
                    # Somebody else has it, after this process gave no sign of life for too long.
                    task.cancel()
            elif held[run_id].cancelling:
                work.leave()

    # --- one run -------------------------------------------------------------------------------------------

    async def _work(self, work: _Work) -> None:
        try:
            end = await self._executed(work)
            made = work.exchange
            await self._record(work, end if made is None else end._replace(request_id=made.request_id))
        finally:
            if not self._closing:
                self._forget(work)

    def _forget(self, work: _Work) -> None:
        self._working.pop(work.run.id, None)
        self._tasks.pop(work.run.id, None)
        self._woken.set()

    async def _executed(self, work: _Work) -> End:
        try:
            texts = await _insisted(partial(self.runs.texts, work.run.id), f"run {work.run.id}")
            if texts is None:
                return End(State.FAILED, 500, Kind.INTERNAL.value, "What was asked is gone from the store.")
            return await self._walked(work, texts)
        except FailureError as error:
            return _failed(work, error.failure)
        except Exception:
            log.exception("run %s failed inside the gateway", work.run.id)
            return _failed(work, Failure(kind=Kind.INTERNAL, message="The gateway failed to execute this run."))

    async def _walked(self, work: _Work, texts: Texts) -> End:
        """Through the rooms, like a request that came over a socket."""
        ways, run = self.ways, work.run
        exchange = exchange_of(run.path, texts, run.id)
        exchange.tenant, exchange.key_id = ways.tenant(run.tenant), run.key_id
        exchange.attempts = _Heard(work.tell)
        work.exchange = exchange
        ear = Ear()
        await ways.stack(scope_of(exchange, run.path, work.watch), silence, ear)
        used = policy.used_by(exchange.attempts)
        if work.leaving and exchange.gone:
            return End(State.CANCELLED, used=used)
        if ear.status == 200 and _is_json(ear.body):
            last = exchange.attempts[-1].target.name if exchange.attempts else ""
            return End(State.SUCCEEDED, 200, served=last, used=used, result=ear.body)
        odd = Failure(kind=Kind.MALFORMED_ANSWER, message=f"The answer, of status {ear.status}, was no JSON.")
        return _failed(work, exchange.failure or odd)

    async def _note(self, work: _Work) -> None:
        steps = work.taken()
        try:
            await self.runs.change(work.run.id, partial(policy.noted, owner=self._owner, steps=steps))
        except FailureError:
            work.steps[:0] = steps
            raise

    async def _record(self, work: _Work, end: End) -> None:
        """The end, its result and its last steps, in one transaction."""
        change = partial(policy.ended, owner=self._owner, end=end, steps=work.taken(), now_s=self._now())
        work.end = change
        run = await _insisted(partial(self.runs.change, work.run.id, change), f"the end of run {work.run.id}")
        if run is None or run.ended_s is None:
            log.warning("run %s is another process's by now: what came of it here is not recorded", work.run.id)

    async def _let_go(self, work: _Work) -> None:
        """What came of it is written down where it is known already."""
        attempts = work.exchange.attempts if work.exchange is not None else ()
        used, steps = policy.used_by(attempts), work.taken()
        back = partial(policy.let_go, owner=self._owner, used=used, steps=steps, now_s=self._now())
        await self.runs.change(work.run.id, work.end or back)


async def _insisted(ask: Callable[[], Awaitable[T]], what: str) -> T:
    """What the store answers, as soon as it can be used."""
    wait_s = TICK_S
    while True:
        try:
            return await ask()
        except FailureError as error:
            log.warning("%s waits: %s", what, error.failure.message)
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, MOST_WAIT_S)


def _is_json(body: bytes) -> bool:
    """What a lane's older path said may be anything."""
    try:
        decode_any(body)
    except UNREADABLE:
        return False
    return True


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Waits for them, and cancels what takes too long."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=CLOSE_S)
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _failed(work: _Work, failure: Failure) -> End:
    attempts = work.exchange.attempts if work.exchange is not None else ()
    return End(State.FAILED, failure.status, failure.kind.value, failure.message, used=policy.used_by(attempts))


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Who comes here has been let in."""


def exchange_of(path: str, texts: Texts, run_id: str) -> Exchange:
    """The Exchange of a run: it says that it is one, and has its body already."""
    headers = {name.encode("latin-1"): value.encode("latin-1") for name, value in texts.headers}
    exchange = Exchange.begin(FRONTS[path], {b"content-type": b"application/json", **headers})
    exchange.body, exchange.run = texts.body, run_id
    return exchange
