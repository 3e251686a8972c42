"""Reading a body within bounds, replaying it, noticing that the caller left, and the headers of an answer."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from laneway.dialects import Written
from laneway.edge import BODY_LIMIT, LEFT, CallerGoneError, Watch, answer, ingest, is_ours, marks, refuse, replay
from laneway.exchange import Exchange
from laneway.failure import Failure, FailureError, Kind
from laneway.forward import Forward
from laneway.middleware.auth import AuthMiddleware
from laneway.middleware.fallback import FallbackMiddleware
from laneway.route import Lane
from laneway.upstream.simulated import Simulated
from tests.fakes.replies import target
from tests.harness.asgi import ASKS, Caller, Message, ask, turns
from tests.harness.failures import failure_of
from tests.harness.loop import run

BODY = json.dumps({"model": "m", **ASKS["openai"][1]}).encode()


def exchange_of(caller: Caller) -> Exchange:
    exchange = Exchange.of(caller.scope)
    assert exchange is not None
    return exchange


def read(caller: Caller, **limits: Any) -> Exchange:
    """The Exchange after the body was ingested."""
    exchange = exchange_of(caller)
    run(ingest(exchange, caller.receive, **limits))
    return exchange


def refusal(caller: Caller, **limits: Any) -> Failure:
    return failure_of(lambda: read(caller, **limits))


# --- the body ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [[BODY], [BODY[:1], BODY[1:]], [b"", BODY, b""], [bytes([byte]) for byte in BODY]])
def test_a_body_is_read_whole_however_it_comes(pieces: list[bytes]) -> None:
    exchange = read(Caller(pieces=pieces))
    assert exchange.body == BODY
    assert exchange.view is not None
    assert exchange.view.model == "m"


def test_a_body_is_read_once_whoever_asks() -> None:
    caller = Caller(pieces=[BODY])
    exchange = exchange_of(caller)

    async def main() -> None:
        inner = await ingest(exchange, caller.receive)
        view = exchange.view
        assert await ingest(exchange, inner) is inner
        assert exchange.view is view
        assert caller.received == 1
        assert await inner() == {"type": "http.request", "body": BODY, "more_body": False}

    run(main())


def test_a_declared_body_over_the_limit_is_refused_before_a_byte_is_read() -> None:
    caller = Caller(pieces=[BODY], headers={"content-length": str(BODY_LIMIT + 1)})
    assert refusal(caller).kind is Kind.TOO_LARGE
    assert caller.received == 0


def test_an_absurd_declaration_is_too_large_and_no_error_of_ours() -> None:
    assert refusal(Caller(pieces=[BODY], headers={"content-length": "9" * 5000})).kind is Kind.TOO_LARGE


@pytest.mark.parametrize("declared", ["-1", "abc", "", "1e9", "+5"])
def test_a_declaration_that_is_no_number_counts_for_nothing(declared: str) -> None:
    assert read(Caller(pieces=[BODY], headers={"content-length": declared})).body == BODY


def test_an_undeclared_body_is_read_up_to_the_limit_and_no_further() -> None:
    caller = Caller(pieces=[b"x" * 100] * 1000)
    failure = refusal(caller, limit_bytes=1000)
    assert failure.kind is Kind.TOO_LARGE
    assert "1000 bytes" in failure.message
    assert caller.received == 11


def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert read(Caller(pieces=[BODY[:5], BODY[5:]]), limit_bytes=len(BODY)).body == BODY
    assert read(Caller(pieces=[BODY]), limit_bytes=len(BODY)).body == BODY
    assert refusal(Caller(pieces=[BODY]), limit_bytes=len(BODY) - 1).kind is Kind.TOO_LARGE


def test_a_lie_about_the_length_helps_nobody() -> None:
    caller = Caller(pieces=[b"x" * 100] * 20, headers={"content-length": "10"})
    assert refusal(caller, limit_bytes=1000).kind is Kind.TOO_LARGE


def test_a_body_that_never_ends_is_given_up() -> None:
    failure = refusal(Caller(pieces=[BODY[:9]], more=True), limit_s=0.01)
    assert failure.kind is Kind.BODY_TIMEOUT
    assert "0.01 seconds" in failure.message


def test_a_body_in_tiny_pieces_takes_no_more_than_its_size() -> None:
    """As with chunks of two bytes, each of which would be an object of its own."""
    caller = Caller()
    count = 20_000
    left_to_send = count

    async def receive() -> Message:
        nonlocal left_to_send
        left_to_send -= 1
        return {"type": "http.request", "body": bytes(bytearray(b"ab")), "more_body": True}

    tracemalloc.start()
    try:
        with pytest.raises(FailureError):
            run(ingest(exchange_of(caller), receive, limit_bytes=2 * count))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left_to_send == -1
    assert most < count * 30, "a list of pieces would take 43 bytes for each"


@pytest.mark.parametrize("pieces", [[], [BODY[:9]]])
def test_a_caller_who_leaves_before_the_body_is_whole(pieces: list[bytes]) -> None:
    caller = Caller(pieces=pieces, more=True)
    exchange = exchange_of(caller)
    caller.leave()
    with pytest.raises(CallerGoneError):
        run(ingest(exchange, caller.receive))
    assert (exchange.gone, exchange.status, exchange.failure) == (True, 499, LEFT)
    assert exchange.body is None


# --- the replay --------------------------------------------------------------------------------------------


def test_behind_the_replayed_body_comes_what_the_caller_does() -> None:
    caller = Caller(pieces=[BODY])
    exchange = exchange_of(caller)

    async def main() -> None:
        receive = await ingest(exchange, caller.receive)
        await receive()
        caller.leave()
        assert (await receive())["type"] == "http.disconnect"

    run(main())


def test_a_replay_behind_a_replay_gives_the_body_once() -> None:
    caller = Caller(pieces=[BODY])

    async def main() -> None:
        outer = await ingest(exchange_of(caller), caller.receive)
        inner = replay(BODY, outer)
        assert (await inner())["body"] == BODY
        caller.leave()
        assert (await inner())["type"] == "http.disconnect"

    run(main())


# --- the watch ---------------------------------------------------------------------------------------------

hooks = pytest.mark.parametrize("hook", [False, True], ids=["reading", "hook"])


def watched(caller: Caller, inside: Callable[[], Awaitable[object]]) -> tuple[Watch, int]:
    """Runs `inside` under a watch; afterwards the task must not be left cancelled."""

    async def main() -> tuple[Watch, int]:
        watch = Watch(caller.scope, caller.receive)
        with watch:
            await inside()
        task = asyncio.current_task()
        assert task is not None
        # A cancellation that was left behind would strike at the next real wait.
        await turns()
        return watch, task.cancelling()

    return run(main())


@hooks
def test_who_leaves_ends_what_is_inside_and_nothing_else(hook: bool) -> None:
    caller = Caller(pieces=[], hook=hook)
    reached: list[str] = []

    async def inside() -> None:
        asyncio.get_running_loop().call_soon(caller.leave)
        try:
            await asyncio.Event().wait()
        finally:
            reached.append("cleaned up")
        reached.append("went on")

    watch, cancelling = watched(caller, inside)
    assert (watch.gone, cancelling, reached) == (True, 0, ["cleaned up"])


@hooks
def test_who_stays_is_not_noticed(hook: bool) -> None:
    caller = Caller(pieces=[], hook=hook)
    watch, cancelling = watched(caller, turns)
    assert (watch.gone, cancelling) == (False, 0)
    caller.leave()
    assert not watch.gone


@hooks
def test_who_left_before_the_watch_began_is_noticed(hook: bool) -> None:
    caller = Caller(pieces=[], hook=hook)
    caller.leave()
    watch, cancelling = watched(caller, asyncio.Event().wait)
    assert (watch.gone, cancelling) == (True, 0)


def test_who_leaves_while_the_task_itself_runs_is_noticed_where_it_waits() -> None:
    """A server may call back from inside a `send`: no cancellation may be left over when nothing waits any more."""
    caller = Caller(pieces=[], hook=True)

    async def inside() -> None:
        caller.leave()

    watch, cancelling = watched(caller, inside)
    assert (watch.gone, cancelling) == (True, 0)


@hooks
def test_the_same_caller_can_be_watched_again(hook: bool) -> None:
    """As Fallback's attempts do, one behind the other."""
    caller = Caller(pieces=[b"the body"], hook=hook)

    async def main() -> None:
        with Watch(caller.scope, caller.receive):
            await turns()
        second = Watch(caller.scope, caller.receive)
        with second:
            asyncio.get_running_loop().call_soon(caller.leave)
            await asyncio.Event().wait()
        assert second.gone

    run(main())


