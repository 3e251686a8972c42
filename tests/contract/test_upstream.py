"""What every `Upstream` does, over real sockets: Laneway's engine and stock httpx, on both event loops."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Iterator
from typing import Protocol

import pytest

from laneway.failure import Kind
from laneway.ports import Call, Clocks, Upstream
from laneway.upstream.engine import Engine
from laneway.upstream.stock import StockUpstream
from tests.fakes.stage import LOOPS, PATIENT, SHORT_S, call_to, drain, failing, fetch, loop_of_kind, run, stage
from tests.fakes.upstream import (
    FakeUpstream,
    Gone,
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


class Make(Protocol):
    """The constructor arguments that all upstreams share."""

    def __call__(
        self, *, ssl_context: ssl.SSLContext | None = None, per_host: int = 10_000, idle_s: float = 30.0
    ) -> Upstream: ...


@pytest.fixture(params=[Engine, StockUpstream], ids=["engine", "httpx"])
def make(request: pytest.FixtureRequest) -> Make:
    kind: Make = request.param
    return kind


@pytest.fixture(params=LOOPS, autouse=True)
def loop_kind(request: pytest.FixtureRequest) -> Iterator[None]:
    with loop_of_kind(request.param):
        yield


# The request


def test_the_call_arrives_as_it_was_given(make: Make) -> None:
    """Method, target, headers and body arrive unchanged; Host and Content-Length are added, no coding is asked for."""

    async def scene() -> None:
        async with stage(FakeUpstream(answering(response(b"ok"))), make()) as (fake, upstream):
            target = "/v1/models/a%2Fb:c?x=1&y=%20#"[:-1]
            call = call_to(fake, (b"x-key", b"a, b\xe9 c"), (b"content-type", b"text/x"), target=target, body=b"hello")
            assert await fetch(upstream, call) == (200, b"ok")
            (request,) = fake.requests
            assert (request.method, request.target, request.body) == ("POST", target, b"hello")
            assert request.header(b"x-key") == b"a, b\xe9 c"
            assert request.header(b"content-type") == b"text/x"
            assert request.header(b"host") == f"127.0.0.1:{fake.port}".encode()
            assert request.header(b"content-length") == b"5"
            assert request.header(b"accept-encoding") == b"identity"
            assert request.header(b"transfer-encoding") is None

    run(scene())


def test_a_coding_the_call_asks_for_is_asked_for_and_left_alone(make: Make) -> None:
    """Bodies are never decoded."""
    packed = gzip.compress(b"hello " * 100)

    async def scene() -> None:
        script = answering(response(packed, b"content-encoding: gzip"))
        async with stage(FakeUpstream(script), make()) as (fake, upstream):
            assert await fetch(upstream, call_to(fake, (b"Accept-Encoding", b"gzip"))) == (200, packed)
            codings = [value for name, value in fake.requests[0].headers if name == b"accept-encoding"]
            assert codings == [b"gzip"]

    run(scene())


@pytest.mark.parametrize(("method", "length"), [("GET", None), ("POST", b"0")])
def test_an_empty_body_is_declared_where_one_is_expected(make: Make, method: str, length: bytes | None) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(answering(response(b"ok"))), make()) as (fake, upstream):
            await fetch(upstream, call_to(fake, method=method, body=b""))
            assert fake.requests[0].header(b"content-length") == length

    run(scene())


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        (((b"x-a", b"1\r\nx-b: 2"),), "/"),
        (((b"x-a", b"1\n2"),), "/"),
        (((b"x-a", b"1\r"),), "/"),
        (((b"x-a", b"1\0"),), "/"),
        (((b"x a", b"1"),), "/"),
        (((b"x-a: 1\r\nx-b", b"1"),), "/"),
        (((b"", b"1"),), "/"),
        (((b"Transfer-Encoding", b"chunked"),), "/"),
        (((b"content-length", b"1"),), "/"),
        (((b"host", b"elsewhere"),), "/"),
        ((), "/ HTTP/1.1\r\nx-b: 2\r\n\r\n"),
        ((), "/a b"),
        ((), "nowhere"),
        ((), ""),
        ((), "/ü"),
    ],
)
def test_what_would_not_arrive_as_one_request_is_refused_unsent(
    make: Make, headers: tuple[tuple[bytes, bytes], ...], target: str
) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(answering(response(b"ok"))), make()) as (fake, upstream):
            failure = await failing(upstream.open(call_to(fake, *headers, target=target), PATIENT))
            assert failure.kind is Kind.MALFORMED_REQUEST
            assert fake.accepted == 0

    run(scene())


def test_a_refusal_names_the_header_but_not_its_value(make: Make) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(answering(response(b"ok"))), make()) as (fake, upstream):
            failure = await failing(upstream.open(call_to(fake, (b"authorization", b"Bearer s3cret\n")), PATIENT))
            assert "authorization" in failure.message
            assert "s3cret" not in repr(failure)

    run(scene())


def test_a_large_body_arrives_whole_at_a_slow_reader(make: Make) -> None:
    body = bytes(range(256)) * 40_000

    async def script(wire: Wire) -> None:
        await asyncio.sleep(0.05)
        request = await wire.request()
        await wire.send(response(b"same" if request.body == body else b"different"))
        await wire.gone()

    async def scene() -> None:
        async with stage(FakeUpstream(script), make()) as (fake, upstream):
            assert await fetch(upstream, call_to(fake, body=body)) == (200, b"same")

    run(scene())


# The answer and its framing


@pytest.mark.parametrize(
    "pieces",
    [
        [response(b"hello world")],
        [response(b"hello world")[:20], response(b"hello world")[20:-4], b"orld"],
        chunked(b"hello", b" ", b"world"),
        [b"".join(chunked(b"hello", b" ", b"world"))],
        [bytes([byte]) for byte in b"".join(chunked(b"hello ", b"world"))],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"b;x=y\r\nhello world\r\n0\r\nx-sum: 1\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n\r\nhello", b" world"],
        [b"HTTP/1.0 200 OK\r\ncontent-length: 11\r\n\r\nhello world"],
        [b"HTTP/1.1 100 Continue\r\n\r\n" + response(b"hello world")],
        [b"HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", response(b"hello world")],
    ],
    ids=["length", "pieces", "chunks", "one-write", "bytes", "trailers", "until-close", "http10", "100", "103"],
)
def test_a_body_comes_whole_however_it_is_framed(make: Make, pieces: list[bytes]) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(once(*pieces)), make()) as (fake, upstream):
            assert await fetch(upstream, call_to(fake)) == (200, b"hello world")

    run(scene())


def test_names_of_headers_come_in_lower_case_and_values_as_they_were(make: Make) -> None:
    """Repeated names stay apart, interim heads leave nothing behind."""

    async def scene() -> None:
        early = b"HTTP/1.1 103 Early Hints\r\nx-early: 1\r\n\r\n"
        script = answering(early + response(b"ok", b"X-One: A b", b"SET-cookie: a=1", b"Set-Cookie: b=2", b"X-Empty:"))
        async with stage(FakeUpstream(script), make()) as (fake, upstream):
            reply = await upstream.open(call_to(fake), PATIENT)
            assert reply.headers == [
                (b"content-length", b"2"),
                (b"x-one", b"A b"),
                (b"set-cookie", b"a=1"),
                (b"set-cookie", b"b=2"),
                (b"x-empty", b""),
            ]
            assert await drain(reply) == b"ok"

    run(scene())


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 700\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
        ("POST", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("POST", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 700\r\n\r\n"),
        ("POST", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ],
)
def test_an_answer_without_body_ends_with_its_head(make: Make, method: str, head: bytes) -> None:
    """RFC 9112 section 6.3; the next call finds the connection in order."""

    async def scene() -> None:
        async with stage(FakeUpstream(answering(head, response(b"next"))), make()) as (fake, upstream):
            status, body = await fetch(upstream, call_to(fake, method=method, body=b""))
            assert (status, body) == (int(head[9:12]), b"")
            assert await fetch(upstream, call_to(fake)) == (200, b"next")
            assert fake.accepted == 1

    run(scene())


@pytest.mark.parametrize("status", [301, 401, 404, 429, 500, 503])
def test_a_status_is_an_answer(make: Make, status: int) -> None:
    """Nothing is followed, raised or tried again."""

    async def scene() -> None:
        script = answering(response(b"why", b"location: http://127.0.0.1:9/", status=status))
        async with stage(FakeUpstream(script), make()) as (fake, upstream):
            assert await fetch(upstream, call_to(fake)) == (status, b"why")
            assert len(fake.requests) == 1

    run(scene())


def test_reading_past_the_end_stays_at_the_end(make: Make) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(answering(response(b"ok"))), make()) as (fake, upstream):
            reply = await upstream.open(call_to(fake), PATIENT)
            assert await drain(reply) == b"ok"
            assert await reply.read(10.0) == b""
            await reply.close()
            await reply.close()
            assert await reply.read(10.0) == b""

    run(scene())


# Connections and their reuse


def test_a_connection_serves_one_call_after_the_other(make: Make) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(answering(response(b"one"), response(b"two"))), make()) as (fake, upstream):
            assert await fetch(upstream, call_to(fake)) == (200, b"one")
            assert await fetch(upstream, call_to(fake)) == (200, b"two")
            assert fake.accepted == 1

    run(scene())


@pytest.mark.parametrize(
    "answer",
    [
        response(b"ok", b"Connection: close"),
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ],
)
def test_a_connection_the_provider_wants_closed_is_closed(make: Make, answer: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(answer)
        await wire.gone()

    async def scene() -> None:
        async with stage(FakeUpstream(script), make()) as (fake, upstream):
            for _ in range(2):
                assert await fetch(upstream, call_to(fake)) == (200, b"ok")
            assert fake.accepted == 2

    run(scene())


def test_calls_at_once_have_a_connection_each(make: Make) -> None:
    """Never two calls under way on one connection: the second would wait for the first."""

    async def scene() -> None:
        met = asyncio.Barrier(3)

        async def script(wire: Wire) -> None:
            await wire.request()
            await met.wait()
            await wire.send(response(b"ok"))
            await wire.gone()

        async with stage(FakeUpstream(script), make()) as (fake, upstream):
            answers = await asyncio.gather(*(fetch(upstream, call_to(fake)) for _ in range(3)))
            assert answers == [(200, b"ok")] * 3

    run(scene())


async def _echo(wire: Wire) -> None:
    """Head and body apart, framing by turns, so that the reader waits in the middle of an answer."""
    count = 0
    while True:
        body = (await wire.request()).body
        count += 1
        if count % 3 == 0:
            pieces = chunked(body[:5], body[5:])
        else:
            head, _, rest = response(body).partition(b"\r\n\r\n")
            pieces = [head + b"\r\n\r\n", rest] if count % 3 == 1 else [head + b"\r\n\r\n" + rest]
        for piece in pieces:
            await wire.send(piece)
            await asyncio.sleep(0)


def test_every_caller_gets_the_body_that_answers_its_own_call(make: Make) -> None:
    """A connection lent out again before its answer was read would show here as an empty or a foreign body."""

    async def scene() -> None:
        async with stage(FakeUpstream(_echo), make(per_host=7)) as (fake, upstream):

            async def caller(name: int) -> None:
                for turn in range(20):
                    body = b"caller %d, turn %d, %b" % (name, turn, b"." * (name * 40))
                    assert await fetch(upstream, call_to(fake, body=body)) == (200, body)

            await asyncio.gather(*(caller(name) for name in range(24)))
            assert len(fake.requests) == 24 * 20
            assert fake.accepted <= 7

    run(scene())


def test_a_reader_who_takes_his_time_keeps_his_connection(make: Make) -> None:
    """The answer is complete and unread while another call comes: it must get another connection."""

    async def scene() -> None:
        async with stage(FakeUpstream(_echo), make()) as (fake, upstream):
            first = await upstream.open(call_to(fake, body=b"first"), PATIENT)
            await asyncio.sleep(0.02)
            assert await fetch(upstream, call_to(fake, body=b"second")) == (200, b"second")
            assert await drain(first) == b"first"
            assert fake.accepted == 2

    run(scene())


def test_a_connection_closed_while_idle_is_not_used(make: Make) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(once(response(b"ok"))), make()) as (fake, upstream):
            assert await fetch(upstream, call_to(fake)) == (200, b"ok")
            await fake.quiet()
            assert await fetch(upstream, call_to(fake)) == (200, b"ok")
            assert fake.accepted == 2

    run(scene())


def test_a_rested_connection_that_proves_dead_costs_one_silent_repetition(make: Make) -> None:
    """The provider closes just as the second call arrives. It gets that call once more, on a new connection."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(response(b"ok"))
        await wire.request()
        if wire.number > 0:
            await wire.send(response(b"again"))
            await wire.gone()

    async def scene() -> None:
        async with stage(FakeUpstream(script), make()) as (fake, upstream):
            assert await fetch(upstream, call_to(fake, body=b"1")) == (200, b"ok")
            assert await fetch(upstream, call_to(fake, body=b"2")) == (200, b"ok")
            assert [request.body for request in fake.requests] == [b"1", b"2", b"2"]

    run(scene())


