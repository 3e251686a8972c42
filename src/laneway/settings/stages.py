"""When a lane may go a stage further, and when it must go back, as written by a person.

Owns: `[lanes.NAME.promotion]` and `[lanes.NAME.rollback]`. Refuses: the stages themselves, which stand with the lane.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from laneway.settings.units import Count, Seconds

StageName = Literal["observe", "shadow", "canary", "active"]
Part = Annotated[float, Meta(ge=0, le=1)]


class PromotionTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What takes a lane a step further by itself: from shadow over the shares of a canary to active."""

    after: Count = 500
    """Decisions that were compared with the legacy path, or requests that were served, since the last step."""
    agreement: Part = 0.95
    """In shadow: the part of the compared decisions that agree, at least."""
    failure_share: Part = 0.02
    """In canary: the part of the requests that failed by no fault of their callers, at most."""
    p95: Seconds | None = None
    """In canary: seconds that 95 of 100 answers stay under; unset: any."""
    steps: tuple[Annotated[float, Meta(gt=0, le=1)], ...] = (0.05, 0.25, 0.5)
    """Shares of a canary, one after the other, before active."""
    up_to: Literal["canary", "active"] = "active"
    """The last stage that it takes the lane to."""
    hold: Annotated[float, Meta(ge=0, le=2_592_000)] = 600.0
    """Seconds in a stage, or at a share, at least."""
    rest: Annotated[float, Meta(ge=0, le=2_592_000)] = 3600.0
    """Seconds without promotion after the lane was taken back by its gate; doubled each time, until a person sets a
    stage."""


class RollbackTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What takes a lane in canary or active back by itself."""

    to: Literal["observe", "shadow"] = "shadow"
    """The stage that it goes back to, also by `laneway shadow rollback`."""
    window: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    """Seconds that are looked at, and no further back than the last step."""
    least: Count = 20
    """Fewer requests than this in the window say nothing."""
    failure_share: Part | None = 0.2
    """The part of the requests that may fail by no fault of their callers."""
    p95: Seconds | None = None
    """Seconds that 95 of 100 answers have to stay under; unset: any."""
    paid: Count | None = None
    """So many requests in the window, for which something that costs money stood in for a free first choice, are too
    many; unset: any."""
