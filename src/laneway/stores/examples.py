"""Examples in memory: what was taught to this process, gone when it ends.

Owns: each tenant's rows by id, and what became of them since. Refuses: surviving a restart; the adapter in SQLite does.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from laneway.ports.examples import EVERY, Change, Example, Filter
from laneway.stores.schema.teaching import meant, tidied

MOST_REMEMBERED = 10_000
"""Deletions of one tenant that are told; the oldest are forgotten."""


class _Memory:
    """One tenant's."""

    def __init__(self) -> None:
        self.examples: dict[int, Example] = {}
        self.origin = secrets.token_hex(8)
        self.edition = 0
        self.last_id = 0
        self.changed: dict[int, int] = {}
        """The edition of each row by its id, deleted ones too, in the order of editions."""
        self.deleted: dict[int, None] = {}
        self.forgotten = 0
        self.vectors: dict[tuple[str, int], bytes] = {}

    def touch(self, example_id: int) -> None:
        self.edition += 1
        self.changed.pop(example_id, None)
        self.changed[example_id] = self.edition

    def drop_vectors(self, example_id: int) -> None:
        for key in [key for key in self.vectors if key[1] == example_id]:
            del self.vectors[key]


class MemoryExamples:
    """Examples by tenant and id."""

    def __init__(self) -> None:
        self._memories: defaultdict[str, _Memory] = defaultdict(_Memory)
        self._moved: dict[str, int] = {}
        self._mark = 0

    async def add(self, tenant: str, examples: Sequence[Example], *, first: bool = False) -> Sequence[Example]:
        tidy = [tidied(example) for example in examples]
        if not tidy or (first and await self.edition(tenant)):
            return []
        memory = self._memories[tenant]
        added: list[Example] = []
        for example in tidy:
            memory.last_id += 1
            memory.examples[memory.last_id] = stored = msgspec.structs.replace(example, id=memory.last_id)
            memory.touch(memory.last_id)
            added.append(stored)
        self._move(tenant)
        return added

    async def get(self, tenant: str, example_id: int) -> Example | None:
        return self._of(tenant).examples.get(example_id)

    async def list(self, tenant: str, *, where: Filter = EVERY, after: int = 0, limit: int = 100) -> Sequence[Example]:
        found = (example for at, example in self._of(tenant).examples.items() if at > after and meant(example, where))
        return [example for example, _ in zip(found, range(limit), strict=False)]

    async def count(self, tenant: str, *, where: Filter = EVERY) -> int:
        examples = self._of(tenant).examples
        return len(examples) if where == EVERY else sum(meant(example, where) for example in examples.values())

    async def change(self, tenant: str, example: Example) -> bool:
        memory, tidy = self._of(tenant), tidied(example)
        before = memory.examples.get(tidy.id)
        if before is None:
            return False
        memory.examples[tidy.id] = tidy
        if (before.text, before.setting) != (tidy.text, tidy.setting):
            memory.drop_vectors(tidy.id)
        memory.touch(tidy.id)
        self._move(tenant)
        return True

    async def delete(self, tenant: str, ids: Sequence[int]) -> int:
        memory = self._of(tenant)
        known = [example_id for example_id in dict.fromkeys(ids) if memory.examples.pop(example_id, None) is not None]
        for example_id in known:
            memory.drop_vectors(example_id)
            memory.touch(example_id)
            memory.deleted[example_id] = None
        while len(memory.deleted) > MOST_REMEMBERED:
            oldest = next(iter(memory.deleted))
            del memory.deleted[oldest]
            memory.forgotten = memory.changed.pop(oldest)
        if known:
            self._move(tenant)
        return len(known)

    async def edition(self, tenant: str) -> int:
        return self._of(tenant).edition

    async def origin(self, tenant: str) -> str:
        return self._of(tenant).origin if tenant in self._memories else ""

    async def since(self, tenant: str, edition: int, *, limit: int = 1000) -> Sequence[Change]:
        memory = self._of(tenant)
        newest: list[Change] = []
        for example_id, changed in reversed(memory.changed.items()):
            if changed <= edition:
                break
            newest.append(Change(changed, example_id, memory.examples.get(example_id)))
        return newest[::-1][:limit]

    async def forgotten(self, tenant: str) -> int:
        return self._of(tenant).forgotten

    async def tenants(self) -> Sequence[str]:
        return sorted(self._memories)

    async def moved(self, mark: int) -> tuple[Sequence[str], int]:
        return [tenant for tenant, at in self._moved.items() if at > mark], self._mark

    async def vectors(self, tenant: str, space: str, ids: Sequence[int]) -> Mapping[int, bytes]:
        kept = self._of(tenant).vectors
        return {example_id: kept[space, example_id] for example_id in ids if (space, example_id) in kept}

    async def keep_vectors(self, tenant: str, space: str, vectors: Mapping[int, tuple[Example, bytes]]) -> None:
        memory = self._of(tenant)
        for example_id, (example, vector) in vectors.items():
            now = memory.examples.get(example_id)
            if now is not None and (now.text, now.setting) == (example.text, example.setting):
                memory.vectors.setdefault((space, example_id), vector)

    async def drop_vectors(self, spaces: Sequence[str]) -> None:
        for memory in self._memories.values():
            memory.vectors = {key: vector for key, vector in memory.vectors.items() if key[0] in spaces}

    def _of(self, tenant: str) -> _Memory:
        """Without making one for who only asks."""
        return self._memories.get(tenant) or _Memory()

    def _move(self, tenant: str) -> None:
        self._mark += 1
        self._moved[tenant] = self._mark
