"""Which model may be loaded where: denials, and the memory of a host whose warm models must stay.

Owns: how large a model really is (what its host says of it; its name only where nobody knows), the rules that keep
models off a provider, and the question whether loading one would push a protected one out.
Refuses: asking hosts (the keeper does), and doubt in favour of a load: what is not known does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache

import msgspec

from laneway.policy.names import spelling

_COUNT = re.compile(r"(?:(\d+)x)?(\d+(?:\.\d+)?)([kmbt])", re.IGNORECASE)
_IN_NAME = re.compile(r"(?:^|[-_:/ ])((?:\d+x)?\d+(?:\.\d+)?[mbt])(?=$|[-_:. ])", re.IGNORECASE)
_UNITS = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_REGISTRIES = ("registry.ollama.ai/", "ollama.com/")
BYTES_PER_PARAMETER = 0.6
"""Of a file in the usual 4-bit quantization; only for files of which nobody knows anything else."""
OVERHEAD = 1.25
"""Memory of a loaded model beside its file: context and buffers."""

EMBEDDER_BYTES = 2 << 30
"""What an embedding model of unknown size is taken for; the large ones say so in their names."""


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that keeps models off providers, unless maintenance is open there."""

    name: str
    providers: frozenset[str]
    models: tuple[str, ...] = ()
    from_parameters: float | None = None


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a host's memory."""

    size_bytes: int
    expires_s: float | None = None
    """Wall clock; None: it stays."""


@lru_cache(maxsize=4096)
def plain_name(name: str) -> str:
    """The one spelling of a model at an Ollama host, wherever its name says that it came from."""
    folded = name.lower()
    for registry in _REGISTRIES:
        folded = folded.removeprefix(registry)
    return spelling(folded)


def read_parameters(text: str | None) -> float | None:
    """What `details.parameter_size` says: "14.7B", "566.70M", "8x7B"."""
    found = _COUNT.fullmatch(text.strip()) if text else None
    if found is None:
        return None
    return float(found[1] or 1) * float(found[2]) * _UNITS[found[3].lower()]


def real_parameters(model: str, told: str | None, file_bytes: int | None) -> float | None:
    """What the host says, else what the name says, else what the file's size suggests; None: nobody knows."""
    said = read_parameters(told)
    if said is not None:
        return said
    named = _IN_NAME.search(model)
    if named is not None:
        return read_parameters(named[1])
    return file_bytes / BYTES_PER_PARAMETER if file_bytes else None


def guessed_bytes(model: str, told: str | None, file_bytes: int | None, *, embeds: bool) -> int | None:
    """The memory of a model that nobody has seen loaded; None: nobody knows anything of it."""
    if file_bytes:
        return int(file_bytes * OVERHEAD)
    parameters = real_parameters(model, told, None)
    if parameters is not None:
        return int(parameters * BYTES_PER_PARAMETER * OVERHEAD)
    return EMBEDDER_BYTES if embeds else None


def denied(denials: Collection[Denial], provider: str, model: str, parameters: float | None) -> Denial | None:
    """The rule that keeps the model off the provider, if one does."""
    name = plain_name(model)
    for denial in denials:
        if provider not in denial.providers:
            continue
        if any(fnmatchcase(name, plain_name(pattern)) for pattern in denial.models):
            return denial
        if denial.from_parameters is not None and parameters is not None and parameters >= denial.from_parameters:
            return denial
    return None


def evicted(
    model: str,
    *,
    sizes: Mapping[str, int],
    loaded: Collection[str],
    protected: Collection[str],
    busy: Collection[str],
    memory_bytes: int | None,
) -> str | None:
    """The protected model that loading `model` might push out, or None. All names are plain.

    Ollama makes room by unloading idle models, shortest keep-alive first (server/sched.go, findRunnerToUnload), so
    what idles unprotected counts as room; what is answering does not.
    """
    if model in protected or not protected:
        return None
    threatened = min(protected)
    stays = {*protected, *(other for other in busy if other != model)}
    if model in loaded and model in busy:
        return None
    size = sizes.get(model)
    if memory_bytes is None or size is None or any(name not in sizes for name in stays):
        return threatened
    return threatened if size + sum(sizes[name] for name in stays) > memory_bytes else None