def test_a_new_connection_that_is_lost_is_not_tried_again(make: Make) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(once()), make()) as (fake, upstream):
            failure = await failing(upstream.open(call_to(fake), PATIENT))
            assert failure.kind is Kind.RESET
            assert len(fake.requests) == 1

    run(scene())


def test_the_limit_holds_and_whoever_waits_is_served_in_order(make: Make) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(_echo), make(per_host=1)) as (fake, upstream):
            held = await upstream.open(call_to(fake, body=b"held"), PATIENT)
            order: list[int] = []

            async def caller(name: int) -> None:
                reply = await upstream.open(call_to(fake, body=b"x"), PATIENT)
                order.append(name)
                if name % 2:
                    await drain(reply)
                await reply.close()

            async with asyncio.TaskGroup() as group:
                for name in range(6):
                    group.create_task(caller(name))
                    await asyncio.sleep(0)
                assert len(fake.requests) == 1
                assert await drain(held) == b"held"
            assert order == [0, 1, 2, 3, 4, 5]
            assert fake.open <= 1

    run(scene())


# Failures, each by its name


def test_nobody_listens(make: Make) -> None:
    async def scene() -> None:
        async with FakeUpstream(answering(response())) as fake:
            pass
        upstream = make()
        failure = await failing(upstream.open(call_to(fake), PATIENT))
        assert failure.kind is Kind.CONNECT
        await upstream.close()

    run(scene())


