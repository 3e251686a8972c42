"""The table of plain endpoints, and what is answered where there is none.

Owns: which path and method leads to which function. The fronts are not here: they go to the stack.
Refuses: any behaviour beyond "nothing is at this path" and "not with this method".
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, compile_path

from laneway.api import (
    admin,
    alerts,
    atlas,
    budgets,
    dials,
    events,
    health,
    hosts,
    memory,
    models,
    page,
    preferences,
    records,
    responses,
    router,
    runs,
    session,
    shadow,
    usage,
)
from laneway.api.desk import refused
from laneway.dialects import FRONTS
from laneway.failure import Failure, Kind

ROUTES: tuple[tuple[str, tuple[str, ...], object], ...] = (
    ("/", ("GET", "HEAD"), page.root),
    ("/ui", ("GET",), page.page),
    ("/ui/session", ("POST",), session.begin),
    ("/ui/session", ("GET",), session.who),
    ("/ui/session", ("DELETE",), session.end),
    ("/ui/{name:path}", ("GET",), page.page),
    ("/healthz", ("GET",), health.healthz),
    ("/readyz", ("GET",), health.readyz),
    ("/metrics", ("GET",), health.metrics),
    ("/v1/responses/{id}", ("GET", "POST", "DELETE"), responses.unkept),
    ("/v1/responses/{id}/{part}", ("GET", "POST"), responses.unkept),
    ("/v1/models", ("GET",), models.models),
    ("/v1/models/{id:path}", ("GET",), models.model),
    ("/v1/usage", ("GET",), usage.own),
    ("/v1/decisions", ("POST",), shadow.decide),
    ("/v1/events", ("GET",), events.own),
    ("/v1/runs", ("POST",), runs.create),
    ("/v1/runs", ("GET",), runs.runs),
    ("/v1/runs/{id}", ("GET",), runs.run),
    ("/v1/runs/{id}", ("DELETE",), runs.cancel),
    ("/v1/runs/{id}/events", ("GET",), runs.events),
    ("/v1/feedback", ("POST",), preferences.feedback),
    ("/v1/router/preferences/compare", ("POST",), preferences.compare),
    ("/v1/router/preferences/judge", ("POST",), preferences.judge),
    ("/v1/router/preferences/rank", ("POST",), preferences.rank),
    ("/v1/router/audit", ("GET",), memory.audit),
    ("/v1/router/status", ("GET",), router.status),
    ("/v1/router/dial", ("GET",), dials.dial),
    ("/v1/router/decisions", ("GET",), router.decisions),
    ("/v1/router/decisions/{id}", ("GET",), router.decision),
    ("/v1/router/explain", ("POST",), router.explain),
    ("/v1/router/map", ("GET",), atlas.places),
    ("/v1/router/memory", ("GET",), memory.examples),
    ("/v1/router/memory/undo", ("POST",), memory.undo),
    ("/v1/router/memory/export", ("GET",), memory.export),
    ("/v1/router/memory/import", ("POST",), memory.restore),
    ("/v1/router/memory/duplicates", ("GET",), memory.twins),
    ("/v1/router/memory/contradictions", ("GET",), memory.disputes),
    ("/v1/router/memory/sources", ("GET",), memory.believed),
    ("/v1/router/memory/{id}", ("GET",), memory.example),
    ("/v1/router/memory/{id}", ("PATCH",), memory.change),
    ("/v1/router/memory/{id}", ("DELETE",), memory.delete),
    ("/v1/router/memory/{id}/influence", ("GET",), memory.influenced),
    ("/api/tags", ("GET",), models.tags),
    ("/api/ps", ("GET",), models.ps),
    ("/api/show", ("POST",), models.show),
    ("/api/version", ("GET",), models.version),
    ("/api/pull", ("POST",), models.unmanaged),
    ("/api/push", ("POST",), models.unmanaged),
    ("/api/create", ("POST",), models.unmanaged),
    ("/api/copy", ("POST",), models.unmanaged),
    ("/api/delete", ("DELETE",), models.unmanaged),
    ("/api/blobs/{digest:path}", ("HEAD", "POST"), models.unmanaged),
    ("/admin/v1/routing-alpha", ("GET",), dials.alpha),
    ("/admin/v1/routing-alpha", ("PUT",), dials.turn),
    ("/admin/v1/routing-floor", ("GET",), dials.floor),
    ("/admin/v1/routing-floor", ("PUT",), dials.keep),
    ("/admin/v1/reload", ("POST",), admin.reload),
    ("/admin/v1/health", ("GET",), hosts.health),
    ("/admin/v1/maintenance", ("GET",), hosts.maintenance),
    ("/admin/v1/maintenance", ("PUT",), hosts.maintain),
    ("/admin/v1/audit", ("GET",), hosts.audit),
    ("/admin/v1/shadow", ("GET",), shadow.report),
    ("/admin/v1/lanes/{name}/stage", ("PUT",), shadow.stage),
    ("/admin/v1/records", ("GET",), records.records),
    ("/admin/v1/records/export", ("GET",), records.export),
    ("/admin/v1/usage", ("GET",), usage.everybody),
    ("/admin/v1/events", ("GET",), events.everybody),
    ("/admin/v1/runs", ("GET",), runs.everybodys),
    ("/admin/v1/runs/{id}", ("GET",), runs.anybodys),
    ("/admin/v1/runs/{id}", ("DELETE",), runs.end),
    ("/admin/v1/alerts", ("GET",), alerts.alerts),
    ("/admin/v1/judges", ("GET",), memory.judges),
    ("/admin/v1/budgets", ("GET",), budgets.budgets),
    ("/admin/v1/budgets", ("POST",), budgets.create),
    ("/admin/v1/budgets/kill", ("POST",), budgets.kill),
    ("/admin/v1/budgets/unkill", ("POST",), budgets.unkill),
    ("/admin/v1/budgets/adjust", ("POST",), budgets.adjust),
    ("/admin/v1/budgets/{name}", ("PATCH",), budgets.change),
    ("/admin/v1/budgets/{name}", ("DELETE",), budgets.delete),
    ("/admin/v1/keys", ("GET",), admin.keys),
    ("/admin/v1/keys", ("POST",), admin.create_key),
    ("/admin/v1/keys/{id}", ("DELETE",), admin.revoke_key),
)

_PATTERNS = tuple((compile_path(path)[0], methods) for path, methods, _ in ROUTES)
_PLAIN = (*FRONTS, *(path for path, _, _ in ROUTES if path.startswith(("/v1/", "/api/")) and "{" not in path))
"""What clients of the three formats ask for: the fronts, and what else stands at a path that never changes."""


def app() -> Starlette:
    """The plain endpoints as one app."""
    return Starlette(
        routes=[Route(path, function, methods=list(methods)) for path, methods, function in ROUTES],  # type: ignore[arg-type]
        exception_handlers={404: _nowhere, 405: _wrong_method, 500: _broken},
    )


async def _nowhere(request: Request, _: Exception) -> Response:
    path = request.url.path
    if path in FRONTS:
        return _only(request, "POST")
    near = _nearest(path)
    hint = f"Did you mean {near}?" if near is not None else f"Fronts: {', '.join(FRONTS)}."
    message = f"There is nothing at {request.method} {path[:120]}. {hint}"
    return refused(request, Failure(kind=Kind.UNKNOWN_PATH, message=message))


def _nearest(path: str) -> str | None:
    """What a client meant whose base url has `/v1` once too often or not at all, or a slash too many."""
    tidy = "/" + "/".join(filter(None, path.split("/")))
    inside = [known for known in _PLAIN if tidy.endswith(known)]
    around = [known for known in _PLAIN if known.endswith(tidy)]
    return max(inside, key=len) if inside else min(around, key=len, default=None)


async def _broken(request: Request, _: Exception) -> Response:
    message = "The gateway failed to serve this request; its log says why."
    return refused(request, Failure(kind=Kind.INTERNAL, message=message))


async def _wrong_method(request: Request, _: Exception) -> Response:
    path = request.url.path
    allowed = sorted({method for pattern, methods in _PATTERNS if pattern.match(path) for method in methods})
    return _only(request, *allowed)


def _only(request: Request, *allowed: str) -> Response:
    message = f"{request.url.path[:120]} does not take {request.method}; it takes {' or '.join(allowed)}."
    response = refused(request, Failure(kind=Kind.WRONG_METHOD, message=message))
    response.headers["allow"] = ", ".join(allowed)
    return response
