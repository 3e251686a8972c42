"""Shadow over HTTP: a decision for who asks what would happen, the report of many, and the stage of a lane.

Owns: POST /v1/decisions, GET /admin/v1/shadow, PUT /admin/v1/lanes/{name}/stage. Refuses: deciding (the stack does, as
for any request, and executes nothing), comparing, and judging whether a stage is wise.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from laneway.api.desk import Desk, body_of, caller_of, desk_of, endpoint, json, refused, require_admin
from laneway.dialects import FRONTS
from laneway.errand import Ear, scope_of, silence
from laneway.exchange import Exchange
from laneway.failure import Failure, Kind, fail
from laneway.middleware.shadow import told
from laneway.policy.shadows import as_object, read_since
from laneway.policy.stages import words
from laneway.ports import Standing
from laneway.route import Decision, Stage
from laneway.shadowing import read_choice
from laneway.wire.json import NONE, decode

DECISIVE = frozenset({Kind.OVER_BUDGET, Kind.NO_TARGET, Kind.UNSUPPORTED, Kind.CONTEXT_TOO_LONG})
"""Refusals that are a decision about a request; all others are about how it was asked."""
BY_SHAPE = {
    "openai": {"messages": "/v1/chat/completions", "prompt": "/v1/completions", "input": "/v1/embeddings"},
    "responses": {"input": "/v1/responses"},
    "anthropic": {"messages": "/v1/messages"},
    "ollama": {"messages": "/api/chat", "prompt": "/api/generate", "input": "/api/embed"},
}
"""The front that takes a body, by a field that it must have."""


class Asked(msgspec.Struct):
    """A request to be decided, in an envelope; a body without `request` is the request itself."""

    request: msgspec.Raw = NONE
    front: str = ""
    lane: str = ""
    legacy: msgspec.Raw = NONE


class Shape(msgspec.Struct):
    """What tells bodies apart."""

    messages: msgspec.Raw = NONE
    prompt: msgspec.Raw = NONE
    input: msgspec.Raw = NONE


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """A stage that somebody orders."""

    stage: str
    reason: str = ""
    share: float | None = None


_asked = msgspec.json.Decoder(Asked)
_shape = msgspec.json.Decoder(Shape)
_wanted = msgspec.json.Decoder(Wanted)


@endpoint
async def decide(request: Request) -> Response:
    """POST /v1/decisions: what would become of a request, beside what `legacy` says was chosen; nothing is executed."""
    tenant, key = await caller_of(request)
    desk = desk_of(request)
    body = await body_of(request, int(desk.loaded.layout.settings.server.body_limit_mb * (1 << 20)))
    asked = decode(_asked, body)
    wrapped = bool(asked.request)
    inner = bytes(asked.request) if wrapped else body
    path = _front(asked.front if wrapped else request.headers.get("x-laneway-front", ""), inner, request)
    headers = dict(request.scope["headers"])
    if wrapped and asked.lane:
        headers[b"x-laneway-lane"] = asked.lane.encode("utf-8", "replace")
    exchange = Exchange.begin(FRONTS[path], headers)
    exchange.tenant, exchange.key_id = tenant, key.id if key is not None else None
    exchange.body, exchange.dry = inner, True
    legacy = bytes(asked.legacy)
    if wrapped and legacy not in (b"", b"null"):
        exchange.legacy = read_choice(legacy)
    heard = Ear()
    await desk.stack(scope_of(exchange, path, _unwatched), silence, heard)
    return _answered(request, exchange, heard)


def _answered(request: Request, exchange: Exchange, heard: Ear) -> Response:
    failure = exchange.failure
    if failure is None and heard.status == 200:
        return Response(heard.body, media_type="application/json", headers=_named(exchange))
    if failure is not None and failure.kind in DECISIVE and exchange.stage is not None:
        none = Decision(ranked=(), by="", dropped=tuple(exchange.dropped))
        shown = told(exchange, exchange.decision or none)
        shown["refused"] = {"kind": failure.kind.value, "message": failure.message}
        response = json(shown)
    else:
        unknown = Failure(kind=Kind.INTERNAL, message=f"The gateway answered {heard.status}.")
        response = refused(request, failure or unknown)
    response.headers.update(_named(exchange))
    return response


def _named(exchange: Exchange) -> dict[str, str]:
    return {"x-laneway-request-id": exchange.request_id}


def _front(named: str, body: bytes, request: Request) -> str:
    """The path of the front that a body is for: named, or else told from its shape. Raises FailureError."""
    if named in FRONTS:
        return named
    speaks = named or ("anthropic" if "anthropic-version" in request.headers else "openai")
    shape = decode(_shape, body)
    for field, path in BY_SHAPE.get(speaks, {}).items():
        if getattr(shape, field):
            return path
    known = ", ".join((*BY_SHAPE, *FRONTS))
    message = f"front: no front '{speaks[:80]}' takes such a request; name one of {known}."
    raise fail(Kind.BAD_REQUEST, message, field="front")


def _unwatched(_: object) -> None:
    """Whoever asks for a decision waits for it."""


# --- operators ---------------------------------------------------------------------------------------------


@endpoint
async def report(request: Request) -> Response:
    """GET /admin/v1/shadow: decisions beside the legacy path's, by lane: agreement, divergence, latency and cost."""
    await require_admin(request)
    asked = request.query_params
    since_s = read_since(asked.get("since", ""), time.time())
    lanes = await desk_of(request).store.shadows.report(asked.get("lane") or None, since_s)
    return json(as_object(lanes, since_s))


@endpoint
async def stage(request: Request) -> Response:
    """PUT /admin/v1/lanes/{name}/stage {"stage", "share", "reason"}: sets how far a lane's traffic is let in."""
    await require_admin(request)
    asked = decode(_wanted, await body_of(request) or b"{}")
    staging = desk_of(request).staging
    standing = await staging.order(request.path_params["name"], asked.stage, asked.share, asked.reason, "admin")
    return json(shown(standing))


def shown(standing: Standing) -> dict[str, object]:
    """A standing for a program."""
    return {
        "lane": standing.lane,
        "stage": standing.stage,
        "share": standing.share,
        "reason": standing.reason,
        "by": standing.actor,
        "at_s": standing.at_s,
        "configured": standing.over,
    }


def staged(desk: Desk, name: str) -> dict[str, Any]:
    """A lane's stage for an operator: what is in force, since when and why, where it is not simply the file's."""
    lane = desk.loaded.layout.lanes[name]
    now, standing = desk.staging.of(lane), desk.staging.standing(name)
    made: dict[str, Any] = {"stage": now.stage.value, "share": now.share if now.stage is Stage.CANARY else None}
    if lane.legacy is not None:
        made["legacy"] = lane.legacy.name.rstrip("/")
    if standing is not None:
        made["staged"] = {
            "by": standing.actor,
            "reason": standing.reason,
            "at_s": standing.at_s,
            "configured": words(lane.stage, lane.share),
        }
    return made
