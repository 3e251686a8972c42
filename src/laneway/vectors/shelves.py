"""All tenants' shelves: built from rows when they are asked for, and kept in step with them.

Owns: which shelves are in memory, who waits for one, following what other processes teach, moving to another space
while the old one serves, and the memory bound.
Refuses: the request path any wait: `get` answers at once, with None while a shelf is being built.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from laneway.embed import StaticEmbedder
from laneway.failure import FailureError
from laneway.ports.examples import PLAIN, Examples, Setting
from laneway.vectors.binding import Binder
from laneway.vectors.form import Form
from laneway.vectors.shelf import TenantShelf
from laneway.vectors.spaces import NearSpace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FOLLOW_S = 1.0
"""How soon this process sees what another one taught."""
SAVE_S = 30.0
"""How often shelves that changed are written down, and those from snapshots are brought to what sources count now."""
SAVED_SHARE = 0.01
"""A snapshot may lack so much while the process runs: embedding it anew takes a moment, writing all takes many."""
RETRY_S = 10.0
AT_ONCE = 2
"""Shelves that are built in the background at the same time."""
MOST_KNOWN = 10_000
"""Tenants, with or without examples, that are followed."""
MEMORY_BYTES = 1 << 30
log = logging.getLogger("laneway")


class LocalShelves:
    """The shelves of this process. `start` begins to follow the rows; without it only `ready` does."""

    def __init__(
        self,
        examples: Examples,
        form: Form | None = None,
        *,
        memory_bytes: int = MEMORY_BYTES,
        folder: Path | None = None,
        follow_s: float = FOLLOW_S,
    ) -> None:
        """`folder` is where snapshots rest; None: nowhere."""
        self._examples = examples
        self._form = form if form is not None else Form(NearSpace(StaticEmbedder()))
        self._wanted: Form | None = None
        self._memory_bytes = memory_bytes
        self._binder = Binder(examples, folder)
        self._follow_s = follow_s
        self._kept: OrderedDict[str, TenantShelf | None] = OrderedDict()
        """None for a tenant without examples; whoever was asked for last stands last."""
        self._held: dict[str, int] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._builders = asyncio.Semaphore(AT_ONCE)
        self._mark = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._moving: asyncio.Task[None] | None = None
        self._closed = False

    def use(self, form: Form, memory_bytes: int = MEMORY_BYTES, folder: Path | None = None) -> None:
        """Puts settings in force. Shelves of another form are built in the background, while the old ones serve."""
        self._memory_bytes = memory_bytes
        self._binder.use(folder)
        wanted = self._wanted
        if wanted is not None and wanted.key == form.key and form.space.near:
            return  # it is on its way
        if form.key == self._form.key or (form.space.near and not self._kept):
            self._form, self._wanted = form, None
        else:
            self._wanted = form
        self._make_room()
        if self._tasks:
            self._begin_to_move()

    # --- asking --------------------------------------------------------------------------------------------

    def get(self, tenant: str) -> TenantShelf | None:
        if tenant in self._kept:
            self._kept.move_to_end(tenant)
            return self._kept[tenant]
        if tenant not in self._loading and not self._closed:
            task = asyncio.get_running_loop().create_task(self._load(tenant))
            self._loading[tenant] = task
            task.add_done_callback(lambda _: self._loading.pop(tenant, None))
        return None

    async def ready(self, tenant: str) -> TenantShelf | None:
        try:
            return await self._catch_up(tenant)
        except FailureError as error:
            log.warning("a tenant's examples wait: %s", error.failure.message)
            return self._kept.get(tenant)

    def embed(self, text: str, setting: Setting = PLAIN) -> npt.NDArray[np.float32] | None:
        return self._form.space.embed(text, setting)

    async def vector(self, text: str, setting: Setting = PLAIN) -> npt.NDArray[np.float32] | None:
        space = self._form.space
        vector = await space.vector(text, setting)
        # While a provider was waited for, the shelves may have moved to another space.
        return vector if space.name == self._form.space.name else None

    @property
    def held_bytes(self) -> int:
        """Memory of all shelves."""
        return sum(self._held.values())

    # --- life ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(_repeated(self._follow, self._follow_s)),
            loop.create_task(_repeated(self._save, SAVE_S)),
            loop.create_task(self._preload()),
        ]
        self._begin_to_move()

    async def close(self) -> None:
        self._closed = True
        moving = [self._moving] if self._moving is not None else []
        for task in [*self._tasks, *self._loading.values(), *moving]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        with suppress(FailureError):
            await self._save(0.0)

    async def _follow(self) -> None:
        moved, mark = await self._examples.moved(self._mark)
        for tenant in moved:
            if tenant in self._kept:
                await self._catch_up(tenant)
        self._mark = mark

    async def _save(self, share: float = SAVED_SHARE) -> None:
        for tenant, shelf in list(self._kept.items()):
            if shelf is None:
                continue
            async with self._turn(tenant):
                if dict(shelf.trust) != dict(self._form.trust) and self._wanted is None:
                    await self._weigh_again(shelf)
                elif self._binder.is_worth_saving(shelf, share):
                    await self._binder.save(shelf)

    async def _weigh_again(self, old: TenantShelf) -> None:
        """One from a snapshot, whose sources counted something else when it was written."""
        form = self._form
        fresh = await self._binder.bring_up(old.tenant, None, form, like=old)
        if form.key == self._form.key and self._kept.get(old.tenant) is old:
            self._keep(old.tenant, fresh)

    async def _preload(self) -> None:
        """What was in memory before the restart, the newest first."""
        for tenant in await self._binder.saved():
            if self.held_bytes >= self._memory_bytes:
                return
            self.get(tenant)
            if (task := self._loading.get(tenant)) is not None:
                await asyncio.wait([task])

    async def _load(self, tenant: str) -> None:
        try:
            async with self._builders:
                await self._catch_up(tenant)
            return
        except FailureError as error:
            log.warning("a tenant's examples wait: %s", error.failure.message)
        except Exception:
            log.exception("a tenant's examples wait: something unexpected happened")
        # Whoever asks meanwhile does not begin it again.
        await asyncio.sleep(RETRY_S)

    # --- keeping -------------------------------------------------------------------------------------------

    def _turn(self, tenant: str) -> asyncio.Lock:
        return self._turns.setdefault(tenant, asyncio.Lock())

    async def _catch_up(self, tenant: str) -> TenantShelf | None:
        """Brings a tenant's shelf to where its rows are now."""
        async with self._turn(tenant):
            while True:
                form = self._form
                shelf = await self._binder.bring_up(tenant, self._kept.get(tenant), form)
                if form.key == self._form.key:
                    break
            self._keep(tenant, shelf)
            return shelf

    def _keep(self, tenant: str, shelf: TenantShelf | None) -> None:
        self._kept[tenant] = shelf
        self._kept.move_to_end(tenant)
        self._held[tenant] = shelf.held_bytes if shelf is not None else 0
        self._make_room()

    def _make_room(self) -> None:
        while len(self._kept) > 1 and (self.held_bytes > self._memory_bytes or len(self._kept) > MOST_KNOWN):
            tenant, _ = self._kept.popitem(last=False)
            self._held.pop(tenant, None)
            if not self._turn(tenant).locked():
                self._turns.pop(tenant, None)

    # --- moving --------------------------------------------------------------------------------------------

    def _begin_to_move(self) -> None:
        if self._moving is not None:
            self._moving.cancel()
        self._moving = asyncio.get_running_loop().create_task(self._move()) if self._wanted is not None else None

    async def _move(self) -> None:
        """Builds the shelves anew beside the old ones, then takes them all at once."""
        while (form := self._wanted) is not None:
            try:
                await self._move_to(form)
            except FailureError as error:
                log.warning("moving examples to %s waits: %s", form.space.name, error.failure.message)
                await asyncio.sleep(RETRY_S)

    async def _move_to(self, form: Form) -> None:
        fresh: dict[str, TenantShelf | None] = {}
        held = 0
        for tenant in dict.fromkeys([*reversed(self._kept), *await self._examples.tenants()]):
            if held >= self._memory_bytes:
                break
            fresh[tenant] = shelf = await self._binder.bring_up(tenant, None, form, like=self._kept.get(tenant))
            held += shelf.held_bytes if shelf is not None else 0
        if form is not self._wanted:
            return
        self._form, self._wanted = form, None
        self._kept = OrderedDict(reversed(fresh.items()))
        self._held = {tenant: shelf.held_bytes for tenant, shelf in fresh.items() if shelf is not None}
        self._make_room()
        log.info("examples are searched in %s now", form.space.name)
        # What was taught while the others were built.
        for tenant in fresh:
            await self._catch_up(tenant)
        await self._examples.drop_vectors([form.space.name])


async def _repeated(work: Callable[[], Awaitable[None]], every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await work()
        except FailureError as error:
            log.warning("shelves wait: %s", error.failure.message)
        except Exception:
            log.exception("shelves wait: something unexpected happened")
