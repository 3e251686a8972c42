"""Signing in to the page: a key is sent once and becomes a session in a cookie that no script can read.

Owns: POST, GET and DELETE /ui/session. Refuses: keeping the key; a session stands for its digest, so that revoking the
key ends its sessions.
"""

from __future__ import annotations

import hashlib
import time

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from laneway.api import cookie
from laneway.api.desk import body_of, desk_of, endpoint, json, visitor_of
from laneway.failure import Kind, fail
from laneway.wire.json import decode


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    key: str


_sign_in = msgspec.json.Decoder(SignIn)


@endpoint
async def begin(request: Request) -> Response:
    """POST /ui/session {"key"}: signs a browser in with the admin key or a caller's key."""
    asked = decode(_sign_in, await body_of(request) or b"{}")
    desk = desk_of(request)
    of = hashlib.sha256(asked.key.strip().encode()).digest()
    known = await desk.gate.holder(of) or (await desk.admin.holder(of) if desk.admin is not None else None)
    if known is None:
        raise fail(Kind.UNAUTHENTICATED, "This key is not known here.", field="key")
    token = cookie.new_token()
    await desk.store.sessions.begin(cookie.digest_of(token), of, time.time() + cookie.LASTS_S)
    response = json({"signed_in": True, "csrf": cookie.proof_of(token)}, 201)
    response.headers["set-cookie"] = cookie.written(token, secure=request.url.scheme == "https")
    return response


@endpoint
async def who(request: Request) -> Response:
    """GET /ui/session: who the page speaks for, and the proof it has to send with changes."""
    visitor = await visitor_of(request)
    token = cookie.token_of(dict(request.scope["headers"]))
    return json(
        {
            "signed_in": visitor is not None and not visitor.open,
            "open": visitor is not None and visitor.open,
            "admin": visitor is not None and visitor.admin,
            "tenant": visitor.tenant.name if visitor is not None else None,
            "key": visitor.key.id if visitor is not None and visitor.key is not None else None,
            "csrf": cookie.proof_of(token) if token is not None else "",
        }
    )


@endpoint
async def end(request: Request) -> Response:
    """DELETE /ui/session: signs the browser out."""
    token = cookie.token_of(dict(request.scope["headers"]))
    if token is not None:
        await desk_of(request).store.sessions.end(cookie.digest_of(token))
    response = json({"signed_in": False})
    response.headers["set-cookie"] = cookie.written("", secure=request.url.scheme == "https", lasts_s=0)
    return response
