"""Usage: what was asked for and what it cost, for the caller who asked and for whoever pays.

Owns: /v1/usage and /admin/v1/usage. Refuses: showing a caller anything of another key, and adding up (the store does).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from laneway.api.desk import caller_of, desk_of, endpoint, json, require_admin
from laneway.failure import Kind, fail
from laneway.policy.report import as_csv, as_object, read_question
from laneway.ports import Question


@endpoint
async def own(request: Request) -> Response:
    """GET /v1/usage: what the caller's own key used: by day and model, or `group_by`; JSON or CSV."""
    tenant, key = await caller_of(request)
    question = _question(request, ("day", "model"))
    whose = {"tenant": tenant.name, "key": key.id if key is not None else ""}
    for name, value in whose.items():
        if question.where.get(name, value) != value:
            raise fail(Kind.FORBIDDEN, f"{name}: here is only what your own key used.", field=name)
    return await _report(request, question._replace(where={**question.where, **whose}))


@endpoint
async def everybody(request: Request) -> Response:
    """GET /admin/v1/usage: by any of day, tenant, key, project, lane, provider and model; JSON or CSV."""
    await require_admin(request)
    return await _report(request, _question(request, ("day", "tenant")))


def _question(request: Request, usual: Sequence[str]) -> Question:
    return read_question(dict(request.query_params), usual=usual, now_s=time.time())


async def _report(request: Request, question: Question) -> Response:
    wanted = request.query_params.get("format") or ("csv" if _prefers_csv(request) else "json")
    if wanted not in ("json", "csv"):
        raise fail(Kind.BAD_REQUEST, "format: expected json or csv.", field="format")
    lines = await desk_of(request).store.reports.usage(question)
    if wanted == "json":
        return json(as_object(question, lines))
    return Response(as_csv(question, lines), media_type="text/csv; charset=utf-8; header=present")


def _prefers_csv(request: Request) -> bool:
    return request.headers.get("accept", "").partition(";")[0].strip().lower() == "text/csv"
