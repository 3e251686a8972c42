"""Guard: the `send` of all attempts of one request, so that the caller sees one answer.

Owns: holding back what failed, letting the first success through for good, what is said while a stream that is being
saved keeps its caller waiting, and the last words when all have failed.
Refuses: trying anything (Fallback does), and changing a byte of an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Self

from laneway.dialects import Stamp
from laneway.edge import Message, Receive, Send, early_head, refuse
from laneway.exchange import Exchange
from laneway.failure import Failure, Kind
from laneway.rescue import Rescue
from laneway.route import Attempt

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
COMMENT = b": keep-alive\n\n"
"""Clients of event streams pass over it (https://html.spec.whatwg.org/multipage/server-sent-events.html, a line that
begins with a colon)."""
Sleep = Callable[[float], Awaitable[None]]
log = logging.getLogger("laneway")


class Guard:
    """The `send` of all attempts of one request: failures stay here, the first success passes for good."""

    __slots__ = (
        "_attempts",
        "_exchange",
        "_held",
        "_held_bytes",
        "_over",
        "_resumed",
        "_send",
        "_turn",
        "_whole",
        "opened",
        "passed",
        "raised",
        "rescue",
    )

    def __init__(self, exchange: Exchange, send: Send, rescue: Rescue | None = None) -> None:
        self._exchange = exchange
        self._send = send
        self.rescue = rescue
        self._turn = asyncio.Lock() if rescue is not None else None
        """Whose turn it is to send, where comments may come between."""
        self._resumed = False
        self._over = False
        self.opened = False
        """The head of a held stream has gone out before its answer."""
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
        self._resumed = self.unfinished
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
            if self._resumed and self._turn is not None:
                async with self._turn:
                    await self._send(message)
            else:
                await self._send(message)
            return
        self._held.append(message)
        self._held_bytes += len(message.get("body", b""))
        if message["type"] == "http.response.start":
            if not self._failing(message["status"]):
                await self._release()
            return
        self._whole = not message.get("more_body", False)
        if self._held_bytes > MOST_HELD and not self.opened:
            # Too much to keep for later: this failure is the answer.
            self._exchange.failure = self.failure()
            await self._release()

    @property
    def unfinished(self) -> bool:
        """The caller waits for the end of a stream."""
        return self.rescue is not None and self.rescue.open

    async def comment(self) -> bool:
        """Tells a caller who waits that more is coming; False once nobody will have to wait any more."""
        rescue = self.rescue
        assert self._turn is not None
        assert rescue is not None
        async with self._turn:
            if self._over or (rescue.holds and self.passed):
                return False
            if not rescue.holds and not rescue.open:
                return True
            if rescue.holds and not self.opened:
                self.opened = True
                self._exchange.status = 200
                await self._send({"type": "http.response.start", "status": 200, "headers": early_head(self._exchange)})
            await self._send({"type": "http.response.body", "body": COMMENT, "more_body": True})
        return True

    async def _release(self) -> None:
        """From here on, this attempt's answer is the caller's."""
        if self._turn is not None:
            # A comment that is being sent comes before the answer.
            async with self._turn:
                self.passed = True
        self.passed = True
        if self.opened:
            self._held = [message for message in self._held if message["type"] != "http.response.start"]
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
        if self.raised is None and self._turn is not None:
            async with self._turn:
                # Behind the last words there are none, whoever waits for a turn.
                self._over = True
        if self.raised is None and self.rescue is not None and (self.rescue.open or self.opened):
            await self._break_off(self.rescue, self.rescue.fault or failure)
            return
        ours = len(self._exchange.attempts) > self._attempts
        if self._held and not ours:
            self._exchange.failure = failure
            await self._release()
        if self.raised is not None:
            raise self.raised
        if not self.passed:
            await refuse(self._exchange, self._send, _with_attempts(failure, self._exchange))

    async def _break_off(self, rescue: Rescue, failure: Failure) -> None:
        """The honest end of a stream whose head the caller has: what broke it, and what was tried to go on with it."""
        exchange = self._exchange
        writer = rescue.writer
        if writer is None:
            stamp = Stamp(id=exchange.request_id, model="", now_s=int(exchange.started_at_s))
            writer = exchange.dialect.writer(exchange.op, stamp, usage=False)
        exchange.failure = _with_attempts(failure, exchange)
        body = writer.fault(exchange.failure)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


class Comments:
    """While entered, a caller who waits for a stream that is being saved hears from time to time that it is coming."""

    __slots__ = ("_every_s", "_guard", "_sleep", "_task")

    def __init__(self, guard: Guard, every_s: float, sleep: Sleep) -> None:
        self._guard = guard
        self._every_s = every_s
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._tell())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _tell(self) -> None:
        # ASGI's HTTP specification, "Disconnected Client": a server's `send` may raise an OSError then, and whoever
        # serves the request hears of it in another way.
        with contextlib.suppress(OSError):
            await self._sleep(self._every_s)
            while await self._guard.comment():
                await self._sleep(self._every_s)


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
