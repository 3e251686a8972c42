"""How large a model is that its host has not listed: asked of the host itself, before a rule about sizes is judged.

Owns: POST /api/show for such a model, within seconds, once for all who wait for the same answer, and remembering for a
while that nothing came. Facts: docs/api.md, "Show Model Information".
Refuses: judging (the board does), asking for models that a host has listed, and to hold up any other request.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from laneway.board import Board
from laneway.dialects.ollama.models import read_shown, write_ask
from laneway.failure import FailureError
from laneway.policy.residency import plain_name
from laneway.ports import Clocks, Upstream
from laneway.roster import fetch
from laneway.route import Target

LIMIT_S = 3.0
FORGET_S = 30.0
"""After so long a host that did not know a model, or did not answer, is asked again."""
MOST_AT_ONCE = 8
MOST_KEPT = 1000
log = logging.getLogger("laneway")


class Sizes:
    """Asks hosts for sizes and tells the board. `clock` says when an answer that did not come is forgotten."""

    def __init__(
        self, board: Board, upstream: Upstream, *, scale: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._board = board
        self._upstream = upstream
        self._clock = clock
        self._limit_s = LIMIT_S * scale
        self._clocks = Clocks(connect_s=scale, headers_s=2 * scale, between_chunks_s=2 * scale)
        self._asking: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._unknown: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def ask(self, target: Target) -> None:
        """Returns when the board knows the size, or when it will not learn it in time."""
        key = (target.provider.name, plain_name(target.upstream))
        if self._unknown.get(key, 0.0) > self._clock():
            return
        task = self._asking.get(key)
        if task is None:
            if len(self._asking) >= MOST_AT_ONCE:
                return
            # It is not the caller's own: who leaves takes the answer away from nobody.
            task = self._asking[key] = asyncio.get_running_loop().create_task(self._ask(key, target))
        await asyncio.shield(task)

    async def _ask(self, key: tuple[str, str], target: Target) -> None:
        parameters: str | None = None
        try:
            with suppress(FailureError, TimeoutError):
                async with asyncio.timeout(self._limit_s):
                    parameters = await self._shown(target)
        except Exception:
            log.warning("the size of %s could not be asked for", target.name, exc_info=True)
        finally:
            del self._asking[key]
        if parameters is not None:
            self._board.hear_size(target.provider.name, target.upstream, parameters)
            return
        self._unknown[key] = self._clock() + FORGET_S
        while len(self._unknown) > MOST_KEPT:
            self._unknown.popitem(last=False)

    async def _shown(self, target: Target) -> str | None:
        path = f"{target.provider.path}/api/show"
        status, _, body = await fetch(self._upstream, target.provider, path, self._clocks, write_ask(target.upstream))
        return read_shown(body) if status == 200 else None
