"""Routing, told to those who are routed: how far learning is, and why a request went somewhere.

Owns: /v1/router/status, decisions and explain. Refuses: another tenant's view (but to an admin, who names it),
teaching, dials (`dials` has them), and deciding: what is explained walks through the same rooms, and is not executed.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from laneway.api.desk import Visitor, body_of, desk_of, encode, endpoint, json, visitor_of
from laneway.chat import Op
from laneway.dialects import FRONTS
from laneway.errand import Ear, scope_of, silence
from laneway.exchange import Exchange
from laneway.failure import Failure, FailureError, Kind, fail
from laneway.learning.lesson import FEWEST_JUDGED, Lesson
from laneway.policy.standing import progress, sentence
from laneway.ports import Receipt, Shelf
from laneway.route import Pool, Stage

PATIENCE_S = 5.0
"""So long it is waited until all that was taught is learned; then what is known is told."""
MOST_LISTED = 1000
MOST_ID = 128
MOST_EXPLAINED = 8 << 20
FACTS = ("pool", "rule", "served", "declined")


# --- status ------------------------------------------------------------------------------------------------


@endpoint
async def status(request: Request) -> Response:
    """GET /v1/router/status?pool=: what searches, what was taught, what is still needed, and go or no-go in words."""
    visitor = await asking(request)
    desk, tenant = desk_of(request), visitor.tenant.name
    named = request.query_params.get("pool")
    pools = [pool_in(request)] if named else list(desk.loaded.layout.pools.values())
    shelf = await desk.shelves.ready(tenant)
    bias = desk.counsel.dials.bias(tenant)
    told: list[dict[str, Any]] = []
    for pool in pools:
        lesson = await desk.counsel.lessons.ready(tenant, pool, within_s=PATIENCE_S) if shelf is not None else None
        behind = shelf is not None and (lesson is None or lesson.quick or lesson.edition < shelf.edition)
        settled = {"bias": pool.bias if bias is None else bias, "floor": desk.counsel.dials.floor(tenant, pool)}
        told.append({**_told(pool, lesson), **settled, "learning": behind})
    return json(
        {
            "object": "router.status",
            "tenant": tenant,
            "backend": _backend(shelf),
            "embedder": shelf.space if shelf is not None else None,
            "records": len(shelf) if shelf is not None else 0,
            "edition": shelf.edition if shelf is not None else 0,
            "alpha": desk.counsel.dials.position(tenant),
            "judges": [
                {"judge": name, "model": judge.target.name} for name, judge in desk.loaded.layout.judges.items()
            ],
            "pools": told,
        }
    )


def _backend(shelf: Shelf | None) -> str:
    index = getattr(shelf, "index", None)
    return "faiss" if index is not None and "faiss" in type(index).__module__ else "core"


def _told(pool: Pool, lesson: Lesson | None) -> dict[str, Any]:
    made = progress(pool, lesson.labels if lesson is not None else {})
    verdict = lesson.verdict if lesson is not None else None
    complete = lesson.complete if lesson is not None else 0
    learned = lesson is not None and bool(lesson.order)
    return {
        "pool": pool.name,
        "rule": pool.rule,
        "default": pool.default,
        "warm": made.warm,
        "labels_needed": sum(made.needed.values()),
        "candidates": [
            {
                "candidate": member.label,
                "name": member.name,
                "labels": made.labels[member.label],
                "needed": made.needed[member.label],
            }
            for member in pool.members
        ],
        "tags": {
            tag: {"labels": labels, "warm": progress(pool, labels).warm}
            for tag, labels in (lesson.by_tag.items() if lesson is not None else ())
        },
        "complete": complete,
        "routable": verdict.routable if verdict is not None else None,
        "verdict": sentence(pool, made, verdict, learned, FEWEST_JUDGED, complete),
        "gain": verdict.gain if verdict is not None else None,
        "deviation": verdict.deviation if verdict is not None else None,
        "judged": verdict.examples if verdict is not None else None,
        "strong": lesson.strong or None if lesson is not None else None,
    }


# --- decisions ---------------------------------------------------------------------------------------------


@endpoint
async def decisions(request: Request) -> Response:
    """GET /v1/router/decisions?limit=&after=&pool=&rule=&served=&declined=: receipts, newest first; `next` goes on."""
    visitor = await asking(request)
    text = request.query_params.get("limit", "100")
    if not text.isdecimal() or not 0 < int(text[:9]) <= MOST_LISTED:
        raise fail(Kind.BAD_REQUEST, f"limit: expected a whole number from 1 to {MOST_LISTED}.", field="limit")
    where = {name: value for name in FACTS if (value := request.query_params.get(name)) is not None}
    receipts, tenant, limit = desk_of(request).store.receipts, visitor.tenant.name, int(text)
    after = request.query_params.get("after")
    if after is not None and await receipts.get(tenant, after[:MOST_ID]) is None:
        raise fail(Kind.BAD_REQUEST, "after: there is no such decision of this tenant, or not any more.", field="after")
    found = await receipts.recent(tenant, limit=limit + 1, where=where, after=after)
    following = found[limit - 1].id if len(found) > limit else None
    return json({"object": "list", "data": [_written(each) for each in found[:limit]], "next": following})


@endpoint
async def decision(request: Request) -> Response:
    """GET /v1/router/decisions/{id}: why a request went where it went; the id is in X-Laneway-Decision."""
    visitor = await asking(request)
    asked = request.path_params["id"]
    found = await desk_of(request).store.receipts.get(visitor.tenant.name, asked)
    if found is None:
        raise fail(Kind.UNKNOWN_PATH, f"There is no decision '{asked[:80]}' of this tenant.")
    return json(_written(found))


def _written(receipt: Receipt) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(receipt, enc_hook=list)
    told["neighbours"] = [
        # As people gave them: a shelf keeps 0.9 as 0.8999999762.
        {
            "example": example,
            "similarity": round(likeness, 4),
            "scores": {candidate: round(score, 4) for candidate, score in scores.items()},
        }
        for example, likeness, scores in receipt.neighbours
    ]
    told["dropped"] = [{"target": target, "reason": reason} for target, reason in receipt.dropped]
    return {"object": "router.decision", **told}


@endpoint
async def explain(request: Request) -> Response:
    """POST /v1/router/explain?front=/v1/messages: where any front's body would go, and why; nothing is called."""
    desk = desk_of(request)
    path = request.query_params.get("front") or _front(request)
    front = FRONTS.get(path)
    if front is None or front.op in (Op.EMBED, Op.COUNT):
        known = ", ".join(name for name, each in FRONTS.items() if each.op not in (Op.EMBED, Op.COUNT))
        raise fail(Kind.BAD_REQUEST, f"front: expected one of {known}.", field="front")
    exchange = Exchange.begin(front, dict(request.scope["headers"]))
    exchange.body = await body_of(request, MOST_EXPLAINED)
    # Decided and told: neither a stage nor a provider has a part in it.
    exchange.dry, exchange.stage = True, Stage.ACTIVE
    visitor = await visitor_of(request)
    if visitor is not None and (visitor.admin or visitor.key is not None):
        # A session, or an admin who asks in a tenant's name.
        exchange.tenant = visitor.tenant
        exchange.key_id = visitor.key.id if visitor.key is not None else None
    heard = Ear()
    await desk.stack(scope_of(exchange, path, lambda _: None), silence, heard)
    if heard.status != 200 or exchange.decision is None:
        return Response(heard.body, heard.status or 500, media_type="application/json")
    told = msgspec.json.decode(heard.body)
    told["receipt"] = _written(exchange.receipt) if exchange.receipt is not None else None
    return Response(encode({**told, "object": "router.explanation"}), media_type="application/json")


