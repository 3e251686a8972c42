"""Hearsay: requests that other processes of the same store served, as their records tell.

Owns: looking at new records while somebody listens to this process's feed, and telling of those that it did not serve.
They come when they are written, within about a second, and as `run.completed` alone: what happened before is over.
Refuses: to look at anything while nobody listens.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from laneway.exchange import is_own
from laneway.ports import Journal, Search
from laneway.stores.schema import StoreError
from laneway.watching.events import Hub

EVERY_S = 1.0
MOST_AT_ONCE = 500
_decode = msgspec.json.Decoder(dict[str, object]).decode


class Hearsay:
    """Works in the background for as long as the gateway runs."""

    def __init__(self, hub: Hub, journal: Journal, *, every_s: float = EVERY_S) -> None:
        self._hub = hub
        self._journal = journal
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        self._hub.close()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await self._hub.watched.wait()
            # The store may be in a hurry or locked: the next look finds what this one missed.
            with suppress(StoreError):
                newest = await self._journal.search(Search(1))
                await self._listen(newest[0].number if newest else 0)
            await asyncio.sleep(self._every_s)

    async def _listen(self, number: int) -> None:
        while self._hub.active:
            await asyncio.sleep(self._every_s)
            for found in await self._journal.search(Search(MOST_AT_ONCE, above=number)):
                number = found.number
                self._tell(_decode(found.text))

    def _tell(self, record: dict[str, object]) -> None:
        if is_own(str(record.get("request_id"))):
            return
        # A record of another release, or under another prefix, may lack what is told.
        with suppress(KeyError):
            self._hub.complete(record)
