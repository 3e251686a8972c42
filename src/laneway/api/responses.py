"""What the Responses API would keep, asked for.

Owns: /v1/responses/{id} and what is under it, answered in OpenAI's error shape with the reason.
Refuses: keeping anything; a conversation comes whole with each request, and a run is how an answer is fetched later.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from laneway.api.desk import endpoint, tenant_of
from laneway.failure import Kind, fail


@endpoint
async def unkept(request: Request) -> Response:
    """GET /v1/responses/{id}: 404, and why: nothing is kept that could be fetched, cancelled or deleted."""
    await tenant_of(request)
    raise fail(
        Kind.UNKNOWN_PATH,
        "Laneway keeps no responses, so that none can be fetched, cancelled or deleted; send the whole conversation as "
        "`input`, or post a request to /v1/runs to fetch its answer later.",
    )
