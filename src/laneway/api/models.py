"""Model lists: one merged list of everything that can be asked for, in each front's shape.

Owns: the merge (configured models, lanes, what awake providers list, the curated cloud models), what a tenant may
see of it, and Ollama's look at loaded models.
Refuses: waiting for a provider to list its models; the roster has asked them already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from laneway import __version__
from laneway.api.desk import Desk, body_of, desk_of, endpoint, respond, spoken, tenant_of
from laneway.chat import Card
from laneway.dialects import dialect, ollama
from laneway.failure import FailureError, Kind, fail
from laneway.policy.names import Names, spelling
from laneway.policy.permit import may_use
from laneway.ports import Clocks
from laneway.roster import fetch
from laneway.route import Provider, Target, Tenant

LOOK = Clocks(connect_s=1.0, headers_s=2.0, first_content_s=2.0, between_chunks_s=2.0)


def listed(desk: Desk, tenant: Tenant) -> list[Card]:
    """Every model this tenant may ask for, each once, with the provider that would serve it."""
    layout = desk.loaded.layout
    names = layout.names
    asleep = desk.roster.asleep()
    cards = {(card.provider, spelling(card.id)): card for card in desk.roster.cards()}
    made: dict[str, Card] = {}
    for lane in names.lanes.values():
        if tenant.lanes is None or lane.name in tenant.lanes:
            made[lane.name] = Card(id=lane.name, provider="laneway", display=f"lane {lane.name}")
    for name, pool in names.pools.items():
        if may_use(tenant, pool.targets):
            made[name] = Card(id=name, provider="laneway", display=f"pool {pool.name}")
    for name, targets in names.models.items():
        table = layout.settings.models.get(name)
        awake = [target for target in targets if target.provider.name not in asleep]
        if name in made or not awake or not may_use(tenant, awake) or (table is not None and not table.listed):
            continue
        target = awake[0]
        if not _worth_listing(name, target, table is not None):
            continue
        made[name] = _card(name, target, cards.get((target.provider.name, spelling(target.upstream))))
    return sorted(made.values(), key=lambda card: card.id)


def _worth_listing(name: str, target: Target, configured: bool) -> bool:
    """One entry per model: of the many names the catalogue accepts, the one its provider uses."""
    return configured or name == target.upstream or spelling(name) == spelling(target.model)


def _card(name: str, target: Target, seen: Card | None) -> Card:
    base = seen or Card(id=name)
    return msgspec.structs.replace(
        base,
        id=name,
        provider=target.provider.name,
        window=base.window or target.window,
        output=base.output or target.output,
        # Most lists say of no model that it makes embeddings only.
        kind="embed" if "embed" in (base.kind, target.kind) else base.kind,
        abilities=base.abilities or tuple(sorted(target.abilities or ())),
    )


@endpoint
async def models(request: Request) -> Response:
    """GET /v1/models: the merged list, in OpenAI's shape or Anthropic's."""
    tenant = await tenant_of(request)
    return respond(spoken(request).write_models(listed(desk_of(request), tenant)))


@endpoint
async def model(request: Request) -> Response:
    """GET /v1/models/{id}: any name that would be understood, listed or not."""
    tenant = await tenant_of(request)
    desk = desk_of(request)
    card = _find(desk, tenant, request.path_params["id"])
    written = spoken(request).write_models([card])
    entry = msgspec.json.decode(written.body)["data"][0]
    return respond(msgspec.structs.replace(written, body=msgspec.json.encode(entry)))


def _find(desk: Desk, tenant: Tenant, name: str) -> Card:
    names: Names = desk.loaded.layout.names
    meaning = names.meaning(name)
    if meaning is None or not may_use(tenant, meaning.targets):
        near = names.nearest(name)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise fail(Kind.UNKNOWN_MODEL, f"There is no model '{name[:120]}'.{hint}", field="model")
    if meaning.is_lane:
        return Card(id=name, provider="laneway", display=f"lane {name}")
    if meaning.pool is not None:
        return Card(id=name, provider="laneway", display=f"pool {meaning.pool.name}")
    target = meaning.targets[0]
    cards = (card for card in desk.roster.cards() if card.provider == target.provider.name)
    seen = next((card for card in cards if spelling(card.id) == spelling(target.upstream)), None)
    return _card(name, target, seen)


# --- Ollama's own ------------------------------------------------------------------------------------------


@endpoint
async def tags(request: Request) -> Response:
    """GET /api/tags: the merged model list."""
    tenant = await tenant_of(request)
    return respond(dialect("ollama").write_models(listed(desk_of(request), tenant)))


@endpoint
async def ps(request: Request) -> Response:
    """GET /api/ps: what is loaded on the Ollama hosts that answer at once."""
    await tenant_of(request)
    desk = desk_of(request)
    hosts = [provider for provider in desk.loaded.layout.providers.values() if provider.dialect == "ollama"]
    answers = await asyncio.gather(*(_loaded(desk, provider) for provider in hosts))
    return respond(ollama.write_ps([card for answer in answers for card in answer]))


async def _loaded(desk: Desk, provider: Provider) -> Iterable[Card]:
    try:
        status, _, body = await fetch(desk.upstream, provider, f"{provider.path}/api/ps", LOOK)
        cards = dialect("ollama").read_models(body) if status == 200 else []
    except FailureError:
        return []
    return [msgspec.structs.replace(card, provider=provider.name) for card in cards]


@endpoint
async def show(request: Request) -> Response:
    """POST /api/show: asked of the host where it is an Ollama, told from what is known elsewhere."""
    tenant = await tenant_of(request)
    desk = desk_of(request)
    body = await body_of(request)
    card = _find(desk, tenant, ollama.read_show(body))
    meaning = desk.loaded.layout.names.meaning(card.id)
    target = meaning.targets[0] if meaning is not None and not meaning.is_lane and meaning.pool is None else None
    if target is not None and target.provider.dialect == "ollama":
        asked = msgspec.json.encode({"model": target.upstream})
        path = f"{target.provider.path}/api/show"
        with suppress(FailureError):
            status, _, told = await fetch(desk.upstream, target.provider, path, LOOK, asked)
            if status == 200:
                return Response(told, media_type="application/json")
    return respond(ollama.write_show(card))


async def version(_: Request) -> Response:
    """GET /api/version: the version of this gateway."""
    return respond(ollama.write_version(__version__))


@endpoint
async def unmanaged(request: Request) -> Response:
    """Ollama's management verbs: a gateway has no models of its own to pull or delete."""
    await tenant_of(request)
    verb = request.url.path.removeprefix("/api/").split("/")[0]
    done = "take files of" if verb == "blobs" else verb
    raise fail(Kind.FORBIDDEN, f"This gateway does not {done} models: do that on the host that serves them.")
