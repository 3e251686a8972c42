"""The map: a sample of a tenant's examples and which of them are alike, for a picture.

Owns: /v1/router/map. Refuses: the whole memory at once (a picture of thousands of dots tells nothing), and vectors:
what goes out is which examples lie near each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from laneway.api.desk import desk_of, endpoint, json, tenant_of
from laneway.failure import Kind, fail
from laneway.ports import Rows, Shelf

MOST = 1000
MOST_NEAR = 200
TIES = 3
"""Each example is tied to so many of those most like it."""
ALIKE = 0.25
SHOWN = 160
"""Characters of a prompt."""


@endpoint
async def places(request: Request) -> Response:
    """GET /v1/router/map?limit=250&near=1,2: a sample of the examples, those named among them, and which are alike."""
    tenant = (await tenant_of(request)).name
    limit, near = _limit(request), _near(request)
    desk = desk_of(request)
    shelf = await desk.shelves.ready(tenant)
    if shelf is None:
        return json({"object": "router.map", "examples": 0, "nodes": [], "links": []})
    ids, links = await asyncio.to_thread(_sampled, shelf, limit, near)
    nodes = []
    for each in ids:
        example = await desk.store.examples.get(tenant, each)
        if example is not None:
            nodes.append({"id": each, "tag": example.tag, "prompt": example.text[:SHOWN]})
    there = {node["id"] for node in nodes}
    ties = [link for link in links if link[0] in there and link[1] in there]
    return json({"object": "router.map", "examples": len(shelf), "nodes": nodes, "links": ties})


def _sampled(shelf: Shelf, limit: int, near: Sequence[int]) -> tuple[list[int], list[tuple[int, int, float]]]:
    import numpy as np

    rows: Rows = shelf.rows()
    count = len(rows.ids)
    chosen = np.unique(np.linspace(0, max(count - 1, 0), min(limit, count)).astype(np.intp))
    named = np.flatnonzero(np.isin(rows.ids, np.asarray(near, np.int64)))
    chosen = np.union1d(chosen, named)
    vectors, ids = rows.vectors[chosen], rows.ids[chosen].tolist()
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -1.0)
    ties: dict[tuple[int, int], float] = {}
    for at, nearest in enumerate(np.argsort(-likeness, axis=1)[:, :TIES].tolist()):
        for other in nearest:
            if likeness[at, other] >= ALIKE:
                ties[min(at, other), max(at, other)] = round(float(likeness[at, other]), 3)
    return ids, [(ids[one], ids[other], alike) for (one, other), alike in ties.items()]


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "250")
    if not text.isdecimal() or not 0 < int(text[:9]) <= MOST:
        raise fail(Kind.BAD_REQUEST, f"limit: expected a whole number from 1 to {MOST}.", field="limit")
    return int(text)


def _near(request: Request) -> list[int]:
    named = [text for text in request.query_params.get("near", "").split(",") if text]
    if len(named) > MOST_NEAR or not all(text.isdecimal() and len(text) < 19 for text in named):
        raise fail(Kind.BAD_REQUEST, f"near: expected at most {MOST_NEAR} ids of examples.", field="near")
    return [int(text) for text in named]