def _front(request: Request) -> str:
    return "/v1/messages" if "anthropic-version" in request.headers else "/v1/chat/completions"


# --- who asks, and of what ---------------------------------------------------------------------------------


async def asking(request: Request) -> Visitor:
    """Raises FailureError for who has no key, and for a tenant who names another."""
    visitor = await visitor_of(request)
    if visitor is None:
        found = await desk_of(request).gate.identify(dict(request.scope["headers"]))
        assert isinstance(found, Failure)
        raise FailureError(found)
    asked = request.query_params.get("tenant")
    if asked not in (None, visitor.tenant.name):
        raise fail(Kind.FORBIDDEN, "tenant: here is only what is your own tenant's.", field="tenant")
    return visitor


def pool_in(request: Request) -> Pool:
    pools = desk_of(request).loaded.layout.pools
    named = request.query_params.get("pool")
    if named is None and len(pools) == 1:
        return next(iter(pools.values()))
    meaning = desk_of(request).loaded.layout.names.meaning(named) if named else None
    pool = pools.get(named or "") or (meaning.pool if meaning is not None else None)
    if pool is None:
        known = ", ".join(pools) or "none is configured"
        raise fail(Kind.BAD_REQUEST, f"pool: name one of the pools: {known}.", field="pool")
    return pool
