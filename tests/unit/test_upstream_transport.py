"""The engine as an httpx transport: any user of httpx can mount it, and sees httpx's own words."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from laneway.upstream.engine import Engine
from laneway.upstream.stock import EngineTransport
from tests.fakes.stage import LOOPS, SHORT_S, loop_of_kind, run
from tests.fakes.upstream import (
    FakeUpstream,
    Script,
    answering,
    chunked,
    client_tls,
    holding,
    once,
    response,
    server_tls,
)


@pytest.fixture(params=LOOPS, autouse=True)
def loop_kind(request: pytest.FixtureRequest) -> Iterator[None]:
    with loop_of_kind(request.param):
        yield


def test_a_client_works_as_over_its_own_transport() -> None:
    """Bodies, headers, queries, cookies and decoding are httpx's; the wire is the engine's."""

    async def scene() -> None:
        answer = response(gzip.compress(b'{"ok":true}'), b"content-encoding: gzip", b"set-cookie: a=1")
        async with FakeUpstream(answering(answer)) as fake:
            async with httpx.AsyncClient(transport=EngineTransport(), base_url=fake.origin) as client:
                for _ in range(2):
                    reply = await client.post("/v1/chat", params={"q": "ä b"}, json={"x": 1}, headers={"x-key": "k"})
                    assert reply.json() == {"ok": True}
                    assert reply.http_version == "HTTP/1.1"
            await fake.quiet()
            first, second = fake.requests
            assert (first.method, first.target, first.body) == ("POST", "/v1/chat?q=%C3%A4+b", b'{"x":1}')
            assert first.header(b"x-key") == b"k"
            assert "gzip" in (first.header(b"accept-encoding") or b"").decode()
            assert second.header(b"cookie") == b"a=1"
            assert fake.accepted == 1

    run(scene())


def test_streams_flow_both_ways() -> None:
    """A generator's body is gathered, an answer's pieces come one by one; leaving early ends the connection."""

    async def numbers() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d" % number

    async def scene() -> None:
        async with FakeUpstream(holding(*chunked(b"first", b"second")[:3])) as fake:
            async with httpx.AsyncClient(transport=EngineTransport()) as client:
                async with client.stream("POST", fake.origin, content=numbers()) as reply:
                    got = b""
                    async for piece in reply.aiter_raw():
                        got += piece
                        if got == b"firstsecond":
                            break
                await fake.quiet()
            assert fake.requests[0].body == b"012"

    run(scene())


def test_tls_is_the_engines() -> None:
    async def scene() -> None:
        async with FakeUpstream(answering(response(b"ok")), tls=server_tls()) as fake:
            transport = EngineTransport(Engine(ssl_context=client_tls()))
            async with httpx.AsyncClient(transport=transport) as client:
                assert (await client.get(fake.origin)).text == "ok"
            await fake.quiet()

    run(scene())


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (once(), httpx.ReadError),
        (once(b"<html>\r\n"), httpx.RemoteProtocolError),
        (once(response(b"ab")[:-1]), httpx.RemoteProtocolError),
        (holding(), httpx.ReadTimeout),
        (holding(response(b"ab")[:-1]), httpx.ReadTimeout),
    ],
    ids=["reset", "malformed", "cut", "headers", "chunks"],
)
def test_failures_are_httpx_errors(script: Script, error: type[Exception]) -> None:
    async def scene() -> None:
        async with FakeUpstream(script) as fake:
            limits = httpx.Timeout(10.0, read=SHORT_S)
            async with httpx.AsyncClient(transport=EngineTransport(), timeout=limits) as client:
                with pytest.raises(error) as caught:
                    await client.get(fake.origin)
                assert isinstance(caught.value, httpx.RequestError)
                assert caught.value.request.url == fake.origin
            await fake.quiet()

    run(scene())


def test_what_never_connects_is_an_httpx_error() -> None:
    async def scene() -> None:
        async with FakeUpstream(answering(response())) as fake:
            pass
        async with httpx.AsyncClient(transport=EngineTransport()) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(fake.origin)
        async with FakeUpstream(lambda wire: wire.gone()) as fake:
            transport = EngineTransport(Engine(ssl_context=client_tls()))
            limits = httpx.Timeout(10.0, connect=SHORT_S)
            async with httpx.AsyncClient(transport=transport, timeout=limits) as client:
                with pytest.raises(httpx.ConnectTimeout):
                    await client.get(f"https://localhost:{fake.port}")

    run(scene())


@pytest.mark.parametrize("headers", [{"host": "elsewhere"}, {"x-a": "1\r\nx-b: 2"}])
def test_what_the_engine_will_not_send_is_refused(headers: dict[str, str]) -> None:
    async def scene() -> None:
        async with FakeUpstream(answering(response())) as fake:
            async with httpx.AsyncClient(transport=EngineTransport()) as client:
                with pytest.raises(httpx.LocalProtocolError):
                    await client.get(fake.origin, headers=headers)
            assert fake.accepted == 0

    run(scene())


def test_no_timeout_is_no_timeout() -> None:
    async def scene() -> None:
        async with FakeUpstream(once(*chunked(b"a", b"b"))) as fake:
            async with httpx.AsyncClient(transport=EngineTransport(), timeout=None) as client:
                assert (await asyncio.wait_for(client.get(fake.origin), 10)).content == b"ab"
            await fake.quiet()

    run(scene())
