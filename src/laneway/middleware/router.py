"""Router: from candidates to a Decision, where no outer room has decided.

Owns: asking for the plan and refusing with every reason when no candidate is left.
Refuses: thinking (policy does), and failing a request for want of an opinion.
"""

from __future__ import annotations

from laneway.edge import App, CallerGoneError, Receive, Send, ingest, refuse
from laneway.exchange import Exchange, Scope
from laneway.failure import Failure, FailureError, Kind
from laneway.policy.plan import plan
from laneway.route import Decision, Target


class RouterMiddleware:
    """Writes the Decision. Mounted alone, `targets` are the candidates of every request."""

    def __init__(self, app: App, *, targets: tuple[Target, ...] = ()) -> None:
        self.app = app
        self.targets = targets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if exchange is None or exchange.decision is not None:
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
            exchange.decision = decision
            if not decision.ranked:
                await refuse(exchange, send, no_target(decision))
                return
        await self.app(scope, receive, send)


def no_target(decision: Decision) -> Failure:
    """Names every candidate and why it was left out."""
    reasons = "; ".join(f"{dropped.target.model}: {dropped.reason}" for dropped in decision.dropped[:8])
    return Failure(kind=Kind.NO_TARGET, message=f"No model can serve this request. {reasons or 'None is configured'}.")
