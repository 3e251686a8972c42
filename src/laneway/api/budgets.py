"""Budgets: what may be spent and what was, and putting a wrong settlement right.

Owns: GET /admin/v1/budgets, POST /admin/v1/budgets/adjust. Refuses: doing anything that is not in the audit first, and
keeping sums (the ledger does).
"""

from __future__ import annotations

import secrets
import time
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from laneway.api.desk import Desk, body_of, desk_of, endpoint, json, require_admin
from laneway.failure import Kind, fail
from laneway.policy.budgets import Budget, Who, accounts_of, daily
from laneway.policy.orders import Correction, read_nanos, read_reason
from laneway.policy.price import nanos_to_usd
from laneway.policy.usage import correction
from laneway.ports import Audited, Tally
from laneway.wire.json import decode

ADJUST = "budgets.adjust"
MOST_KNOWN = 1000
"""Corrections among which a repeated one is looked for."""

_correction = msgspec.json.Decoder(Correction)


@endpoint
async def budgets(request: Request) -> Response:
    """GET /admin/v1/budgets: every budget, with what is spent, held and left of it now."""
    await require_admin(request)
    desk = desk_of(request)
    tenants = desk.loaded.layout.tenants.values()
    found = [await _shown(desk, budget) for budget in map(daily, tenants) if budget is not None]
    return json({"object": "list", "data": found})


async def _shown(desk: Desk, budget: Budget) -> dict[str, Any]:
    now_s = time.time()
    accounts: list[dict[str, Any]] = []
    for account in accounts_of(budget, Who(tenant=budget.tenant or ""), now_s):
        left = await desk.store.ledger.left(account.name, budget.cap_nanos, now_s)
        accounts.append(
            {
                "account": account.name,
                "spent_usd": nanos_to_usd(left.spent_nanos),
                "held_usd": nanos_to_usd(left.held_nanos),
                "left_usd": nanos_to_usd(left.free_nanos),
                "resets_at_s": account.ends_s,
            }
        )
    cap_usd = nanos_to_usd(budget.cap_nanos)
    return {
        "name": budget.name,
        "period": budget.period.value,
        "cap_usd": cap_usd,
        "from": "file",
        "accounts": accounts,
    }


@endpoint
async def adjust(request: Request) -> Response:
    """POST /admin/v1/budgets/adjust {"account", "usd", "reason"}: adds to what an account spent, or takes away."""
    await require_admin(request)
    asked = decode(_correction, await body_of(request) or b"{}")
    nanos, reason = read_nanos(asked.usd), read_reason(asked.reason)
    desk = desk_of(request)
    store, now_s = desk.store, time.time()
    number = asked.id or secrets.token_hex(8)
    done = [entry for entry in await store.audit.recent(MOST_KNOWN, ADJUST) if entry.detail.get("id") == number]
    if not done:
        tally = await _misplaced(desk, asked.request_id, nanos)
        await _check_spent(desk, asked.account, nanos)
        detail = {"usd": nanos_to_usd(nanos), "reason": reason, "id": number, "request_id": asked.request_id or None}
        await _note(desk, ADJUST, asked.account, detail)
        if tally is not None:
            await store.reports.correct(tally)
    elif (done[0].subject, done[0].detail.get("usd")) != (asked.account, nanos_to_usd(nanos)):
        raise fail(Kind.BAD_REQUEST, "id: another correction has it; leave it out for a new one.", field="id")
    # Also the second time: what was noted and not carried out is carried out now, and else nothing happens.
    await store.ledger.settle(f"adjust:{number}", {asked.account: nanos}, now_s)
    after = await store.ledger.left(asked.account, 0, now_s)
    return json({"account": asked.account, "spent_usd": nanos_to_usd(after.spent_nanos), "id": number})


async def _misplaced(desk: Desk, request_id: str, nanos: int) -> Tally | None:
    """Where the reports are wrong by this amount, when it is known which request was settled wrongly."""
    if not request_id:
        return None
    records = await desk.store.journal.recent(1, {"request_id": request_id})
    if not records:
        raise fail(Kind.BAD_REQUEST, "request_id: there is no record of it (any more).", field="request_id")
    return correction(records[0], desk.loaded.layout.settings.server.record_prefix, nanos)


async def _check_spent(desk: Desk, account: str, nanos: int) -> None:
    """Refuses to make less than nothing of what was spent: that would be money nobody gave."""
    left = await desk.store.ledger.left(account, 0, time.time())
    if left.spent_nanos + nanos < 0:
        spent = nanos_to_usd(left.spent_nanos)
        raise fail(Kind.BAD_REQUEST, f"usd: the account '{account[:120]}' has spent {spent} USD.", field="usd")


async def _note(desk: Desk, action: str, subject: str, detail: dict[str, str | None]) -> None:
    entry = Audited(at_s=time.time(), actor="admin", action=action, subject=subject, detail=dict(detail))
    await desk.store.audit.note(entry)
