"""Tap: a sample of the answers that pools gave, for whoever judges them behind the requests.

Owns: the bytes of an answer on its way to the caller, for requests that were drawn before they were served, in memory
and bounded; all others pass untouched.
Refuses: drawing, reading what it holds, and ever holding an answer back.
"""

from __future__ import annotations

from typing import Protocol

from laneway.edge import App, Message, Receive, Send
from laneway.exchange import Exchange, Scope

MOST_HELD = 1 << 20
"""A longer answer is not judged."""
_TAPPED = "laneway.tap"


class Taker(Protocol):
    """Whoever wants answers."""

    def draw(self, exchange: Exchange) -> object:
        """Something true where the answer to this request is wanted: a lot. At once, and by chance."""

    def take(self, lot: object, exchange: Exchange, body: bytes) -> None:
        """A whole answer, in the caller's own format. Never waits and never raises."""


class TapMiddleware:
    """Mounted alone without a taker it does nothing."""

    def __init__(self, app: App, *, taker: Taker | None = None) -> None:
        self.app = app
        self.taker = taker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        taker = self.taker
        if exchange is None or taker is None or exchange.pool is None or _TAPPED in scope:
            await self.app(scope, receive, send)
            return
        lot = taker.draw(exchange)
        if not lot:
            await self.app(scope, receive, send)
            return
        scope[_TAPPED] = True
        heard = _Heard(send)
        await self.app(scope, receive, heard)
        if heard.whole and exchange.status == 200 and not exchange.gone:
            taker.take(lot, exchange, b"".join(heard.pieces))


class _Heard:
    """Passes everything on at once, and remembers it as far as there is room."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._size = 0
        self.pieces: list[bytes] = []
        self.whole = False

    async def __call__(self, message: Message) -> None:
        await self._send(message)
        if message["type"] != "http.response.body":
            return
        piece = message.get("body", b"")
        self._size += len(piece)
        if self._size > MOST_HELD:
            self.pieces.clear()
            return
        self.pieces.append(piece)
        self.whole = not message.get("more_body", False)
