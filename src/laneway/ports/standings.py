"""How far each lane's traffic is let in, where that was changed while the gateway ran.

Owns: a lane's standing, and the door to where standings rest. Refuses: any implementation, and judging.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from laneway.ports.records import Audited

STAGED = "lanes.stage"
"""The action under which standings stand in the audit."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A lane's stage since an instant, with who wanted it and why."""

    lane: str
    stage: str
    share: float
    reason: str
    actor: str
    at_s: float
    over: str
    """What the configuration said of the lane when this was ordered. As soon as it says something else, that holds."""
    back: bool = False
    """It was a step back."""
    falls: int = 0
    """Steps back that a gate made since somebody, or a gate, last took the lane to its end."""
    rests_until_s: float = 0.0
    """No gate promotes before."""
    edition: int = 0
    """Given by the store, and greater with every change of any lane."""

    def entry(self) -> Audited:
        """Its line in the audit."""
        detail: dict[str, str | float | bool | None] = {"stage": self.stage, "share": self.share, "reason": self.reason}
        return Audited(at_s=self.at_s, actor=self.actor, action=STAGED, subject=self.lane, detail=detail)


class Standings(Protocol):
    """Standings by lane, shared by all processes of a store and kept over restarts."""

    async def list(self) -> Sequence[Standing]:
        """By lane."""

    async def put(self, standing: Standing, *, after: int) -> bool:
        """Replaces the lane's standing of edition `after` (0: there is none) and notes it in the audit, or does
        neither: False, where somebody else was first."""

    async def edition(self) -> int:
        """The greatest. Asked every few seconds."""
