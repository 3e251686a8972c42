"""Records: what every request led to, for operators, a page at a time or as one long export.

Owns: GET /admin/v1/records and /admin/v1/records/export. Refuses: callers' keys, and holding more than a page of an
export in memory: the store reads the next one, in a thread, when the one before has gone out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from laneway.api.desk import desk_of, endpoint, json, require_admin
from laneway.policy.search import MOST_RECORDS, read_search
from laneway.ports import Journal, Search

NDJSON = "application/x-ndjson"
EVERY = 1 << 62


@endpoint
async def records(request: Request) -> Response:
    """GET /admin/v1/records?limit=&from=&to=&cursor=&attribute=value: records, newest first; NDJSON if accepted."""
    await require_admin(request)
    if request.headers.get("accept", "").partition(";")[0].strip().lower() == NDJSON:
        return _export(request)
    wanted = read_search(dict(request.query_params))
    found = await desk_of(request).store.journal.search(wanted)
    more = found[-1].number if len(found) == wanted.limit else None
    data = [msgspec.Raw(record.text) for record in found]
    return json({"object": "list", "data": data, "next": str(more) if more is not None else None})


@endpoint
async def export(request: Request) -> Response:
    """GET /admin/v1/records/export: the same as NDJSON, all of it unless `limit` says otherwise."""
    await require_admin(request)
    return _export(request)


def _export(request: Request) -> Response:
    wanted = read_search(dict(request.query_params), usual=EVERY, most=None)
    return StreamingResponse(_lines(desk_of(request).store.journal, wanted), media_type=NDJSON)


async def _lines(journal: Journal, wanted: Search) -> AsyncIterator[bytes]:
    left = wanted.limit
    while left:
        page = wanted._replace(limit=min(left, MOST_RECORDS))
        found = await journal.search(page)
        if found:
            yield b"".join(record.text + b"\n" for record in found)
        if len(found) < page.limit:
            return
        left -= len(found)
        wanted = wanted._replace(below=found[-1].number)
