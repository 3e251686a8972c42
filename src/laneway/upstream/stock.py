"""The two ways in which the engine and httpx meet.

Owns: `StockUpstream`, the same port served by stock httpx (for HTTP/2 and proxies), and `EngineTransport`, the
engine offered to any user of httpx. Both translate errors, once, in the tables below. Refuses: everything httpx
would add on its own; cookies, redirects, authentication and the environment's proxies stay out of `StockUpstream`.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import httpx

from laneway.failure import Failure, FailureError, Kind, fail
from laneway.ports import Call, Clocks, Reply, Upstream
from laneway.upstream.connection import LONGEST_S
from laneway.upstream.engine import Engine, encode_head
from laneway.upstream.pool import Origin


class StockUpstream:
    """`ports.Upstream` over httpx.

    Weaker than the engine where httpx offers no handle. Bytes that a provider sends after its answer are taken for
    the answer to the next call on that connection: use it for providers you trust. An answer that ends inside its
    head reads as RESET; waiting for a place, connecting and the TLS handshake have a connect clock each; a large body
    being sent does not restart the headers clock, and an early answer is seen only once the body is out.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        per_host: int = 10_000,
        idle_s: float = 30.0,
        http2: bool = False,
        proxy: str | None = None,
    ) -> None:
        self._ssl_context = ssl_context
        self._limits = httpx.Limits(
            max_connections=per_host, max_keepalive_connections=per_host, keepalive_expiry=idle_s
        )
        self._http2 = http2
        self._proxy = proxy
        self._pools: dict[str, _OriginPool] = {}
        self._closed = False
        self._ending: set[asyncio.Task[None]] = set()

    async def open(self, call: Call, clocks: Clocks) -> Reply:
        if self._closed:
            raise fail(Kind.STOPPING, "the gateway is stopping and opens no more connections")
        encode_head(call, b"")  # for its refusals: HTTP/2 would carry what HTTP/1.1 must not
        pool = self._pools.get(call.origin) or self._add_pool(call.origin)
        pool.running += 1
        try:
            response, rested = await _send(pool.transport, call, clocks)
            if response is None and rested:
                response, _ = await _send(pool.transport, call, clocks)
            if response is None:
                raise fail(Kind.RESET, "the provider closed the connection without answering")
        except BaseException:
            await self._leave(pool)
            raise
        return _StockReply(response, self, pool)

    async def close(self) -> None:
        self._closed = True
        if self._ending:
            await asyncio.wait(self._ending)
        for pool in list(self._pools.values()):
            if not pool.running:
                await pool.transport.aclose()

    async def _end(self, response: httpx.Response, pool: _OriginPool) -> None:
        # httpx shields its own cleaning up, but not from the cancellation of a task: cut off in the middle of it, its
        # pool would count the connection as busy for ever.
        task = asyncio.get_running_loop().create_task(self._finish(response, pool))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        await asyncio.shield(task)

    async def _finish(self, response: httpx.Response, pool: _OriginPool) -> None:
        try:
            await response.aclose()
        finally:
            await self._leave(pool)

    async def _leave(self, pool: _OriginPool) -> None:
        pool.running -= 1
        if self._closed and not pool.running:
            await pool.transport.aclose()

    def _add_pool(self, origin: str) -> _OriginPool:
        Origin.of(origin)  # for its refusals
        # One pool per origin: httpx counts connections over all hosts of a pool, and a slow one would starve the rest.
        transport = httpx.AsyncHTTPTransport(
            verify=self._ssl_context or True,
            http2=self._http2,
            limits=self._limits,
            proxy=self._proxy,
            trust_env=False,
        )
        pool = self._pools[origin] = _OriginPool(transport)
        return pool


class _OriginPool:
    """The pool of one origin and how many of its answers are being waited for or read."""

    def __init__(self, transport: httpx.AsyncHTTPTransport) -> None:
        self.transport = transport
        self.running = 0