@pytest.mark.parametrize(
    "origin",
    [
        f"http://{'x' * 64}.invalid",
        "ftp://127.0.0.1",
        "127.0.0.1:80",
        "http://",
        "http://127.0.0.1:99999",
        "http://user:pw@127.0.0.1",
        "http://127.0.0.1/path",
    ],
)
def test_an_origin_that_leads_nowhere(make: Make, origin: str) -> None:
    async def scene() -> None:
        upstream = make()
        failure = await failing(upstream.open(Call("GET", origin, "/", ()), PATIENT))
        assert failure.kind is Kind.CONNECT
        assert "pw" not in repr(failure)
        await upstream.close()

    run(scene())


def test_tls_is_spoken_and_verified(make: Make) -> None:
    async def scene() -> None:
        fake = FakeUpstream(answering(response(b"secret")), tls=server_tls())
        async with stage(fake, make(ssl_context=client_tls())) as (_, upstream):
            assert await fetch(upstream, call_to(fake)) == (200, b"secret")
            assert await fetch(upstream, call_to(fake)) == (200, b"secret")
            assert fake.accepted == 1

    run(scene())


def test_a_certificate_nobody_vouches_for_is_refused(make: Make) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(answering(response(b"no")), tls=server_tls()), make()) as (fake, upstream):
            failure = await failing(upstream.open(call_to(fake), PATIENT))
            assert failure.kind is Kind.CONNECT
            assert fake.requests == []

    run(scene())


