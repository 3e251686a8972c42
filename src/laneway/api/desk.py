"""The desk: what every plain endpoint needs to know, and how it answers.

Owns: the handle on the running gateway's parts, who is asking (by the same gate as the stack's), and refusals in the
shape the caller's client expects, judged by the path and headers it used.
Refuses: any endpoint of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, NamedTuple, TypeAlias

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from laneway.board import Board
from laneway.dialects import Dialect, Written, dialect
from laneway.edge import LEFT
from laneway.failure import Failure, FailureError, Kind, fail
from laneway.loaded import Loaded
from laneway.metrics import Metrics
from laneway.middleware.auth import Gate
from laneway.ports import Upstream
from laneway.roster import Roster
from laneway.route import Key, Tenant
from laneway.store import Store

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

MOST_BODY = 1 << 20

encode = msgspec.json.Encoder().encode


class Reloaded(NamedTuple):
    """A configuration that was put in force, and the settings in it that wait for the next start."""

    version: str
    later: tuple[str, ...]


class Desk(NamedTuple):
    """The parts of one configuration in force."""

    loaded: Loaded
    gate: Gate
    admin: Gate | None
    roster: Roster
    board: Board
    store: Store
    upstream: Upstream
    metrics: Metrics
    reload: Callable[[], Awaitable[Reloaded]]
    keys_changed: Callable[[], Awaitable[None]]
    book_changed: Callable[[], Awaitable[None]]
    """Makes what was done to the store's keys count at once in this process; others learn of it within seconds."""
    started_s: float


def desk_of(request: Request) -> Desk:
    desk: Desk = request.scope["laneway.desk"]
    return desk


def spoken(request: Request) -> Dialect:
    """The dialect a caller of a plain endpoint most likely speaks."""
    path = request.url.path
    if path.startswith("/api/") or path == "/":
        return dialect("ollama")
    if path.startswith("/v1/messages") or "anthropic-version" in request.headers:
        return dialect("anthropic")
    return dialect("openai")


def respond(written: Written) -> Response:
    response = Response(written.body, status_code=written.status, media_type=written.content_type.decode())
    for name, value in written.headers:
        response.headers[name.decode()] = value.decode("latin-1")
    return response


def refused(request: Request, failure: Failure) -> Response:
    response = respond(spoken(request).write_failure(failure, ""))
    if failure.kind is Kind.BODY_TIMEOUT:
        # The rest of the body is not waited for, so the connection cannot carry another request.
        response.headers["connection"] = "close"
    return response


def json(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status_code=status, media_type="application/json")


async def body_of(request: Request) -> bytes:
    """A small body, within bounds. Raises FailureError."""
    pieces: list[bytes] = []
    size = 0
    loaded = desk_of(request).loaded
    limit_s = loaded.layout.settings.server.body_timeout * loaded.scale
    try:
        async with asyncio.timeout(limit_s):
            async for piece in request.stream():
                size += len(piece)
                if size > MOST_BODY:
                    raise fail(Kind.TOO_LARGE, f"A body for this path has at most {MOST_BODY} bytes.")
                pieces.append(piece)
    except TimeoutError:
        raise fail(Kind.BODY_TIMEOUT, f"The request body did not arrive whole within {limit_s:g} seconds.") from None
    except ClientDisconnect:
        raise FailureError(LEFT) from None
    return b"".join(pieces)


async def tenant_of(request: Request) -> Tenant:
    """Raises FailureError where the stack would refuse the same caller."""
    return (await caller_of(request))[0]


async def caller_of(request: Request) -> tuple[Tenant, Key | None]:
    """As `tenant_of`, with the key; None where the gateway is open and none is known."""
    found = await desk_of(request).gate.identify(dict(request.scope["headers"]))
    if isinstance(found, Failure):
        raise FailureError(found)
    return found


async def require_admin(request: Request) -> None:
    """Raises FailureError unless the admin key was sent; without one configured nobody administers."""
    admin = desk_of(request).admin
    if admin is None:
        message = "No admin key is configured: set server.admin_key or LANEWAY_ADMIN_KEY."
        raise FailureError(Failure(kind=Kind.FORBIDDEN, message=message))
    found = await admin.identify(dict(request.scope["headers"]))
    if isinstance(found, Failure):
        raise FailureError(found)


def endpoint(function: Endpoint) -> Endpoint:
    """Turns a FailureError into the caller's error shape."""

    @wraps(function)
    async def wrapped(request: Request) -> Response:
        try:
            return await function(request)
        except FailureError as error:
            return refused(request, error.failure)

    return wrapped
