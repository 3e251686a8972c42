"""What the engine does beyond the contract that it shares with httpx (tests/contract/test_upstream.py)."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from laneway.failure import FailureError, Kind
from laneway.ports import Call, Clocks
from laneway.upstream import pool as pool_module
from laneway.upstream.connection import HEAD_LIMIT, Connection
from laneway.upstream.engine import Engine
from tests.fakes.line import Line
from tests.fakes.stage import LOOPS, PATIENT, SHORT_S, call_to, drain, failing, fetch, loop_of_kind, run, stage
from tests.fakes.upstream import (
    FakeUpstream,
    Script,
    Wire,
    answering,
    chunked,
    client_tls,
    holding,
    once,
    response,
    server_tls,
)


@pytest.fixture(params=LOOPS, autouse=True)
def loop_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    with loop_of_kind(request.param):
        yield request.param


# Framing httpx is more lenient about


@pytest.mark.parametrize(
    "first", [response(b"mine"), b"".join(chunked(b"mine")), response(b"mine", b"connection: close")]
)
@pytest.mark.parametrize("extra", [response(b"forged"), b"\0", b"HTTP/1.1 200"])
@pytest.mark.parametrize("apart", [False, True])
def test_bytes_after_the_end_never_become_the_next_answer(first: bytes, extra: bytes, apart: bool) -> None:
    """They were sent with the first answer, before the second call existed: the connection is closed instead."""

    async def script(wire: Wire) -> None:
        await wire.request()
        if wire.number == 0:
            await wire.send(*((first, extra) if apart else (first + extra,)))
        else:
            await wire.send(response(b"second"))
        await wire.gone()

    async def scene() -> None:
        async with stage(FakeUpstream(script), Engine()) as (fake, engine):
            assert await fetch(engine, call_to(fake)) == (200, b"mine")
            await asyncio.sleep(0.01 if apart else 0)
            assert await fetch(engine, call_to(fake)) == (200, b"second")
            assert fake.accepted == 2

    run(scene())


def test_a_body_after_an_answer_that_has_none_spoils_the_connection() -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(response(b"there should be nothing here"))
        await wire.gone()

    async def scene() -> None:
        async with stage(FakeUpstream(script), Engine()) as (fake, engine):
            for _ in range(2):
                assert await fetch(engine, call_to(fake, method="HEAD", body=b"")) == (200, b"")
            assert fake.accepted == 2

    run(scene())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\nhello",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nhello",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\nhello",
        b"HTTP/1.1 099 What\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4000,
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * HEAD_LIMIT,
    ],
    ids=["both", "twice", "chunked-twice", "identity", "101", "101-bare", "099", "100-for-ever", "head-for-ever"],
)
def test_doubtful_framing_is_refused(answer: bytes) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(holding(answer)), Engine()) as (fake, engine):
            assert (await failing(engine.open(call_to(fake), PATIENT))).kind is Kind.MALFORMED_ANSWER
            assert engine.places == 0

    run(scene())


@pytest.mark.parametrize("answer", [b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\ncontent-le", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_an_answer_that_ends_inside_its_head_is_malformed(answer: bytes) -> None:
    """Not a reset: the provider had begun to answer, so the call may have been carried out."""

    async def scene() -> None:
        async with stage(FakeUpstream(once(answer)), Engine()) as (fake, engine):
            assert (await failing(engine.open(call_to(fake), PATIENT))).kind is Kind.MALFORMED_ANSWER

    run(scene())


@pytest.mark.parametrize(
    "endless",
    [b"5;" + b"x" * 2 * HEAD_LIMIT, b"0\r\nx-trailer: " + b"x" * 2 * HEAD_LIMIT],
    ids=["extension", "trailer"],
)
def test_framing_that_brings_no_body_is_bounded(endless: bytes) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(holding(*chunked(b"first")[:2], endless)), Engine()) as (fake, engine):
            reply = await engine.open(call_to(fake), PATIENT)
            assert await reply.read(10.0) == b"first"
            assert (await failing(reply.read(10.0))).kind is Kind.MALFORMED_ANSWER

    run(scene())


def test_a_chunked_http_1_0_answer_is_read_and_not_trusted_further() -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n")
        await wire.send(*chunked(b"ok")[1:])
        await wire.gone()

    async def scene() -> None:
        async with stage(FakeUpstream(script), Engine()) as (fake, engine):
            for _ in range(2):
                assert await fetch(engine, call_to(fake)) == (200, b"ok")
            assert fake.accepted == 2

    run(scene())


# Sending


async def _refusing(wire: Wire) -> None:
    await wire.head()
    await wire.send(response(b"too large", status=413))
    await asyncio.Event().wait()


def test_a_refusal_is_heard_while_the_body_is_still_being_sent() -> None:
    """The provider reads no further, and the connection, in the middle of a request, serves nobody else."""

    async def scene() -> None:
        fake = FakeUpstream(_refusing)
        engine = Engine()
        async with fake:
            assert await fetch(engine, call_to(fake, body=b"." * 20_000_000)) == (413, b"too large")
            assert engine.places == 0
            await engine.close()
            assert engine.connections == 0

    run(scene())


def test_an_answer_may_begin_before_the_body_is_out() -> None:
    """The rest is sent while the answer is being read."""
    body = bytes(range(256)) * 20_000

    async def script(wire: Wire) -> None:
        head = await wire.head()
        assert head.header(b"content-length") == b"%d" % len(body)
        await wire.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        await wire.send(await wire.take(len(body)))

    async def scene() -> None:
        async with stage(FakeUpstream(script), Engine()) as (fake, engine):
            assert await fetch(engine, call_to(fake, body=body)) == (200, body)

    run(scene())


def test_the_headers_clock_does_not_run_while_the_provider_takes_the_body() -> None:
    """A slow upload is no silence: each part taken starts the clock anew."""
    body = b"." * 16_000_000

    async def script(wire: Wire) -> None:
        await wire.head()
        for _ in range(20):
            await wire.take(len(body) // 20)
            await asyncio.sleep(0.05)
        await wire.send(response(b"taken"))
        await wire.gone()

    async def scene() -> None:
        async with stage(FakeUpstream(script), Engine()) as (fake, engine):
            assert await fetch(engine, call_to(fake, body=body), Clocks(headers_s=0.7)) == (200, b"taken")

    run(scene())


# Places

_CUT = response(b"ab")[:-1]


@pytest.mark.parametrize(
    ("script", "opens"),
    [(once(), 0), (once(b"?"), 0), (holding(), 0), (once(_CUT), 1), (holding(_CUT), 1), (once(response()), 1)],
)
def test_places_are_free_after_every_kind_of_end(script: Script, opens: int) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(script), Engine()) as (fake, engine):
            clocks = Clocks(headers_s=SHORT_S) if not opens else PATIENT
            results = await asyncio.gather(
                *(_to_the_end(engine, call_to(fake), clocks) for _ in range(3)), return_exceptions=True
            )
            assert all(isinstance(result, FailureError) or result == b"" for result in results)
            await fake.quiet()
            assert engine.places == 0

    run(scene())


async def _to_the_end(engine: Engine, call: Call, clocks: Clocks) -> bytes:
    """Without ever closing: a reader who met the end or a failure owes nothing more."""
    reply = await engine.open(call, clocks)
    return await drain(reply, SHORT_S)


def test_idle_connections_are_closed_after_a_while() -> None:
    """Those that rested longest first; the provider sees them go without a further call."""

    async def scene() -> None:
        async with stage(FakeUpstream(answering(response(b"ok"))), Engine(idle_s=SHORT_S)) as (fake, engine):
            await asyncio.gather(*(fetch(engine, call_to(fake)) for _ in range(3)))
            assert engine.places == 3
            await fake.quiet()
            assert (engine.places, engine.connections) == (0, 0)

    run(scene())


def test_the_connection_used_last_is_used_next() -> None:
    """So that those not needed grow old."""

    async def script(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.send(response(b"%d" % wire.number))

    async def scene() -> None:
        async with stage(FakeUpstream(script), Engine()) as (fake, engine):
            replies = [await engine.open(call_to(fake), PATIENT) for _ in range(3)]
            for place in (0, 2, 1):
                assert await drain(replies[place]) == b"%d" % place
            assert [await fetch(engine, call_to(fake)) for _ in range(3)] == [(200, b"1")] * 3

    run(scene())


def test_a_dead_connection_is_replaced_even_when_others_wait_for_its_place() -> None:
    """The repetition keeps the place: with one place and a queue, it is not the last in line."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(response(b"ok"))
        if wire.number == 0:
            await wire.request()
            return
        while True:
            await wire.send(response((await wire.request()).body))

    async def scene() -> None:
        async with stage(FakeUpstream(script), Engine(per_host=1)) as (fake, engine):
            assert await fetch(engine, call_to(fake)) == (200, b"ok")
            order: list[int] = []

            async def caller(name: int) -> None:
                await fetch(engine, call_to(fake, body=b"%d" % name))
                order.append(name)

            await asyncio.gather(*(caller(name) for name in range(4)))
            assert order == [0, 1, 2, 3]
            assert fake.accepted == 2

    run(scene())


