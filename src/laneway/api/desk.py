"""The desk: what every plain endpoint needs to know, and how it answers.

Owns: the handle on the running gateway's parts, who is asking (by the same gate as the stack's), and refusals in the
shape the caller's client expects, judged by the path and headers it used.
Refuses: any endpoint of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from laneway.api import cookie
from laneway.board import Board
from laneway.dialects import Dialect, Written, dialect
from laneway.edge import LEFT, App
from laneway.failure import Failure, FailureError, Kind, fail
from laneway.learning.counsel import Counsel
from laneway.learning.judge import Judges
from laneway.loaded import Loaded
from laneway.metrics import Metrics
from laneway.middleware.auth import Gate, is_loopback, presented
from laneway.ports import Shelves, Upstream
from laneway.roster import Roster
from laneway.route import Key, Tenant
from laneway.runs import Worker
from laneway.staging import Staging
from laneway.store import Store
from laneway.watching.events import Hub

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
    shelves: Shelves
    counsel: Counsel
    judges: Judges
    stack: App
    """For requests that the gateway makes of itself."""
    upstream: Upstream
    metrics: Metrics
    staging: Staging
    hub: Hub
    runs: Worker
    reload: Callable[[], Awaitable[Reloaded]]
    keys_changed: Callable[[], Awaitable[None]]
    book_changed: Callable[[], Awaitable[None]]
    """Makes what was done to the store's keys count at once in this process; others learn of it within seconds."""
    alone: bool
    """Nobody has a key and only this machine reaches the gateway, so whoever sits at it may administer."""
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


async def body_of(request: Request, most: int = MOST_BODY) -> bytes:
    """A small body, within bounds. Raises FailureError."""
    pieces: list[bytes] = []
    size = 0
    loaded = desk_of(request).loaded
    limit_s = loaded.layout.settings.server.body_timeout * loaded.scale
    try:
        async with asyncio.timeout(limit_s):
            async for piece in request.stream():
                size += len(piece)
                if size > most:
                    raise fail(Kind.TOO_LARGE, f"A body for this path has at most {most} bytes.")
                pieces.append(piece)
    except TimeoutError:
        raise fail(Kind.BODY_TIMEOUT, f"The request body did not arrive whole within {limit_s:g} seconds.") from None
    except ClientDisconnect:
        raise FailureError(LEFT) from None
    return b"".join(pieces)


class Visitor(NamedTuple):
    """Who asks a plain endpoint. `open`: the gateway asks nobody for a key."""

    tenant: Tenant
    key: Key | None
    admin: bool
    open: bool


async def visitor_of(request: Request) -> Visitor | None:
    """By key or by session; None for who has neither, where one is needed. Raises FailureError for a change that a
    browser sends along with a session without proof that our own page made it."""
    desk, headers = desk_of(request), dict(request.scope["headers"])
    asked = request.query_params.get("tenant")
    of = await _session(request, headers)
    if of is not None:
        held = await desk.gate.holder(of)
        if held is not None:
            return Visitor(*held, admin=False, open=False)
        if desk.admin is not None and await desk.admin.holder(of) is not None:
            return Visitor(desk.gate.tenant(asked or "default"), None, admin=True, open=False)
    if desk.admin is not None and not isinstance(await desk.admin.identify(headers), Failure):
        return Visitor(desk.gate.tenant(asked or "default"), None, admin=True, open=False)
    found = await desk.gate.identify(headers)
    if isinstance(found, Failure):
        return None
    tenant, key = found
    if key is None and desk.admin is None and desk.alone and _is_here(headers):
        return Visitor(desk.gate.tenant(asked or tenant.name), None, admin=True, open=True)
    return Visitor(tenant, key, admin=False, open=key is None)


async def _session(request: Request, headers: dict[bytes, bytes]) -> bytes | None:
    """The digest of the key that a browser signed in with."""
    token = cookie.token_of(headers) if presented(headers) is None else None
    if token is None:
        return None
    of = await desk_of(request).store.sessions.find(cookie.digest_of(token), time.time())
    if of is not None and request.method not in ("GET", "HEAD") and not cookie.is_proven(token, headers):
        raise fail(Kind.FORBIDDEN, "A change by a browser's session needs the proof that GET /ui/session tells.")
    return of


def _is_here(headers: dict[bytes, bytes]) -> bool:
    """Asked for by a loopback name, and not by a page of another place: a page whose own name was made to point here
    asks by that name."""
    host = headers.get(b"host", b"").decode("latin-1")
    origin = headers.get(b"origin")
    if origin is not None and urlsplit(origin.decode("latin-1")).netloc != host:
        return False
    return is_loopback(urlsplit(f"//{host}").hostname or "")


async def tenant_of(request: Request) -> Tenant:
    """Raises FailureError where the stack would refuse the same caller."""
    return (await caller_of(request))[0]


async def caller_of(request: Request) -> tuple[Tenant, Key | None]:
    """As `tenant_of`, with the key; None where the gateway is open and none is known."""
    visitor = await visitor_of(request)
    if visitor is None:
        found = await desk_of(request).gate.identify(dict(request.scope["headers"]))
        assert isinstance(found, Failure)
        raise FailureError(found)
    return visitor.tenant, visitor.key


async def require_admin(request: Request) -> None:
    """Raises FailureError unless the admin key was sent, or a browser signed in with it; without one configured only
    who sits at a machine whose gateway has no keys at all administers."""
    visitor = await visitor_of(request)
    if visitor is not None and visitor.admin:
        return
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
