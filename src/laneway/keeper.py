"""The keeper: what Ollama hosts hold in memory, looked at in the background, and the lanes' warm models kept there.

Owns: asking /api/ps of hosts with warm models, telling the board, and waking a protected model when its expiry is near
or its host has lost it. It also follows what an operator opened for maintenance, in whichever process he did.
Refuses: judging hosts: none of its calls opens or resets a breaker, takes a slot, or delays a request.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from laneway.board import Board
from laneway.dialects.ollama.residence import read_loaded, write_warm
from laneway.failure import FailureError
from laneway.layout import Layout
from laneway.policy.residency import Loaded, plain_name
from laneway.ports import Audit, Clocks, Upstream
from laneway.roster import fetch
from laneway.route import Provider, Target
from laneway.stores.schema import StoreError

LOOK_S = 5.0
NEAR = 4
"""A warm model is woken when less than this part of its time is left."""
MAINTENANCE = "maintenance"
"""The action under which maintenance stands in the audit."""
log = logging.getLogger("laneway")


class Keeper:
    """Looks after one configuration's hosts. `run` does it for ever; `look` once."""

    def __init__(self, layout: Layout, board: Board, upstream: Upstream, audit: Audit, *, scale: float = 1.0) -> None:
        self._layout = layout
        self._board = board
        self._upstream = upstream
        self._audit = audit
        self._every_s = max(LOOK_S * scale, 0.05)
        self._look = Clocks(connect_s=1.5 * scale, headers_s=4 * scale, between_chunks_s=4 * scale)
        self._load = Clocks(connect_s=1.5 * scale, headers_s=300 * scale, between_chunks_s=60 * scale)
        self._warm = _warm(layout)
        self._cold: set[str] = set()

    async def run(self) -> None:
        """Cancel it to stop."""
        while True:
            with suppress(StoreError):
                await self.follow()
            await self.look()
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Every host with warm models, each in its own time."""
        await asyncio.gather(*(self._host(provider, targets) for provider, targets in self._warm))

    async def follow(self) -> None:
        """Opens and closes maintenance here as the audit says."""
        for entry in await self._audit.latest(MAINTENANCE):
            until = entry.detail.get("until_s")
            self._board.open_maintenance(entry.subject, float(until) if isinstance(until, int | float) else 0.0)

    async def _host(self, provider: Provider, targets: tuple[Target, ...]) -> None:
        try:
            await self._see(provider)
            for target in targets:
                if self._wants(provider, target):
                    await self._wake(provider, target)
        except FailureError:
            return
        except Exception:
            # One odd host must not end the keeping of the others.
            log.warning("the models loaded at %s could not be looked after", provider.name, exc_info=True)

    async def _see(self, provider: Provider) -> None:
        status, _, body = await fetch(self._upstream, provider, f"{provider.path}/api/ps", self._look)
        if status == 200:
            loaded = {
                plain_name(each.name): Loaded(size_bytes=each.size_bytes, expires_s=each.expires_s)
                for each in read_loaded(body)
            }
            self._board.hear_loaded(provider.name, loaded)

    def _wants(self, provider: Provider, target: Target) -> bool:
        host = self._board.host(provider.name)
        if self._board.in_maintenance(host):
            return False
        loaded = host.loaded.get(plain_name(target.upstream))
        if loaded is None:
            return True
        return loaded.expires_s is not None and loaded.expires_s - self._board.wall() < host.rules.keep_s / NEAR

    async def _wake(self, provider: Provider, target: Target) -> None:
        host = self._board.host(provider.name)
        path, body = write_warm(target.upstream, host.rules.keep_s, embeds=target.kind == "embed")
        status, _, _ = await fetch(self._upstream, provider, provider.path + path, self._load, body)
        if status == 200:
            self._cold.discard(target.name)
            await self._see(provider)
        elif target.name not in self._cold:
            self._cold.add(target.name)
            log.warning("%s could not be kept loaded: its host answered %d", target.name, status)


def _warm(layout: Layout) -> list[tuple[Provider, tuple[Target, ...]]]:
    """Each host with the targets that stay loaded there, each model once."""
    found: dict[str, dict[str, Target]] = {}
    for lane in layout.lanes.values():
        for target in lane.targets:
            if target.name in lane.warm:
                found.setdefault(target.provider.name, {}).setdefault(target.name, target)
    return [(layout.providers[name], tuple(targets.values())) for name, targets in found.items()]