def test_a_certificate_for_another_name_is_refused(make: Make) -> None:
    async def scene() -> None:
        fake = FakeUpstream(answering(response(b"no")), tls=server_tls())
        async with stage(fake, make(ssl_context=client_tls())) as (_, upstream):
            call = Call("GET", f"https://127.0.0.1:{fake.port}", "/", ())
            failure = await failing(upstream.open(call, PATIENT))
            assert failure.kind is Kind.CONNECT
            assert fake.requests == []

    run(scene())


def test_tls_towards_a_plain_server_is_a_failed_connection(make: Make) -> None:
    async def script(wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await wire.gone()

    async def scene() -> None:
        async with stage(FakeUpstream(script), make(ssl_context=client_tls())) as (fake, upstream):
            call = Call("GET", f"https://localhost:{fake.port}", "/", ())
            assert (await failing(upstream.open(call, PATIENT))).kind is Kind.CONNECT

    run(scene())


def test_a_handshake_that_never_comes_runs_into_the_connect_clock(make: Make) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(Wire.gone), make(ssl_context=client_tls())) as (fake, upstream):
            call = Call("GET", f"https://localhost:{fake.port}", "/", ())
            failure = await failing(upstream.open(call, Clocks(connect_s=SHORT_S)))
            assert (failure.kind, failure.clock) == (Kind.TIMEOUT, "connect")
            assert f"connect={SHORT_S:g}" in failure.message

    run(scene())


