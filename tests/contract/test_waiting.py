"""What becomes of requests that wait for their turn, over real sockets and in a room under any server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvicorn

from laneway.doorway import FrontProtocol
from laneway.edge import App, Receive, Send
from laneway.exchange import Scope
from laneway.metrics import Metrics
from laneway.middleware.pressure import PressureMiddleware
from laneway.pressure import AT_ONCE, PRESSURE, Pressure
from tests.harness.asgi import ask
from tests.harness.loop import run
from tests.harness.rooms import Foreign

ASK = b"POST /v1/messages HTTP/1.1\r\nhost: here\r\ncontent-length: %d\r\n\r\n%b"
FIRST, SECOND = (ASK % (len(body), body) for body in (b"first", b"second"))
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Held(Pressure):
    """Nobody begins before the test says so, and who is turned away is not listened to before that either."""

    def __init__(self) -> None:
        super().__init__(Metrics())
        self.held: list[Callable[[], None]] = []
        self.silenced: list[Callable[[], None]] = []
        self.is_full = False

    def full(self) -> str | None:
        return "requests" if self.is_full else None

    def begins(self) -> bool:
        return False

    def wait(self, begin: Callable[[], None]) -> None:
        self.held.append(begin)

    def silences(self, listen: Callable[[], None]) -> bool:
        self.silenced.append(listen)
        return True


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - real sockets set no event
            await asyncio.sleep(0.005)


class House:
    """An app that says which bodies it was asked with, behind our protocol."""

    def __init__(self) -> None:
        self.pressure = Held()
        self.asked: list[bytes] = []
        self.server: uvicorn.Server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            scope["state"][PRESSURE] = self.pressure
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        body = (await receive())["body"]
        self.asked.append(body)
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def until(self, held: int) -> None:
        await until(lambda: len(self.pressure.held) >= held)

    @contextlib.asynccontextmanager
    async def called(self) -> AsyncIterator[Connection]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            config = uvicorn.Config(self, http=FrontProtocol, ws="none", lifespan="on", log_config=None)
            self.server = uvicorn.Server(config)
            serving = asyncio.ensure_future(self.server.serve([listening]))
            while not self.server.started:  # noqa: ASYNC110 - uvicorn sets no event
                await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection("127.0.0.1", listening.getsockname()[1])
            try:
                yield reader, writer
            finally:
                writer.close()
                self.server.should_exit = True
                await serving


def waited(test: Callable[[House, Connection], Awaitable[None]]) -> House:
    house = House()

    async def scenario() -> None:
        async with house.called() as connection, asyncio.timeout(30):
            await test(house, connection)

    run(scenario())
    assert house.pressure.under_way == 0
    return house


def test_who_waits_is_answered_when_the_turn_has_come() -> None:
    async def talk(house: House, connection: Connection) -> None:
        reader, writer = connection
        for at, (request, word) in enumerate(((FIRST, b"first"), (SECOND, b"second"))):
            writer.write(request)
            await house.until(held=at + 1)
            assert house.pressure.under_way == 1
            assert len(house.asked) == at
            house.pressure.held[at]()
            assert (await reader.readuntil(word)).startswith(b"HTTP/1.1 200 ")

    assert waited(talk).asked == [b"first", b"second"]


def test_nothing_begins_for_one_who_has_left() -> None:
    async def talk(house: House, connection: Connection) -> None:
        _, writer = connection
        writer.write(FIRST)
        await house.until(held=1)
        writer.transport.abort()
        await until(lambda: not house.server.server_state.connections)
        house.pressure.held[0]()

    assert waited(talk).asked == []


def test_what_follows_one_who_waits_is_answered_behind_it() -> None:
    async def talk(house: House, connection: Connection) -> None:
        reader, writer = connection
        writer.write(FIRST)
        await house.until(held=1)
        writer.write(SECOND)
        await asyncio.sleep(0.05)
        assert house.asked == []
        house.pressure.held[0]()
        told = await reader.readuntil(b"second")
        assert told.index(b"first") < told.index(b"second")

    assert waited(talk).asked == [b"first", b"second"]


def test_a_server_that_stops_still_answers_who_waits() -> None:
    async def talk(house: House, connection: Connection) -> None:
        reader, writer = connection
        writer.write(FIRST)
        await house.until(held=1)
        house.server.should_exit = True
        await asyncio.sleep(0.3)
        house.pressure.held[0]()
        assert (await reader.read()).endswith(b"first")

    assert waited(talk).asked == [b"first"]


CHUNKED = b"POST /v1/messages HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n"


@pytest.mark.parametrize("request_", [FIRST, CHUNKED], ids=["plain", "by the parser"])
def test_who_is_not_listened_to_is_answered_afterwards(request_: bytes) -> None:
    async def talk(house: House, connection: Connection) -> None:
        reader, writer = connection
        house.pressure.is_full = True
        writer.write(request_)
        assert (await reader.readuntil(b"}}")).startswith(b"HTTP/1.1 529 ")
        house.pressure.is_full = False
        writer.write(SECOND)
        await asyncio.sleep(0.05)
        assert house.pressure.held == []
        house.pressure.silenced[0]()
        await house.until(held=1)
        house.pressure.held[0]()
        assert (await reader.readuntil(b"second")).startswith(b"HTTP/1.1 200 ")

    assert waited(talk).asked == [b"second"]


def test_who_leaves_without_being_listened_to_is_forgotten_then() -> None:
    async def talk(house: House, connection: Connection) -> None:
        reader, writer = connection
        house.pressure.is_full = True
        writer.write(FIRST)
        await reader.readuntil(b"}}")
        writer.write(SECOND)
        writer.close()
        await asyncio.sleep(0.05)
        house.pressure.is_full = False
        house.pressure.silenced[0]()
        await until(lambda: not house.server.server_state.connections)
        for begin in house.pressure.held:
            begin()

    assert waited(talk).asked == []


# --- the room ----------------------------------------------------------------------------------------------


def kept() -> Pressure:
    made = Pressure(Metrics())
    made.use(10_000, 0.5)
    made.start()
    return made


def test_under_any_server_a_crowd_begins_few_by_few_and_all_of_it() -> None:
    async def scenario() -> None:
        pressure, app = kept(), Foreign()
        room: App = PressureMiddleware(app, pressure=pressure)
        crowd = [asyncio.ensure_future(ask("openai", "asked").call(room)) for _ in range(3 * AT_ONCE)]
        await asyncio.sleep(0)
        assert len(app.scopes) == AT_ONCE
        assert {answer.status for answer in await asyncio.gather(*crowd)} == {200}
        assert pressure.under_way == 0
        await pressure.close()

    run(scenario())


@pytest.mark.parametrize("late", [False, True], ids=["waiting", "as the turn comes"])
def test_who_is_cancelled_leaves_nothing_behind_and_holds_nobody_up(*, late: bool) -> None:
    async def scenario() -> None:
        pressure, app = kept(), Foreign()
        room: App = PressureMiddleware(app, pressure=pressure)
        crowd = [asyncio.ensure_future(ask("openai", "asked").call(room)) for _ in range(AT_ONCE + 2)]
        await asyncio.sleep(0)
        if late:
            asyncio.get_running_loop().call_soon(crowd[-2].cancel)
        else:
            crowd[-2].cancel()
        done = await asyncio.gather(*crowd, return_exceptions=True)
        assert isinstance(done[-2], asyncio.CancelledError)
        assert all(not isinstance(each, BaseException) for each in (*done[:-2], done[-1]))
        assert pressure.under_way == 0
        await pressure.close()

    run(scenario())
