"""What would have been decided, kept beside what the older path chose, and what lanes that are watched came to.

Owns: one row of it, the figures that rows add up to, and the door to where they rest.
Refuses: any implementation, comparing (policy does), prompts and answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

KINDS = ("host", "model", "tier", "fallback", "denial")
"""In what a decision and the legacy path can differ."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Where one request went, or would go. What nobody said is None."""

    host: str | None = None
    model: str | None = None
    tier: str | None = None
    fallback: bool | None = None
    """Whether it was not the first choice."""
    denied: str | None = None
    """In one word, why nothing served it."""
    latency_ms: float | None = None
    cost_nanos: int | None = None


class ShadowRow(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a lane that is shadowed, in canary, or watched by a gate."""

    request_id: str
    at_s: float
    lane: str
    stage: str
    tenant: str = ""
    front: str = ""
    model: str = ""
    trace: str | None = None
    executed: bool = False
    """The lane really served it: `decided` is what happened."""
    failed: bool = False
    """It was executed, and failed by no fault of the caller."""
    paid: bool = False
    """It was executed, and something that costs money stood in for a first choice that is free."""
    decided: Choice | None = None
    """None: the decision failed, or came too late."""
    legacy: Choice | None = None
    compared: bool = False
    """Both are known, so that `kinds` means something."""
    kinds: tuple[str, ...] = ()
    """In what the two differ; none of it is agreement."""


class Evidence(NamedTuple):
    """What a gate judges by: rows of one lane since an instant."""

    decisions: int = 0
    compared: int = 0
    agreed: int = 0
    requests: int = 0
    """Those that were executed, and of them:"""
    failures: int = 0
    paid: int = 0
    p95_ms: float | None = None
    """The latency that 95 of 100 of those that did not fail stayed under."""


class Beside(NamedTuple):
    """Two sums over the rows in which both sides are known."""

    pairs: int = 0
    decided: float = 0
    legacy: float = 0


class LaneFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one lane's rows add up to."""

    lane: str
    decisions: int = 0
    undecided: int = 0
    denied: int = 0
    """Decisions that would have refused the request."""
    compared: int = 0
    agreed: int = 0
    kinds: Mapping[str, int] = {}
    latency_ms: Beside = Beside()
    cost_nanos: Beside = Beside()
    executed: int = 0
    failed: int = 0
    paid: int = 0


class Shadows(Protocol):
    """Written behind in batches; never blocks, never raises. Bounded: what had to be dropped is counted."""

    def keep(self, row: ShadowRow) -> None: ...

    async def report(self, lane: str | None, since_s: float) -> Sequence[LaneFigures]:
        """By lane name; everything kept before is in it."""

    async def evidence(self, lane: str, since_s: float, *, timed: bool = True) -> Evidence:
        """`timed`: whether the latency is wanted, which takes longest."""

    async def recent(self, limit: int, lane: str | None = None) -> Sequence[ShadowRow]:
        """Newest first."""

    @property
    def dropped(self) -> int: ...
