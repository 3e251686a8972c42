"""The measures that settings are made of: seconds, counts, abilities, time limits and prices.

Owns: types that several tables use. Refuses: tables of their own.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1)]
Ability = Literal["tools", "vision", "json", "schema", "prefill", "thinking", "logprobs", "cache", "documents", "embed"]


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Time limits of one call, in seconds. A table that leaves one out takes it from the next wider table."""

    connect: Seconds | None = None
    """Until the connection stands."""
    headers: Seconds | None = None
    """Until the response head has come; for an answer that is not streamed this includes making it."""
    first_content: Seconds | None = None
    """In a stream, until the first content has come."""
    between_chunks: Seconds | None = None
    """The longest silence after that."""


class PriceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """USD per million tokens."""

    input: str | float
    """Prompt tokens."""
    output: str | float = 0
    """Answer tokens."""
    cache_read: str | float | None = None
    """Prompt tokens read from a cache; unset: as input."""
    cache_write_5m: str | float | None = None
    """Prompt tokens written to a cache; unset: as input."""
    cache_write_1h: str | float | None = None
    """Prompt tokens written to a long-lived cache."""
    batch: str | float | None = None
    """Factor for answers that the provider says it gave in batch service."""
    flex: str | float | None = None
    """The same for flex service, as 0.5."""
    priority: str | float | None = None
    """The same for priority service, as 2."""
