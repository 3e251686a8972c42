"""Alerts: what people were told, and what they could not be told. It asks for the admin key.

Owns: GET /admin/v1/alerts. Refuses: sending, and showing where a channel leads.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from laneway.api.desk import desk_of, endpoint, json, require_admin
from laneway.policy.alerts import said

MOST_SHOWN = 200


@endpoint
async def alerts(request: Request) -> Response:
    """GET /admin/v1/alerts: the newest alerts of each channel: waiting, sent or given up, after how many tries."""
    await require_admin(request)
    found = await desk_of(request).store.notices.recent(MOST_SHOWN)
    shown = [
        {
            "id": notice.id,
            "channel": notice.channel,
            "kind": notice.kind,
            "text": said(notice),
            "at_s": notice.at_s,
            "state": notice.state,
            "tries": notice.tries,
            "reason": notice.reason or None,
        }
        for notice in found
    ]
    return json({"object": "list", "data": shown})
