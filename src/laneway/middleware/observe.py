"""Observe: the outermost room. Whatever happened inside, one record leaves.

Owns: the version a request is served under, who follows it (events, spans), the last net under a stack that is all ours
(an unexpected error becomes a 500 in the caller's dialect), and handing the Outcome to the journal and the metrics. It
looks at what passes only where the app inside is not ours, which tells nobody how it answered, or where a caller asked
for events in the stream; errors of an app that is not ours are its own, and pass.
Refuses: logging prompts, keys or provider texts; one line is logged for each failure, none for a success.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from laneway.edge import App, Receive, Send, is_ours, noting, refuse
from laneway.exchange import SLOT, Exchange, Scope
from laneway.failure import Blame, Failure, Kind
from laneway.metrics import Metrics
from laneway.ports import Journal
from laneway.route import Outcome
from laneway.stores.memory import MemoryJournal
from laneway.watching.events import Hub
from laneway.watching.inline import HEADER
from laneway.watching.witness import Watching

if TYPE_CHECKING:
    from laneway.watching.spans import Spans

log = logging.getLogger("laneway")


class ObserveMiddleware:
    """Records every request of ours. Mounted alone it keeps the last thousand in memory."""

    def __init__(
        self,
        app: App,
        *,
        journal: Journal | None = None,
        metrics: Metrics | None = None,
        hub: Hub | None = None,
        spans: Spans | None = None,
        version: str = "",
    ) -> None:
        self.app = app
        self._ours = is_ours(app)
        self.journal: Journal = journal if journal is not None else MemoryJournal()
        self.metrics = metrics if metrics is not None else Metrics()
        self.hub = hub if hub is not None else Hub()
        self.spans = spans
        self.version = version or "unversioned"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange | None = scope.get(SLOT) or Exchange.of(scope)
        if exchange is None or exchange.version:
            await self.app(scope, receive, send)
            return
        exchange.version = self.version
        metrics = self.metrics
        metrics.in_flight += 1
        logged = False
        headers, witness = exchange.headers, None
        if self.hub.active or self.spans is not None or HEADER in headers or b"traceparent" in headers:
            witness = exchange.witness = Watching(exchange, self.hub, self.spans)
            send = witness.listening(send)
        try:
            await self.app(scope, receive, send if self._ours else noting(exchange, send))
            if witness is not None:
                await witness.finish()
        except asyncio.CancelledError:
            # The server stops, and waits no longer for this one.
            if self._ours and not exchange.status:
                await refuse(exchange, send, _STOPPING)
            exchange.failure = exchange.failure or _STOPPING
            raise
        except Exception as error:
            if self._ours:
                logged = True
                log.error("request %s failed inside the gateway", exchange.request_id, exc_info=error)
                if not exchange.status:
                    await refuse(exchange, send, _INTERNAL)
                    return
            # Either part of an answer is out, and only breaking the connection tells the caller that it is not whole,
            # or the error is another app's, whose server answers it.
            exchange.failure = exchange.failure or _INTERNAL
            exchange.status = exchange.status or _INTERNAL.status
            raise
        finally:
            metrics.in_flight -= 1
            outcome = exchange.outcome()
            metrics.add(outcome)
            self.journal.record(outcome)
            if witness is not None:
                # It holds the Exchange: a circle would wait for the garbage collector.
                exchange.witness = None
                witness.ended(outcome)
            if not logged and (outcome.failure is not None or outcome.status >= 400):
                _log(outcome)


_INTERNAL = Failure(kind=Kind.INTERNAL, message="The gateway failed to serve this request; its log says why.")
_STOPPING = Failure(kind=Kind.STOPPING, message="The gateway was stopped while it served this request; ask again.")


_LINE = "%(request_id)s %(front)s %(status)s lane=%(lane)s tenant=%(tenant)s attempts=%(attempts)d failure=%(failure)s"


def _log(outcome: Outcome) -> None:
    failure = outcome.failure
    ours = outcome.status >= 500 or (failure is not None and failure.rule.blame is not Blame.CALLER)
    level = logging.WARNING if ours else logging.INFO
    facts = {
        "request_id": outcome.request_id,
        "front": outcome.front,
        "status": outcome.status,
        "lane": outcome.lane,
        "tenant": outcome.tenant,
        "attempts": len(outcome.attempts),
        "failure": failure.kind.value if failure is not None else None,
    }
    log.log(level, _LINE, facts, extra={"facts": facts})
