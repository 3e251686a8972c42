"""Shadow rows and standings in memory: the default of a room mounted alone, and the plain twin in tests.

Owns: the newest rows of one process, and the standings of its lanes. Refuses: outliving the process, and sharing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from laneway.policy.shadows import added, place_of_95
from laneway.ports import Audit, Evidence, LaneFigures, ShadowRow, Standing

MOST = 10_000


class MemoryShadows:
    """The last rows. One that makes room for a newer one was kept its time: nothing is ever dropped here."""

    dropped = 0

    def __init__(self, *, most: int = MOST) -> None:
        self._rows: deque[ShadowRow] = deque(maxlen=most)

    def keep(self, row: ShadowRow) -> None:
        self._rows.append(row)

    async def report(self, lane: str | None, since_s: float) -> Sequence[LaneFigures]:
        return added(self._since(lane, since_s))

    async def evidence(self, lane: str, since_s: float, *, timed: bool = True) -> Evidence:
        rows = self._since(lane, since_s)
        served = [row for row in rows if row.executed]
        took = sorted(
            row.decided.latency_ms
            for row in served
            if not row.failed and row.decided is not None and row.decided.latency_ms is not None
        )
        return Evidence(
            decisions=len(rows) - len(served),
            compared=sum(row.compared for row in rows),
            agreed=sum(row.compared and not row.kinds for row in rows),
            requests=len(served),
            failures=sum(row.failed for row in served),
            paid=sum(row.paid for row in served),
            p95_ms=took[place_of_95(len(took))] if took and timed else None,
        )

    async def recent(self, limit: int, lane: str | None = None) -> Sequence[ShadowRow]:
        return [row for row in reversed(self._rows) if lane is None or row.lane == lane][:limit]

    def _since(self, lane: str | None, since_s: float) -> list[ShadowRow]:
        return [row for row in self._rows if row.at_s >= since_s and (lane is None or row.lane == lane)]


class MemoryStandings:
    """Standings by lane."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._standings: dict[str, Standing] = {}

    async def list(self) -> Sequence[Standing]:
        return [self._standings[lane] for lane in sorted(self._standings)]

    async def put(self, standing: Standing, *, after: int) -> bool:
        known = self._standings.get(standing.lane)
        if (known.edition if known is not None else 0) != after:
            return False
        edition = await self.edition() + 1
        self._standings[standing.lane] = msgspec.structs.replace(standing, edition=edition)
        await self._audit.note(standing.entry())
        return True

    async def edition(self) -> int:
        return max((standing.edition for standing in self._standings.values()), default=0)
