"""All tenants' shelves: built from rows when they are asked for, and kept in step with them.

Owns: which shelves are in memory, who waits for one, following what other processes teach, and the memory bound.
Refuses: the request path any wait: `get` answers at once, with None while a shelf is being built.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from laneway.embed import Embedder, StaticEmbedder
from laneway.failure import FailureError
from laneway.ports.examples import PLAIN, Change, Examples, Setting
from laneway.vectors.shelf import Placed, TenantShelf

if TYPE_CHECKING:
    from laneway.vectors.shelf import Floats

PAGE = 256
FOLLOW_S = 1.0
"""How soon this process sees what another one taught."""
MEMORY_BYTES = 1 << 30
log = logging.getLogger("laneway")


class LocalShelves:
    """The shelves of this process. `start` begins to follow the rows; without it only `ready` does."""

    def __init__(
        self,
        examples: Examples,
        embedder: Embedder | None = None,
        *,
        memory_bytes: int = MEMORY_BYTES,
        trust: Mapping[str, float] | None = None,
        follow_s: float = FOLLOW_S,
    ) -> None:
        self._examples = examples
        self._embedder: Embedder = embedder if embedder is not None else StaticEmbedder()
        self._memory_bytes = memory_bytes
        self._trust = trust if trust is not None else {}
        self._follow_s = follow_s
        self._kept: OrderedDict[str, TenantShelf | None] = OrderedDict()
        """None for a tenant without examples; whoever was asked for last stands last."""
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._mark = 0
        self._following: asyncio.Task[None] | None = None

    # --- asking --------------------------------------------------------------------------------------------

    def get(self, tenant: str) -> TenantShelf | None:
        if tenant in self._kept:
            self._kept.move_to_end(tenant)
            return self._kept[tenant]
        if tenant not in self._loading:
            self._load(tenant)
        return None

    async def ready(self, tenant: str) -> TenantShelf | None:
        await self._catch_up(tenant)
        return self._kept.get(tenant)

    def embed(self, text: str, setting: Setting = PLAIN) -> Floats | None:
        return self._embedder.embed(text, setting)

    async def vector(self, text: str, setting: Setting = PLAIN) -> Floats | None:
        return self.embed(text, setting)

    @property
    def held_bytes(self) -> int:
        """Memory of all shelves."""
        return sum(shelf.held_bytes for shelf in self._kept.values() if shelf is not None)

    # --- life ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def close(self) -> None:
        tasks = [*self._loading.values(), *([self._following] if self._following is not None else [])]
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._follow_s)
            try:
                moved, mark = await self._examples.moved(self._mark)
                for tenant in moved:
                    if tenant in self._kept:
                        await self._catch_up(tenant)
                self._mark = mark
            except FailureError as error:
                log.warning("what was taught elsewhere waits: %s", error.failure.message)

    # --- one tenant ----------------------------------------------------------------------------------------

    def _load(self, tenant: str) -> None:
        task = asyncio.get_running_loop().create_task(self._try_to_load(tenant))
        self._loading[tenant] = task
        task.add_done_callback(lambda _: self._loading.pop(tenant, None))

    async def _try_to_load(self, tenant: str) -> None:
        try:
            await self._catch_up(tenant)
        except FailureError as error:
            log.warning("a tenant's examples wait: %s", error.failure.message)

    async def _catch_up(self, tenant: str) -> None:
        """Brings a tenant's shelf to where its rows are now."""
        async with self._turns.setdefault(tenant, asyncio.Lock()):
            shelf = self._kept.get(tenant)
            edition = shelf.edition if shelf is not None else 0
            while changes := await self._examples.since(tenant, edition, limit=PAGE):
                shelf = self._take(tenant, shelf, changes)
                edition = changes[-1].edition
            self._kept[tenant] = shelf
            self._kept.move_to_end(tenant)
            self._make_room()

    def _take(self, tenant: str, shelf: TenantShelf | None, changes: Sequence[Change]) -> TenantShelf:
        placed = [
            Placed(change.example, self._embedder.embed(change.example.text, change.example.setting))
            for change in changes
            if change.example is not None
        ]
        if shelf is None:
            shelf = TenantShelf(tenant, self._embedder.space, self._embedder.dims, self._trust)
        shelf.put(placed, [change.id for change in changes if change.example is None])
        shelf.edition = changes[-1].edition
        return shelf

    def _make_room(self) -> None:
        while len(self._kept) > 1 and self.held_bytes > self._memory_bytes:
            self._kept.popitem(last=False)
