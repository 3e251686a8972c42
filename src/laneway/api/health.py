"""Health: is the process alive, does it see its providers, and what do its counters say.

Owns: /healthz, /readyz, /metrics. Refuses: secrets, and waiting for anybody.
"""

from __future__ import annotations

import asyncio
import time

from starlette.requests import Request
from starlette.responses import Response

from laneway import __version__
from laneway.api.desk import Desk, desk_of, json


async def healthz(request: Request) -> Response:
    """GET /healthz: alive, and which configuration is in force."""
    desk = desk_of(request)
    return json(
        {
            "status": "ok",
            "version": __version__,
            "config": desk.loaded.layout.version,
            "uptime_s": round(time.monotonic() - desk.started_s, 1),
        }
    )


async def readyz(request: Request) -> Response:
    """GET /readyz: 200 while at least one provider is awake or has never been found asleep."""
    desk = desk_of(request)
    providers = seen(desk)
    ready = any(entry["state"] != "asleep" for entry in providers.values())
    return json({"status": "ready" if ready else "no provider answers", "providers": providers}, 200 if ready else 503)


async def metrics(request: Request) -> Response:
    """GET /metrics: counters, for Prometheus; of several workers each has its own, under the label `worker`."""
    desk = desk_of(request)
    asleep = desk.roster.asleep()
    extra = {
        "laneway_providers_awake": float(len(desk.loaded.layout.providers) - len(asleep)),
        "laneway_providers_asleep": float(len(asleep)),
        "laneway_records_dropped": float(desk.store.journal.dropped),
        "laneway_shadow_rows_dropped": float(desk.store.shadows.dropped),
        "laneway_tasks": float(len(asyncio.all_tasks())),
        "laneway_receipts_dropped": float(desk.store.receipts.dropped),
        "laneway_routing_faults": float(desk.counsel.adviser.faults),
    }
    return Response(desk.metrics.text(extra, desk.board.worker), media_type="text/plain; version=0.0.4")


def seen(desk: Desk) -> dict[str, dict[str, object]]:
    """Each provider as it was last seen."""
    made: dict[str, dict[str, object]] = {}
    for name, provider in desk.loaded.layout.providers.items():
        known = desk.roster.seen[name]
        state = "not asked" if known.awake is None else "awake" if known.awake else "asleep"
        made[name] = {
            "state": state,
            "dialect": provider.dialect,
            "tier": provider.tier.value,
            "models": len(known.cards),
            **({"reason": known.reason} if known.reason else {}),
        }
    return made
