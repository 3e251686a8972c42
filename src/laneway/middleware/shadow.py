"""Shadow: answer with the decision instead of executing it.

Owns: requests that are to be decided only: those that an outer room or endpoint marked so, those of lanes in stage
"shadow" where no such room is, and those that ask what would happen (`X-Laneway-Dry-Run: 1`).
Refuses: calling any provider, and judging the decision.
"""

from __future__ import annotations

import msgspec
from msgspec import to_builtins

from laneway.board import Board
from laneway.chat import Json
from laneway.dialects import Written
from laneway.edge import App, Receive, Send, answer
from laneway.exchange import Exchange, Scope
from laneway.foresight import foresee, in_order, would_call
from laneway.route import Decision, Stage, Target

_encode = msgspec.json.Encoder().encode


class ShadowMiddleware:
    """Stands between the room that decides and the rooms that execute. With a `board` it also says who would really be
    called at this moment."""

    def __init__(self, app: App, *, header: str = "x-laneway-dry-run", board: Board | None = None) -> None:
        self.app = app
        self.board = board
        self._header = header.lower().encode()

    behind = None

    def ahead(self, exchange: Exchange, _scope: Scope) -> bool:
        """Whether the request is executed."""
        return exchange.decision is None or not self._shadowed(exchange)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if exchange is None or exchange.decision is None or self.ahead(exchange, scope):
            await self.app(scope, receive, send)
            return
        if self.board is not None:
            exchange.skipped.extend(foresee(self.board, exchange))
        await answer(exchange, send, Written(200, _encode(told(exchange, exchange.decision))))

    def _shadowed(self, exchange: Exchange) -> bool:
        if exchange.dry:
            return True
        if exchange.stage is None and exchange.lane is not None and exchange.lane.stage is Stage.SHADOW:
            return True
        return self._header in exchange.headers and exchange.headers[self._header] not in (b"", b"0", b"false")


def told(exchange: Exchange, decision: Decision) -> dict[str, Json]:
    """A decision as JSON for the person who asked."""
    lane = exchange.lane
    stage = exchange.stage or (lane.stage if lane is not None else None)
    first, ahead = would_call(exchange), in_order(exchange)
    return {
        "object": "laneway.decision",
        "request_id": exchange.request_id,
        "lane": lane.name if lane is not None else None,
        "stage": stage.value if stage is not None else None,
        "by": decision.by,
        "reason": decision.reason,
        "confidence": decision.confidence,
        "executed": False,
        "would_call": {**_named(first), "fallback": first is not ahead[0]} if first is not None else None,
        "ranked": [_named(target) for target in decision.ranked],
        "skipped": [
            {**_named(skipped.target), "kind": skipped.kind, "reason": skipped.reason} for skipped in exchange.skipped
        ],
        "receipt": to_builtins(exchange.receipt, enc_hook=list) if exchange.receipt is not None else None,
        "dropped": [
            {"provider": dropped.target.provider.name, "model": dropped.target.upstream, "reason": dropped.reason}
            for dropped in decision.dropped
        ],
    }


def _named(target: Target) -> dict[str, Json]:
    return {"provider": target.provider.name, "model": target.upstream, "tier": target.provider.tier.value}
