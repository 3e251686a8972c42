"""The book in memory: budgets made while the process ran, gone when it ends.

Owns: one entry for each name. Refuses: to know what a budget is, and outliving the process; the adapter in SQLite does.
"""

from __future__ import annotations

from collections.abc import Sequence

from laneway.ports import BookEntry


class MemoryBook:
    """Entries by name."""

    def __init__(self) -> None:
        self._entries: dict[str, BookEntry] = {}
        self._edition = 0

    async def list(self) -> Sequence[BookEntry]:
        return [self._entries[name] for name in sorted(self._entries)]

    async def put(self, entry: BookEntry, *, new: bool) -> bool:
        if (entry.name in self._entries) is new:
            return False
        self._entries[entry.name] = entry
        self._edition += 1
        return True

    async def remove(self, name: str) -> bool:
        found = self._entries.pop(name, None) is not None
        self._edition += found
        return found

    async def edition(self) -> int:
        return self._edition