def test_waiting_for_a_place_is_bounded_by_the_connect_clock(make: Make) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(_echo), make(per_host=1)) as (fake, upstream):
            held = await upstream.open(call_to(fake, body=b"held"), PATIENT)
            failure = await failing(upstream.open(call_to(fake), Clocks(connect_s=SHORT_S)))
            assert (failure.kind, failure.clock) == (Kind.TIMEOUT, "connect")
            assert await drain(held) == b"held"
            assert await fetch(upstream, call_to(fake, body=b"free")) == (200, b"free")

    run(scene())


async def _dripping_head(wire: Wire) -> None:
    await wire.request()
    await wire.send(*[bytes([byte]) for byte in response(b"late") * 20], gap_s=0.005)


@pytest.mark.parametrize("script", [holding(), holding(b"HTTP/1.1 100 Continue\r\n\r\n"), _dripping_head])
def test_a_head_that_does_not_come_runs_into_the_headers_clock(make: Make, script: Script) -> None:
    """Neither an interim head nor a head in drops counts as one."""

    async def scene() -> None:
        async with stage(FakeUpstream(script), make()) as (fake, upstream):
            call = call_to(fake, target="/v1?key=s3cret")
            failure = await failing(upstream.open(call, Clocks(headers_s=SHORT_S)))
            assert (failure.kind, failure.clock) == (Kind.TIMEOUT, "headers")
            assert f"headers={SHORT_S:g}" in failure.message
            assert "s3cret" not in repr(failure)

    run(scene())


