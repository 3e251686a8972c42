"""The messenger: tells callers' addresses of the end of their runs, until each has heard or is given up.

Owns: what a delivery says, and one try of whatever is due, each in its own time.
Refuses: telling before the end is committed, and a second account of what is due: that rests with the run, so that a
restart forgets and repeats nothing. Only a process killed between sending and marking is followed by a repetition.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

import msgspec

from laneway.addresses import address_of
from laneway.courier import Courier
from laneway.failure import FailureError
from laneway.policy.delivery import proof, wait_s
from laneway.policy.runs import as_whole, told_hook
from laneway.ports import Call, Upstream
from laneway.ports.runs import Run, Runs
from laneway.settings import RunsTable

LENT_S = 60.0
"""How long a delivery belongs to the process that tries it."""
MOST_AT_ONCE = 8
log = logging.getLogger("laneway")
_encode = msgspec.json.Encoder().encode


class Messenger:
    """`look` begins what is due, and never waits for it."""

    def __init__(self, runs: Runs, upstream: Upstream, *, now: Callable[[], float] = time.time) -> None:
        self._runs = runs
        self._courier = Courier(upstream)
        self._now = now
        self._table = RunsTable()
        self._trying: set[asyncio.Task[None]] = set()

    def use(self, table: RunsTable) -> None:
        self._table = table

    async def look(self) -> None:
        while len(self._trying) < MOST_AT_ONCE:
            now_s = self._now()
            run = await self._runs.take_hook(now_s, now_s + LENT_S)
            if run is None:
                return
            task = asyncio.get_running_loop().create_task(self._try(run))
            self._trying.add(task)
            task.add_done_callback(self._trying.discard)

    async def close(self) -> None:
        """What is not told by now is told after the next start."""
        for task in list(self._trying):
            task.cancel()
        await asyncio.gather(*self._trying, return_exceptions=True)

    async def _try(self, run: Run) -> None:
        try:
            tried = await self._courier.deliver(await self._call(run), private=self._table.private_webhooks)
            after_s = wait_s(run.hook_tries, tried.asked_s)
            again_s = self._now() + after_s if after_s is not None else None
            if tried.reason:
                log.warning("webhook of run %s was not taken (%s), try %d", run.id, tried.reason, run.hook_tries)
            await self._runs.change(run.id, partial(told_hook, reason=tried.reason, again_s=again_s))
        except FailureError as error:
            # It is lent, and comes back by itself.
            log.warning("webhook of run %s waits: %s", run.id, error.failure.message)
        except Exception:
            log.exception("webhook of run %s waits", run.id)

    async def _call(self, run: Run) -> Call:
        texts = await self._runs.texts(run.id)
        secret = (texts.secret if texts is not None else "") or self._table.webhook_secret
        told = as_whole(run, await self._runs.result(run.id))
        # How often it was tried is no news to whom it reaches.
        body = _encode({name: value for name, value in told.items() if name != "webhook"})
        address = address_of(run.hook)
        headers = ((b"content-type", b"application/json"), *proof(run.id, secret, self._now(), body))
        return Call("POST", address.origin, address.path, headers, body)
