"""What a server owes its callers and the app behind it, over real sockets: any ASGI app behind our protocol."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import uvicorn

from laneway.doorway import FrontProtocol
from laneway.edge import ENDING, WHOLE, App, Message, Receive, Send
from laneway.exchange import Scope
from tests.harness.loop import run

GET = b"GET /any HTTP/1.1\r\nhost: here\r\n\r\n"
OK = {"type": "http.response.start", "status": 200}
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Any]]


def asked(app: App, talk: Talk, *, scale: float = 1.0) -> Any:
    """What comes of talking to the app over a connection."""

    async def main() -> Any:
        async with _served(app, scale) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                return await talk(reader, writer)
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

    return run(main())


@contextlib.asynccontextmanager
async def _served(app: App, scale: float) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            app,
            http=partial(FrontProtocol, scale=scale),  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            log_config=None,
            server_header=False,
            date_header=False,
        )
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server.serve([listening]))
        try:
            while not server.started:  # noqa: ASYNC110 - uvicorn sets no event
                await asyncio.sleep(0.01)
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


def answers(*messages: Message) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


def body(data: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def start(*headers: tuple[bytes, bytes], status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def says(request: bytes) -> Talk:
    """Writes a request and reads to the end of the connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(request)
        return await reader.read()

    return talk


async def thrice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[bytes]:
    """Asks three times over one connection, for an answer that ends with "hello"."""
    told = []
    for _ in range(3):
        writer.write(GET)
        told.append(await reader.readuntil(b"hello"))
    return told


CLOSE = GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")


def test_a_whole_answer_keeps_the_connection() -> None:
    app = answers(start((b"Content-Length", b"5"), (b"x-Mine", b"1")), body(b"hello"))
    assert asked(app, thrice) == [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-mine: 1\r\n\r\nhello"] * 3


def test_an_answer_without_a_length_goes_in_chunks() -> None:
    app = answers(start(), body(b"ab", more=True), body(more=True), body(b"c"))
    told = asked(app, says(CLOSE))
    head, _, rest = told.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert b"connection: close" in head
    assert rest == b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"


def test_who_speaks_1_0_hears_the_end_by_the_connections() -> None:
    told = asked(answers(start(), body(b"ab", more=True), body(b"c")), says(GET.replace(b"1.1", b"1.0")))
    head, _, rest = told.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert rest == b"abc"


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_no_framing(status: int) -> None:
    told = asked(answers(start(status=status), body()), says(CLOSE))
    assert told.endswith(b"\r\nconnection: close\r\n\r\n")
    assert b"transfer-encoding" not in told


def test_a_head_is_asked_for_alone() -> None:
    app = answers(start((b"content-length", b"5")), body(b"hello"))
    told = asked(app, says(CLOSE.replace(b"GET", b"HEAD")))
    assert told.endswith(b"content-length: 5\r\nconnection: close\r\n\r\n")


def test_a_long_first_piece_arrives_whole() -> None:
    long = bytes(range(256)) * 4096
    told = asked(answers(start((b"content-length", b"%d" % len(long))), body(long)), says(CLOSE))
    assert told.endswith(b"\r\n\r\n" + long)


def test_a_head_without_words_is_not_out_when_the_app_fails(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="laneway"):
        told = asked(answers(start((b"content-length", b"9"))), says(GET))
    assert told.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert told.endswith(b"\r\n\r\nInternal Server Error")


@pytest.mark.parametrize(
    "messages",
    [
        [start((b"x-bad", b"a\r\nset-cookie: stolen=1")), body()],
        [start((b"x-bad", b"a\nb")), body()],
        [start((b"x-bad", b"a\x00b")), body()],
        [start((b"x bad", b"a")), body()],
        [start((b"", b"a")), body()],
        [body(b"no head")],
        [start((b"content-length", b"2")), body(b"longer")],
        [start((b"content-length", b"9")), body(b"shorter")],
        [],
    ],
    ids=["split", "line feed", "null", "space in name", "no name", "no head", "longer", "shorter", "nothing"],
)
def test_an_app_that_cannot_be_said_is_told_apart(messages: list[Message], caplog: pytest.LogCaptureFixture) -> None:
    """The caller reads that the app failed, or an end that comes too soon; never what was not meant."""
    with caplog.at_level(logging.ERROR, logger="laneway"):
        told = asked(answers(*messages), says(GET))
    assert told == b"" or told.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"stolen" not in told
    assert caplog.records


def test_an_app_that_fails_midway_ends_the_connection_too_soon(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"half", more=True))
        raise ValueError("broken")

    with caplog.at_level(logging.ERROR, logger="laneway"):
        told = asked(app, says(GET))
    assert told.endswith(b"4\r\nhalf\r\n")
    assert "broken" in caplog.text