@hooks
def test_a_cancellation_from_outside_goes_through(hook: bool) -> None:
    caller = Caller(pieces=[], hook=hook)
    watch = Watch(caller.scope, caller.receive)

    async def inside() -> None:
        with watch:
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(inside())
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run(main())
    assert not watch.gone


@hooks
def test_a_cancellation_from_outside_goes_through_though_the_caller_left_as_well(hook: bool) -> None:
    caller = Caller(pieces=[], hook=hook)

    async def inside() -> None:
        with Watch(caller.scope, caller.receive):
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(inside())
        await turns()
        caller.leave()
        await turns(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelling() == 1

    run(main())


@hooks
def test_a_time_limit_outside_still_rings(hook: bool) -> None:
    caller = Caller(pieces=[], hook=hook)

    async def limited() -> None:
        async with asyncio.timeout(0.01):
            with Watch(caller.scope, caller.receive):
                await asyncio.Event().wait()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await limited()
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    run(main())


def test_an_error_inside_goes_through() -> None:
    caller = Caller(pieces=[])

    async def inside() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        watched(caller, inside)


def test_a_swallowed_cancellation_is_taken_back() -> None:
    caller = Caller(pieces=[], hook=True)

    async def inside() -> None:
        asyncio.get_running_loop().call_soon(caller.leave)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise FailureError(Failure(kind=Kind.CUT, message="cut")) from None

    async def main() -> None:
        watch = Watch(caller.scope, caller.receive)
        with pytest.raises(FailureError), watch:
            await inside()
        assert watch.gone
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    run(main())


# --- answers -----------------------------------------------------------------------------------------------


def sent(write: Callable[[Exchange, Callable[[Message], Awaitable[None]]], Awaitable[None]]) -> tuple[Exchange, Caller]:
    caller = ask("openai", "m")
    exchange = exchange_of(caller)

    async def main() -> None:
        await write(exchange, caller.send)

    run(main())
    return exchange, caller


def test_a_whole_answer_says_its_length_and_where_it_came_from() -> None:
    exchange, caller = sent(lambda exchange, send: answer(exchange, send, Written(201, b"abc", b"text/plain")))
    got = caller.answer
    assert (got.status, got.body, exchange.status) == (201, b"abc", 201)
    assert got.headers["content-length"] == "3"
    assert got.headers["x-laneway-request-id"] == exchange.request_id
    assert got.headers["x-laneway-attempts"] == "0"
    assert exchange.failure is None


@pytest.mark.parametrize("kind", list(Kind))
def test_every_refusal_is_an_answer_and_noted(kind: Kind) -> None:
    failure = Failure(kind=kind, message="No.", detail="secret-detail")
    exchange, caller = sent(lambda exchange, send: refuse(exchange, send, failure))
    got = caller.answer
    assert 400 <= got.status < 600
    assert exchange.failure is failure
    assert exchange.status == got.status
    assert b"No." in got.body
    assert b"secret-detail" not in got.body
    # Where the rest of the body is not waited for, the connection cannot carry another request.
    assert (got.headers.get("connection") == "close") is (kind is Kind.BODY_TIMEOUT)


def test_marks_follow_their_target_lane_and_version() -> None:
    exchange = exchange_of(ask("openai", "m"))
    plain = dict(marks(exchange, None))
    assert set(plain) == {b"x-laneway-request-id", b"x-laneway-attempts"}
    box = target(name="box")
    exchange.lane = Lane(name="quick", targets=(box,))
    exchange.version = "v1"
    full = dict(marks(exchange, box, calls=3))
    assert full[b"x-llm-backend"] == full[b"x-laneway-provider"] == b"box"
    assert full[b"x-laneway-model"] == b"own-id"
    assert full[b"x-laneway-tier"] == b"balanced"
    assert full[b"x-laneway-lane"] == b"quick"
    assert full[b"x-laneway-config"] == b"v1"
    assert full[b"x-laneway-attempts"] == b"3"


def test_marks_of_short_lived_targets_are_never_mixed_up() -> None:
    """Targets of a pattern are made per name and may share an address one after the other."""
    exchange = exchange_of(ask("openai", "m"))
    for number in range(5000):
        made = msgspec.structs.replace(target(), upstream=f"model-{number}")
        assert dict(marks(exchange, made))[b"x-laneway-model"] == f"model-{number}".encode()


def test_an_app_is_ours_when_every_part_of_it_is() -> None:
    async def foreign(scope: Any, receive: Any, send: Any) -> None:
        """Somebody else's."""

    class Wrapping:
        def __init__(self, app: Any) -> None:
            self.app = app

    inner = Forward(Simulated())
    assert is_ours(inner)
    assert is_ours(AuthMiddleware(FallbackMiddleware(inner)))
    assert not is_ours(foreign)
    assert not is_ours(AuthMiddleware(foreign))
    assert not is_ours(AuthMiddleware(Wrapping(inner)))  # type: ignore[arg-type]
