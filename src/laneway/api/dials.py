"""The dial and the floor under it, for whom they are turned: what they would do, where they stand, and putting them
elsewhere.

Owns: /v1/router/dial, /admin/v1/routing-alpha and /admin/v1/routing-floor. Refuses: another tenant's (but to an admin,
who names it), and what a position or a floor does: a lesson has worked it out.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from laneway.api.desk import Visitor, body_of, desk_of, endpoint, json
from laneway.api.router import PATIENCE_S, asking, pool_in
from laneway.failure import Kind, fail
from laneway.learning.lesson import Lesson
from laneway.policy import floor as floors
from laneway.policy.dial import Effect
from laneway.ports.dials import LEAST, MOST, NO_FLOOR
from laneway.route import Pool
from laneway.wire.json import decode

RANGE = f"alpha: expected a whole number from {LEAST} (lowest cost) to {MOST} (highest quality)."
FLOOR_RANGE = (
    f"floor: expected the share of the best candidate's quality that is kept, from {floors.LEAST:g} to {floors.MOST:g} "
    f"in steps of {floors.STEP:g}; 0 for none, or null for what the configuration says."
)


class Turning(msgspec.Struct, forbid_unknown_fields=True):
    alpha: int | float | None = None


class Keeping(msgspec.Struct, forbid_unknown_fields=True):
    floor: int | float | UnsetType | None = UNSET


_turning = msgspec.json.Decoder(Turning)
_keeping = msgspec.json.Decoder(Keeping)


# --- the dial ----------------------------------------------------------------------------------------------


@endpoint
async def alpha(request: Request) -> Response:
    """GET /admin/v1/routing-alpha?tenant=: where a tenant's dial stands, for its own key or for an admin."""
    visitor = await asking(request)
    return _alpha(request, visitor.tenant.name)


@endpoint
async def turn(request: Request) -> Response:
    """PUT /admin/v1/routing-alpha {"alpha": 0..10}: holds for the tenant's next request, and over a restart."""
    visitor = await asking(request)
    actor = _hand(visitor)
    said = decode(_turning, await body_of(request)).alpha
    if said is None or said != int(said) or not LEAST <= said <= MOST:
        raise fail(Kind.BAD_REQUEST, RANGE, field="alpha")
    await desk_of(request).counsel.dials.turn(visitor.tenant.name, int(said), actor=actor, now_s=time.time())
    return _alpha(request, visitor.tenant.name)


def _alpha(request: Request, tenant: str) -> Response:
    return json({"alpha": desk_of(request).counsel.dials.position(tenant), "min": LEAST, "max": MOST})


def _hand(visitor: Visitor) -> str:
    """Who turns it, for the audit. Raises FailureError for who may not."""
    if visitor.key is not None:
        return visitor.key.id
    if not visitor.admin:
        raise fail(Kind.FORBIDDEN, "The dial of everybody is an admin's to turn: send the admin key.")
    return "admin"


# --- the floor ---------------------------------------------------------------------------------------------


@endpoint
async def floor(request: Request) -> Response:
    """GET /admin/v1/routing-floor?pool=&tenant=: the share of the best candidate's quality that is kept."""
    visitor = await asking(request)
    return _floor(request, visitor.tenant.name, pool_in(request))


@endpoint
async def keep(request: Request) -> Response:
    """PUT /admin/v1/routing-floor?pool= {"floor": 0.9..1, 0 or null}: as the dial is turned; null: as configured."""
    visitor = await asking(request)
    actor, pool = _hand(visitor), pool_in(request)
    said = decode(_keeping, await body_of(request)).floor
    if isinstance(said, UnsetType):
        raise fail(Kind.BAD_REQUEST, FLOOR_RANGE, field="floor")
    wanted = None if said is None else _known(said)
    await desk_of(request).counsel.dials.keep(visitor.tenant.name, pool, wanted, actor=actor, now_s=time.time())
    return _floor(request, visitor.tenant.name, pool)


def _known(said: float) -> float:
    """A floor that can be kept, or none. Raises FailureError for any other."""
    known = next((each for each in (NO_FLOOR, *floors.FLOORS) if abs(each - said) < floors.TINY), None)
    if known is None:
        raise fail(Kind.BAD_REQUEST, FLOOR_RANGE, field="floor")
    return known


def _floor(request: Request, tenant: str, pool: Pool) -> Response:
    dials = desk_of(request).counsel.dials
    return json(
        {
            "pool": pool.name,
            "floor": dials.floor(tenant, pool),
            "set": dials.own_floor(tenant, pool),
            "configured": pool.floor,
            "min": floors.LEAST,
            "max": floors.MOST,
            "step": floors.STEP,
            "short_by": floors.SLACK,
            "at_most": floors.MISSES,
        }
    )


# --- what they would do ------------------------------------------------------------------------------------


@endpoint
async def dial(request: Request) -> Response:
    """GET /v1/router/dial?pool=&floor=: what each position of the dial would do with the tenant's own examples, above
    the floor that is set, or above this one."""
    visitor = await asking(request)
    pool, tenant = pool_in(request), visitor.tenant.name
    dials, lessons = desk_of(request).counsel.dials, desk_of(request).counsel.lessons
    target, asked = dials.floor(tenant, pool), request.query_params.get("floor")
    if asked is not None:
        target = _known(_number(asked)) or None
    lesson = await lessons.ready(tenant, pool, within_s=PATIENCE_S)
    bias = dials.bias(tenant)
    return json(
        {
            "object": "router.dial",
            "pool": pool.name,
            "tenant": tenant,
            "bias": pool.bias if bias is None else bias,
            "moved": bias is not None,
            "positions": _positions(lesson, target) if lesson is not None else [],
            "unmoved": _unmoved(lesson, target, pool) if lesson is not None else None,
            "steps": len(lesson.dial.weights) if lesson is not None and lesson.positions else 0,
            "floor": target,
            "examples": lesson.examples if lesson is not None else 0,
        }
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise fail(Kind.BAD_REQUEST, FLOOR_RANGE, field="floor") from None


def _positions(lesson: Lesson, target: float | None) -> list[dict[str, Any]]:
    floor = lesson.floor(target)
    told: list[dict[str, Any]] = []
    for row in lesson.positions:
        # Where costs would count for more than the floor allows, the floor's stance is the one that is taken.
        kept = floor is not None and row.weight > max(floor.level, 0.0)
        effect = floor.effect if floor is not None and kept else row.effect
        at = {"bias": row.bias, "alpha": round(row.bias * MOST, 6)}
        told.append({**at, **_effect(lesson, effect), "kept_by_floor": kept})
    return told


def _unmoved(lesson: Lesson, target: float | None, pool: Pool) -> dict[str, Any] | None:
    """What is done for a tenant who has not moved the dial: a floor then decides alone."""
    floor = lesson.floor(target)
    if floor is not None:
        return _effect(lesson, floor.effect)
    nearest = min(lesson.positions, key=lambda row: abs(row.bias - pool.bias), default=None)
    return None if nearest is None else _effect(lesson, nearest.effect)


def _effect(lesson: Lesson, effect: Effect) -> dict[str, Any]:
    unit = lesson.unit_nanos
    return {
        "mix": dict(zip(lesson.order, effect.mix, strict=True)),
        "quality": effect.quality,
        "cost_ratio": effect.cost,
        "usd_per_request": effect.cost * unit / 1e9 if unit is not None else None,
    }
