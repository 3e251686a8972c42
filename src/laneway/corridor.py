"""The corridor: rooms that stand beside each other are passed in one step where each can do its part ahead.

Owns: asking one room after the other, and walking into the first that has to stand around what is inside, exactly as
if there were no corridor. What a room does behind a request it did ahead is asked for on every way out.
Refuses: knowing what any room does, and apps that are not ours: their `receive` and `send` would be passed over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, TypeGuard

from laneway.edge import App, Receive, Send
from laneway.exchange import SLOT, Exchange, Scope

Behind: TypeAlias = Callable[[Exchange], Awaitable[None] | None]


class Room(Protocol):
    """A room that may be passed: an ASGI app around `app`."""

    app: App

    def ahead(self, exchange: Exchange, scope: Scope) -> bool:
        """Does all that the room does before the app inside; False, and nothing has happened, where that needs
        waiting, an answer or an eye on what passes. Whoever was passed finds its work done when it is walked into."""

    @property
    def behind(self) -> Behind | None:
        """What the room does when the request is over; to be awaited where it says so."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Corridor:
    """In front of `app` and those inside it that can be passed."""

    def __init__(self, app: App) -> None:
        self.app = app
        steps: list[tuple[Callable[[Exchange, Scope], bool], App, Behind | None]] = []
        while _passable(app):
            steps.append((app.ahead, app, app.behind))
            app = app.app
        self._steps = tuple(steps)
        self._inside = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange | None = scope.get(SLOT) or Exchange.of(scope)
        if exchange is None:
            await self.app(scope, receive, send)
            return
        inside = self._inside
        open_: list[Behind] = []
        try:
            for ahead, room, behind in self._steps:
                if not ahead(exchange, scope):
                    inside = room
                    break
                if behind is not None:
                    open_.append(behind)
            await inside(scope, receive, send)
        finally:
            # The outermost last; each, whatever becomes of the one before.
            while open_:
                try:
                    waiting = open_.pop()(exchange)
                    if waiting is not None:
                        await waiting
                except BaseException:
                    await _leave(open_, exchange)
                    raise


async def _leave(open_: list[Behind], exchange: Exchange) -> None:
    """The same, where one of them has failed."""
    try:
        while open_:
            waiting = open_.pop()(exchange)
            if waiting is not None:
                await waiting
    finally:
        if open_:
            await _leave(open_, exchange)


def _passable(app: App) -> TypeGuard[Room]:
    return hasattr(app, "ahead")
