"""Events as they happen, as a feed.

Owns: GET /v1/events for a caller, who hears of the own tenant only, and GET /admin/v1/events for operators; and that a
feed ends when the gateway does. Refuses: keeping events (the hub does), and to wait for a slow reader.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from laneway.api.desk import desk_of, endpoint, require_admin, tenant_of
from laneway.edge import ENDING
from laneway.failure import Failure, FailureError
from laneway.watching.events import Hub, Listener

HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


@endpoint
async def own(request: Request) -> Response:
    """GET /v1/events: what happens to the requests of the caller's tenant, as server-sent events."""
    tenant = await tenant_of(request)
    return _feed(request, tenant.name)


@endpoint
async def everybody(request: Request) -> Response:
    """GET /admin/v1/events: the same of every tenant."""
    await require_admin(request)
    return _feed(request, None)


def _feed(request: Request, tenant: str | None) -> Response:
    hub = desk_of(request).hub
    listener = hub.listen(tenant, request.headers.get("last-event-id"))
    if isinstance(listener, Failure):
        raise FailureError(listener)
    # A server that stops waits for answers under way, and this one has no end of its own.
    request.scope[ENDING] = listener.end
    return StreamingResponse(_frames(hub, listener), media_type="text/event-stream", headers=HEADERS)


async def _frames(hub: Hub, listener: Listener) -> AsyncIterator[bytes]:
    try:
        yield b": what happens from now on\n\n"
        while frames := await listener.take():
            yield frames
    finally:
        hub.leave(listener)
