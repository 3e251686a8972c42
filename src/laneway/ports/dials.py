"""Where tenants have put their dials, and which floors they have set under them.

Owns: the door to where both rest. Refuses: any implementation, and what a position or a floor does (policy knows).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from laneway.ports.records import Audited

LEAST, MOST, USUAL = 0, 10, 5
"""Positions of a dial: the lowest cost, the highest quality, and where one stands that nobody has moved."""
NO_FLOOR = 0.0
"""Set by who wants none, whatever the configuration says."""


class Dials(Protocol):
    """Positions by tenant, of those who have moved theirs; floors by tenant and pool, of those who have set one."""

    async def positions(self) -> Mapping[str, int]: ...

    async def floors(self) -> Mapping[tuple[str, str], float]: ...

    async def turn(self, tenant: str, position: int, entry: Audited) -> None:
        """Durable when it returns, together with its line in the audit."""

    async def keep(self, tenant: str, pool: str, floor: float | None, entry: Audited) -> None:
        """Sets a floor, as durably; None takes back what was set."""

    async def edition(self) -> int:
        """Grows with every turn and every floor, whichever process made it."""
