"""How long a model stays in a host's memory: what a request says of it, and what /api/ps tells.

Owns: saying a request's `keep_alive` anew without the options that would load the model again, the call that loads one
and nothing else, and reading what is loaded. Facts: docs/api.md; api/types.go (`Runner`).
Refuses: to know which models deserve it.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from laneway.failure import FailureError
from laneway.wire.fault import misfit
from laneway.wire.instant import read_instant
from laneway.wire.json import UNREADABLE, decode_fields, encode

RUNNER = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap", "use_mlock", "low_vram", "numa")
"""Options of the process that holds a model: another value of one of them loads the model again."""


class Resident(msgspec.Struct, frozen=True):
    """One entry of /api/ps."""

    name: str
    size_bytes: int
    expires_s: float | None


class _Loaded(msgspec.Struct):
    name: str = ""
    model: str = ""
    size: int = 0
    size_vram: int = 0
    expires_at: str | None = None


class _List(msgspec.Struct):
    models: list[_Loaded] | None


_LIST = msgspec.json.Decoder(_List)


def keep(body: bytes, keep_s: float) -> bytes:
    """The request with this time to stay, whatever it said; a body that is no object stays as it is."""
    try:
        fields: dict[str, Any] = dict(decode_fields(body))
        options = decode_fields(fields["options"]) if "options" in fields else {}
    except UNREADABLE:
        return body
    fields["keep_alive"] = duration(keep_s)
    if any(name in options for name in RUNNER):
        fields["options"] = {name: value for name, value in options.items() if name not in RUNNER}
    return encode(fields)


def write_warm(model: str, keep_s: float, *, embeds: bool) -> tuple[str, bytes]:
    """Path and body of the call that loads a model, or keeps it, and asks nothing of it."""
    body: dict[str, Any] = {"model": model, "keep_alive": duration(keep_s)}
    if embeds:
        return "/api/embed", encode(body | {"input": []})
    return "/api/generate", encode(body | {"stream": False})


def duration(seconds: float) -> str:
    """As Go reads it."""
    return f"{math.ceil(seconds * 1000)}ms"


def read_loaded(body: bytes) -> list[Resident]:
    """What /api/ps tells. A date centuries away, or none, is "for good"."""
    try:
        models = _LIST.decode(body).models or []
    except UNREADABLE as error:
        raise FailureError(misfit("a list of loaded models of the Ollama API", str(error))) from None
    return [
        Resident(model.model or model.name, model.size_vram or model.size, _expiry(model.expires_at))
        for model in models
        if model.model or model.name
    ]


def _expiry(text: str | None) -> float | None:
    at_s = read_instant(text)
    return None if at_s is None or at_s <= 0 else float(at_s)
