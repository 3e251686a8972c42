"""Pressure, as a room: who comes while there is too much to do is told to come again, the body unread.

Owns: asking once for each request of ours, waiting for its turn, and that what was let in is counted as under way until
it is over. A server that does all this by itself, before the request has become one (doorway.py does), is believed.
Refuses: turning away what is under way, and paths that are not fronts: health, metrics and admin stay reachable.
"""

from __future__ import annotations

import asyncio

from laneway.edge import App, Receive, Send
from laneway.exchange import Scope, front_of
from laneway.metrics import Metrics
from laneway.pressure import ADMITTED, Pressure, refusal


class PressureMiddleware:
    """Mounted alone it lets in as many requests at once as the system has sockets for."""

    def __init__(self, app: App, *, pressure: Pressure | None = None) -> None:
        self.app = app
        if pressure is None:
            pressure = Pressure(Metrics())
            pressure.use(10_000, 0.5)
        self.pressure = pressure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        front = front_of(scope) if ADMITTED not in scope else None
        if front is None:
            await self.app(scope, receive, send)
            return
        pressure = self.pressure
        reason = pressure.full()
        if reason is not None:
            await _say(send, pressure.turn_away(front, reason))
            return
        pressure.enter()
        scope[ADMITTED] = True
        try:
            if not pressure.begins():
                await _turn(pressure)
            await self.app(scope, receive, send)
        finally:
            pressure.leave()


async def _turn(pressure: Pressure) -> None:
    """Until it has come."""
    come: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    # Whoever is cancelled meanwhile gives the turn away to nobody: the next pass is near.
    pressure.wait(lambda: None if come.done() else come.set_result(None))
    await come


async def _say(send: Send, words: tuple[str, str, int]) -> None:
    written = refusal(*words)
    length = (b"content-length", str(len(written.body)).encode())
    headers = [(b"content-type", written.content_type), length, *written.headers]
    await send({"type": "http.response.start", "status": written.status, "headers": headers})
    await send({"type": "http.response.body", "body": written.body})
