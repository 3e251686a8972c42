"""Following: what any process may have changed in the store, as this one knows it.

Owns: whether a caller's key exists, and the budgets that were made while the gateway ran; looking again every few
seconds, and telling when there is news. Refuses: building anything of it; that is the gateway's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from laneway.layout import Layout
from laneway.policy.budgets import Budget
from laneway.store import Store, StoreError
from laneway.treasury import Treasury

EVERY_S = 2.0
"""How soon an open gateway learns that a first key was made by another process."""


class Following:
    """Knows nothing until the first look."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._edition = 0
        self.has_keys = False
        """Once a key exists nobody gets in without one; revoking the last opens no running gateway."""
        self.booked: tuple[Budget, ...] = ()

    async def look(self, layout: Layout) -> bool:
        """Whether there is news."""
        keys, book = await self.look_at_keys(), await self.look_at_book(layout)
        return keys or book

    async def look_at_keys(self) -> bool:
        if self.has_keys:
            return False
        self.has_keys = any(key.revoked_s is None for key in await self._store.keys.list())
        return self.has_keys

    async def look_at_book(self, layout: Layout) -> bool:
        edition = await self._store.book.edition()
        if edition == self._edition:
            return False
        await self.read_book(layout)
        self._edition = edition
        return True

    async def read_book(self, layout: Layout) -> None:
        self.booked = await Treasury(self._store, layout, "").booked()

    async def run(self, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            with suppress(StoreError):
                await look()
