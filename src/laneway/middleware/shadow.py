"""Shadow: answer with the decision instead of executing it.

Owns: lanes in stage "shadow" and requests that ask what would happen (`X-Laneway-Dry-Run: 1`).
Refuses: calling any provider, and judging the decision.
"""

from __future__ import annotations

import msgspec

from laneway.chat import Json
from laneway.dialects import Written
from laneway.edge import App, Receive, Send, answer
from laneway.exchange import Exchange, Scope
from laneway.route import Decision, Stage

_encode = msgspec.json.Encoder().encode


class ShadowMiddleware:
    """Stands between the room that decides and the rooms that execute."""

    def __init__(self, app: App, *, header: str = "x-laneway-dry-run") -> None:
        self.app = app
        self._header = header.lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if exchange is None or not self._shadowed(exchange) or exchange.decision is None:
            await self.app(scope, receive, send)
            return
        await answer(exchange, send, Written(200, _encode(told(exchange, exchange.decision))))

    def _shadowed(self, exchange: Exchange) -> bool:
        if exchange.lane is not None and exchange.lane.stage is Stage.SHADOW:
            return True
        return self._header in exchange.headers and exchange.headers[self._header] not in (b"", b"0", b"false")


def told(exchange: Exchange, decision: Decision) -> dict[str, Json]:
    """A decision as JSON for the person who asked."""
    return {
        "object": "laneway.decision",
        "request_id": exchange.request_id,
        "lane": exchange.lane.name if exchange.lane is not None else None,
        "stage": exchange.lane.stage.value if exchange.lane is not None else None,
        "by": decision.by,
        "reason": decision.reason,
        "executed": False,
        "ranked": [
            {"provider": target.provider.name, "model": target.upstream, "tier": target.provider.tier.value}
            for target in decision.ranked
        ],
        "dropped": [
            {"provider": dropped.target.provider.name, "model": dropped.target.upstream, "reason": dropped.reason}
            for dropped in decision.dropped
        ],
    }
