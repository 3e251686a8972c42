"""Admin: what an operator does to a running gateway. Every endpoint asks for the admin key.

Owns: /admin/v1/reload, /admin/v1/keys. Refuses: callers' keys, and showing any secret again.
"""

from __future__ import annotations

import secrets
import time

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from laneway.api.desk import body_of, desk_of, endpoint, json, require_admin
from laneway.config import ConfigError
from laneway.failure import Kind, fail
from laneway.policy.keys import issue
from laneway.wire.json import decode


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    tenant: str = "default"
    name: str = ""


_new_key = msgspec.json.Decoder(NewKey)


@endpoint
async def reload(request: Request) -> Response:
    """POST /admin/v1/reload: validated whole, swapped at once; a bad file changes nothing."""
    await require_admin(request)
    try:
        made = await desk_of(request).reload()
    except ConfigError as error:
        problems = [{"path": problem.path, "message": problem.message} for problem in error.problems]
        return json({"reloaded": False, "problems": problems}, 400)
    return json({"reloaded": True, "config": made.version, "at_next_start": made.later})


@endpoint
async def keys(request: Request) -> Response:
    """GET /admin/v1/keys: all keys, by their ends."""
    await require_admin(request)
    return json({"object": "list", "data": list(await desk_of(request).store.keys.list())})


@endpoint
async def create_key(request: Request) -> Response:
    """POST /admin/v1/keys {"tenant", "name"}: the key is in this answer and nowhere else."""
    await require_admin(request)
    asked = decode(_new_key, await body_of(request) or b"{}")
    made = issue(asked.tenant, asked.name, int(time.time()), secrets.token_urlsafe(32))
    desk = desk_of(request)
    await desk.store.keys.create(made.key, made.digest)
    await desk.keys_changed()
    return json({"key": made.secret, "id": made.key.id, "tenant": made.key.tenant, "name": made.key.name}, 201)


@endpoint
async def revoke_key(request: Request) -> Response:
    """DELETE /admin/v1/keys/{id}: revokes a key."""
    await require_admin(request)
    key_id = request.path_params["id"]
    desk = desk_of(request)
    if not await desk.store.keys.revoke(key_id, int(time.time())):
        raise fail(Kind.UNKNOWN_PATH, f"There is no key '{key_id[:80]}'.")
    await desk.keys_changed()
    return json({"id": key_id, "revoked": True})