@pytest.mark.parametrize("pieces", [[response(b"first" + b"." * 5)[:-5]], chunked(b"first")[:2]])
def test_a_body_that_stops_runs_into_the_chunk_clock(make: Make, pieces: list[bytes]) -> None:
    """What came before is given first; after the failure the connection is gone and the failure stays."""

    async def scene() -> None:
        async with stage(FakeUpstream(holding(*pieces)), make()) as (fake, upstream):
            reply = await upstream.open(call_to(fake), PATIENT)
            assert await reply.read(10.0) == b"first"
            for _ in range(2):
                failure = await failing(reply.read(SHORT_S))
                assert (failure.kind, failure.clock) == (Kind.TIMEOUT, "between_chunks")
            await fake.quiet()
            await reply.close()

    run(scene())


@pytest.mark.parametrize("then_reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("pieces", [[response(b"first" + b"." * 5)[:-5]], chunked(b"first")[:2]])
def test_a_body_cut_short_is_never_a_whole_one(make: Make, pieces: list[bytes], then_reset: bool) -> None:
    taken = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(*pieces)
        await taken.wait()
        if then_reset:
            wire.reset()

    async def scene() -> None:
        async with stage(FakeUpstream(script), make()) as (fake, upstream):
            reply = await upstream.open(call_to(fake), PATIENT)
            assert await reply.read(10.0) == b"first"
            taken.set()
            for _ in range(2):
                assert (await failing(reply.read(10.0))).kind is Kind.CUT
            await reply.close()

    run(scene())


def test_a_close_delimited_body_that_is_reset_is_cut(make: Make) -> None:
    """Only an orderly close is an end (RFC 9112 section 8)."""
    taken = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\nfirst")
        await taken.wait()
        wire.reset()

    async def scene() -> None:
        async with stage(FakeUpstream(script), make()) as (fake, upstream):
            reply = await upstream.open(call_to(fake), PATIENT)
            assert await reply.read(10.0) == b"first"
            taken.set()
            assert (await failing(reply.read(10.0))).kind is Kind.CUT

    run(scene())


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>hello</html>\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5, 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-long: " + b"a" * 300_000 + b"\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-many: aaaaaaaa\r\n" * 20_000 + b"content-length: 0\r\n\r\n",
    ],
    ids=["html", "tls", "status", "lengths", "list", "negative", "coding", "nul", "long", "many"],
)
def test_what_is_not_http_is_a_malformed_answer(make: Make, answer: bytes) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(holding(answer)), make()) as (fake, upstream):
            failure = await failing(upstream.open(call_to(fake), PATIENT))
            assert failure.kind is Kind.MALFORMED_ANSWER
            assert "hello" not in failure.message

    run(scene())


def test_broken_chunks_are_a_malformed_answer_after_the_good_ones(make: Make) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(holding(*chunked(b"first")[:2], b"zz\r\nhello")), make()) as (fake, upstream):
            reply = await upstream.open(call_to(fake), PATIENT)
            assert await reply.read(10.0) == b"first"
            assert (await failing(reply.read(10.0))).kind is Kind.MALFORMED_ANSWER

    run(scene())


# Leaving early


def test_closing_an_unread_answer_is_felt_by_the_provider(make: Make) -> None:
    """And the place is free at once."""
    noticed = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(*chunked(b"first")[:2])
        await wire.gone()
        noticed.set()

    async def scene() -> None:
        async with stage(FakeUpstream(script), make(per_host=1)) as (fake, upstream):
            reply = await upstream.open(call_to(fake), PATIENT)
            assert await reply.read(10.0) == b"first"
            await reply.close()
            await reply.close()
            await noticed.wait()
            assert (await failing(reply.read(10.0))).kind is Kind.CUT
            again = await upstream.open(call_to(fake), PATIENT)
            await again.close()

    run(scene())


