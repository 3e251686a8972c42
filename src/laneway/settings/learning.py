"""Learning which model a prompt needs, as written by a person.

Owns: `[learning]`. Refuses: who is routed so, which is said where the traffic is.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from laneway.settings.units import Seconds


class LearningTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The memory of scored examples, and how it is searched."""

    embedder: str = "static"
    """What turns prompts into vectors: `static` (inside the package), `hashed` (needs no table), or `provider/model`
    for a provider's `/embeddings`."""
    primer: bool = False
    """Teach the tenant `default` the scored prompts that come with Laneway, if nobody was ever taught anything."""
    memory_mb: Annotated[float, Meta(gt=0, le=1_048_576)] = 1024.0
    """MiB for examples in memory; the tenants that were asked for longest ago make room."""
    deadline: Seconds = 0.3
    """Seconds that a request waits for a vector from a provider; after that it is decided without one."""
    index: Literal["core", "faiss"] = "core"
    """What searches: `core`, the compiled core, which is faster at every size, or `faiss`."""
    snapshots: bool = True
    """Keep what is in memory in files beside the store, so that a restart is quick."""
    trust: dict[str, Annotated[float, Meta(ge=0, le=1)]] = {}
    """How much the labels of a source count beside others: `{ "judge:NAME" = 0.5 }`; unset: as measured beside
    people, before that 0.7; 1 for `human`."""
