"""The page: what this gateway is doing, for a person with a browser.

Owns: `/` (Ollama clients ask it whether anybody is there) and `/ui`, a static page that reads /readyz and
/v1/models and lets one try a prompt. Refuses: secrets, and anything fetched from elsewhere.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response

from laneway import bundle

POLICY = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'"


async def root(request: Request) -> Response:
    """GET and HEAD /: what Ollama answers, so that its clients find somebody; a browser goes to the page."""
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/ui")
    return PlainTextResponse("Ollama is running")


async def page(_: Request) -> Response:
    """GET /ui: a page that shows providers and models and tries a prompt."""
    headers = {"content-security-policy": POLICY, "x-frame-options": "DENY", "cache-control": "no-cache"}
    return FileResponse(bundle.path("page.html"), media_type="text/html; charset=utf-8", headers=headers)