def test_a_connection_handed_over_and_lost_in_the_same_moment_is_replaced() -> None:
    """The provider closes after each answer without saying so, while others wait for the place."""

    async def scene() -> None:
        async with stage(FakeUpstream(once(response(b"ok"))), Engine(per_host=1)) as (fake, engine):
            answers = await asyncio.gather(*(fetch(engine, call_to(fake)) for _ in range(20)))
            assert answers == [(200, b"ok")] * 20

    run(scene())


@pytest.mark.parametrize("whole", [True, False], ids=["connection", "place"])
def test_what_is_handed_to_a_caller_who_just_left_goes_to_the_next(whole: bool) -> None:
    """The holder lets go and the first in line is cancelled before he has noticed."""

    async def script(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.send(response(b"ok"))

    async def scene() -> None:
        async with stage(FakeUpstream(script), Engine(per_host=1)) as (fake, engine):
            held = await engine.open(call_to(fake), PATIENT)
            first, second = (asyncio.create_task(fetch(engine, call_to(fake))) for _ in range(2))
            await asyncio.sleep(0)
            if whole:
                assert await drain(held) == b"ok"
            else:
                await held.close()
            first.cancel()
            assert await second == (200, b"ok")
            assert first.cancelled()
            assert engine.places == 1

    run(scene())


def test_two_readers_of_one_answer_are_told_apart() -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(holding(*chunked(b"first")[:2])), Engine()) as (fake, engine):
            reply = await engine.open(call_to(fake), PATIENT)
            assert await reply.read(10.0) == b"first"
            reader = asyncio.create_task(reply.read(10.0))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="two readers"):
                await reply.read(10.0)
            with pytest.raises(BaseException, match=r".*"):
                await reader

    run(scene())


