"""The tenants' dials and floors, as this process knows them.

Owns: where each dial stands and which floor is under it, at once; putting them elsewhere, durably; and learning within
seconds what another process did.
Refuses: what a position or a floor means (policy knows), and who may turn which (the endpoint knows).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from laneway.ports import Audited, Dials
from laneway.ports.dials import MOST, USUAL
from laneway.route import Pool
from laneway.stores.schema import StoreError

EVERY_S = 1.0


class TurnedDials:
    """Knows of no dial until the first look."""

    def __init__(self, dials: Dials) -> None:
        self._dials = dials
        self._edition = 0
        self._changed = 0
        self._positions: Mapping[str, int] = {}
        self._floors: Mapping[tuple[str, str], float] = {}
        self._following: asyncio.Task[None] | None = None

    def position(self, tenant: str) -> int:
        return self._positions.get(tenant, USUAL)

    def bias(self, tenant: str) -> float | None:
        """From 0, lowest cost, to 1, highest quality; None for a tenant who has not moved the dial."""
        position = self._positions.get(tenant)
        return None if position is None else position / MOST

    def own_floor(self, tenant: str, pool: Pool) -> float | None:
        """What the tenant set itself, 0 if that is none; None where it set nothing."""
        return self._floors.get((tenant, pool.name))

    def floor(self, tenant: str, pool: Pool) -> float | None:
        """The share of the best candidate's quality that is kept: the tenant's own word, else the configuration's."""
        own = self._floors.get((tenant, pool.name), pool.floor)
        return own or None

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
        self._changed += 1
        self._positions = {**self._positions, tenant: position}

    async def keep(self, tenant: str, pool: Pool, floor: float | None, *, actor: str, now_s: float) -> None:
        """It holds for the next request; None: what the configuration says."""
        entry = Audited(
            at_s=now_s,
            actor=actor,
            action="routing-floor",
            subject=tenant,
            detail={"pool": pool.name, "floor": floor, "was": self.own_floor(tenant, pool)},
        )
        await self._dials.keep(tenant, pool.name, floor, entry)
        self._changed += 1
        others = {place: kept for place, kept in self._floors.items() if place != (tenant, pool.name)}
        self._floors = others if floor is None else {**others, (tenant, pool.name): floor}

    async def look(self) -> None:
        """At what another process may have done."""
        changed, edition = self._changed, await self._dials.edition()
        if edition != self._edition:
            positions, floors = await self._dials.positions(), await self._dials.floors()
            # What was read may be from before a change of this process; then it is read again.
            if changed == self._changed:
                self._positions, self._floors, self._edition = positions, floors, edition

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
