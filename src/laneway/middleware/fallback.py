"""Fallback: one request, several targets, one answer.

Owns: trying the decided targets in order, each with a seat from the host board, the same one once more where the kind
of failure says so, and letting the next one go on with a stream that is to be saved. It wraps `send` with a Guard,
which holds back answers of attempts that failed.
Refuses: ranking, judging hosts (the board) or kinds of failure (policy), and touching an answer once its first byte
has gone to the caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from laneway.board import Board
from laneway.edge import WATCH, App, CallerGoneError, Receive, Send, Watch, ingest, is_ours, left, refuse, replay
from laneway.exchange import SEAT, SLOT, TARGET, Exchange, Scope
from laneway.failure import Failure, FailureError, Kind
from laneway.forward import Forward
from laneway.guard import Comments, Guard, Sleep
from laneway.policy.failover import Course, barred, trimmed
from laneway.policy.plan import MOST_CALLS
from laneway.policy.rescue import ERROR, way
from laneway.rescue import RESCUE, Rescue
from laneway.route import PLAIN, Skipped, Target
from laneway.seat import Seat

COMMENT_S = 10.0
"""So often a caller who waits for a stream that is being saved hears that it is coming."""


class FallbackMiddleware:
    """Tries targets until one answers. Mounted alone, give it `targets`; the inner app finds the one to use in
    `scope["laneway.target"]`. The board is asked before each attempt and told after it."""

    def __init__(
        self,
        app: App,
        *,
        targets: tuple[Target, ...] = (),
        most_calls: int = MOST_CALLS,
        board: Board | None = None,
        rescue: str = ERROR,
        comment_s: float = COMMENT_S,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.app = app
        self.targets = targets
        self.most_calls = most_calls
        self.board = board if board is not None else Board()
        self.rescue = rescue
        self.comment_s = comment_s
        self.sleep = sleep
        self._ours = is_ours(app)
        self._inner = app if isinstance(app, Forward) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange | None = scope.get(SLOT) or Exchange.of(scope)
        if exchange is None or TARGET in scope:
            await self.app(scope, receive, send)
            return
        decision = exchange.decision
        targets = decision.ranked if decision is not None else exchange.remaining() or self.targets
        if not targets:
            await self.app(scope, receive, send)
            return
        if exchange.body is None:
            try:
                await ingest(exchange, receive)
            except FailureError as error:
                await refuse(exchange, send, error.failure)
                return
            except CallerGoneError:
                return
        if exchange.witness is not None:
            exchange.witness.decided()
        lane, view = exchange.lane or PLAIN, exchange.view
        rescue = self._rescue(exchange) if view is not None and view.stream else None
        asked = rescue is not None or lane.deadline_s is not None or lane.only_if or lane.emergency or exchange.attempts
        if self._inner is not None and not asked and (seat := self.board.seat(targets[0], lane)) is not None:
            await self._first(self._inner, seat, exchange, targets, scope, receive, send)
            return
        course = Course(lane, targets)
        if rescue is None:
            await self._try(Guard(exchange, send), exchange, course, scope, receive)
            return
        guard = Guard(exchange, send, rescue)
        if exchange.dialect.stream_type.startswith(b"text/event-stream"):
            async with Comments(guard, self.comment_s, self.sleep):
                await self._try(guard, exchange, course, scope, receive)
        else:
            await self._try(guard, exchange, course, scope, receive)

    async def _first(
        self,
        inner: Forward,
        seat: Seat,
        exchange: Exchange,
        targets: Sequence[Target],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Where neither lane nor host has anything to say: nothing of the first attempt need be held back, as the app
        inside tells what became of it."""
        failure = raised = None
        try:
            failure = await inner.attempt(exchange, targets[0], scope, receive, send)
        except Exception as error:
            if exchange.status:
                raise
            raised = error
        finally:
            seat.leave(exchange.attempts[-1] if exchange.attempts else None)
        if failure is None and raised is None:
            return
        guard, course = Guard(exchange, send), Course(exchange.lane or PLAIN, targets)
        guard.raised = raised
        if await self._goes_on(guard, exchange, course, scope, receive, left_s=None):
            await self._try(guard, exchange, course, scope, receive)

    def _rescue(self, exchange: Exchange) -> Rescue | None:
        """The stream that is to be saved, where the app inside is ours and can do that."""
        view = exchange.view
        if view is None or not view.stream or not self._ours:
            return None
        lane = exchange.lane
        mode = way(exchange.rescue or (lane.rescue if lane is not None else self.rescue), view)
        return Rescue(mode) if mode != ERROR else None

    async def _try(self, guard: Guard, exchange: Exchange, course: Course, scope: Scope, receive: Receive) -> None:
        by_s = self._deadline_s(exchange)
        while course.left:
            seat: Seat | Skipped | None = await self._unpayable(exchange, course)
            if seat is None:
                seat = await self._seat(exchange, course, by_s, scope, receive)
            if seat is None:
                return
            if isinstance(seat, Skipped):
                exchange.skipped.append(seat)
                course.skip(seat)
                continue
            inner, own = dict(scope), course.left[0]
            target = inner[TARGET] = own if by_s is None else trimmed(own, by_s - self.board.clock())
            if seat.keep_s is not None:
                inner[SEAT] = seat
            if guard.rescue is not None:
                inner[RESCUE] = guard.rescue
            guard.begin()
            # An app of ours asks for nothing where the server tells who leaves.
            asks = receive if self._ours and WATCH in scope else guard.hearing(replay(exchange.body or b"", receive))
            try:
                await self._attempt(guard, inner, asks)
            finally:
                seat.leave(guard.attempt(), trimmed=target is not own)
            if (guard.passed and not guard.unfinished) or exchange.gone:
                return
            left_s = None if by_s is None else by_s - self.board.clock()
            if not await self._goes_on(guard, exchange, course, scope, receive, left_s=left_s):
                return
        await guard.give_up(guard.failure() if course.failed else course.verdict())

    async def _goes_on(
        self, guard: Guard, exchange: Exchange, course: Course, scope: Scope, receive: Receive, *, left_s: float | None
    ) -> bool:
        """Notes the attempt that failed, and waits where its provider asked for that; False if the caller left."""
        wait_s = course.fail(
            guard.failure(), called=guard.called(), most_calls=self.most_calls, left_s=left_s, attempt=guard.attempt()
        )
        return not wait_s or await _slept(exchange, wait_s, Watch(scope, receive))

    async def _unpayable(self, exchange: Exchange, course: Course) -> Skipped | None:
        """Attempts before this one may have used up what was held for all of them."""
        if exchange.allowance is None or not exchange.attempts:
            return None
        target = course.left[0]
        dropped = await exchange.allowance.admit(target)
        if dropped is None:
            return None
        failure = Failure(kind=Kind.OVER_BUDGET, message=f"{target.name} {dropped.reason}.")
        return Skipped(target=target, kind="no_budget", reason=dropped.reason, failure=failure)

    def _deadline_s(self, exchange: Exchange) -> float | None:
        """On the board's clock."""
        limit_s = exchange.lane.deadline_s if exchange.lane is not None else None
        return None if limit_s is None else self.board.clock() + limit_s

    async def _seat(
        self, exchange: Exchange, course: Course, by_s: float | None, scope: Scope, receive: Receive
    ) -> Seat | Skipped | None:
        """A seat for the first target that is left, or why it is not called; None when the caller left meanwhile."""
        target, lane = course.left[0], course.lane
        if by_s is not None and self.board.clock() + self.board.least_s(target) >= by_s:
            reason = "could not have finished before the lane's deadline"
            late = Failure(kind=Kind.TIMEOUT, clock="deadline", message=f"{target.name} {reason}.")
            return Skipped(target=target, kind="late", reason=reason, failure=late)
        if lane.only_if or lane.emergency:
            against = barred(course, exchange.allowance)
            if against is not None:
                return against
        asked_s = self.board.rests_s(target)
        in_time = by_s is None or self.board.clock() + asked_s < by_s
        if 0 < asked_s <= lane.wait_s and in_time and not course.repeated:
            # Another request was told to wait: this one waits as well, where the lane can.
            course.repeated = True
            if not await _slept(exchange, asked_s, Watch(scope, receive)):
                return None
        others = course.left[1:]
        if not self.board.waits(target, lane):
            return await self.board.enter(target, lane, exchange.tenant.name, others=others, by_s=by_s)
        with Watch(scope, receive):
            return await self.board.enter(target, lane, exchange.tenant.name, others=others, by_s=by_s)
        left(exchange)
        return None

    async def _attempt(self, guard: Guard, scope: Scope, receive: Receive) -> None:
        try:
            await self.app(scope, receive, guard.send)
        except Exception as error:
            # An app that is not ours may raise; before its first byte that is one failed attempt like any other.
            if guard.passed:
                raise
            guard.raised = error


async def _slept(exchange: Exchange, seconds: float, watch: Watch) -> bool:
    """Waits as long as a provider asked for; False when the caller left meanwhile."""
    with watch:
        await asyncio.sleep(seconds)
    if watch.gone:
        left(exchange)
    return not watch.gone
