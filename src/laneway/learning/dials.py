"""The tenants' dials, as this process knows them.

Owns: where each dial stands, at once; putting one elsewhere, durably; and learning within seconds what another process
did. Refuses: what a position means (policy knows), and who may turn which (the endpoint knows).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from laneway.ports import Audited, Dials
from laneway.ports.dials import MOST, USUAL
from laneway.stores.schema import StoreError

EVERY_S = 1.0


class TurnedDials:
    """Knows of no dial until it has started."""

    def __init__(self, dials: Dials) -> None:
        self._dials = dials
        self._edition = 0
        self._turned = 0
        self._positions: Mapping[str, int] = {}
        self._following: asyncio.Task[None] | None = None

    def position(self, tenant: str) -> int:
        return self._positions.get(tenant, USUAL)

    def bias(self, tenant: str) -> float | None:
        """From 0, lowest cost, to 1, highest quality; None for a tenant who has not moved the dial."""
        position = self._positions.get(tenant)
        return None if position is None else position / MOST

    async def turn(self, tenant: str, position: int, *, actor: str, now_s: float) -> None:
        """It holds for the next request."""
        entry = Audited(
            at_s=now_s,
            actor=actor,
            action="routing-alpha",
            subject=tenant,
            detail={"alpha": position, "was": self.position(tenant)},
        )
        await self._dials.turn(tenant, position, entry)
        self._turned += 1
        self._positions = {**self._positions, tenant: position}

    async def look(self) -> None:
        """At what another process may have done."""
        turned, edition = self._turned, await self._dials.edition()
        if edition != self._edition:
            positions = await self._dials.positions()
            # What was read may be from before a turn of this process; then it is read again.
            if turned == self._turned:
                self._positions, self._edition = positions, edition

    def start(self) -> None:
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def close(self) -> None:
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following

    async def _follow(self) -> None:
        while True:
            with suppress(StoreError):
                await self.look()
            await asyncio.sleep(EVERY_S)
