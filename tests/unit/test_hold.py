"""A stream that is held to its end: what the caller sees meanwhile, and what of failures; and who waits otherwise.

Everything here goes through Fallback and Forward, in front of scripted providers; the clock of the comments is a list.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from laneway import relay
from laneway.board import Board
from laneway.chat import Faulted, Finish, Finished, Started
from laneway.edge import App, Receive, Send
from laneway.exchange import SLOT, Exchange, Scope
from laneway.failure import Kind
from laneway.forward import Forward
from laneway.gateway import build
from laneway.guard import COMMENT
from laneway.middleware.budget import BudgetMiddleware
from laneway.middleware.fallback import FallbackMiddleware
from laneway.policy.budgets import Budget
from laneway.policy.price import usd_to_nanos
from laneway.ports import Call, Clocks
from laneway.rescue import RESCUE
from laneway.route import FREE, HostRules, Lane, Price, Target, Tenant
from laneway.seat import Seat
from laneway.store import open_store
from laneway.stores.memory import MemoryLedger
from tests.fakes.replies import HANG, Given, Script, Scripted, ScriptedReply, events, failure, frames, target, whole
from tests.harness.asgi import ASKS, Caller, ask, turns, until
from tests.harness.loop import run
from tests.harness.streams import heard, words

fronts = pytest.mark.parametrize("front", ASKS)
SPOKEN = ("openai", "responses", "anthropic")
"""Formats whose streams have comments."""
A, B = (target(name=name, price=FREE) for name in ("a", "b"))
HALF = frames("openai", events("One ", "two ", finish=False), end=False)
WHOLE = Given([*frames("openai", events("One ", "two ", "three."))])
CUT = Given([*HALF, failure(Kind.CUT)])


class Ticks:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._due = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self._due.acquire()

    def tick(self) -> None:
        self._due.release()


def holding(*scripts: Script, ticks: Ticks | None = None, targets: tuple[Target, ...] = (A, B)) -> tuple[App, Scripted]:
    upstream = Scripted(*scripts)
    knobs: dict[str, Any] = {"sleep": ticks.sleep} if ticks is not None else {}
    return FallbackMiddleware(Forward(upstream), targets=targets, rescue="hold", **knobs), upstream


def body_of(caller: Caller) -> bytes:
    return b"".join(message.get("body", b"") for message in caller.sent)


# --- until the end -----------------------------------------------------------------------------------------


@fronts
def test_nothing_is_sent_before_the_end(front: str) -> None:
    async def main() -> None:
        app, upstream = holding(Given([*HALF, HANG]))
        caller = ask(front, "asked", stream=True)
        task = caller.start(app)
        await upstream.opened.wait()
        await turns(20)
        assert upstream.replies[0].reads == len(HALF) + 1
        assert caller.sent == []
        caller.leave()
        await task
        assert caller.sent == []
        exchange: Exchange = caller.scope[SLOT]
        assert exchange.gone
        assert upstream.replies[0].closed == 1

    run(main())


@fronts
def test_a_failure_in_the_middle_is_not_seen(front: str) -> None:
    app, upstream = holding(CUT, Given([*HALF, failure(Kind.RESET)]), WHOLE, targets=(A, B, target(name="c")))
    caller = ask(front, "asked", stream=True)
    answer = run(caller.call(app))
    assert answer.status == 200
    assert words(heard(front, answer.body)) == "One two three."
    assert not any(isinstance(event, Faulted) for event in heard(front, answer.body))
    # As good as a call that was answered at once: what was said in vain is billed, and not said.
    assert len(upstream.calls) == 3
    exchange: Exchange = caller.scope[SLOT]
    assert [attempt.counted for attempt in exchange.attempts] == [True, True, False]
    assert exchange.failure is None


@fronts
def test_when_all_have_failed_it_is_a_failure_like_any_other(front: str) -> None:
    app, _ = holding(CUT)
    answer = run(ask(front, "asked", stream=True).call(app))
    assert answer.status == 502
    assert answer.headers["content-type"] == "application/json"


def test_an_answer_that_is_too_much_to_keep_is_sent_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MOST_KEPT", len(b"".join(HALF)))
    app, upstream = holding(CUT, WHOLE)
    answer = run(ask("openai", "asked", stream=True).call(app))
    assert words(heard("openai", answer.body)) == "One two three."
    long = frames("openai", events(*["word "] * 20, finish=False), end=False)
    app, upstream = holding(Given([*long, failure(Kind.CUT)]), WHOLE)
    answer = run(ask("openai", "asked", stream=True).call(app))
    assert answer.status == 200
    assert words(heard("openai", answer.body)) == "word " * 20
    assert isinstance(heard("openai", answer.body)[-1], Faulted)
    assert len(upstream.calls) == 1


def test_who_runs_out_of_money_gets_as_much_held_as_not() -> None:
    bodies = []
    for rescue in ("error", "hold"):
        endless = frames("openai", events(*["x" * 400] * 400, usage=None, finish=False), end=False)
        upstream = Scripted(Given([*endless]))
        caller = ask("openai", "asked", stream=True)
        exchange = Exchange.of(caller.scope)
        assert exchange is not None
        exchange.tenant = Tenant(name="t")
        exchange.candidates = (target(price=Price(input=1_000_000, output=2_000_000)),)
        exchange.request_id = "r"
        budget = Budget(name="all", cap_nanos=usd_to_nanos("0.0022"))
        app = FallbackMiddleware(Forward(upstream), rescue=rescue)
        answer = run(caller.call(BudgetMiddleware(app, ledger=MemoryLedger(), budgets=(budget,))))
        assert exchange.attempts[0].out_of_budget
        assert exchange.attempts[0].finish is Finish.LENGTH
        bodies.append(answer.body)
    assert bodies[0] == bodies[1]


def test_an_answer_that_is_not_streamed_is_none_of_its_business() -> None:
    ticks = Ticks()
    app, _ = holding(whole("openai", "hi"), ticks=ticks)
    assert run(ask("openai", "asked").call(app)).status == 200
    assert ticks.asked == []


# --- meanwhile ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("front", SPOKEN)
def test_who_waits_hears_that_it_is_coming(front: str) -> None:
    async def main() -> None:
        ticks = Ticks()
        app, upstream = holding(Given([*HALF, HANG]), ticks=ticks)
        caller = ask(front, "asked", stream=True)
        task = caller.start(app)
        await until(lambda: bool(upstream.replies) and upstream.replies[0].reads > len(HALF))
        for count in (1, 2, 3):
            ticks.tick()
            await until(lambda count=count: len(caller.sent) == 1 + count)  # type: ignore[misc]
        start, *comments = caller.sent
        assert start["status"] == 200
        headers = dict(start["headers"])
        assert headers[b"content-type"].startswith(b"text/event-stream")
        # Nobody knows yet who will have answered.
        assert b"x-laneway-model" not in headers
        assert b"x-laneway-attempts" not in headers
        assert headers[b"x-laneway-request-id"]
        assert [comment["body"] for comment in comments] == [COMMENT] * 3
        assert set(ticks.asked) == {10.0}
        caller.leave()
        await task

    run(main())


@pytest.mark.parametrize("front", SPOKEN)
def test_behind_a_comment_an_answer_has_no_second_head(front: str) -> None:
    async def main() -> None:
        ticks = Ticks()
        ticks.tick()
        app, upstream = holding(CUT, WHOLE, ticks=ticks)
        caller = ask(front, "asked", stream=True)
        gate = asyncio.Event()
        inner = upstream.open

        async def late(call: Call, clocks: Clocks) -> ScriptedReply:
            await gate.wait()
            return await inner(call, clocks)

        upstream.open = late  # type: ignore[method-assign]
        task = caller.start(app)
        await until(lambda: len(caller.sent) == 2)
        gate.set()
        await task
        assert caller.broken == []
        assert words(heard(front, body_of(caller))) == "One two three."
        seen = heard(front, body_of(caller))
        assert [type(event) for event in seen].count(Started) == 1
        assert [type(event) for event in seen].count(Finished) == 1

    run(main())


def test_once_it_comes_nothing_is_said_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MOST_KEPT", 1)

    async def main() -> None:
        ticks = Ticks()
        app, _ = holding(Given([*HALF, HANG]), ticks=ticks)
        caller = ask("openai", "asked", stream=True)
        task = caller.start(app)
        await until(lambda: words(heard("openai", body_of(caller))) == "One two ")
        sent = len(caller.sent)
        ticks.tick()
        ticks.tick()
        await turns(20)
        assert len(caller.sent) == sent
        caller.leave()
        await task

    run(main())


@pytest.mark.parametrize("front", SPOKEN)
def test_behind_a_comment_a_failure_is_told_in_the_stream(front: str) -> None:
    async def main() -> None:
        ticks = Ticks()
        ticks.tick()
        gate = asyncio.Event()
        app, upstream = holding(failure(Kind.CONNECT), ticks=ticks)
        inner = upstream.open

        async def late(call: Call, clocks: Clocks) -> ScriptedReply:
            await gate.wait()
            return await inner(call, clocks)

        upstream.open = late  # type: ignore[method-assign]
        caller = ask(front, "asked", stream=True)
        task = caller.start(app)
        await until(lambda: len(caller.sent) == 2)
        gate.set()
        await task
        assert caller.broken == []
        seen = heard(front, body_of(caller))
        assert isinstance(seen[-1], Faulted)
        assert not any(isinstance(event, Finished) for event in seen)
        assert b"a/own-id: connect; b/own-id: connect" in body_of(caller)
        exchange: Exchange = caller.scope[SLOT]
        assert exchange.failure is not None
        assert (exchange.status, exchange.failure.kind) == (200, Kind.CONNECT)

    run(main())


def test_nor_does_it_end_otherwise_when_nobody_could_be_called() -> None:
    async def main() -> None:
        ticks = Ticks()
        ticks.tick()
        board = Board({"a": HostRules(slots=1)})
        lane = Lane(name="l", targets=(A,), queue_s=0.05, rescue="hold")
        assert isinstance(await board.enter(A, lane, "t"), Seat)
        caller = ask("openai", "asked", stream=True)
        exchange = Exchange.of(caller.scope)
        assert exchange is not None
        exchange.lane, exchange.candidates = lane, lane.targets
        app = FallbackMiddleware(Forward(Scripted(WHOLE)), board=board, sleep=ticks.sleep)
        await caller.call(app)
        assert caller.broken == []
        error = json.loads(body_of(caller).removeprefix(COMMENT)[6:])["error"]
        assert error["code"] == "queue_full"

    run(main())


def test_a_format_without_comments_says_nothing() -> None:
    ticks = Ticks()
    ticks.tick()
    app, _ = holding(WHOLE, ticks=ticks)
    answer = run(ask("ollama", "asked", stream=True).call(app))
    assert words(heard("ollama", answer.body)) == "One two three."
    assert ticks.asked == []


@pytest.mark.parametrize("rescue", ["continue", "hold"])
def test_another_app_is_left_alone(rescue: str) -> None:
    ticks = Ticks()
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in HALF:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            assert len(caller.sent) > 1
        await send({"type": "http.response.body", "body": b""})

    caller = ask("openai", "asked", stream=True)
    run(caller.call(FallbackMiddleware(app, targets=(A, B), rescue=rescue, sleep=ticks.sleep)))
    assert body_of(caller) == b"".join(HALF)
    assert RESCUE not in scopes[0]
    assert len(scopes) == 1
    assert ticks.asked == []


# --- where another one goes on -----------------------------------------------------------------------------


@pytest.mark.parametrize("front", SPOKEN)
def test_who_waits_for_another_to_go_on_hears_that_it_is_coming(front: str) -> None:
    async def main() -> None:
        ticks = Ticks()
        upstream = Scripted(CUT, WHOLE)
        gate = asyncio.Event()
        gate.set()
        inner = upstream.open

        async def late(call: Call, clocks: Clocks) -> ScriptedReply:
            await gate.wait()
            gate.clear()
            return await inner(call, clocks)

        upstream.open = late  # type: ignore[method-assign]
        app = FallbackMiddleware(Forward(upstream), targets=(A, B), rescue="continue", sleep=ticks.sleep)
        caller = ask(front, "asked", stream=True)
        task = caller.start(app)
        await until(lambda: words(heard(front, body_of(caller))) == "One two ")
        await turns(20)
        for _ in range(2):
            ticks.tick()
            await turns(20)
        assert body_of(caller).endswith(COMMENT * 2)
        gate.set()
        await task
        assert caller.broken == []
        assert words(heard(front, body_of(caller))) == "One two three."
        assert body_of(caller).count(COMMENT) == 2

    run(main())


def test_who_is_being_answered_hears_nothing_else() -> None:
    async def main() -> None:
        ticks = Ticks()
        app = FallbackMiddleware(
            Forward(Scripted(Given([*HALF, HANG]))), targets=(A, B), rescue="continue", sleep=ticks.sleep
        )
        caller = ask("openai", "asked", stream=True)
        task = caller.start(app)
        await until(lambda: words(heard("openai", body_of(caller))) == "One two ")
        for _ in range(3):
            ticks.tick()
            await turns(20)
        assert len(ticks.asked) == 4
        assert COMMENT not in body_of(caller)
        caller.leave()
        await task

    run(main())


def test_its_clock_is_scaled_like_all_the_others() -> None:
    app: Any = build(variables={"LANEWAY_TIMEOUT_SCALE": "0.5"}, store=open_store("memory:")).stack
    while not isinstance(app, FallbackMiddleware):
        app = app.app
    assert app.comment_s == 5.0
