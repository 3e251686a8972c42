"""Receipts and dials in memory: those of one process.

Owns: the newest receipts up to a number, the positions of dials and the floors under them, with their lines in the
audit.
Refuses: surviving a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import dropwhile, islice

from laneway.ports import Audit, Audited, Receipt

MOST_RECEIPTS = 5_000


class MemoryReceipts:
    """By id; the oldest make room."""

    dropped = 0

    def __init__(self, *, most: int = MOST_RECEIPTS) -> None:
        self._most = most
        self._receipts: dict[str, Receipt] = {}

    def keep(self, receipt: Receipt) -> None:
        if len(self._receipts) >= self._most:
            del self._receipts[next(iter(self._receipts))]
        self._receipts[receipt.id] = receipt

    async def get(self, tenant: str, receipt_id: str) -> Receipt | None:
        found = self._receipts.get(receipt_id)
        return found if found is not None and found.tenant == tenant else None

    async def recent(
        self, tenant: str | None, *, limit: int = 100, where: Mapping[str, str] | None = None, after: str | None = None
    ) -> Sequence[Receipt]:
        newest = reversed(self._receipts.values())
        if after is not None:
            newest = islice(dropwhile(lambda receipt: receipt.id != after, newest), 1, None)
        found = (
            receipt
            for receipt in newest
            if tenant in (None, receipt.tenant)
            and all((getattr(receipt, name, None) or "") == value for name, value in (where or {}).items())
        )
        return list(islice(found, limit))

    async def influenced(self, tenant: str, example_id: int, *, limit: int = 100) -> Sequence[Receipt]:
        found = (
            receipt
            for receipt in reversed(self._receipts.values())
            if receipt.tenant == tenant and any(neighbour[0] == example_id for neighbour in receipt.neighbours)
        )
        return list(islice(found, limit))


class MemoryDials:
    """Positions by tenant, floors by tenant and pool."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._positions: dict[str, int] = {}
        self._floors: dict[tuple[str, str], float] = {}
        self._edition = 0

    async def positions(self) -> Mapping[str, int]:
        return dict(self._positions)

    async def floors(self) -> Mapping[tuple[str, str], float]:
        return dict(self._floors)

    async def turn(self, tenant: str, position: int, entry: Audited) -> None:
        await self._audit.note(entry)
        self._positions[tenant] = position
        self._edition += 1

    async def keep(self, tenant: str, pool: str, floor: float | None, entry: Audited) -> None:
        await self._audit.note(entry)
        if floor is None:
            self._floors.pop((tenant, pool), None)
        else:
            self._floors[tenant, pool] = floor
        self._edition += 1

    async def edition(self) -> int:
        return self._edition
