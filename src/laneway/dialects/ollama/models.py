"""Lists and descriptions of models: /api/tags, /api/ps, /api/show, /api/version, and how names are spelled.

Owns: their shapes both ways, and that `gemma3` means `gemma3:latest` (docs/api.md, "Model names").
Refuses: to make up a size, a digest or a date; an absent one is written as Go writes a zero value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from laneway.chat import Card, Op
from laneway.dialects import Stamp, Written
from laneway.dialects.ollama import answer, schema
from laneway.failure import FailureError
from laneway.wire.fault import misfit
from laneway.wire.instant import read_instant
from laneway.wire.json import UNREADABLE, decode, encode
from laneway.wire.malformed import missing

_ZERO_TIME = "0001-01-01T00:00:00Z"
# types/model/capability.go on the left, the neutral word on the right.
_ABILITIES = {"tools": "tools", "vision": "vision", "thinking": "thinking"}
_NOTHING_S = frozenset(("0", "0s", "0m", "0h", "0ms", "0us", "0ns"))


class _Details(Struct):
    family: str | None = None
    parameter_size: str | None = None
    quantization_level: str | None = None


class _Model(Struct):
    name: str = ""
    model: str = ""
    modified_at: str | None = None
    size: int | None = None
    digest: str | None = None
    details: _Details | None = None
    context_length: int | None = None
    capabilities: list[str] | None = None


class _List(Struct):
    models: list[_Model] | None


_LIST = msgspec.json.Decoder(_List)


class _Asked(Struct):
    model: str | None = None
    name: str | None = None


_ASKED = msgspec.json.Decoder(_Asked)


def full_name(name: str) -> str:
    """The name with its tag."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def read_models(body: bytes) -> list[Card]:
    """/api/tags, and /api/ps, whose entries are the same and also say their window."""
    try:
        listed = _LIST.decode(body).models or []
    except UNREADABLE as error:
        raise FailureError(misfit("a model list of the Ollama API", str(error))) from None
    return [_card(model) for model in listed if model.model or model.name]


def _card(model: _Model) -> Card:
    details = model.details or _Details()
    capabilities = model.capabilities or ()
    return Card(
        id=model.model or model.name,
        created_s=read_instant(model.modified_at),
        modified=model.modified_at,
        size_bytes=model.size,
        digest=model.digest or None,
        family=details.family or None,
        parameters=details.parameter_size or None,
        quantization=details.quantization_level or None,
        window=model.context_length,
        kind="embed" if "embedding" in capabilities and "completion" not in capabilities else "chat",
        abilities=tuple(_ABILITIES[name] for name in capabilities if name in _ABILITIES),
    )


def write_models(cards: Sequence[Card]) -> Written:
    """/api/tags. `provider` is an addition of ours; clients skip it."""
    return Written(200, encode({"models": [_entry(card) | {"modified_at": _modified(card)} for card in cards]}))


def write_ps(cards: Sequence[Card], *, expires_at: str = _ZERO_TIME) -> Written:
    """/api/ps: the models that are loaded somewhere, until `expires_at`."""
    loaded = [
        _entry(card) | {"expires_at": expires_at, "size_vram": card.size_bytes or 0, "context_length": card.window or 0}
        for card in cards
    ]
    return Written(200, encode({"models": loaded}))


def write_show(card: Card) -> Written:
    """/api/show, as far as a gateway knows a model."""
    family = card.family or "unknown"
    info: dict[str, Any] = {"general.architecture": family}
    if card.window is not None:
        info[f"{family}.context_length"] = card.window
    does = ["embedding"] if card.kind == "embed" else ["completion"]
    body = {
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": _details(card),
        "model_info": info,
        "capabilities": does + [name for name in _ABILITIES if name in card.abilities],
        "modified_at": _modified(card),
    }
    return Written(200, encode(body))


def write_version(version: str) -> Written:
    """/api/version."""
    return Written(200, encode({"version": version}))


def read_show(body: bytes) -> str:
    """The model that /api/show is asked about (`name` is its older spelling)."""
    asked = decode(_ASKED, body)
    name = asked.model or asked.name
    if not name:
        raise missing("model")
    return name


class _Info(Struct):
    parameter_count: int | None = msgspec.field(default=None, name="general.parameter_count")


class _Shown(Struct):
    details: _Details | None = None
    model_info: _Info | None = None


_SHOWN = msgspec.json.Decoder(_Shown)


def write_ask(model: str) -> bytes:
    """The body that /api/show is asked with."""
    return encode({"model": model})


def read_shown(body: bytes) -> str | None:
    """A model's parameters as /api/show tells them, counted or in words; None where it does not."""
    try:
        shown = _SHOWN.decode(body)
    except UNREADABLE:
        return None
    count = shown.model_info.parameter_count if shown.model_info is not None else None
    if count:
        return f"{count / 1e6:.1f}M"
    return (shown.details.parameter_size or None) if shown.details is not None else None


def write_load(op: Op, body: bytes, stamp: Stamp) -> Written:
    """The answer to a request without prompt or messages, where the model is at a provider that loads nothing.

    Such a request is answered with one JSON object even where it asks for a stream (server/routes.go).
    """
    chat = op is Op.CHAT
    keep = decode(schema.CHAT, body).keep_alive if chat else decode(schema.GENERATE, body).keep_alive
    unload = keep in _NOTHING_S if isinstance(keep, str) else keep == 0
    said: dict[str, Any] = {"response": ""} if not chat else {"message": {"role": "assistant", "content": ""}}
    told = {"done": True, "done_reason": "unload" if unload else "load"}
    return Written(200, encode({"model": stamp.model, "created_at": answer.timestamp(stamp.now_s)} | said | told))


def _entry(card: Card) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": card.id,
        "model": card.id,
        "size": card.size_bytes or 0,
        "digest": card.digest or "",
        "details": _details(card),
    }
    if card.provider:
        entry["provider"] = card.provider
    return entry


def _details(card: Card) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "",
        "family": card.family or "",
        "families": [card.family] if card.family else None,
        "parameter_size": card.parameters or "",
        "quantization_level": card.quantization or "",
    }


def _modified(card: Card) -> str:
    if card.modified is not None:
        return card.modified
    return _ZERO_TIME if card.created_s is None else answer.timestamp(card.created_s)
