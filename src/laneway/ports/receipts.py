"""Why each request went where it went, kept so that it can be asked for and judged afterwards.

Owns: the receipt of one learned decision, and the door to where receipts rest. Refuses: any implementation.
A receipt's id is the request's id, and is what `X-Laneway-Decision` tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from laneway.ports.examples import PLAIN, Setting

Neighbour: TypeAlias = tuple[int, float, Mapping[str, float]]
"""An example's id, its similarity, and its scores by candidate."""


class Stood(msgspec.Struct, frozen=True, gc=False):
    """One candidate's part of a decision: score = quality - weight x cost_ratio - penalty.

    Rows hold its values by their places, and a receipt's too: a new field goes to the end of either, with a default.
    """

    candidate: str
    target: str
    quality: float | None = None
    error: float | None = None
    labels: float = 0.0
    cost_nanos: float | None = None
    cost_ratio: float | None = None
    penalty: float = 0.0
    score: float | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A decision with everything that explains it."""

    id: str
    at_s: float
    tenant: str
    key_id: str | None = None
    pool: str
    lane: str | None = None
    rule: str
    """The rule that decided: "learned", "knn", "cheapest", ... or "pin"."""
    served: str
    """The target that was ranked first."""
    declined: str | None = None
    """Why learning had no opinion; the default served."""
    reason: str = ""
    bias: float = 0.5
    weight: float = 0.0
    floor: float | None = None
    """The share of the strong candidate's quality that was to be kept; None: nobody asked for one."""
    flips_cheaper: float | None = None
    """The dial position (0..1) from which downwards a cheaper candidate would win; None: none would."""
    flips_dearer: float | None = None
    """The dial position from which upwards a dearer candidate would win; None: none would."""
    confidence: float | None = None
    likeness: float | None = None
    space: str = ""
    tag: str = ""
    setting: Setting = PLAIN
    standings: tuple[Stood, ...] = ()
    neighbours: Sequence[Neighbour] = ()
    """The nearest examples. The core's own are made when somebody reads them: most receipts nobody does."""
    dropped: tuple[tuple[str, str], ...] = ()
    """Targets that were left out, each with the reason."""
    plan: tuple[str, ...] = ()
    """Targets in the order in which they would be tried."""
    text: str | None = None
    """The prompt that was compared, where the pool keeps prompts."""


class Receipts(Protocol):
    """Written behind; never blocks, never raises; what it had to drop it counts."""

    def keep(self, receipt: Receipt) -> None: ...

    async def get(self, tenant: str, receipt_id: str) -> Receipt | None: ...

    async def recent(
        self, tenant: str | None, *, limit: int = 100, where: Mapping[str, str] | None = None, after: str | None = None
    ) -> Sequence[Receipt]:
        """Newest first, those that follow the one with the id `after`. `where` matches pool, rule, served and declined
        exactly; tenant None: everybody's. What is kept meanwhile moves nothing; after a forgotten one comes nothing."""

    async def influenced(self, tenant: str, example_id: int, *, limit: int = 100) -> Sequence[Receipt]:
        """Those that had this example among their neighbours, newest first."""

    @property
    def dropped(self) -> int: ...