def test_an_engine_says_so_when_it_is_used_on_a_second_loop() -> None:
    engine = Engine()

    async def scene() -> None:
        async with FakeUpstream(answering(response(b"ok"))) as fake:
            assert await fetch(engine, call_to(fake)) == (200, b"ok")
            await engine.close()

    async def again() -> None:
        with pytest.raises(RuntimeError, match="another event loop"):
            await Engine.open(engine, Call("GET", "http://127.0.0.1:1", "/", ()), PATIENT)

    run(scene())
    engine._closed = False
    run(again())


def test_infinite_limits_are_limits_that_never_ring() -> None:
    async def scene() -> None:
        forever = Clocks(connect_s=math.inf, headers_s=math.inf)
        async with stage(FakeUpstream(once(*chunked(b"a", b"b"))), Engine()) as (fake, engine):
            reply = await engine.open(call_to(fake), forever)
            assert await drain(reply, math.inf) == b"ab"

    run(scene())


# Names and addresses


def _resolving_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Every name leads to these addresses; the list fills with the names asked for."""
    asked: list[str] = []

    async def ask(self: Any) -> None:
        asked.append(self._origin.host)
        self._known, self._failed = list(addresses), None
        self._until_s = self._loop.time() + self._dns_s

    monkeypatch.setattr(pool_module._Addresses, "_ask", ask)
    return asked


def _named(fake: FakeUpstream, *, tls: bool = False) -> Call:
    return Call("GET", f"{'https' if tls else 'http'}://localhost:{fake.port}", "/", ())


def test_a_name_is_asked_for_once_while_the_answer_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when many connections are opened at once."""
    asked = _resolving_to(monkeypatch, "127.0.0.1")

    async def scene() -> None:
        async with stage(FakeUpstream(answering(response(b"ok"))), Engine()) as (fake, engine):
            await asyncio.gather(*(fetch(engine, _named(fake)) for _ in range(5)))
            assert asked == ["localhost"]

    run(scene())


