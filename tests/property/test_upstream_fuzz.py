"""Whatever a provider sends and wherever it is cut, a call ends: in the right bytes, or in a failure with a name."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laneway.failure import FailureError, Kind
from laneway.ports import Clocks
from laneway.upstream.connection import HIGH_WATER, Connection
from laneway.upstream.engine import Engine
from tests.fakes.line import Keeper, Line
from tests.fakes.stage import SHORT_S, call_to, drain, run
from tests.fakes.upstream import FakeUpstream, Wire

# Answers that are right


class Answer(msgspec.Struct, frozen=True):
    """A well-formed answer: what is sent, what a reader must get, and whether the close is part of its framing."""

    raw: bytes
    body: bytes
    until_close: bool = False


_BODIES = st.one_of(st.binary(max_size=60), st.integers(1, 3 * HIGH_WATER).map(bytes))
_EXTRA = st.lists(st.sampled_from([b"x-a: 1", b"X-B:", b"set-cookie: a=1; b", b"server:  x \xe9"]), max_size=3)
_INTERIM = st.sampled_from(
    [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\ncontent-length: 9\r\n\r\n"]
)
_EXTENSIONS = st.sampled_from([b"", b";a", b';a="b;c"'])
_TRAILERS = st.sampled_from([b"", b"x-sum: 1\r\n", b"x-sum: 1\r\nx-other:\r\n"])


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    body = draw(_BODIES)
    framing = draw(st.sampled_from(["length", "chunked", "until-close"]))
    lines = [b"HTTP/1.1 200 OK", *draw(_EXTRA)]
    tail = body
    if framing == "length":
        lines.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: Chunked")
        size = max(draw(st.integers(1, max(len(body), 1))), len(body) // 50)
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        tail = b"".join(b"%x%b\r\n%b\r\n" % (len(part), draw(_EXTENSIONS), part) for part in parts)
        tail += b"0\r\n" + draw(_TRAILERS) + b"\r\n"
    raw = draw(_INTERIM) + b"\r\n".join([*lines, b"", b""]) + tail
    return Answer(raw, body, framing == "until-close")


@st.composite
def cuts(draw: st.DrawFn, raw: bytes) -> list[bytes]:
    """The same bytes in up to nine pieces."""
    places = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    return [raw[start:end] for start, end in zip([0, *places], [*places, len(raw)], strict=True)]


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[Answer, list[bytes]]:
    answer = draw(answers())
    return answer, draw(cuts(answer.raw))


async def _deliver(line: Line, connection: Connection, pieces: list[bytes], then_close: bool) -> None:
    for piece in pieces:
        await line.reading.wait()
        if line.lost:
            return
        if piece:
            connection.data_received(piece)
        await asyncio.sleep(0)
    if then_close:
        line.lose(None)


async def _read(connection: Connection, method: str = "POST") -> bytes:
    reply = await connection.exchange(method, b"", b"", 10.0)
    return await drain(reply)


@given(st.lists(deliveries(), min_size=1, max_size=3))
def test_one_answer_after_the_other_arrives_whole_however_it_is_cut(series: list[tuple[Answer, list[bytes]]]) -> None:
    """On one connection, as long as the framing leaves it open; what is given back once is given back only once."""

    async def scene() -> None:
        keeper = Keeper()
        connection = Connection(asyncio.get_running_loop(), keeper)
        line = Line(connection)
        for turn, (answer, pieces) in enumerate(series, 1):
            reading = asyncio.create_task(_read(connection))
            await asyncio.sleep(0)
            await _deliver(line, connection, pieces, then_close=answer.until_close)
            assert await reading == answer.body
            assert keeper.given_back == turn
            assert keeper.reusable is not answer.until_close
            if answer.until_close:
                break
        line.lose(None)

    run(scene())


@given(answers(), st.data(), st.booleans())
def test_an_answer_cut_short_is_never_a_whole_one(answer: Answer, data: st.DataObject, orderly: bool) -> None:
    """Whatever length is missing, and whether the provider closes or resets."""
    kept = data.draw(st.integers(0, len(answer.raw) - 1), label="kept")

    async def scene() -> None:
        keeper = Keeper()
        connection = Connection(asyncio.get_running_loop(), keeper)
        line = Line(connection)
        reading = asyncio.create_task(_read(connection))
        await asyncio.sleep(0)
        await _deliver(line, connection, [answer.raw[:kept]], then_close=False)
        await line.reading.wait()
        line.lose(None if orderly else ConnectionResetError())
        ended = (await asyncio.gather(reading, return_exceptions=True))[0]
        if isinstance(ended, FailureError):
            assert ended.failure.kind in (Kind.RESET, Kind.MALFORMED_ANSWER, Kind.CUT)
            assert (ended.failure.kind is Kind.RESET) == (kept == 0)
        else:
            # Nothing on the wire tells such a body from a shorter one that is whole (RFC 9112 section 8).
            assert answer.until_close
            assert orderly
            assert isinstance(ended, bytes)
            assert answer.body.startswith(ended)

    run(scene())


# Answers that are not

_FRAGMENTS: Final = [
    *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 204 \r\n", b"HTTP/1.0 200\r\n", b"HTTP/1.1 100 C\r\n\r\n", b"HTTP/2 200\r\n"),
    *(b"HTTP/1.1 101 S\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", b"HTTP/1.1 999 \r\n", b"HTTP/1.1 -1 \r\n"),
    *(b"content-length: 5\r\n", b"content-length: 0\r\n", b"content-length: 99999999999999999999\r\n"),
    *(b"transfer-encoding: chunked\r\n", b"transfer-encoding: gzip\r\n", b"Transfer-Encoding:chunked,\r\n"),
    *(b"connection: close\r\n", b"connection: keep-alive, upgrade\r\n", b"x\r\n", b" folded\r\n", b"\xff: \x00\r\n"),
    *(b"\r\n", b"\n", b"\r", b"\0", b"hello", b"5\r\nhello\r\n", b"0\r\n\r\n", b"0\r\nx: y\r\n", b"-1\r\n"),
    b"ffffffffff\r\n",
]
# Left out where cuts are compared: how long framing may go on without body is measured per read.
_LONG: Final = [b"a" * 70_000, b"x: " + b"b" * 30_000 + b"\r\n", b"5;" + b"c" * 30_000 + b"\r\nhello\r\n"]
_HEADS = st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"])


def _hostile(fragments: list[bytes]) -> st.SearchStrategy[bytes]:
    rest = st.lists(st.one_of(st.sampled_from(fragments), st.binary(max_size=12)), max_size=8)
    return st.tuples(_HEADS, rest).map(lambda parts: b"".join([parts[0], *parts[1]]))


class Visit(msgspec.Struct, frozen=True):
    """What one request is answered with, in which writes, and how the connection goes on."""

    pieces: tuple[bytes, ...]
    then: str


@st.composite
def visits(draw: st.DrawFn) -> Visit:
    raw = draw(st.one_of(_hostile(_FRAGMENTS + _LONG), answers().map(lambda answer: answer.raw[:200])))
    return Visit(tuple(draw(cuts(raw))), draw(st.sampled_from(["go on", "finish", "reset", "hang"])))


_IN_OPEN = {Kind.RESET, Kind.MALFORMED_ANSWER, Kind.TIMEOUT}
_IN_READ = {Kind.CUT, Kind.MALFORMED_ANSWER, Kind.TIMEOUT}
_IMPATIENT = Clocks(connect_s=10.0, headers_s=SHORT_S)


async def _call(engine: Engine, fake: FakeUpstream, method: str) -> tuple[set[Kind], Kind | None]:
    """The kinds of failure the port allows at the point the call came to, and the one it ended in."""
    try:
        reply = await engine.open(call_to(fake, method=method, body=b""), _IMPATIENT)
    except FailureError as error:
        return _IN_OPEN, error.failure.kind
    try:
        await drain(reply, SHORT_S)
    except FailureError as error:
        return _IN_READ, error.failure.kind
    return set(), None


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(visits(), min_size=1, max_size=4), st.sampled_from(["POST", "HEAD"]))
def test_hostile_bytes_end_in_an_answer_or_in_a_named_failure(plan: list[Visit], method: str) -> None:
    """Over a socket, several calls at once and in a row, and afterwards no place and no connection is missing."""

    async def scene() -> None:
        turn = iter(plan * 8)

        async def script(wire: Wire) -> None:
            for visit in turn:
                await wire.head()
                await wire.send(*(piece for piece in visit.pieces if piece), gap_s=0)
                if visit.then == "hang":
                    await wire.gone()
                if visit.then == "reset":
                    wire.reset()
                if visit.then != "go on":
                    return

        async with FakeUpstream(script) as fake:
            engine = Engine(per_host=2)
            for _ in plan:
                for allowed, kind in await asyncio.gather(*(_call(engine, fake, method) for _ in range(3))):
                    assert kind is None or kind in allowed
            await engine.close()
            assert (engine.places, engine.connections) == (0, 0)
            await fake.quiet()

    run(scene())


@given(_hostile(_FRAGMENTS), st.data())
def test_where_hostile_bytes_are_cut_makes_no_difference(raw: bytes, data: st.DataObject) -> None:
    """A reader gets the same bytes and the same kind of end, however the network cuts them."""

    async def outcome(pieces: list[bytes]) -> tuple[bytes, Kind | None]:
        connection = Connection(asyncio.get_running_loop(), Keeper())
        line = Line(connection)
        body = bytearray()

        async def read() -> Kind | None:
            try:
                reply = await connection.exchange("POST", b"", b"", 10.0)
                while piece := await reply.read(10.0):
                    body.extend(piece)
            except FailureError as error:
                return error.failure.kind
            return None

        reading = asyncio.create_task(read())
        await asyncio.sleep(0)
        await _deliver(line, connection, pieces, then_close=True)
        kind = await reading
        line.lose(None)
        return bytes(body), kind

    async def scene() -> None:
        assert await outcome(data.draw(cuts(raw))) == await outcome([raw])

    run(scene())
