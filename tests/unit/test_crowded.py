"""What a lane does when its model would push a warm one out, and how its deadline cuts the clocks of its calls."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from laneway.board import Board
from laneway.edge import App
from laneway.exchange import Exchange
from laneway.failure import Kind
from laneway.forward import Forward
from laneway.middleware.fallback import FallbackMiddleware
from laneway.policy.residency import Loaded
from laneway.route import FREE, Clocks, HostRules, Lane, Target
from laneway.seat import Seat
from tests.fakes.replies import Scripted, failure, target, whole
from tests.harness.asgi import Answer, Caller, ask, turns
from tests.harness.loop import run

GIB = 1 << 30
A, B = (target("ollama", name=name, price=FREE) for name in ("box-a", "box-b"))
OTHER = msgspec.structs.replace(A, upstream="other")


def lane(crowded: str, **more: float) -> Lane:
    return msgspec.structs.replace(Lane(name="l", targets=(A, B), crowded=crowded, queue_s=30.0), **more)


class Scene:
    """box-a has 10 GiB: 4 are kept for a warm model, and two others of 4 each cannot both be there beside it."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.board = Board({"box-a": HostRules(slots=4, protected=frozenset({"warm"}), memory_bytes=10 * GIB)})
        self.board.hear_loaded("box-a", {name: Loaded(size_bytes=4 * GIB) for name in ("warm", "other", "own-id")})
        self.board.hear_loaded("box-a", {name: Loaded(size_bytes=4 * GIB) for name in ("warm", "other")})
        self.upstream = Scripted(whole("ollama"))
        self.app: App = FallbackMiddleware(Forward(self.upstream), board=self.board)
        self.caller: Caller = ask("openai", "asked")

    async def crowd(self) -> Seat:
        """The other model is answering somebody, so that it cannot make room."""
        seat = await self.board.enter(OTHER)
        assert isinstance(seat, Seat)
        return seat

    def start(self) -> asyncio.Task[Answer]:
        exchange = Exchange.of(self.caller.scope)
        assert exchange is not None
        exchange.lane, exchange.candidates = self.lane, self.lane.targets
        return self.caller.start(self.app)


def test_what_idles_makes_room() -> None:
    async def scene() -> None:
        made = Scene(lane("refuse"))
        (await made.crowd()).leave(None)
        assert (await made.start()).status == 200
        assert made.upstream.called() == ["box-a"]

    run(scene())


def test_next_goes_on_to_the_next_target() -> None:
    async def scene() -> None:
        made = Scene(lane("next"))
        await made.crowd()
        answer = await made.start()
        assert (answer.status, made.upstream.called()) == (200, ["box-b"])
        assert answer.headers["x-laneway-fallback"] == "crowded"

    run(scene())


def test_refuse_asks_nobody_else_and_says_why() -> None:
    async def scene() -> None:
        made = Scene(lane("refuse"))
        await made.crowd()
        answer = await made.start()
        assert (answer.status, made.upstream.called()) == (503, [])
        assert "might push the protected model warm out of memory" in answer.body.decode()
        assert float(answer.headers["retry-after"]) > 0

    run(scene())


def test_wait_waits_until_there_is_room() -> None:
    async def scene() -> None:
        made = Scene(lane("wait"))
        seat = await made.crowd()
        task = made.start()
        await turns(20)
        assert made.upstream.called() == []
        seat.leave(None)
        assert (await task).status == 200
        assert made.upstream.called() == ["box-a"]

    run(scene())


def test_wait_waits_no_longer_than_in_a_queue_and_then_goes_on() -> None:
    async def scene() -> None:
        made = Scene(lane("wait", queue_s=0.02))
        await made.crowd()
        assert (await made.start()).status == 200
        assert made.upstream.called() == ["box-b"]

    run(scene())


def test_who_waits_and_leaves_holds_nothing() -> None:
    async def scene() -> None:
        made = Scene(lane("wait"))
        seat = await made.crowd()
        task = made.start()
        await turns(20)
        made.caller.leave()
        await task
        seat.leave(None)
        host = made.board.host("box-a")
        assert (made.upstream.called(), host.busy, host.changed) == ([], {}, [])

    run(scene())


# --- the deadline ------------------------------------------------------------------------------------------

SLOW = Clocks(connect_s=5.0, headers_s=60.0, first_content_s=60.0, between_chunks_s=7.0)


class Clocked:
    """Calls at a time of the test's own, with what clocks they were made."""

    def __init__(self, *, deadline_s: float, stream: bool = False) -> None:
        self.now_s = 100.0
        self.board = Board(clock=lambda: self.now_s)
        self.upstream = Scripted(failure(Kind.TIMEOUT, clock="headers"))
        self.stream = stream
        targets = tuple(target("openai", name=name, price=FREE, clocks=SLOW) for name in ("one", "two"))
        self.lane = Lane(name="l", targets=targets, deadline_s=deadline_s)

    async def ask(self, took_s: float) -> None:
        forward = Forward(self.upstream, clock=lambda: self.now_s)

        async def slowly(scope: object, receive: object, send: object) -> None:
            await forward(scope, receive, send)  # type: ignore[arg-type]
            self.now_s += took_s

        caller = ask("openai", "asked", stream=self.stream)
        exchange = Exchange.of(caller.scope)
        assert exchange is not None
        exchange.lane, exchange.candidates = self.lane, self.lane.targets
        await caller.call(FallbackMiddleware(slowly, board=self.board))

    def strikes(self, place: int) -> int:
        known: Target = self.lane.targets[place]
        breaker = self.board.host(known.provider.name).breakers.get(known.name)
        return breaker.strikes if breaker is not None else 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_near_the_deadline_clocks_end_with_it(stream: bool) -> None:
    """The first call has all its time; the second what the first has left."""
    made = Clocked(deadline_s=70.0, stream=stream)
    run(made.ask(took_s=58.0))
    first, second = made.upstream.clocks
    assert (first.connect_s, first.headers_s, first.first_content_s) == (5.0, 60.0, 60.0)
    assert (second.connect_s, second.headers_s, second.first_content_s) == (5.0, 12.0, 12.0)
    assert second.between_chunks_s == 7.0


def test_a_timeout_by_the_deadline_is_no_strike_against_the_host() -> None:
    """It was given less time than it is known to need."""
    made = Clocked(deadline_s=70.0)
    run(made.ask(took_s=58.0))
    assert (made.strikes(0), made.strikes(1)) == (1, 0)


def test_without_a_deadline_nothing_is_cut() -> None:
    made = Clocked(deadline_s=1000.0)
    run(made.ask(took_s=58.0))
    assert [clocks.headers_s for clocks in made.upstream.clocks] == [60.0, 60.0]
    assert (made.strikes(0), made.strikes(1)) == (1, 1)