def test_a_stale_or_useless_address_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        script = answering(response(b"ok", b"connection: close"))
        async with stage(FakeUpstream(script), Engine(dns_s=0.0)) as (fake, engine):
            asked = _resolving_to(monkeypatch, "127.0.0.1")
            for _ in range(2):
                await fetch(engine, _named(fake))
            assert len(asked) == 2
        async with stage(FakeUpstream(script), Engine()) as (fake, engine):
            asked = _resolving_to(monkeypatch, "127.0.0.2")
            assert (await failing(engine.open(_named(fake), PATIENT))).kind is Kind.CONNECT
            _resolving_to(monkeypatch, "127.0.0.1")
            assert await fetch(engine, _named(fake)) == (200, b"ok")

    run(scene())


@pytest.mark.parametrize("tls", [False, True])
def test_an_address_that_refuses_does_not_hide_the_next(monkeypatch: pytest.MonkeyPatch, tls: bool) -> None:
    _resolving_to(monkeypatch, "127.0.0.2", "127.0.0.3", "127.0.0.1")

    async def scene() -> None:
        fake = FakeUpstream(answering(response(b"ok")), tls=server_tls() if tls else None)
        async with stage(fake, Engine(ssl_context=client_tls())) as (_, engine):
            assert await fetch(engine, _named(fake, tls=tls)) == (200, b"ok")
            assert fake.accepted == 1

    run(scene())


def test_an_address_that_is_silent_is_raced_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """The silent one accepts and never shakes hands; without a race the connect clock would end the call."""
    _resolving_to(monkeypatch, "127.0.0.2", "127.0.0.1")
    monkeypatch.setattr(pool_module, "RACE_DELAY_S", 0.01)

    async def scene() -> None:
        fake = FakeUpstream(answering(response(b"ok")), tls=server_tls())
        async with stage(fake, Engine(ssl_context=client_tls())) as (_, engine):
            with socket.create_server(("127.0.0.2", fake.port)):
                assert await fetch(engine, _named(fake, tls=True)) == (200, b"ok")
                assert engine.places == 1

    run(scene())


def test_a_race_that_is_called_off_leaves_no_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolving_to(monkeypatch, "127.0.0.2", "127.0.0.3")
    monkeypatch.setattr(pool_module, "RACE_DELAY_S", 0.005)

    async def scene() -> None:
        with socket.create_server(("127.0.0.2", 0)) as silent:
            port = silent.getsockname()[1]
            with socket.create_server(("127.0.0.3", port)):
                engine = Engine(ssl_context=client_tls())
                call = Call("GET", f"https://localhost:{port}", "/", ())
                failure = await failing(engine.open(call, Clocks(connect_s=SHORT_S)))
                assert (failure.kind, failure.clock) == (Kind.TIMEOUT, "connect")
                assert engine.places == 0
                await engine.close()
                assert engine.connections == 0

    run(scene())


