"""Runs over HTTP: accepted, asked about, followed and cancelled.

Owns: /v1/runs for callers, each of whom sees their tenant's only, and /admin/v1/runs for operators.
Refuses: executing (the worker does), and accepting what the lane's room or the front's dialect would turn away: who has
been told 202 will be told how it ended.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from laneway.addresses import address_fault
from laneway.api.desk import body_of, caller_of, desk_of, endpoint, json, refused, require_admin, respond, tenant_of
from laneway.api.events import HEADERS
from laneway.dialects import FRONTS, dialect
from laneway.edge import ENDING
from laneway.errand import Ear, scope_of, silence
from laneway.exchange import Exchange
from laneway.failure import Failure, FailureError, Kind, fail
from laneway.policy import runs as policy
from laneway.policy.run_requests import Order, kept_headers, read_order, within_request
from laneway.ports import Audited
from laneway.ports.runs import ENDED, Run, Runs, State, Step, Texts, Wanted
from laneway.route import Key, Tenant
from laneway.runs import Ways, exchange_of
from laneway.wire.json import encode
from laneway.wire.sse import comment

MOST_SHOWN = 200
LOOK_S = 0.25
"""Between two looks at the steps of a run that somebody follows: whichever process executes it, the store knows."""
ALIVE_S = 15.0
"""A word at least this often, so that nobody between takes the stream for dead."""
ALLOW = "runs.private_webhooks in the gateway's configuration allows those"


# --- accepting ---------------------------------------------------------------------------------------------


@endpoint
async def create(request: Request) -> Response:
    """POST /v1/runs: takes a request in to be answered later: 202 once it is written down, 200 if it was before."""
    tenant, key = await caller_of(request)
    desk = desk_of(request)
    ways = desk.runs.ways
    most = int(desk.loaded.layout.settings.server.body_limit_mb * (1 << 20))
    order = read_order(await body_of(request, most), request.headers, _named_lane(request, ways))
    there = await desk.store.runs.same(tenant.name, order.same) if order.same else None
    if there is None:
        headers = kept_headers(request.headers.items(), ways.prefixes, order.lane)
        texts = Texts(body=order.body, headers=headers, secret=order.secret)
        try:
            exchange = await _admitted(ways, tenant, order, texts)
        except FailureError as error:
            return _turned_away(request, order, error.failure)
        run = _run(order, exchange, tenant, key)
        there = await desk.store.runs.accept(run, texts, (policy.accepted_step(run),), ways.table.waiting)
        if there is None:
            failure = Failure(
                kind=Kind.RATE_LIMITED,
                message=f"{ways.table.waiting} runs of '{tenant.name}' wait already; ask again when some have ended.",
                retry_after_s=30.0,
            )
            return _turned_away(request, order, failure)
        if there.id == run.id:
            desk.runs.wake()
            return _accepted(request, run, 202)
    if there.print != order.print:
        message = f"idempotency_key: the run {there.id} has it, and asked for something else; take another key."
        raise fail(Kind.CONFLICT, message, field="idempotency_key")
    return _accepted(request, there, 200)


def _named_lane(request: Request, ways: Ways) -> str:
    named = (request.headers.get(f"{prefix}lane") for prefix in ways.prefixes)
    return next((name.strip() for name in named if name), "")


async def _admitted(ways: Ways, tenant: Tenant, order: Order, texts: Texts) -> Exchange:
    """The request as the rooms saw it that would turn it away. Raises FailureError where one does."""
    if order.hook and (fault := address_fault(order.hook, private=ways.table.private_webhooks, allow=ALLOW)):
        raise fail(Kind.BAD_REQUEST, f"webhook: the address {fault}.", field="webhook")
    exchange = exchange_of(order.path, texts, "to be accepted")
    exchange.tenant = tenant
    await ways.porch(scope_of(exchange, order.path, lambda _: None), silence, Ear())
    if exchange.failure is not None:
        at_front = exchange.failure.kind is Kind.MALFORMED_REQUEST and order.wrapped
        raise FailureError(within_request(exchange.failure) if at_front else exchange.failure)
    if order.lane and (exchange.lane is None or exchange.lane.name != order.lane):
        message = "lane: server.header_prefixes is empty here, so lanes are named as the model."
        raise fail(Kind.BAD_REQUEST, message, field="lane")
    return exchange


def _run(order: Order, exchange: Exchange, tenant: Tenant, key: Key | None) -> Run:
    view = exchange.view
    return Run(
        id=f"run_{secrets.token_hex(12)}",
        tenant=tenant.name,
        key_id=key.id if key is not None else None,
        path=order.path,
        model=view.model if view is not None else "",
        lane=exchange.lane.name if exchange.lane is not None else None,
        accepted_s=time.time(),
        same=order.same or None,
        print=order.print,
        hook=order.hook,
    )


def _turned_away(request: Request, order: Order, failure: Failure) -> Response:
    """In the words of the front that the request is for, where that was said."""
    if order.wrapped:
        return respond(dialect(FRONTS[order.path].dialect).write_failure(failure, ""))
    return refused(request, failure)


def _accepted(request: Request, run: Run, status: int) -> Response:
    response = json(policy.as_object(run), status)
    response.headers["location"] = f"{request.scope.get('root_path', '')}/v1/runs/{run.id}"
    return response


# --- asking ------------------------------------------------------------------------------------------------


@endpoint
async def runs(request: Request) -> Response:
    """GET /v1/runs: the tenant's own, newest first; `state`, `lane`, `limit` and `after` narrow it down."""
    return await _list(request, (await tenant_of(request)).name, ("state", "lane", "limit", "after"))


