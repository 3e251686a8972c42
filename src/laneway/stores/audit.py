"""The audit in memory: what operators did, as long as the process lives.

Owns: the last thousand entries. Refuses: outliving the process; the adapter in SQLite does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

from laneway.ports import Audited


class MemoryAudit:
    """Entries, newest last."""

    def __init__(self, *, most: int = 1000) -> None:
        self._entries: deque[Audited] = deque(maxlen=most)

    async def note(self, entry: Audited) -> None:
        self._entries.append(entry)

    async def recent(self, limit: int, action: str | None = None, subject: str | None = None) -> Sequence[Audited]:
        found = (
            entry
            for entry in reversed(self._entries)
            if action in (None, entry.action) and subject in (None, entry.subject)
        )
        return list(islice(found, limit))

    async def latest(self, action: str) -> Sequence[Audited]:
        by_subject = {entry.subject: entry for entry in self._entries if entry.action == action}
        return list(by_subject.values())
