"""Hosts: what an operator sees of lanes and hosts, and maintenance. Every endpoint asks for the admin key.

Owns: GET /admin/v1/health, GET and PUT /admin/v1/maintenance, GET /admin/v1/audit. Refuses: any decision; the board's
own reasons are told, and what was opened closes by itself.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from laneway.api.desk import Desk, body_of, desk_of, endpoint, json, require_admin
from laneway.api.health import seen
from laneway.api.shadow import staged
from laneway.config import nearest
from laneway.failure import FailureError, Kind, fail
from laneway.keeper import MAINTENANCE
from laneway.policy.stages import SERVING
from laneway.ports import Audited
from laneway.route import Lane
from laneway.wire.json import decode

OPEN_S = 3600.0
"""How long maintenance stays open when nobody says."""
MOST_S = 7 * 86_400.0


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    provider: str
    open: bool
    until: float | str | None = None
    """An instant (RFC 3339), or Unix seconds."""


_wanted = msgspec.json.Decoder(Wanted)


@endpoint
async def health(request: Request) -> Response:
    """GET /admin/v1/health: hosts, breakers, loaded models, slots and queues; lanes, and which is safe."""
    await require_admin(request)
    return json(health_of(desk_of(request)))


def health_of(desk: Desk) -> dict[str, Any]:
    """The same for who has the desk; of all workers together."""
    desk.board.refresh()
    hosts = {name: _host(desk, name) | known for name, known in seen(desk).items()}
    lanes = {name: _lane(desk, lane) for name, lane in desk.loaded.layout.lanes.items()}
    return {
        "config": desk.loaded.layout.version,
        "hosts": hosts,
        "lanes": lanes,
        "safe": [name for name, told in lanes.items() if told["safe"]],
    }


def _host(desk: Desk, name: str) -> dict[str, Any]:
    board = desk.board
    host = board.host(name)
    now_s = board.clock()
    made: dict[str, Any] = {
        "breakers": {
            target.partition("/")[2]: {"state": each.state(now_s), "timeouts": each.strikes}
            for target, each in host.breakers.items()
        },
        "slots": {
            "total": host.rules.slots,
            "reserved": dict(host.rules.reserved),
            "in_use": dict(host.admission.in_use),
            "waiting": host.waiting(),
        },
        "resident": [
            {
                "model": model,
                "size_bytes": loaded.size_bytes,
                "expires_at": _instant(loaded.expires_s),
                "protected": model in host.rules.protected,
                "in_flight": host.busy.get(model, 0),
            }
            for model, loaded in host.loaded.items()
        ],
        "protected": sorted(host.rules.protected),
        "memory_bytes": host.memory_bytes,
        "maintenance_until": _instant(host.maintenance_s) if board.in_maintenance(host) else None,
    }
    return made


def _lane(desk: Desk, lane: Lane) -> dict[str, Any]:
    asleep = desk.roster.asleep()
    own = [target for target in lane.targets if target.name not in lane.emergency]
    reasons: dict[str, str] = {}
    for target in own:
        skipped = desk.board.barred(target, lane)
        host = desk.board.host(target.provider.name)
        if target.provider.name in asleep:
            reasons[target.name] = "its host does not answer"
        elif skipped is not None:
            reasons[target.name] = skipped.reason
        elif not host.admission.may(lane.name) and host.waiting().get(lane.name, 0) >= lane.queue:
            reasons[target.name] = "no slot is free and the queue is full"
    serving = next((target.name for target in own if target.name not in reasons), None)
    stage = staged(desk, lane.name)
    return {
        **stage,
        "safe": serving is not None and stage["stage"] in SERVING,
        "serving": serving,
        "targets": [target.name for target in own],
        "emergency": [target.name for target in lane.targets if target.name in lane.emergency],
        "pool": lane.pool.name if lane.pool is not None else None,
        "reasons": reasons,
    }


@endpoint
async def maintenance(request: Request) -> Response:
    """GET /admin/v1/maintenance: the providers on which denials and protection are lifted, and until when."""
    await require_admin(request)
    board = desk_of(request).board
    opened = {name: _instant(host.maintenance_s) for name, host in board.hosts.items() if board.in_maintenance(host)}
    return json({"object": "list", "data": [{"provider": name, "until": until} for name, until in opened.items()]})


@endpoint
async def maintain(request: Request) -> Response:
    """PUT /admin/v1/maintenance {"provider", "open", "until"}: lifts denials and protection there, for a time."""
    await require_admin(request)
    desk = desk_of(request)
    asked = decode(_wanted, await body_of(request) or b"{}")
    providers = desk.loaded.layout.providers
    if asked.provider not in providers:
        hint = nearest(asked.provider, providers)
        raise fail(Kind.BAD_REQUEST, f"There is no provider '{asked.provider[:80]}'{hint}.", field="provider")
    now_s = time.time()
    until_s = _until_s(asked, now_s) if asked.open else 0.0
    # Written before it is in force: what was not audited did not happen.
    await desk.store.audit.note(
        Audited(
            at_s=now_s,
            actor="admin",
            action=MAINTENANCE,
            subject=asked.provider,
            detail={"open": asked.open, "until_s": until_s},
        )
    )
    desk.board.open_maintenance(asked.provider, until_s)
    until = _instant(until_s) if asked.open else None
    return json({"provider": asked.provider, "open": asked.open, "until": until})


@endpoint
async def audit(request: Request) -> Response:
    """GET /admin/v1/audit: what operators did, newest first."""
    await require_admin(request)
    found = await desk_of(request).store.audit.recent(200)
    return json({"object": "list", "data": list(found)})


def _until_s(asked: Wanted, now_s: float) -> float:
    until = asked.until
    if until is None:
        return now_s + OPEN_S
    try:
        until_s = datetime.fromisoformat(until).timestamp() if isinstance(until, str) else float(until)
    except (ValueError, OverflowError):
        raise _no_instant() from None
    if not now_s < until_s <= now_s + MOST_S:
        raise _no_instant()
    return until_s


def _no_instant() -> FailureError:
    return fail(
        Kind.BAD_REQUEST,
        f"until: expected an instant in the next {MOST_S / 86_400:g} days: '2026-01-31T12:00:00Z', or Unix seconds.",
        field="until",
    )


def _instant(at_s: float | None) -> str | None:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at_s is not None else None
