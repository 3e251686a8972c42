"""Memory: a tenant's examples as data: to be read, searched, changed, taken back, carried away and put back.

Owns: /v1/router/memory and what is under it, and /v1/router/audit. Refuses: another tenant's memory (but to an
admin, who names it), and changing anything itself; the teacher does, and audits it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from laneway.api.desk import body_of, desk_of, encode, endpoint, json, require_admin
from laneway.api.preferences import LONG_BODY, MOST_TAUGHT, known, read_batch, teacher_of
from laneway.failure import Kind, fail
from laneway.learning.samples import read_kept
from laneway.learning.survey import Pair, contradictions, duplicates, influence, sources
from laneway.learning.teaching import Change, every, kept_of, subject_of
from laneway.policy.influence import METHOD
from laneway.ports.examples import Example, Filter
from laneway.wire.json import decode

MOST_SHOWN = 1000
MOST_LOOKED_AT = 2000
FILTERS = ("text", "tag", "candidate", "source", "batch", "task_id")
NDJSON = "application/x-ndjson"


class Undoing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    batch: str | None = None


_change = msgspec.json.Decoder(Change)
_undoing = msgspec.json.Decoder(Undoing)


@endpoint
async def examples(request: Request) -> Response:
    """GET /v1/router/memory?text=&tag=&candidate=&source=&batch=&task_id=: a tenant's examples, by id, in pages."""
    teacher, _ = await teacher_of(request)
    after, limit = _page(request, 100, MOST_SHOWN)
    where = _filter(request)
    found = await teacher.examples.list(teacher.tenant, where=where, after=after, limit=limit)
    total = await teacher.examples.count(teacher.tenant, where=where)
    following = found[-1].id if len(found) == limit else None
    return json({"object": "list", "data": [shown(each) for each in found], "total": total, "after": following})


@endpoint
async def example(request: Request) -> Response:
    """GET /v1/router/memory/{id}: one example, with who taught it and when."""
    teacher, _ = await teacher_of(request)
    return json(shown(await teacher.get(_id(request))))


@endpoint
async def change(request: Request) -> Response:
    """PATCH /v1/router/memory/{id} {"prompt", "tag", "scores"}: changes what is named; a score of null goes."""
    teacher, _ = await teacher_of(request, mending=True)
    asked = decode(_change, await body_of(request))
    changed = await teacher.change(_id(request), asked)
    await known(request, teacher)
    return json(shown(changed))


@endpoint
async def delete(request: Request) -> Response:
    """DELETE /v1/router/memory/{id}: nothing of it is kept."""
    teacher, _ = await teacher_of(request, mending=True)
    deleted = await teacher.delete([_id(request)])
    await known(request, teacher)
    return json({"deleted": deleted})


@endpoint
async def undo(request: Request) -> Response:
    """POST /v1/router/memory/undo {"batch"}: takes back what a batch added; the last one, if none is named."""
    teacher, _ = await teacher_of(request, mending=True)
    asked = decode(_undoing, await body_of(request) or b"{}")
    batch, deleted = await teacher.undo(asked.batch)
    await known(request, teacher)
    return json({"batch": batch, "deleted": deleted})


@endpoint
async def export(request: Request) -> Response:
    """GET /v1/router/memory/export: all examples, or those a filter means, as NDJSON that import takes."""
    teacher, _ = await teacher_of(request)
    where = _filter(request)

    async def lines() -> AsyncIterator[bytes]:
        async for page in every(teacher.examples, teacher.tenant, where):
            yield b"".join(encode(kept_of(each)) + b"\n" for each in page)

    return StreamingResponse(lines(), media_type=NDJSON)


@endpoint
async def restore(request: Request) -> Response:
    """POST /v1/router/memory/import: puts exported NDJSON back, under new ids, all or nothing."""
    teacher, _ = await teacher_of(request, mending=True)
    body = await body_of(request, MOST_TAUGHT)
    kept = await asyncio.to_thread(read_kept, body) if len(body) > LONG_BODY else read_kept(body)
    batch, recorded = await teacher.restore(kept, read_batch(request.query_params.get("batch")))
    await known(request, teacher)
    return json({"recorded": recorded, "batch": batch}, 201)


@endpoint
async def judges(request: Request) -> Response:
    """GET /admin/v1/judges: what became of the answers each judge drew in this process, and how far it is believed."""
    await require_admin(request)
    return json({"object": "list", "data": desk_of(request).judges.told()})


# --- looking at it as a whole ------------------------------------------------------------------------------


