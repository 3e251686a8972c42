"""Binding: how a shelf comes from rows, or from a snapshot and the rows that changed since.

Owns: what a shelf is built with, the pages it is read in, and when a snapshot is written, used and thrown away.
Refuses: keeping shelves, and two writers of one shelf: whoever keeps them sees to that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from laneway.ports.examples import Change, Examples
from laneway.vectors.form import Form, Placed
from laneway.vectors.shelf import TenantShelf
from laneway.vectors.snapshot import Head, Snapshots
from laneway.vectors.spaces import AT_ONCE

PAGE = 256
WORTH_SAVING = 1000
"""Examples from which on a snapshot is quicker than embedding anew; where vectors are dear, the store keeps them."""
log = logging.getLogger("laneway")


class Binder:
    """Makes shelves and brings them up to date. `folder` is where snapshots rest; None: nowhere."""

    def __init__(self, examples: Examples, folder: Path | None) -> None:
        self._examples = examples
        self.use(folder)

    def use(self, folder: Path | None) -> None:
        self._snapshots = Snapshots(folder) if folder is not None else None

    async def bring_up(
        self, tenant: str, shelf: TenantShelf | None, form: Form, *, like: TenantShelf | None = None
    ) -> TenantShelf | None:
        """The shelf as its rows are now; None for a tenant without any. Raises FailureError.

        Where one has to be built, vectors are taken from a shelf of the same place, if one is given.
        """
        known: _Known | None = None
        if like is not None and like.form.place == form.place:
            known = await asyncio.to_thread(_Known, like)
        if shelf is None and known is None:
            shelf = await self._recalled(tenant, form)
        if shelf is not None and shelf.edition < await self._examples.forgotten(tenant):
            shelf = None
        edition = shelf.edition if shelf is not None else 0
        while changes := await self._examples.since(tenant, edition, limit=PAGE):
            shelf = await self._taken(tenant, shelf, form, changes, known)
            edition = changes[-1].edition
        return shelf

    async def _taken(
        self,
        tenant: str,
        shelf: TenantShelf | None,
        form: Form,
        changes: Sequence[Change],
        known: _Known | None,
    ) -> TenantShelf | None:
        placed = known.place(changes) if known is not None else []
        found = {one.example.id for one in placed}
        others = [change.example for change in changes if change.example is not None and change.id not in found]
        placed = [*placed, *await form.space.place(tenant, others)]
        gone = [change.id for change in changes if change.example is None]
        if shelf is None:
            if not placed:
                return None
            shelf = TenantShelf(tenant, placed[0].vector.size, form)
        fitting = [one for one in placed if one.vector.size == shelf.dims]
        if len(fitting) < len(placed):
            # A provider's model is another one under the same name.
            log.warning("%d examples have vectors of another size and are left out", len(placed) - len(fitting))
        if gone and self._snapshots is not None and len(shelf):
            await asyncio.to_thread(self._snapshots.remove, tenant)
            shelf.saved = 0
        if len(changes) <= AT_ONCE:
            shelf.put(fitting, gone)
        else:
            await asyncio.to_thread(shelf.put, fitting, gone)
        shelf.edition = changes[-1].edition
        return shelf

    # --- snapshots -----------------------------------------------------------------------------------------

    async def saved(self) -> Sequence[str]:
        """Whose snapshots there are, the newest first."""
        if self._snapshots is None:
            return []
        return await asyncio.to_thread(list, self._snapshots.tenants())

    def is_worth_saving(self, shelf: TenantShelf, share: float) -> bool:
        """Whether more than this share of the rows has changed since."""
        changed = shelf.edition - shelf.saved
        return self._snapshots is not None and len(shelf) >= WORTH_SAVING and changed > share * len(shelf)

    async def save(self, shelf: TenantShelf) -> None:
        """While nobody writes to the shelf."""
        if self._snapshots is None:
            return
        head = Head(
            tenant=shelf.tenant,
            origin=await self._examples.origin(shelf.tenant),
            place=shelf.form.place,
            trust=dict(shelf.trust),
            dims=shelf.dims,
            edition=shelf.edition,
            columns=dict(shelf.columns),
            tags=shelf.tags,
        )
        try:
            await asyncio.to_thread(_write, self._snapshots, head, shelf)
        except OSError as error:
            log.warning("a snapshot could not be written: %s", error.strerror)
        shelf.saved = shelf.edition

    async def _recalled(self, tenant: str, form: Form) -> TenantShelf | None:
        if self._snapshots is None:
            return None
        edition, origin = await self._examples.edition(tenant), await self._examples.origin(tenant)
        return await asyncio.to_thread(_read, self._snapshots, tenant, form, edition, origin) if edition else None


def _write(snapshots: Snapshots, head: Head, shelf: TenantShelf) -> None:
    snapshots.write(head, shelf.packed())


def _read(snapshots: Snapshots, tenant: str, form: Form, edition: int, origin: str) -> TenantShelf | None:
    with snapshots.read(tenant, form.place) as found:
        if found is None:
            return None
        head, rows = found
        # One from the future is of a store that was put back to an earlier state since.
        if head.origin != origin or head.edition > edition:
            return None
        try:
            shelf = TenantShelf(tenant, head.dims, form)
            shelf.unpack(rows, head.columns, head.tags)
        except ValueError as error:
            log.warning("a snapshot was thrown away: %s", error)
            return None
    shelf.edition = shelf.saved = head.edition
    shelf.trust = head.trust
    return shelf


class _Known:
    """The vectors of a shelf, by the id of their example."""

    def __init__(self, shelf: TenantShelf) -> None:
        # First: rows that are newer than this are not taken for what they were.
        self._edition = shelf.edition
        rows = shelf.rows()
        self._vectors = rows.vectors
        self._places = {number: at for at, number in enumerate(rows.ids.tolist())}

    def place(self, changes: Sequence[Change]) -> list[Placed]:
        """Of those that the shelf had seen already."""
        return [
            Placed(change.example, self._vectors[self._places[change.id]])
            for change in changes
            if change.example is not None and change.edition <= self._edition and change.id in self._places
        ]