def test_requests_that_come_together_are_answered_in_their_order() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # The first takes longest: who does not wait would overtake it.
        await asyncio.sleep(0.05 if scope["path"] == "/0" else 0)
        said = scope["raw_path"] + (await receive())["body"]
        await send(start((b"content-length", b"%d" % len(said))))
        await send(body(said))

    together = b"".join(
        b"POST /%d HTTP/1.1\r\nhost: here\r\ncontent-length: 3\r\n%b\r\nb%d;"
        % (n, b"connection: close\r\n" * (n == 3), n)
        for n in range(4)
    )
    told: bytes = asked(app, says(together))
    assert [part.rpartition(b"\r\n")[2] for part in told.split(b"HTTP/1.1 200 OK")[1:]] == [
        b"/%db%d;" % (n, n) for n in range(4)
    ]


def test_nonsense_after_a_request_takes_nothing_from_its_answer() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start((b"content-length", b"6")))
        await send(body(b"one", more=True))
        await asyncio.sleep(0.1)
        await send(body(b"two"))

    told = asked(app, says(GET + b"\x00\x01 nonsense\r\n\r\n"))
    assert told.endswith(b"\r\n\r\nonetwo")
    assert told.count(b"HTTP/1.1") == 1


def test_nonsense_alone_is_refused() -> None:
    told = asked(answers(start(), body()), says(b"\x00\x01 nonsense\r\n\r\n"))
    assert told.startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_leave_to_send_a_body_is_given_when_it_is_asked_for() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        got = (await receive())["body"]
        await send(start((b"content-length", b"%d" % len(got))))
        await send(body(got))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"POST /any HTTP/1.1\r\nhost: here\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")
        return await reader.readuntil(b"body")

    assert asked(app, talk).startswith(b"HTTP/1.1 200 OK")


def test_a_body_in_pieces_is_given_whole_and_then_silence() -> None:
    told: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while not told or told[-1].get("more_body"):
            told.append(await receive())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.1)
        await send(start((b"content-length", b"2")))
        await send(body(b"ok"))
        told.append(await receive())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST /any HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n")
        for piece in (b"3\r\nabc\r\n", b"2\r\nde\r\n", b"0\r\n\r\n"):
            writer.write(piece)
            await asyncio.sleep(0.02)
        await reader.readuntil(b"\r\n\r\nok")

    asked(app, talk)
    assert b"".join(message["body"] for message in told[:-1]) == b"abcde"
    assert [message["more_body"] for message in told[:-1]] == [True] * (len(told) - 2) + [False]
    assert told[-1] == {"type": "http.disconnect"}


def test_more_is_read_only_when_it_is_asked_for() -> None:
    """A caller who sends without end, to an app that reads nothing, is stopped by the system's buffers."""
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await send(start((b"content-length", b"0")))
        await send(body())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        writer.write(b"POST /any HTTP/1.1\r\nhost: here\r\ncontent-length: 1000000000\r\n\r\n")
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 << 20:
                writer.write(bytes(1 << 16))
                await asyncio.wait_for(writer.drain(), 0.5)
                sent += 1 << 16
        go.set()
        await reader.readuntil(b"\r\n\r\n")
        return sent

    assert asked(app, talk) < 32 << 20


def test_an_app_waits_for_a_caller_who_does_not_read() -> None:
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(start())
        while sent < 64 << 20:
            await send(body(bytes(1 << 16), more=True))
            sent += 1 << 16
        await send(body())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(GET)
        while True:
            before = sent
            await asyncio.sleep(0.2)
            if sent and sent == before:
                return sent

    assert asked(app, talk) < 32 << 20


def test_who_leaves_is_noticed_by_who_asks() -> None:
    gone = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        # Words for nobody are no error.
        await send(start())
        await send(body(b"late"))
        gone.set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GET)
        await asyncio.sleep(0.05)
        writer.close()
        await asyncio.wait_for(gone.wait(), 5)

    asked(app, talk)