@endpoint
async def twins(request: Request) -> Response:
    """GET /v1/router/memory/duplicates: pairs of examples with the same prompt, or nearly the same."""
    teacher, _ = await teacher_of(request)
    after, limit = _page(request, MOST_LOOKED_AT, MOST_LOOKED_AT)
    pairs, following = await duplicates(
        teacher.examples, desk_of(request).shelves, teacher.tenant, after=after, limit=limit
    )
    pairs.sort(key=lambda pair: -pair.likeness)
    data = [_pair(pair) for pair in pairs[:MOST_SHOWN]]
    return json({"object": "list", "data": data, "total": len(pairs), "after": following})


@endpoint
async def disputes(request: Request) -> Response:
    """GET /v1/router/memory/contradictions: like prompts for which a candidate was scored high and low."""
    teacher, _ = await teacher_of(request)
    after, limit = _page(request, MOST_LOOKED_AT, MOST_LOOKED_AT)
    found, following = await contradictions(
        teacher.examples, desk_of(request).shelves, teacher.tenant, after=after, limit=limit
    )
    found.sort(key=lambda each: -each[1].difference * each[0].likeness)
    data = [
        {**_pair(pair), "candidate": said.candidate, "difference": round(said.difference, 4)}
        for pair, said in found[:MOST_SHOWN]
    ]
    return json({"object": "list", "data": data, "total": len(found), "after": following})


@endpoint
async def believed(request: Request) -> Response:
    """GET /v1/router/memory/sources: how many labels each source gave, and how far it agrees with people."""
    teacher, _ = await teacher_of(request)
    data = [
        {
            "source": each.trust.source,
            "labels": each.labels,
            "compared": each.trust.pairs,
            "error": round(each.trust.error, 4),
            "lean": round(each.trust.lean, 4),
            "trust": round(each.trust.trust, 4),
        }
        for each in await sources(teacher.examples, teacher.tenant)
    ]
    return json({"object": "list", "data": data})


@endpoint
async def influenced(request: Request) -> Response:
    """GET /v1/router/memory/{id}/influence: the decisions it was a neighbour in, and which would have been others."""
    teacher, _ = await teacher_of(request)
    example_id = _id(request)
    _, limit = _page(request, 100, MOST_SHOWN)
    found = await influence(desk_of(request).store.receipts, teacher.tenant, example_id, limit)
    data = [
        {
            "decision": each.receipt.id,
            "at_s": each.receipt.at_s,
            "similarity": round(each.similarity, 4),
            "served": each.receipt.served,
            "won": each.won,
            "without": each.without,
            "changed": each.changed,
            "shift": round(each.shift, 4),
        }
        for each in found
    ]
    changed = sum(each.changed for each in found)
    return json({"id": example_id, "method": METHOD, "decisions": len(found), "changed": changed, "data": data})


@endpoint
async def audit(request: Request) -> Response:
    """GET /v1/router/audit: who taught, changed and took back what in a tenant's memory, newest first."""
    teacher, _ = await teacher_of(request)
    _, limit = _page(request, 100, MOST_SHOWN)
    found = await teacher.audit.recent(limit, subject=subject_of(teacher.tenant))
    return json({"object": "list", "data": list(found)})


# --- reading and showing -----------------------------------------------------------------------------------


def shown(example: Example) -> dict[str, Any]:
    return {
        "id": example.id,
        "prompt": example.text,
        "tag": example.tag,
        "setting": example.setting,
        "labels": [label._asdict() for label in example.labels],
        "task_id": example.task_id or None,
        "batch": example.batch or None,
        "taught_by": example.taught_by or None,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(example.at_s)),
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {"likeness": pair.likeness, "examples": [shown(pair.one), shown(pair.other)]}


def _id(request: Request) -> int:
    text = request.path_params["id"]
    if not text.isdecimal() or len(text) > 18:
        raise fail(Kind.UNKNOWN_PATH, f"There is no example '{text[:40]}': ids are whole numbers.")
    return int(text)


def _filter(request: Request) -> Filter:
    asked = request.query_params
    return Filter(**{name: asked[name] for name in FILTERS if name in asked})


def _page(request: Request, usual: int, most: int) -> tuple[int, int]:
    after, limit = request.query_params.get("after", "0"), request.query_params.get("limit", str(usual))
    if not after.isdecimal() or len(after) > 18:
        raise fail(Kind.BAD_REQUEST, "after: expected the id of an example.", field="after")
    if not limit.isdecimal() or len(limit) > 9 or not 0 < int(limit) <= most:
        raise fail(Kind.BAD_REQUEST, f"limit: expected a whole number from 1 to {most}.", field="limit")
    return int(after), int(limit)
