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
from laneway.ports import Advice, Adviser, Case
from laneway.route import Decision, Target


class RouterMiddleware:
    """Writes the Decision. Mounted alone, `targets` are the candidates of every request; without an `adviser` the
    order in which they stand is the plan, of pools too."""

    def __init__(self, app: App, *, targets: tuple[Target, ...] = (), adviser: Adviser | None = None) -> None:
        self.app = app
        self.targets = targets
        self.adviser = adviser

    def ahead(self, exchange: Exchange, _scope: Scope) -> bool:
        """Whether it was decided outside, the candidates' own order decides, or an adviser knows without asking."""
        if exchange.decision is not None:
            return True
        candidates, view = exchange.candidates, exchange.view
        if not candidates or view is None:
            return False
        decision = plan(candidates, view, exchange.dropped)
        if not decision.ranked:
            return False
        if (case := self._case(exchange, decision)) is None:
            exchange.decision = decision
            return True
        advice = self.adviser.advise_now(case) if self.adviser is not None else None
        if advice is None:
            return False
        self._follow(exchange, advice)
        return True

    def behind(self, exchange: Exchange) -> None:
        adviser, receipt = exchange.adviser, exchange.receipt
        if adviser is not None and receipt is not None:
            exchange.adviser = None
            adviser.ended(receipt, exchange.attempts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if exchange is None:
            await self.app(scope, receive, send)
            return
        if not self.ahead(exchange, scope):
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
                decision = await self._decide(exchange, candidates)
                if not decision.ranked:
                    await refuse(exchange, send, no_target(decision, exchange.view))
                    return
        try:
            await self.app(scope, receive, send)
        finally:
            self.behind(exchange)

    async def _decide(self, exchange: Exchange, candidates: tuple[Target, ...]) -> Decision:
        decision = plan(candidates, exchange.view, exchange.dropped)
        case = self._case(exchange, decision)
        if case is None or self.adviser is None:
            exchange.decision = decision
            return decision
        advice = await self.adviser.advise(case)
        self._follow(exchange, advice)
        return advice.decision

    def _case(self, exchange: Exchange, able: Decision) -> Case | None:
        """What the adviser is asked; None where there is nothing to ask, or nobody."""
        pool = exchange.pool
        return case_of(exchange, pool, able) if pool is not None and self.adviser is not None and able.ranked else None

    def _follow(self, exchange: Exchange, advice: Advice) -> None:
        exchange.receipt, exchange.decision = advice.receipt, advice.decision
        if self.adviser is not None and not is_dry(exchange):
            self.adviser.keep(advice.receipt)
            exchange.adviser = self.adviser


def no_target(decision: Decision, view: View | None) -> Failure:
    """Names every candidate and why it was left out."""
    reasons = "; ".join(f"{dropped.target.model}: {dropped.reason}" for dropped in decision.dropped[:8])
    kind = nobody(decision.dropped, view)
    return Failure(kind=kind, message=f"No model can serve this request. {reasons or 'None is configured'}.")
