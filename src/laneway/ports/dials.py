"""Where tenants have put their dials.

Owns: the door to where that rests. Refuses: any implementation, and what a position does (policy knows).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from laneway.ports.records import Audited

LEAST, MOST, USUAL = 0, 10, 5
"""Positions of a dial: the lowest cost, the highest quality, and where one stands that nobody has moved."""


class Dials(Protocol):
    """Positions by tenant, of those who have moved theirs."""

    async def positions(self) -> Mapping[str, int]: ...

    async def turn(self, tenant: str, position: int, entry: Audited) -> None:
        """Durable when it returns, together with its line in the audit."""

    async def edition(self) -> int:
        """Grows with every turn, whichever process made it."""
