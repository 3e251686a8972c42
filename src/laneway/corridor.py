"""The corridor: rooms that stand beside each other are passed in one step where each can do its part ahead.

Owns: asking one room after the other, and walking into the first that has to stand around what is inside, exactly as
if there were no corridor. What a room does behind a request it did ahead is asked for on every way out.
Refuses: knowing what any room does, and apps that are not ours: their `receive` and `send` would be passed over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeGuard

from laneway.edge import App, Receive, Send
from laneway.exchange import Exchange, Scope


class Room(Protocol):
    """A room that may be passed: an ASGI app around `app`."""

    app: App

    def ahead(self, exchange: Exchange, scope: Scope) -> bool:
        """Does all that the room does before the app inside; False, and nothing has happened, where that needs
        waiting, an answer or an eye on what passes. Whoever was passed finds its work done when it is walked into."""

    @property
    def behind(self) -> Callable[[Exchange], Awaitable[None] | None] | None:
        """What the room does when the request is over; to be awaited where it says so."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Corridor:
    """In front of `app` and those inside it that can be passed."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._rooms: list[tuple[Room, Callable[[Exchange], Awaitable[None] | None] | None]] = []
        while _passable(app):
            self._rooms.append((app, app.behind))
            app = app.app
        self._inside = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if exchange is None:
            await self.app(scope, receive, send)
            return
        inside, open_ = self._inside, None
        try:
            for room, behind in self._rooms:
                if not room.ahead(exchange, scope):
                    inside = room
                    break
                if behind is not None:
                    open_ = [behind] if open_ is None else [behind, *open_]
            await inside(scope, receive, send)
        finally:
            if open_ is not None:
                await _leave(open_, exchange)


async def _leave(open_: list[Callable[[Exchange], Awaitable[None] | None]], exchange: Exchange) -> None:
    """The innermost first; each, whatever becomes of the one before."""
    behind, *rest = open_
    try:
        waiting = behind(exchange)
        if waiting is not None:
            await waiting
    finally:
        if rest:
            await _leave(rest, exchange)


def _passable(app: App) -> TypeGuard[Room]:
    return hasattr(app, "ahead")
