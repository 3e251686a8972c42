"""The witness of one request: what somebody wants to know of it, as its rooms come by.

Owns: handing the same few facts to the feed, to the caller's own stream, and to the trace. It is made only where one of
these wants them. Refuses: to know how any of them writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from laneway.edge import Send
from laneway.exchange import Exchange
from laneway.policy.tracing import Trace, read_parent
from laneway.ports import Call
from laneway.record import attributes
from laneway.route import Outcome, Target
from laneway.watching import inline
from laneway.watching.events import COMPLETED, FALLBACK, STARTED, Hub, completed, moved, started
from laneway.watching.inline import Inline

if TYPE_CHECKING:
    from laneway.watching.spans import Spans

PASSED = (b"traceparent", b"tracestate")


class Watching:
    """A Witness, from the request's beginning to its end."""

    __slots__ = ("_attempts", "_exchange", "_hub", "_inline", "_passed", "_skipped", "_spans", "_told", "_trace")

    def __init__(self, exchange: Exchange, hub: Hub, spans: Spans | None) -> None:
        self._exchange = exchange
        self._hub = hub
        self._spans = spans
        self._inline: Inline | None = None
        self._told = False
        self._attempts = 0
        self._skipped = 0
        headers = exchange.headers
        self._trace: Trace | None = None
        self._passed: tuple[tuple[bytes, bytes], ...] = ()
        if spans is not None:
            self._trace = spans.begin(read_parent(headers.get(b"traceparent")))
        elif read_parent(headers.get(b"traceparent")) is not None:
            # Without spans of our own the provider's lie under the caller's.
            self._passed = tuple((name, headers[name]) for name in PASSED if name in headers)

    def listening(self, send: Send) -> Send:
        """The `send` for the rooms inside."""
        if inline.HEADER not in self._exchange.headers or not inline.asked(self._exchange):
            return send
        self._inline = Inline(self._exchange, send)
        return self._inline.send

    def decided(self) -> None:
        if not self._told and self._heard:
            self._told = True
            self._tell(STARTED, started(self._exchange))

    def calling(self, call: Call, target: Target) -> Call:
        exchange = self._exchange
        if self._heard:
            self.decided()
            self._tell_moves(target)
        more = self._passed
        if self._trace is not None:
            state = exchange.headers.get(b"tracestate") if self._trace.parent is not None else None
            more = ((b"traceparent", self._trace.traceparent(len(exchange.attempts))),)
            more += ((b"tracestate", state),) if state else ()
        return msgspec.structs.replace(call, headers=(*call.headers, *more)) if more else call

    async def finish(self) -> None:
        """The last event in the stream of a caller who asked."""
        if self._inline is not None:
            await self._inline.finish(COMPLETED, self._completed(self._exchange.outcome()))

    def ended(self, outcome: Outcome) -> None:
        if self._hub.active:
            if outcome.decision is not None:
                self.decided()
            self._hub.complete(attributes(outcome, self._hub.prefix))
        if self._spans is not None and self._trace is not None:
            # Attempts are timed by another clock than people's.
            self._spans.end(self._trace, outcome, self._exchange.started_at_s - self._exchange.started_s)

    @property
    def _heard(self) -> bool:
        return self._hub.active or self._inline is not None

    def _completed(self, outcome: Outcome) -> dict[str, object]:
        record = attributes(outcome, self._hub.prefix)
        return completed(record, self._hub.prefix, self._hub.badge_of(record))

    def _tell_moves(self, target: Target) -> None:
        """One event for each target that was left behind since the call before."""
        exchange = self._exchange
        tried, left_out = exchange.attempts[self._attempts :], exchange.skipped[self._skipped :]
        self._attempts, self._skipped = len(exchange.attempts), len(exchange.skipped)
        reasons = [(each.target, each.failure.kind.value) for each in tried if each.failure is not None]
        for left, reason in (*reasons, *((each.target, each.kind) for each in left_out)):
            if left.name != target.name:
                self._tell(FALLBACK, moved(exchange, left, reason, target))

    def _tell(self, name: str, facts: dict[str, object]) -> None:
        if self._hub.active:
            self._hub.publish(self._exchange.tenant.name, name, facts)
        if self._inline is not None:
            self._inline.add(name, facts)
