"""Sticky: a conversation stays with the target that served it, where its lane or its pool wants that.

Owns: putting a pinned target first, telling a pool's rule who served before, so that it prices the switch, and
remembering the target that answered well.
Refuses: keeping a target that is no longer a candidate, and holding lanes whose order is a rule: there a pin would
keep traffic away from a primary that has recovered.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from laneway.edge import App, Receive, Send
from laneway.exchange import Exchange, Scope
from laneway.learning.case import conversation_in, goes_on
from laneway.policy.plan import plan
from laneway.ports import Pin, Pins
from laneway.route import Decision, Pool, Target
from laneway.stores.memory import MemoryPins

REFRESH_S = 60.0
"""A conversation of a pool lives from its last request; so much later that is written down again."""


class StickyMiddleware:
    """Writes the Decision where a pin speaks. `everywhere` holds also outside lanes that ask for it."""

    def __init__(
        self,
        app: App,
        *,
        pins: Pins | None = None,
        everywhere: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.app = app
        self.pins: Pins = pins if pins is not None else MemoryPins()
        self.everywhere = everywhere
        self.clock = clock

    behind = None

    def ahead(self, exchange: Exchange, _scope: Scope) -> bool:
        """Whether no conversation is to be kept together."""
        if exchange.pinned is not None:
            return True
        pool = exchange.pool
        if pool is not None and pool.sticky:
            return False
        return not self._applies(exchange)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if exchange is None or self.ahead(exchange, scope):
            await self.app(scope, receive, send)
            return
        pool = exchange.pool
        if pool is not None and pool.sticky and (conversation := conversation_in(exchange, pool)) is not None:
            exchange.pinned = conversation
            exchange.pin = await self._before(exchange, pool, conversation)
            await self.app(scope, receive, send)
            await self._remember(exchange, conversation, exchange.pin, REFRESH_S)
            return
        if not self._applies(exchange):
            await self.app(scope, receive, send)
            return
        trace = exchange.pinned = exchange.trace or ""
        tenant = exchange.tenant.name
        pin = await self.pins.get(tenant, trace, self.clock())
        if pin is not None and exchange.decision is None and exchange.candidates:
            kept = _kept(pin, exchange, exchange.candidates)
            if kept is not None:
                exchange.decision = kept
        await self.app(scope, receive, send)
        await self._remember(exchange, trace, pin, math.inf)

    async def _before(self, exchange: Exchange, pool: Pool, conversation: str) -> Pin | None:
        if not goes_on(exchange):
            return None
        now_s = self.clock()
        pin = await self.pins.get(exchange.tenant.name, conversation, now_s)
        return pin if pin is not None and pin.at_s + pool.ttl_s > now_s else None

    async def _remember(self, exchange: Exchange, trace: str, pin: Pin | None, fresh_s: float) -> None:
        served = exchange.attempts[-1] if exchange.attempts else None
        if served is None or served.failure is not None:
            return
        name, now_s = served.target.name, self.clock()
        if pin is None or pin.target != name or now_s - pin.at_s > fresh_s:
            await self.pins.put(exchange.tenant.name, trace, Pin(target=name, at_s=now_s))

    def _applies(self, exchange: Exchange) -> bool:
        if exchange.trace is None:
            return False
        return self.everywhere or (exchange.lane is not None and exchange.lane.sticky)


def _kept(pin: Pin, exchange: Exchange, candidates: tuple[Target, ...]) -> Decision | None:
    """The usual plan with the pinned target first; None when the pin is no longer usable."""
    decision = plan(candidates, exchange.view, exchange.dropped, by="pin")
    for target in decision.ranked:
        if target.name == pin.target:
            rest = tuple(other for other in decision.ranked if other is not target)
            return Decision(ranked=(target, *rest), by="pin", dropped=decision.dropped, reason="same conversation")
    return None