@endpoint
async def run(request: Request) -> Response:
    """GET /v1/runs/{id}: where it stands, what it used and cost, its steps, and its result once there is one."""
    return await _show(request, (await tenant_of(request)).name)


@endpoint
async def cancel(request: Request) -> Response:
    """DELETE /v1/runs/{id}: ends it, at once where it is under way; `forget=true` removes one that has ended."""
    return await _cancel(request, (await tenant_of(request)).name)


@endpoint
async def events(request: Request) -> Response:
    """GET /v1/runs/{id}/events: its steps as server-sent events, those that were and those to come, until it ends."""
    tenant = await tenant_of(request)
    found = await _found(request, tenant.name)
    behind = request.headers.get("last-event-id", "")
    after = int(behind) if behind.isdecimal() and len(behind) < 10 else 0
    if found.state in ENDED and not await desk_of(request).store.runs.steps(found.id, after):
        # WHATWG HTML, section 9.2.3: it tells a client that reconnects by itself to stop.
        return Response(status_code=204)
    # A server that stops does not wait for the run: a client that reconnects goes on from where it was.
    ending = asyncio.Event()
    request.scope[ENDING] = ending.set
    frames = _frames(desk_of(request).store.runs, found.id, after, ending)
    return StreamingResponse(frames, media_type="text/event-stream", headers=HEADERS)


async def _frames(store: Runs, run_id: str, after: int, ending: asyncio.Event) -> AsyncIterator[bytes]:
    quiet_s = 0.0
    while not ending.is_set():
        try:
            steps = await store.steps(run_id, after)
        except FailureError:
            steps = ()
        for step in steps:
            yield _event(step)
            if step.kind == "finished":
                return
            after = step.number
        quiet_s = 0.0 if steps else quiet_s + LOOK_S
        if quiet_s >= ALIVE_S:
            if await store.find(run_id) is None:
                return
            yield comment("it goes on")
            quiet_s = 0.0
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await ending.wait()


def _event(step: Step) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (step.number, step.kind.encode(), encode(policy.step_object(step)))


# --- for operators -----------------------------------------------------------------------------------------


@endpoint
async def everybodys(request: Request) -> Response:
    """GET /admin/v1/runs: everybody's, newest first; `tenant`, `state`, `lane`, `limit` and `after` narrow it down."""
    await require_admin(request)
    asked = request.query_params.get("tenant")
    return await _list(request, asked, ("tenant", "state", "lane", "limit", "after"))


@endpoint
async def anybodys(request: Request) -> Response:
    """GET /admin/v1/runs/{id}: any run, as its tenant sees it."""
    await require_admin(request)
    return await _show(request, None)


@endpoint
async def end(request: Request) -> Response:
    """DELETE /admin/v1/runs/{id}: cancels any run; `forget=true` removes one that has ended."""
    await require_admin(request)
    done = await _cancel(request, None)
    entry = Audited(at_s=time.time(), actor="admin key", action="cancel run", subject=request.path_params["id"][:80])
    await desk_of(request).store.audit.note(entry)
    return done


# --- both --------------------------------------------------------------------------------------------------


async def _list(request: Request, tenant: str | None, known: Sequence[str]) -> Response:
    asked = request.query_params
    if unknown := sorted(set(asked) - set(known)):
        name = unknown[0][:40]
        raise fail(Kind.BAD_REQUEST, f"{name}: no such parameter; known: {', '.join(known)}.", field=name)
    limit, state = asked.get("limit", "20"), asked.get("state")
    if not limit.isdecimal() or not 0 < int(limit[:9]) <= MOST_SHOWN:
        raise fail(Kind.BAD_REQUEST, f"limit: expected a whole number from 1 to {MOST_SHOWN}.", field="limit")
    if state is not None and state not in list(State):
        raise fail(Kind.BAD_REQUEST, f"state: '{state[:40]}' is none; they are {', '.join(State)}.", field="state")
    store, after = desk_of(request).store.runs, asked.get("after")
    if after is not None and await store.find(after, tenant) is None:
        raise fail(Kind.BAD_REQUEST, f"after: there is no run '{after[:80]}' here, or not any more.", field="after")
    wanted = Wanted(tenant, State(state) if state is not None else None, asked.get("lane"), after)
    found = await store.list(wanted, int(limit) + 1)
    shown = found[: int(limit)]
    data = [policy.as_object(each) for each in shown]
    return json({"object": "list", "data": data, "next": shown[-1].id if len(found) > len(shown) else None})


async def _show(request: Request, tenant: str | None) -> Response:
    found = await _found(request, tenant)
    store = desk_of(request).store.runs
    result = await store.result(found.id) if found.state is State.SUCCEEDED else None
    steps = [policy.step_object(step) for step in await store.steps(found.id)]
    return json({**policy.as_whole(found, result), "steps": steps})


async def _cancel(request: Request, tenant: str | None) -> Response:
    desk = desk_of(request)
    run_id = (await _found(request, tenant)).id
    changed = await desk.store.runs.change(run_id, partial(policy.cancelled, now_s=time.time()), tenant)
    desk.runs.leave(run_id)
    desk.runs.wake()
    if request.query_params.get("forget") == "true" and await desk.store.runs.forget(run_id):
        return json({"object": "run", "id": run_id, "forgotten": True})
    if changed is None:
        raise _unknown(run_id)
    return json(policy.as_object(changed), 200 if changed.state in ENDED else 202)


async def _found(request: Request, tenant: str | None) -> Run:
    run_id: str = request.path_params["id"]
    found = await desk_of(request).store.runs.find(run_id, tenant)
    if found is None:
        raise _unknown(run_id)
    return found


def _unknown(run_id: str) -> FailureError:
    return fail(Kind.UNKNOWN_PATH, f"There is no run '{run_id[:80]}'.", field="id")
