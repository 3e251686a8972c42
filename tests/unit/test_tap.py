"""The tap: drawn answers are heard as they pass, all others pass untouched, and nothing is ever held back."""

from __future__ import annotations

from typing import Any

import pytest

from laneway.edge import App, Receive, Send
from laneway.exchange import Exchange, Scope
from laneway.middleware.tap import MOST_HELD, TapMiddleware
from laneway.route import Pool
from tests.harness.asgi import Caller, ask
from tests.harness.loop import run

POOL = Pool(name="smart", members=(), default="")


class Taken:
    def __init__(self, lot: object) -> None:
        self.lot = lot
        self.drawn = 0
        self.took: list[tuple[object, bytes]] = []

    def draw(self, exchange: Exchange) -> object:
        assert exchange.pool is POOL
        self.drawn += 1
        return self.lot

    def take(self, lot: object, exchange: Exchange, body: bytes) -> None:
        self.took.append((lot, body))


def answering(*pieces: bytes, status: int = 200, pool: Pool | None = POOL) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        assert exchange is not None
        exchange.status = status
        await send({"type": "http.response.start", "status": status, "headers": []})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


def call(app: App, taker: Taken, pool: Pool | None = POOL, caller: Caller | None = None) -> bytes:
    caller = caller or ask("openai", "smart")
    exchange = Exchange.of(caller.scope)
    assert exchange is not None
    exchange.pool = pool
    return run(caller.call(TapMiddleware(app, taker=taker))).body


def test_a_drawn_answer_is_heard_whole_while_it_passes() -> None:
    taker = Taken("lot")
    assert call(answering(b"one ", b"two"), taker) == b"one two"
    assert taker.took == [("lot", b"one two")]


@pytest.mark.parametrize(
    ("lot", "pool", "drawn"), [(None, POOL, 1), ((), POOL, 1), ("lot", None, 0)], ids=["no", "empty", "no pool"]
)
def test_what_nobody_wants_passes_with_the_caller_s_own_send(lot: Any, pool: Pool | None, drawn: int) -> None:
    sends: list[Send] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        sends.append(send)
        await answering(b"x")(scope, receive, send)

    taker, caller = Taken(lot), ask("openai", "smart")
    assert call(app, taker, pool, caller) == b"x"
    assert (taker.drawn, taker.took, sends) == (drawn, [], [caller.send])


@pytest.mark.parametrize(
    "app", [answering(b"no", status=503), answering(b"x" * MOST_HELD, b"y")], ids=["failed", "long"]
)
def test_a_failure_and_what_is_too_long_are_not_taken(app: App) -> None:
    taker = Taken("lot")
    call(app, taker)
    assert taker.took == []


def test_two_taps_draw_once() -> None:
    outer, inner = Taken("outer"), Taken("inner")
    call(TapMiddleware(answering(b"x"), taker=inner), outer)
    assert (outer.took, inner.drawn) == ([("outer", b"x")], 0)


def test_an_answer_that_was_cut_is_not_taken() -> None:
    async def cut(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        exchange = Exchange.of(scope)
        assert exchange is not None
        exchange.status = 200

    taker = Taken("lot")
    call(cut, taker)
    assert taker.took == []
