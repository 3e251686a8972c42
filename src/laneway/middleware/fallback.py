"""Fallback: one request, several targets, one answer.

Owns: trying the decided targets in order, each with a seat from the host board, the same one once more where the kind
of failure says so, and the answer when all have failed. It wraps `send` to hold back answers of attempts that failed.
Refuses: ranking, judging hosts (the board) or kinds of failure (policy), and touching an answer once its first byte
has gone to the caller.
"""

from __future__ import annotations

import asyncio
import logging

from laneway.board import Board, Seat
from laneway.edge import App, CallerGoneError, Message, Receive, Send, Watch, ingest, left, refuse, replay
from laneway.exchange import SEAT, TARGET, Exchange, Scope
from laneway.failure import Failure, FailureError, Kind
from laneway.policy.failover import Course, barred, trimmed
from laneway.policy.plan import MOST_CALLS
from laneway.route import PLAIN, Attempt, Skipped, Target

FOREIGN_FAILURES = frozenset({408, 429, 500, 502, 503, 504, 529})
"""Statuses of an app that is not ours after which the next target is tried."""
FOREIGN_KINDS = {
    408: Kind.TIMEOUT,
    429: Kind.RATE_LIMITED,
    503: Kind.OVERLOADED,
    504: Kind.TIMEOUT,
    529: Kind.OVERLOADED,
}
MOST_HELD = 1 << 20
log = logging.getLogger("laneway")


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
    ) -> None:
        self.app = app
        self.targets = targets
        self.most_calls = most_calls
        self.board = board if board is not None else Board()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
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
        await self._try(exchange, targets, scope, receive, send)

    async def _try(
        self, exchange: Exchange, targets: tuple[Target, ...], scope: Scope, receive: Receive, send: Send
    ) -> None:
        guard = Guard(exchange, send)
        if exchange.witness is not None:
            exchange.witness.decided()
        course = Course(exchange.lane or PLAIN, targets)
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
            guard.begin()
            try:
                await self._attempt(guard, inner, guard.hearing(replay(exchange.body or b"", receive)))
            finally:
                seat.leave(guard.attempt(), trimmed=target is not own)
            if guard.passed or exchange.gone:
                return
            left_s = None if by_s is None else by_s - self.board.clock()
            wait_s = course.fail(guard.failure(), called=guard.called(), most_calls=self.most_calls, left_s=left_s)
            if wait_s and not await _slept(exchange, wait_s, Watch(scope, receive)):
                return
        if course.failed:
            await guard.give_up(guard.failure())
        else:
            await refuse(exchange, send, course.verdict())

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


class Guard:
    """The `send` of all attempts of one request: failures stay here, the first success passes for good."""

    __slots__ = ("_attempts", "_exchange", "_held", "_held_bytes", "_send", "_whole", "passed", "raised")

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self._exchange = exchange
        self._send = send
        self._attempts = 0
        self._held: list[Message] = []
        self._held_bytes = 0
        self._whole = False
        self.passed = False
        self.raised: Exception | None = None

    def begin(self) -> None:
        if self.raised is not None:
            # The next target may serve, and then nobody else would ever tell of this error.
            log.warning("request %s: an attempt raised", self._exchange.request_id, exc_info=self.raised)
        self._attempts = len(self._exchange.attempts)
        self._held.clear()
        self._held_bytes = 0
        self._whole = False
        self.raised = None

    def hearing(self, receive: Receive) -> Receive:
        """The `receive` of one attempt: behind a whole answer nothing more comes, though the caller still waits."""

        async def heard() -> Message:
            return {"type": "http.disconnect"} if self._whole else await receive()

        return heard

    async def send(self, message: Message) -> None:
        if self.passed:
            await self._send(message)
            return
        self._held.append(message)
        self._held_bytes += len(message.get("body", b""))
        if message["type"] == "http.response.start":
            if not self._failing(message["status"]):
                await self._release()
            return
        self._whole = not message.get("more_body", False)
        if self._held_bytes > MOST_HELD:
            # Too much to keep for later: this failure is the answer.
            self._exchange.failure = self.failure()
            await self._release()

    async def _release(self) -> None:
        """From here on, this attempt's answer is the caller's."""
        self.passed = True
        for message in self._held:
            if message["type"] == "http.response.start" and not self._exchange.status:
                self._exchange.status = message["status"]
            await self._send(message)
        self._held.clear()

    def _failing(self, status: int) -> bool:
        attempts = self._exchange.attempts
        if len(attempts) > self._attempts:
            return attempts[-1].failure is not None
        return status in FOREIGN_FAILURES

    def attempt(self) -> Attempt | None:
        """The attempt just made, as far as anybody noted it."""
        attempts = self._exchange.attempts
        return attempts[-1] if len(attempts) > self._attempts else None

    def called(self) -> bool:
        """Whether the attempt just made reached a provider; of an app that is not ours nothing else is known."""
        attempts = self._exchange.attempts
        return len(attempts) == self._attempts or attempts[-1].called

    def failure(self) -> Failure:
        """What the attempt just made failed of; never absent."""
        attempts = self._exchange.attempts
        typed = attempts[-1].failure if len(attempts) > self._attempts else None
        if typed is not None and self.raised is None:
            return typed
        status = next((message["status"] for message in self._held if "status" in message), 500)
        kind = FOREIGN_KINDS.get(status, Kind.UPSTREAM_ERROR)
        return Failure(kind=kind, message=f"The app answered {status}.", provider_status=status)

    async def give_up(self, failure: Failure) -> None:
        """Answers with the last failure: ours in the caller's dialect, a foreign app's own words as they came."""
        ours = len(self._exchange.attempts) > self._attempts
        if self._held and not ours:
            self._exchange.failure = failure
            await self._release()
        if self.raised is not None:
            raise self.raised
        if not self.passed:
            await refuse(self._exchange, self._send, _with_attempts(failure, self._exchange))


def _with_attempts(failure: Failure, exchange: Exchange) -> Failure:
    """The last failure, telling what was tried and what was not, where that is more than one call."""
    if len(exchange.attempts) < 2 and not exchange.skipped:
        return failure
    tried = "; ".join(
        f"{attempt.target.provider.name}/{attempt.target.upstream}: {attempt.failure.kind.value}"
        for attempt in exchange.attempts
        if attempt.failure is not None
    )
    tried += "".join(f"; not called {skipped.target.name}: {skipped.reason}" for skipped in exchange.skipped[:8])
    return Failure(
        kind=failure.kind,
        message=f"{failure.message} (tried {tried})",
        field=failure.field,
        retry_after_s=failure.retry_after_s,
        provider_status=failure.provider_status,
        clock=failure.clock,
        detail=failure.detail,
    )