def test_an_idle_connection_is_ended_and_a_busy_one_is_not() -> None:
    """At a scale of 1/1000 a connection rests for 75 ms at least; an answer may take much longer than that."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.4 if scope["path"] == "/slow" else 0)
        await send(start((b"content-length", b"2")))
        await send(body(b"ok"))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        for path in (b"/any", b"/slow", b"/any"):
            writer.write(GET.replace(b"/any", path))
            await reader.readuntil(b"\r\n\r\nok")
        return await asyncio.wait_for(reader.read(), 5)

    assert asked(app, talk, scale=0.001) == b""


# --- a server that stops ------------------------------------------------------------------------------------


def stopped(app: App, talk: Callable[[int, Callable[[], None]], Awaitable[Any]]) -> Any:
    """What comes of talking to the port, with a way to tell the connections there are that the server stops."""

    async def main() -> Any:
        made: list[FrontProtocol] = []

        async def noting(scope: Scope, receive: Receive, send: Send) -> None:
            made.append(scope[WHOLE].__self__)
            await app(scope, receive, send)

        async with _served(noting, 1.0) as port:
            return await talk(port, partial(_stop, made))

    return run(main())


def _stop(made: list[FrontProtocol]) -> None:
    made[0].shutdown()


def test_who_comes_in_while_a_server_stops_is_not_served() -> None:
    async def talk(port: int, stop: Callable[[], None]) -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        told = [await reader.readuntil(b"hello")]
        stop()
        late_reader, late_writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            late_writer.write(GET)
            told.append(await late_reader.read())
        told.append(await reader.read())
        for each in (writer, late_writer):
            each.close()
        return told

    first, *others = stopped(answers(start((b"content-length", b"5")), body(b"hello")), talk)
    assert first.endswith(b"hello")
    assert not any(others)


def test_an_answer_without_end_is_ended_also_by_an_app_that_says_late_how() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        over = asyncio.Event()
        await send(start())
        await send(body(b"first", more=True))
        await asyncio.sleep(0.3)
        scope[ENDING] = over.set
        await over.wait()
        await send(body(b"last"))

    async def talk(port: int, stop: Callable[[], None]) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        told = await reader.readuntil(b"first")
        stop()
        told += await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return told

    assert stopped(app, talk).endswith(b"4\r\nlast\r\n0\r\n\r\n")


# --- the cheaper ways that our own rooms take --------------------------------------------------------------

USUAL = ((b"x-Usual", b"1"), (b"x-other", b"2"))
"""One object, as `say` is promised."""


def saying(usual: tuple[tuple[bytes, bytes], ...], *headers: tuple[bytes, bytes]) -> App:
    async def app(scope: Scope, receive: Receive, send: Any) -> None:
        assert send.say(200, usual, headers, b"hello")
        assert not send.say(200, usual, headers, b"again")

    return app


def test_what_is_said_at_once_is_framed_as_what_is_sent() -> None:
    length, own = (b"content-length", b"5"), (b"x-own", b"3")
    sent = asked(answers(start(*USUAL, length, own), body(b"hello")), says(CLOSE))
    for _ in range(2):
        assert asked(saying(USUAL, length, own), says(CLOSE)) == sent
    chunked = asked(saying(USUAL, own), says(CLOSE))
    assert b"transfer-encoding: chunked" in chunked
    assert chunked.endswith(b"5\r\nhello\r\n0\r\n\r\n")


def test_several_answers_are_said_over_one_connection() -> None:
    first, *others = asked(saying(USUAL, (b"content-length", b"5")), thrice)
    assert first.startswith(b"HTTP/1.1 200 OK\r\nx-usual: 1\r\nx-other: 2\r\ncontent-length: 5\r\n")
    assert others == [first] * 2


@pytest.mark.parametrize(
    "usual",
    [((b"content-length", b"3"),), ((b"x-bad\r\n", b"1"),), ((b"x-bad", b"1\r\nset-cookie: a"),)],
    ids=["framing", "name", "value"],
)
def test_what_cannot_be_usual_is_not_said(usual: tuple[tuple[bytes, bytes], ...]) -> None:
    told = asked(saying(usual, (b"content-length", b"5")), says(CLOSE))
    assert told.startswith(b"HTTP/1.1 500 ")
    assert b"hello" not in told
    assert b"set-cookie" not in told


def test_a_body_that_is_there_can_be_had_at_once_and_does_not_come_again() -> None:
    told: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        take = scope[WHOLE]
        told.extend([take(), take()])
        await send(start((b"content-length", b"0")))
        await send(body())
        told.append((await receive())["type"])

    asked(app, says(b"POST /any HTTP/1.1\r\nconnection: close\r\ncontent-length: 5\r\n\r\nabcde"))
    assert told == [b"abcde", None, "http.disconnect"]


def test_a_body_that_is_not_all_there_has_to_be_received() -> None:
    told: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.append(scope[WHOLE]())
        more = True
        got = b""
        while more:
            message = await receive()
            got, more = got + message["body"], message["more_body"]
        told.extend([got, scope[WHOLE]()])
        await send(start((b"content-length", b"0")))
        await send(body())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"POST /any HTTP/1.1\r\nconnection: close\r\ncontent-length: 5\r\n\r\nab")
        await asyncio.sleep(0.1)
        writer.write(b"cde")
        return await reader.read()

    asked(app, talk)
    assert told == [None, b"abcde", None]


def test_who_waits_for_leave_is_given_it_before_the_body_can_be_had() -> None:
    told: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.append(scope[WHOLE]())
        told.append((await receive())["body"])
        await send(start((b"content-length", b"0")))
        await send(body())

    head = b"POST /any HTTP/1.1\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    assert asked(app, says(head + b"ab")).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")
    assert told == [None, b"ab"]