def test_a_provider_that_never_stops_is_stopped_by_close(make: Make) -> None:
    """It is writing into a full socket when the caller leaves."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await wire.send(b"." * 65_536)

    async def scene() -> None:
        async with stage(FakeUpstream(script), make()) as (fake, upstream):
            reply = await upstream.open(call_to(fake), PATIENT)
            await asyncio.sleep(0.02)
            await reply.close()
            await fake.quiet()

    run(scene())


def test_a_slow_reader_holds_the_provider_back(make: Make) -> None:
    """Megabytes nobody reads stay with the provider; then all of them come."""
    piece, count = b"0123456789abcdef" * 4096, 1024
    sent = 0

    async def script(wire: Wire) -> None:
        nonlocal sent
        await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(piece) * count))
        for sent in range(1, count + 1):  # noqa: B007 - the test looks at it
            await wire.send(piece)
        await wire.gone()

    async def scene() -> None:
        async with stage(FakeUpstream(script), make()) as (fake, upstream):
            reply = await upstream.open(call_to(fake), PATIENT)
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.05)
            assert sent < count / 2
            length = 0
            while part := await reply.read(10.0):
                assert part[:1] == piece[length % 16 : length % 16 + 1]
                length += len(part)
            assert length == len(piece) * count

    run(scene())


@pytest.mark.parametrize("script", [holding(), holding(*chunked(b"first")[:2])], ids=["open", "read"])
def test_a_cancelled_caller_leaves_nothing_behind(make: Make, script: Script) -> None:
    """Wherever it waited: the provider sees it go, and its place is free."""

    async def scene() -> None:
        async with stage(FakeUpstream(script), make(per_host=1)) as (fake, upstream):
            for _ in range(3):
                task = asyncio.create_task(fetch(upstream, call_to(fake)))
                await asyncio.sleep(0.02)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await fake.quiet()
            assert fake.accepted <= 3

    run(scene())


def test_a_cancelled_reply_needs_no_close(make: Make) -> None:
    async def scene() -> None:
        async with stage(FakeUpstream(holding(response(b"ab")[:-1])), make(per_host=1)) as (fake, upstream):
            reply = await upstream.open(call_to(fake), PATIENT)
            assert await reply.read(10.0) == b"a"
            task = asyncio.create_task(reply.read(10.0))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await fake.quiet()
            assert (await failing(reply.read(10.0))).kind is Kind.CUT

    run(scene())


def test_cancelling_at_any_moment_leaves_the_upstream_in_order(make: Make) -> None:
    """Each caller is cancelled one turn of the loop later than the one before; the single place is never lost."""

    async def scene() -> None:
        async with stage(FakeUpstream(_echo), make(per_host=1)) as (fake, upstream):
            for turns in range(40):
                pair = [asyncio.create_task(fetch(upstream, call_to(fake, body=b"%d" % name))) for name in range(2)]
                for _ in range(turns):
                    await asyncio.sleep(0)
                pair[0].cancel()
                first, second = await asyncio.gather(*pair, return_exceptions=True)
                assert isinstance(first, asyncio.CancelledError) or first == (200, b"0")
                assert second == (200, b"1")
            assert await fetch(upstream, call_to(fake, body=b"last")) == (200, b"last")

    run(scene())


def test_close_ends_idle_connections_and_lets_running_answers_finish(make: Make) -> None:
    closing = asyncio.Event()
    left: list[int] = []

    async def script(wire: Wire) -> None:
        try:
            while True:
                await wire.request()
                await wire.send(*chunked(b"first")[:2])
                await closing.wait()
                await wire.send(*chunked(b"second")[1:])
        except Gone:
            left.append(wire.number)
            raise

    async def scene() -> None:
        async with stage(FakeUpstream(script), make()) as (fake, upstream):
            reply = await upstream.open(call_to(fake), PATIENT)
            await upstream.close()
            assert left == []
            closing.set()
            assert await drain(reply) == b"firstsecond"
            await fake.quiet()
            assert left == [0]
            assert (await failing(upstream.open(call_to(fake), PATIENT))).kind is Kind.STOPPING

    run(scene())
