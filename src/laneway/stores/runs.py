"""Runs in memory: the plain twin, for a gateway without a file.

Owns: runs, their texts and steps as long as the process lives. Refuses: outliving it; the adapter in SQLite does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from laneway.policy.runs import is_due
from laneway.ports.runs import ENDED, Change, Run, State, Step, Texts, Wanted


class _Kept:
    """One run with everything that belongs to it."""

    def __init__(self, run: Run, texts: Texts) -> None:
        self.run = run
        self.texts = texts
        self.steps: list[Step] = []
        self.result: bytes | None = None

    def note(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.steps.append(replace(step, number=len(self.steps) + 1))


class MemoryRuns:
    """Runs of one process. No await stands between reading and writing, so every verb is atomic."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    async def accept(self, run: Run, texts: Texts, steps: Sequence[Step], most: int) -> Run | None:
        own = [kept.run for kept in self._kept.values() if kept.run.tenant == run.tenant]
        there = next((each for each in own if run.same is not None and each.same == run.same), None)
        if there is not None:
            return there
        if sum(each.state is State.ACCEPTED for each in own) >= most:
            return None
        kept = self._kept[run.id] = _Kept(run, texts)
        kept.note(steps)
        return run

    async def find(self, run_id: str, tenant: str | None = None) -> Run | None:
        kept = self._kept.get(run_id)
        return kept.run if kept is not None and tenant in (None, kept.run.tenant) else None

    async def same(self, tenant: str, key: str) -> Run | None:
        runs = (kept.run for kept in self._kept.values())
        return next((run for run in runs if run.tenant == tenant and run.same == key), None)

    async def texts(self, run_id: str) -> Texts | None:
        kept = self._kept.get(run_id)
        return kept.texts if kept is not None else None

    async def result(self, run_id: str) -> bytes | None:
        kept = self._kept.get(run_id)
        return kept.result if kept is not None else None

    async def steps(self, run_id: str, after: int = 0) -> Sequence[Step]:
        kept = self._kept.get(run_id)
        return kept.steps[after:] if kept is not None else ()

    async def list(self, wanted: Wanted, limit: int) -> Sequence[Run]:
        newest = [kept.run for kept in reversed(self._kept.values())]
        ids = [run.id for run in newest]
        if wanted.after is not None:
            newest = newest[ids.index(wanted.after) + 1 :] if wanted.after in ids else []
        fitting = (
            run
            for run in newest
            if wanted.tenant in (None, run.tenant)
            and wanted.state in (None, run.state)
            and wanted.lane in (None, run.lane)
        )
        return [run for run, _ in zip(fitting, range(limit), strict=False)]

    async def take(self, now_s: float, change: Change) -> Run | None:
        runs = [kept.run for kept in self._kept.values()]
        busy = Counter(run.tenant for run in runs if run.state is State.RUNNING)
        due = [run for run in runs if is_due(run, now_s)]
        due.sort(key=lambda run: (run.state is State.ACCEPTED, busy[run.tenant] if run.state is State.ACCEPTED else 0))
        return await self.change(due[0].id, change) if due else None

    async def change(self, run_id: str, change: Change, tenant: str | None = None) -> Run | None:
        run = await self.find(run_id, tenant)
        if run is None:
            return None
        move = change(run)
        if move is None:
            return run
        kept = self._kept[run_id]
        kept.run = move.run
        kept.note(move.steps)
        if move.result is not None:
            kept.result = move.result
        return move.run

    async def held(self, owner: str) -> Sequence[Run]:
        runs = (kept.run for kept in self._kept.values())
        return [run for run in runs if run.state is State.RUNNING and run.owner == owner]

    async def renew(self, owner: str, run_ids: Sequence[str], until_s: float) -> None:
        for run in await self.held(owner):
            if run.id in run_ids:
                self._kept[run.id].run = replace(run, lease_s=until_s)

    async def take_hook(self, now_s: float, until_s: float) -> Run | None:
        waiting = [kept.run for kept in self._kept.values() if kept.run.hook_state == "waiting"]
        due = sorted((run for run in waiting if run.hook_due_s <= now_s), key=lambda run: run.hook_due_s)
        if not due:
            return None
        taken = replace(due[0], hook_tries=due[0].hook_tries + 1, hook_due_s=until_s)
        self._kept[taken.id].run = taken
        return taken

    async def forget(self, run_id: str) -> bool:
        run = await self.find(run_id)
        if run is None or run.state not in ENDED:
            return False
        del self._kept[run_id]
        return True

    async def prune(self, before_s: float, most: int) -> int:
        old = [run_id for run_id, kept in self._kept.items() if (kept.run.ended_s or before_s + 1) <= before_s]
        for run_id in old[:most]:
            del self._kept[run_id]
        return len(old[:most])
