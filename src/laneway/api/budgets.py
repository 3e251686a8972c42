"""Budgets: what may be spent and what was, making and changing budgets, kills, and putting a wrong settlement right.

Owns: /admin/v1/budgets and what is under it. Refuses: doing anything itself; the treasury does, and audits it.
"""

from __future__ import annotations

import time

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from laneway.api.desk import body_of, desk_of, endpoint, json, require_admin
from laneway.policy.budgets import Budget
from laneway.policy.orders import Correction, Killing
from laneway.policy.price import nanos_to_usd
from laneway.settings import BudgetTable
from laneway.treasury import Treasury, shown
from laneway.wire.json import decode, decode_object, read_tree


class NewBudget(BudgetTable, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A budget as it would stand in the file, with its name."""

    name: str


_new = msgspec.json.Decoder(NewBudget)
_killing = msgspec.json.Decoder(Killing)
_correction = msgspec.json.Decoder(Correction)


@endpoint
async def budgets(request: Request) -> Response:
    """GET /admin/v1/budgets: every budget, with what is spent, held and left of it now, and the kills in force."""
    treasury = await _treasury(request)
    now_s = time.time()
    fixed, booked = treasury.layout.budgets, await treasury.booked()
    sums = await treasury.sums((*fixed, *booked), now_s)
    found = [shown(budget, "file", sums) for budget in fixed] + [shown(budget, "api", sums) for budget in booked]
    kills = list(treasury.store.ledger.killed().values())
    return json({"object": "list", "data": found, "kills": kills})


@endpoint
async def create(request: Request) -> Response:
    """POST /admin/v1/budgets {"name", "cap_usd", ...}: makes a budget, with the keys of `[budgets.NAME]`."""
    treasury = await _treasury(request)
    asked = decode(_new, await body_of(request) or b"{}")
    rest = decode_object(msgspec.json.encode(asked))
    del rest["name"]
    budget = await treasury.create(asked.name, msgspec.convert(rest, BudgetTable), time.time())
    return await _changed(request, budget, 201)


@endpoint
async def change(request: Request) -> Response:
    """PATCH /admin/v1/budgets/{name}: changes the keys that are named; what was spent stays spent."""
    treasury = await _treasury(request)
    changes = read_tree(await body_of(request) or b"{}")
    budget = await treasury.change(request.path_params["name"], changes, time.time())
    return await _changed(request, budget, 200)


@endpoint
async def delete(request: Request) -> Response:
    """DELETE /admin/v1/budgets/{name}: removes a budget that was made here; its sums are kept."""
    treasury = await _treasury(request)
    name = request.path_params["name"]
    await treasury.remove(name, time.time())
    await desk_of(request).book_changed()
    return json({"name": name, "deleted": True})


@endpoint
async def kill(request: Request) -> Response:
    """POST /admin/v1/budgets/kill {"scope", "reason"}: paid calls stop at once, in every process, until unkill."""
    treasury = await _treasury(request)
    scope = await treasury.kill(decode(_killing, await body_of(request) or b"{}"), time.time())
    return json({"scope": scope, "killed": True})


@endpoint
async def unkill(request: Request) -> Response:
    """POST /admin/v1/budgets/unkill {"scope", "reason"}: takes a kill back."""
    treasury = await _treasury(request)
    scope = await treasury.unkill(decode(_killing, await body_of(request) or b"{}"), time.time())
    return json({"scope": scope, "killed": False})


@endpoint
async def adjust(request: Request) -> Response:
    """POST /admin/v1/budgets/adjust {"account", "usd", "reason"}: adds to what an account spent, or takes away."""
    treasury = await _treasury(request)
    asked = decode(_correction, await body_of(request) or b"{}")
    number, left = await treasury.adjust(asked, time.time())
    return json({"account": left.account, "spent_usd": nanos_to_usd(left.spent_nanos), "id": number})


async def _treasury(request: Request) -> Treasury:
    await require_admin(request)
    desk = desk_of(request)
    return Treasury(desk.store, desk.loaded.layout, "admin")


async def _changed(request: Request, budget: Budget, status: int) -> Response:
    """In force here when this is answered, and within seconds wherever the store is shared."""
    await desk_of(request).book_changed()
    return json(shown(budget, "api", ()), status)
