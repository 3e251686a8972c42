"""Runs, as written by a person.

Owns: `[runs]`. Refuses: which lanes take runs only; those say so themselves.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from laneway.settings.units import Count, Seconds


class RunsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests that are answered later."""

    concurrent: Annotated[int, Meta(ge=0, le=1000)] = 4
    """How many one process executes at the same time; 0: it accepts, and others execute."""
    waiting: Count = 1000
    """How many of one tenant may wait; further ones get a 429."""
    keep_days: Annotated[float, Meta(gt=0, le=36_500)] = 7.0
    """How long a run is kept after its end, with its prompt and its result."""
    lease: Seconds = 30.0
    """How long a run belongs to a process that gives no sign of life, before another one begins it again."""
    starts: Count = 5
    """How often a run is begun whose process ends each time, before it is given up."""
    private_webhooks: bool = False
    """Whether callers may have addresses of the own network told."""
    webhook_secret: str = ""
    """Signs webhooks of callers who give no secret of their own; empty: those are not signed."""
