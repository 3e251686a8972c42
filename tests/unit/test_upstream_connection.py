"""One connection between a transport and an owner that write everything down: no network, no chance."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from laneway.failure import FailureError, Kind
from laneway.upstream.connection import HEAD_LIMIT, HIGH_WATER, SLICE, Connection
from laneway.upstream.reply import EngineReply
from tests.fakes.line import Keeper, Line
from tests.fakes.stage import drain, run
from tests.fakes.upstream import chunked, response

_LARGE = bytes(range(256)) * (4 * SLICE // 256)


async def _begun(
    body: bytes = b"", room: int | None = None
) -> tuple[Connection, Line, Keeper, asyncio.Task[EngineReply]]:
    """A request that has been written, as far as there is room."""
    keeper = Keeper()
    connection = Connection(asyncio.get_running_loop(), keeper)
    line = Line(connection, room)
    opening = asyncio.create_task(connection.exchange("POST", b"head", body, 10.0))
    await asyncio.sleep(0)
    if not line.written:
        # It waited for others that might write in the same pass.
        await asyncio.sleep(0)
    return connection, line, keeper, opening


async def _waiting() -> tuple[Connection, Line, asyncio.Task[EngineReply]]:
    """A request that waits for others that may be sent in the same pass of the loop."""
    connection = Connection(asyncio.get_running_loop(), Keeper())
    line = Line(connection)
    opening = asyncio.create_task(connection.exchange("POST", b"head", b"body", 10.0))
    await asyncio.sleep(0)
    assert not line.written
    return connection, line, opening


def _on_a_loop(scene: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    async def awaited() -> None:
        await scene()

    def test() -> None:
        run(awaited())

    test.__doc__ = scene.__doc__
    return test


@_on_a_loop
async def test_a_small_body_leaves_in_one_write_with_its_head() -> None:
    connection, line, _, opening = await _begun(b"body", room=0)
    assert bytes(line.written) == b"headbody"
    connection.data_received(response())
    await opening
    line.lose(None)


@_on_a_loop
async def test_what_comes_before_the_request_is_out_is_no_answer_to_it() -> None:
    """Providers end connections that rest with a 408; a request of which nothing was sent may go another way."""
    connection, line, opening = await _waiting()
    connection.data_received(response(b"too late", status=408))
    with pytest.raises(FailureError) as failed:
        await opening
    assert failed.value.failure.kind is Kind.RESET
    assert not line.written


@_on_a_loop
async def test_a_request_that_is_called_off_before_it_is_out_is_not_sent() -> None:
    connection, line, opening = await _waiting()
    opening.cancel()
    connection.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert opening.cancelled()
    assert not line.written


@_on_a_loop
async def test_a_large_body_is_written_no_faster_than_it_is_taken() -> None:
    connection, line, keeper, opening = await _begun(_LARGE, room=SLICE)
    while len(line.written) < 4 + len(_LARGE):
        before = len(line.written)
        assert before <= before // SLICE * SLICE + SLICE
        line.empty()
        assert 0 < len(line.written) - before <= 2 * SLICE
    assert bytes(line.written) == b"head" + _LARGE
    connection.data_received(response(b"ok"))
    assert await drain(await opening) == b"ok"
    assert keeper.reusable
    line.lose(None)


@_on_a_loop
async def test_a_refused_body_is_sent_no_further() -> None:
    """RFC 9112 section 9.5; in the middle of a request the connection serves nobody else."""
    connection, line, keeper, opening = await _begun(_LARGE, room=SLICE)
    connection.data_received(response(b"no", status=413))
    sent = len(line.written)
    line.empty()
    assert len(line.written) == sent
    assert await drain(await opening) == b"no"
    assert (keeper.given_back, keeper.reusable) == (1, False)


@_on_a_loop
async def test_a_whole_answer_to_half_a_request_ends_the_connection() -> None:
    """What is left of the body would be read as the next request."""
    connection, line, keeper, opening = await _begun(_LARGE, room=SLICE)
    connection.data_received(response(b"ok"))
    assert await drain(await opening) == b"ok"
    assert (keeper.given_back, keeper.reusable) == (1, False)
    assert line.aborted


@_on_a_loop
async def test_bytes_for_nobody_end_a_resting_connection() -> None:
    connection, line, keeper, opening = await _begun()
    connection.data_received(response(b"ok"))
    assert await drain(await opening) == b"ok"
    assert keeper.reusable
    connection.data_received(b"H")
    assert not connection.usable
    assert line.aborted


@_on_a_loop
async def test_the_end_of_the_providers_stream_ends_ours_at_once() -> None:
    """Even if something of the request is still unsent: nothing can answer it any more."""
    connection, line, _, opening = await _begun(_LARGE, room=0)
    connection.eof_received()
    assert line.aborted
    with pytest.raises(FailureError) as caught:
        await opening
    assert caught.value.failure.kind is Kind.RESET


@_on_a_loop
async def test_a_connection_is_given_back_with_the_last_byte_and_not_before() -> None:
    """Reading on afterwards, or closing, gives it back no second time."""
    connection, line, keeper, opening = await _begun()
    first, second, last = chunked(b"first", b"second")[:3]
    connection.data_received(first + second)
    reply = await opening
    assert await reply.read(10.0) == b"first"
    connection.data_received(last)
    connection.data_received(b"0\r\n\r\n")
    assert keeper.given_back == 0
    assert await reply.read(10.0) == b"second"
    assert (keeper.given_back, keeper.reusable) == (1, True)
    assert await reply.read(10.0) == b""
    await reply.close()
    assert keeper.given_back == 1
    line.lose(None)


@_on_a_loop
async def test_an_unread_answer_that_is_whole_costs_no_connection_but_reads_as_cut() -> None:
    """The provider has nothing to notice; the reader must not take what was thrown away for an empty body."""
    connection, line, keeper, opening = await _begun()
    connection.data_received(response(b"unread"))
    reply = await opening
    await reply.close()
    assert (keeper.given_back, keeper.reusable, line.aborted) == (1, True, False)
    with pytest.raises(FailureError) as caught:
        await reply.read(10.0)
    assert caught.value.failure.kind is Kind.CUT
    line.lose(None)


@_on_a_loop
async def test_reading_stops_above_the_high_water_mark_and_goes_on_below_it() -> None:
    connection, line, keeper, opening = await _begun()
    body = b"." * (HIGH_WATER + 1)
    head, rest = response(body + b"!").split(b"\r\n\r\n")
    connection.data_received(head + b"\r\n\r\n" + rest[:HIGH_WATER])
    reply = await opening
    assert line.reading.is_set()
    connection.data_received(rest[HIGH_WATER:-1])
    assert not line.reading.is_set()
    assert await reply.read(10.0) == body
    assert line.reading.is_set()
    connection.data_received(b"!")
    assert await reply.read(10.0) == b"!"
    assert keeper.reusable
    line.lose(None)


@_on_a_loop
async def test_a_connection_given_back_unread_reads_again() -> None:
    """A large answer came whole, paused the socket, and was thrown away."""
    connection, line, keeper, opening = await _begun()
    connection.data_received(response(b"." * (2 * HIGH_WATER)))
    assert not line.reading.is_set()
    await (await opening).close()
    assert keeper.reusable
    assert line.reading.is_set()
    line.lose(None)


@pytest.mark.parametrize(("size", "fits"), [(HEAD_LIMIT, True), (HEAD_LIMIT + 1, False)])
def test_a_head_over_the_limit_is_refused_even_if_one_read_brings_all_of_it(size: int, fits: bool) -> None:
    async def scene() -> None:
        connection, line, _, opening = await _begun()
        start, end = b"HTTP/1.1 200 OK\r\nx: ", b"\r\ncontent-length: 2\r\n\r\n"
        connection.data_received(start + b"a" * (size - len(start) - len(end)) + end + b"ok")
        if fits:
            assert await drain(await opening) == b"ok"
        else:
            with pytest.raises(FailureError) as caught:
                await opening
            assert caught.value.failure.kind is Kind.MALFORMED_ANSWER
        line.lose(None)

    run(scene())
