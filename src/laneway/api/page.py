"""The page: what this gateway is doing, for a person with a browser.

Owns: `/` (Ollama clients ask it whether anybody is there), `/ui` and what is under it: the files that were built from
`src/ui` and lie in `static/`. Refuses: anything fetched from elsewhere, scripts and styles that are not the page's own,
and being shown inside another page.
"""

from __future__ import annotations

import gzip
import secrets
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from laneway.api.desk import endpoint
from laneway.failure import Kind, fail

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
NONCE = b"__NONCE__"
TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
FOREVER = "public, max-age=31536000, immutable"
"""The name of a built file changes with what is in it."""


class Built(NamedTuple):
    plain: bytes
    packed: bytes
    content_type: str


async def root(request: Request) -> Response:
    """GET and HEAD /: what Ollama answers, so that its clients find somebody; a browser goes to the page."""
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/ui/")
    return PlainTextResponse("Ollama is running")


@endpoint
async def page(request: Request) -> Response:
    """GET /ui: the page that teaches the router, shows its decisions, and turns the dial."""
    name = request.path_params.get("name", "")
    if "." not in name:
        return _whole()
    found = _built(name)
    if found is None:
        raise fail(Kind.UNKNOWN_PATH, f"The page has no file '{name[:80]}'.")
    packs = "gzip" in request.headers.get("accept-encoding", "")
    response = Response(found.packed if packs else found.plain, media_type=found.content_type)
    response.headers["cache-control"] = FOREVER if name.startswith("assets/") else "no-cache"
    response.headers["vary"] = "accept-encoding"
    response.headers["x-content-type-options"] = "nosniff"
    if packs:
        response.headers["content-encoding"] = "gzip"
    return response


def _whole() -> Response:
    nonce = secrets.token_urlsafe(16)
    return Response(
        _frame().replace(NONCE, nonce.encode()),
        media_type="text/html; charset=utf-8",
        headers={
            "content-security-policy": POLICY.format(nonce=nonce),
            "cache-control": "no-store",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
        },
    )


@cache
def _frame() -> bytes:
    return (files("laneway.api") / "static" / "index.html").read_bytes()


@cache
def _names() -> frozenset[str]:
    static = files("laneway.api") / "static"
    assets = [f"assets/{each.name}" for each in (static / "assets").iterdir()]
    return frozenset([*assets, *(each.name for each in static.iterdir() if each.is_file())])


@cache
def _built(name: str) -> Built | None:
    content_type = TYPES.get(name.rpartition(".")[2])
    # Only what was built is served, so that no path leads elsewhere.
    if content_type is None or name not in _names():
        return None
    plain = (files("laneway.api") / "static").joinpath(*name.split("/")).read_bytes()
    return Built(plain, gzip.compress(plain, 9, mtime=0), content_type)