class _Watch:
    """Listens to httpx at work: when the headers clock starts, and whether the connection is a new one."""

    def __init__(self, limit: asyncio.Timeout, headers_s: float) -> None:
        self.rested = True
        self._limit = limit
        self._headers_s = headers_s

    async def __call__(self, event: str, _info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            self.rested = False
        elif event.endswith((".send_request_headers.started", ".send_request_body.complete")):
            due_s = asyncio.get_running_loop().time() + min(self._headers_s, LONGEST_S)
            self._limit.reschedule(due_s)


async def _send(transport: httpx.AsyncHTTPTransport, call: Call, clocks: Clocks) -> tuple[httpx.Response | None, bool]:
    """The response, or None when the connection was lost unanswered; and whether the connection had served before."""
    limit = asyncio.timeout(None)
    watch = _Watch(limit, clocks.headers_s)
    headers = [*call.headers, (b"accept-encoding", b"identity")]
    if any(name.lower() == b"accept-encoding" for name, _ in call.headers):
        headers.pop()
    try:
        request = httpx.Request(
            call.method,
            call.origin + "/",
            headers=headers,
            content=call.body or None,
            extensions={
                "target": call.target.encode("ascii"),
                # Its own, not `limit`: httpx closes a half-made connection on a time-out, but not on a cancellation.
                "timeout": {"connect": clocks.connect_s, "pool": clocks.connect_s},
                "trace": watch,
            },
        )
        async with limit:
            return await transport.handle_async_request(request), watch.rested
    except TimeoutError:
        raise _silence("headers", clocks.headers_s) from None
    except (httpx.ConnectTimeout, httpx.PoolTimeout):
        raise _silence("connect", clocks.connect_s) from None
    except (httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError) as error:
        raise fail(Kind.CONNECT, "the provider cannot be reached", detail=str(error)) from None
    except httpx.LocalProtocolError as error:
        raise fail(Kind.MALFORMED_REQUEST, "the call cannot be written as HTTP", detail=str(error)) from None
    except httpx.RemoteProtocolError as error:
        if _UNANSWERED in str(error):
            return None, watch.rested
        raise fail(Kind.MALFORMED_ANSWER, _NOT_HTTP, detail=str(error)) from None
    except httpx.NetworkError:
        return None, watch.rested


class _StockReply:
    """A `ports.Reply`. Any failure of `read`, a time-out and a cancellation included, ends the connection."""

    def __init__(self, response: httpx.Response, upstream: StockUpstream, pool: _OriginPool) -> None:
        self.status = response.status_code
        self.headers = [(name.lower(), value) for name, value in response.headers.raw]
        self._response = response
        self._pieces = _pieces(response)
        self._upstream = upstream
        self._pool = pool
        self._closed = False
        self._failure: Failure | None = None

    async def read(self, limit_s: float) -> bytes:
        if self._failure is not None:
            raise FailureError(self._failure)
        if self._closed:
            return b""
        piece: bytes | None = b""
        try:
            while piece == b"":
                async with asyncio.timeout(min(limit_s, LONGEST_S)):
                    piece = await anext(self._pieces, None)
        except BaseException as error:
            self._failure = _reading_failure(error, limit_s)
            await self.close()
            if isinstance(error, (TimeoutError, httpx.HTTPError)):
                raise FailureError(self._failure) from None
            raise
        if piece is not None:
            return piece
        await self._end()
        return b""

    async def close(self) -> None:
        if not self._closed:
            self._failure = self._failure or _CLOSED
            await self._end()

    async def _end(self) -> None:
        self._closed = True
        await self._upstream._end(self._response, self._pool)


async def _pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    # Not `aiter_raw`: it wants the response to belong to a client.
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream)
    async for piece in stream:
        yield piece


def _reading_failure(error: BaseException, limit_s: float) -> Failure:
    if isinstance(error, TimeoutError):
        return _silence("between_chunks", limit_s).failure
    if isinstance(error, httpx.RemoteProtocolError) and _CUT_SHORT not in str(error):
        return Failure(kind=Kind.MALFORMED_ANSWER, message=_NOT_HTTP, detail=str(error))
    if isinstance(error, httpx.HTTPError):
        return Failure(kind=Kind.CUT, message="the provider closed the connection before the end of its answer")
    return _CLOSED