def _connecting(monkeypatch: pytest.MonkeyPatch, *waits: Callable[[], Awaitable[None]]) -> list[Connection]:
    """Each connection is made after its own wait; the list holds them in the order in which they were."""
    made: list[Connection] = []
    turns = iter(waits)

    async def connect(self: pool_module.Pool, address: str) -> Connection:
        await next(turns)()
        connection = Connection(asyncio.get_running_loop(), self)
        Line(connection)
        self.connections.add(connection)
        made.append(connection)
        return connection

    monkeypatch.setattr(pool_module.Pool, "_connect", connect)
    monkeypatch.setattr(pool_module, "RACE_DELAY_S", 0.0)
    return made


def test_a_race_with_two_winners_keeps_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        start = asyncio.Event()

        async def ready() -> None:
            await start.wait()

        made = _connecting(monkeypatch, ready, ready)
        _resolving_to(monkeypatch, "127.0.0.2", "127.0.0.1")
        engine = Engine()
        opening = asyncio.create_task(engine.open(Call("GET", "http://localhost", "/", ()), PATIENT))
        await asyncio.sleep(0.01)
        start.set()
        await asyncio.sleep(0.01)
        assert [connection.aborted for connection in made] == [False, True]
        opening.cancel()
        await asyncio.wait([opening])
        await engine.close()
        assert (engine.places, engine.connections) == (0, 0)

    run(scene())


def test_a_race_called_off_after_it_was_won_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loser is slow to stop, and the clock rings meanwhile."""

    async def at_once() -> None:
        await asyncio.sleep(0.01)

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.2)

    async def scene() -> None:
        made = _connecting(monkeypatch, at_once, stubborn)
        _resolving_to(monkeypatch, "127.0.0.2", "127.0.0.1")
        engine = Engine()
        call = Call("GET", "http://localhost", "/", ())
        assert (await failing(engine.open(call, Clocks(connect_s=0.05)))).clock == "connect"
        assert [connection.aborted for connection in made] == [True]
        await engine.close()
        assert (engine.places, engine.connections) == (0, 0)

    run(scene())


def test_a_name_that_does_not_resolve_is_not_asked_for_by_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def scene() -> None:
        loop = asyncio.get_running_loop()

        class Loop:
            def time(self) -> float:
                return loop.time()

            async def getaddrinfo(self, *_: object, **__: object) -> list[object]:
                nonlocal asked
                asked += 1
                raise socket.gaierror(socket.EAI_NONAME, "no such name")

        origin = pool_module.Origin.of("http://nowhere.invalid")
        addresses = pool_module._Addresses(origin, 60.0, Loop())  # type: ignore[arg-type]
        results = await asyncio.gather(*(addresses.get() for _ in range(5)), return_exceptions=True)
        assert [type(result) for result in results] == [socket.gaierror] * 5

    run(scene())
    assert asked == 1


def test_families_take_turns() -> None:
    """RFC 8305 section 4: after the resolver's first choice, the other family has its chance next."""

    async def scene() -> list[str]:
        loop = asyncio.get_running_loop()

        class Loop:
            def time(self) -> float:
                return loop.time()

            async def getaddrinfo(self, *_: object, **__: object) -> list[tuple[object, ...]]:
                six, four = socket.AF_INET6, socket.AF_INET
                found = [(six, "::1"), (six, "::2"), (six, "::2"), (four, "127.0.0.1")]
                return [(family, 1, 6, "", (address, 80)) for family, address in found]

        origin = pool_module.Origin.of("http://somewhere.invalid")
        return await pool_module._Addresses(origin, 60.0, Loop()).get()  # type: ignore[arg-type]

    assert run(scene()) == ["::1", "127.0.0.1", "::2"]


def test_a_literal_address_needs_no_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _resolving_to(monkeypatch, "127.0.0.9")

    async def scene() -> None:
        async with stage(FakeUpstream(answering(response(b"ok")), host="::1"), Engine()) as (fake, engine):
            call = Call("GET", f"http://[::1]:{fake.port}", "/", ())
            assert await fetch(engine, call) == (200, b"ok")
            assert fake.requests[0].header(b"host") == b"[::1]:%d" % fake.port
        assert asked == []

    run(scene())
