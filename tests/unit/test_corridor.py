"""The corridor: who is passed, who is walked into, and what is done behind."""

from __future__ import annotations

from collections.abc import Awaitable

import pytest

from laneway.corridor import Corridor
from laneway.edge import App, Receive, Send
from laneway.exchange import Exchange, Scope
from tests.harness.asgi import ask
from tests.harness.loop import run


class Room:
    """Says what happens to it. `passes` is what it answers; `fails`, behind the request."""

    def __init__(self, name: str, app: App, told: list[str], *, passes: bool = True, fails: bool = False) -> None:
        self.name, self.app, self.told, self.passes, self.fails = name, app, told, passes, fails

    def ahead(self, exchange: Exchange, scope: Scope) -> bool:
        self.told.append(f"{self.name} ahead")
        return self.passes

    def behind(self, exchange: Exchange) -> Awaitable[None] | None:
        self.told.append(f"{self.name} behind")
        if self.fails:
            raise RuntimeError(self.name)
        return self._settle() if self.name == "slow" else None

    async def _settle(self) -> None:
        self.told.append("settled")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.told.append(f"{self.name} entered")
        await self.app(scope, receive, send)


class Inside:
    def __init__(self, told: list[str], error: Exception | None = None) -> None:
        self.told, self.error = told, error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.told.append("inside")
        if self.error is not None:
            raise self.error


def walk(app: App, path: str = "openai") -> None:
    caller = ask("openai", "m")
    if path != "openai":
        caller.scope["path"] = path
    run(caller.hand(app, caller.scope))


def test_rooms_that_can_are_passed_and_heard_behind_from_the_inside_out() -> None:
    told: list[str] = []
    walk(Corridor(Room("a", Room("slow", Inside(told), told), told)))
    assert told == ["a ahead", "slow ahead", "inside", "slow behind", "settled", "a behind"]


def test_the_first_that_declines_is_walked_into_and_those_behind_it_are_not_asked() -> None:
    told: list[str] = []
    walk(Corridor(Room("a", Room("b", Room("c", Inside(told), told), told, passes=False), told)))
    assert told == ["a ahead", "b ahead", "b entered", "c entered", "inside", "a behind"]


@pytest.mark.parametrize("fails", ["inside", "b", "c"])
def test_each_is_heard_behind_whatever_fails(fails: str) -> None:
    told: list[str] = []
    inside = Inside(told, RuntimeError("inside") if fails == "inside" else None)
    rooms = Room("c", inside, told, fails=fails == "c")
    rooms = Room("a", Room("b", rooms, told, fails=fails == "b"), told)
    with pytest.raises(RuntimeError, match=fails):
        walk(Corridor(rooms))
    assert told[-3:] == ["c behind", "b behind", "a behind"]


def test_what_is_no_request_of_ours_is_walked_through() -> None:
    told: list[str] = []
    walk(Corridor(Room("a", Inside(told), told)), path="/elsewhere")
    assert told == ["a entered", "inside"]


def test_an_app_without_rooms_is_reached() -> None:
    told: list[str] = []
    walk(Corridor(Inside(told)))
    assert told == ["inside"]