def _silence(clock: str, limit_s: float) -> FailureError:
    message = f"the provider was silent for {clock}={limit_s:g} s"
    return FailureError(Failure(kind=Kind.TIMEOUT, message=message, clock=clock))


_CLOSED: Final = Failure(kind=Kind.CUT, message="the answer was closed before its end was read")
_NOT_HTTP: Final = "the provider's answer is not well-formed HTTP; look at what listens at its url"
# httpx tells these two from other protocol errors by their text only (httpcore 1.0, h11 0.16); the contract suite
# notices if the words change.
_UNANSWERED: Final = "disconnected without sending a response"
_CUT_SHORT: Final = "closed connection without sending complete"


class EngineTransport(httpx.AsyncBaseTransport):
    """The engine under `httpx.AsyncClient(transport=...)`; closing the client closes the engine.

    The request body is gathered before it is sent, and Host follows the URL. Of httpx's four time-outs, `connect`
    bounds everything up to a usable connection, `read` the wait for the head and for each piece of the body; `write`
    and `pool` have no clock of their own.
    """

    def __init__(self, engine: Upstream | None = None) -> None:
        self._engine = engine if engine is not None else Engine()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if request.headers["host"].encode("ascii") != url.netloc:
            raise httpx.LocalProtocolError("this transport writes Host from the URL; call the host you name")
        limits = request.extensions.get("timeout", {})
        read_s = _seconds(limits.get("read"))
        stream = request.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        call = Call(
            method=request.method,
            origin=f"{url.scheme}://{url.netloc.decode('ascii')}",
            target=url.raw_path.decode("ascii"),
            headers=tuple(pair for pair in request.headers.raw if pair[0].lower() not in _WRITTEN_BY_ENGINE),
            body=b"".join([piece async for piece in stream]),
        )
        clocks = Clocks(connect_s=_seconds(limits.get("connect")), headers_s=read_s, between_chunks_s=read_s)
        try:
            reply = await self._engine.open(call, clocks)
        except FailureError as error:
            raise _as_httpx(error.failure, request) from error
        return httpx.Response(
            reply.status,
            headers=reply.headers,
            stream=_EngineStream(reply, read_s, request),
            extensions={"http_version": b"HTTP/1.1"},
        )

    async def aclose(self) -> None:
        await self._engine.close()


class _EngineStream(httpx.AsyncByteStream):
    def __init__(self, reply: Reply, read_s: float, request: httpx.Request) -> None:
        self._reply = reply
        self._read_s = read_s
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while piece := await self._reply.read(self._read_s):
                yield piece
        except FailureError as error:
            raise _as_httpx(error.failure, self._request) from error

    async def aclose(self) -> None:
        await self._reply.close()


_WRITTEN_BY_ENGINE: Final = frozenset((b"host", b"content-length", b"connection", b"transfer-encoding"))

_IN_HTTPX: Final[dict[Kind, type[httpx.TransportError]]] = {
    Kind.CONNECT: httpx.ConnectError,
    Kind.RESET: httpx.ReadError,
    Kind.MALFORMED_ANSWER: httpx.RemoteProtocolError,
    Kind.CUT: httpx.RemoteProtocolError,
    Kind.MALFORMED_REQUEST: httpx.LocalProtocolError,
}


def _as_httpx(failure: Failure, request: httpx.Request) -> httpx.TransportError:
    if failure.kind is Kind.TIMEOUT:
        error = httpx.ConnectTimeout if failure.clock == "connect" else httpx.ReadTimeout
        return error(failure.message, request=request)
    return _IN_HTTPX.get(failure.kind, httpx.TransportError)(failure.message, request=request)


def _seconds(limit: float | None) -> float:
    return math.inf if limit is None else limit
