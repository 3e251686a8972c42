"""Router: decides, if nobody outside has decided yet.

Owns: putting the candidates that can serve in order, asking the adviser where a pool is to choose among them, and
refusing when none can, naming each and its reason. Refuses: choosing by itself, and executing.
"""

from __future__ import annotations

from laneway.dialects import View
from laneway.edge import App, CallerGoneError, Receive, Send, ingest, refuse
from laneway.exchange import Exchange, Scope
from laneway.failure import Failure, FailureError
from laneway.learning.case import case_of, is_dry
from laneway.policy.plan import nobody, plan
from laneway.ports import Adviser
from laneway.route import Decision, Target


class RouterMiddleware:
    """Writes the Decision. Mounted alone, `targets` are the candidates of every request; without an `adviser` the
    order in which they stand is the plan, of pools too."""

    def __init__(self, app: App, *, targets: tuple[Target, ...] = (), adviser: Adviser | None = None) -> None:
        self.app = app
        self.targets = targets
        self.adviser = adviser

    behind = None

    def ahead(self, exchange: Exchange, _scope: Scope) -> bool:
        """Whether it was decided outside, or the candidates' own order decides."""
        if exchange.decision is not None:
            return exchange.receipt is None
        candidates, view = exchange.candidates, exchange.view
        if not candidates or view is None or (exchange.pool is not None and self.adviser is not None):
            return False
        decision = plan(candidates, view, exchange.dropped)
        if not decision.ranked:
            return False
        exchange.decision = decision
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if exchange is None or exchange.decision is not None or self.ahead(exchange, scope):
            await self.app(scope, receive, send)
            return
        candidates = exchange.candidates if exchange.candidates is not None else self.targets
        if candidates:
            if exchange.view is None:
                try:
                    receive = await ingest(exchange, receive)
                except FailureError as error:
                    await refuse(exchange, send, error.failure)
                    return
                except CallerGoneError:
                    return
            decision = plan(candidates, exchange.view, exchange.dropped)
            if exchange.pool is not None and self.adviser is not None and decision.ranked:
                case = case_of(exchange, exchange.pool, decision)
                if case is not None:
                    advice = await self.adviser.advise(case)
                    exchange.receipt, decision = advice.receipt, advice.decision
            exchange.decision = decision
            if not decision.ranked:
                await refuse(exchange, send, no_target(decision, exchange.view))
                return
        receipt, adviser = exchange.receipt, self.adviser
        if receipt is None or adviser is None or is_dry(exchange):
            await self.app(scope, receive, send)
            return
        adviser.keep(receipt)
        try:
            await self.app(scope, receive, send)
        finally:
            adviser.ended(receipt, exchange.attempts)


def no_target(decision: Decision, view: View | None) -> Failure:
    """Names every candidate and why it was left out."""
    reasons = "; ".join(f"{dropped.target.model}: {dropped.reason}" for dropped in decision.dropped[:8])
    kind = nobody(decision.dropped, view)
    return Failure(kind=kind, message=f"No model can serve this request. {reasons or 'None is configured'}.")
