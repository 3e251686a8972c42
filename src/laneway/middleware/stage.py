"""Stage: how far a lane's traffic is let in, and what becomes of a request that is not served yet.

Owns: refusing where the lane only observes, which requests a canary serves, passing the others to the lane's legacy
path while the decision is made beside it, and one row for each. A decision that fails or takes long hurts nobody.
Refuses: deciding, and answering with a decision; for that the shadow room stands further inside.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from laneway.edge import App, Message, Receive, Send, refuse, replay
from laneway.exchange import SLOT, Exchange, Scope
from laneway.failure import Failure, FailureError, Kind
from laneway.learning.case import is_dry
from laneway.passage import Passage
from laneway.policy.stages import chosen
from laneway.ports import Kill, Shadows, Upstream
from laneway.route import Lane, Stage
from laneway.shadowing import Shadowing, passed, read_choice
from laneway.staging import InForce, configured
from laneway.stores.shadows import MemoryShadows

DECIDE_S = 5.0
"""How long a decision may still take when the legacy path has answered."""
log = logging.getLogger("laneway")


class StageMiddleware:
    """Writes the stage on the Exchange. Mounted alone it follows each lane's own; to pass requests on it needs an
    `upstream`."""

    def __init__(
        self,
        app: App,
        *,
        stages: Callable[[Lane], InForce] = configured,
        shadows: Shadows | None = None,
        upstream: Upstream | None = None,
        killed: Callable[[], Mapping[str, Kill]] | None = None,
        header: str = "x-laneway-legacy",
    ) -> None:
        self.app = app
        self.stages = stages
        self.shadows: Shadows = shadows if shadows is not None else MemoryShadows()
        self._shadowing = Shadowing(self.shadows)
        self._passage = Passage(upstream, killed=killed) if upstream is not None else None
        self._header = header.lower().encode()
        self._lost = 0

    def ahead(self, exchange: Exchange, _scope: Scope) -> bool:
        """Whether the lane is served in full, with nobody who watches its requests."""
        if exchange.stage is not None:
            return True
        lane = exchange.lane
        if self._header in exchange.headers or is_dry(exchange):
            return False
        if lane is None:
            return True
        stage, _, watched = self.stages(lane)
        if stage is not Stage.ACTIVE or watched:
            return False
        exchange.stage = stage
        return True

    def behind(self, exchange: Exchange) -> None:
        if exchange.stage is not None:
            self._shadowing.note(exchange.attempts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if exchange is None or exchange.stage is not None:
            await self.app(scope, receive, send)
            return
        lane, asks = exchange.lane, self._header in exchange.headers or is_dry(exchange)
        if lane is None:
            if not asks:
                await self.app(scope, receive, send)
                return
            stage, share, watched = Stage.ACTIVE, 1.0, False
        else:
            stage, share, watched = self.stages(lane)
        exchange.stage = stage
        if stage is Stage.OBSERVE:
            await refuse(exchange, send, _observes(lane))
        elif asks:
            await self._mirror(exchange, scope, receive, send)
        elif stage is Stage.ACTIVE or (lane is not None and stage is Stage.CANARY and _in_share(exchange, lane, share)):
            await self._execute(exchange, scope, receive, send, kept=watched or stage is Stage.CANARY)
        elif lane is not None and lane.legacy is not None and self._passage is not None:
            await self._pass(exchange, lane, self._passage, scope, receive, send)
        elif exchange.run is not None:
            await refuse(exchange, send, _serves_no_run(lane, stage))
        else:
            exchange.dry = True
            await self._decide(exchange, scope, receive, send)

    async def _execute(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send, *, kept: bool) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            self._shadowing.note(exchange.attempts)
            if kept:
                self._shadowing.executed(exchange)

    async def _mirror(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        told = exchange.headers.get(self._header)
        if told is not None and exchange.legacy is None:
            try:
                exchange.legacy = read_choice(told)
            except FailureError as error:
                await refuse(exchange, send, error.failure)
                return
        exchange.dry = True
        await self._decide(exchange, scope, receive, send)

    async def _decide(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        """The decision is the answer."""
        await self.app(scope, receive, send)
        self._shadowing.decided(exchange, exchange.legacy, known=True)

    # --- the legacy path answers ---------------------------------------------------------------------------

    async def _pass(
        self, exchange: Exchange, lane: Lane, passage: Passage, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """The legacy path is asked first; the decision is made while it works."""
        assert lane.legacy is not None
        twin = exchange.twin()
        twin.dry = True
        # The task begins when this one first waits, and that is for the legacy path.
        deciding = asyncio.ensure_future(self._beside(twin, {**scope, SLOT: twin}))
        try:
            await passage.take(exchange, lane.legacy, scope, receive, send)
            await asyncio.wait({deciding}, timeout=DECIDE_S)
        finally:
            known = deciding.done() and not deciding.cancelled() and deciding.result()
            if not deciding.done():
                deciding.cancel()
                await asyncio.wait({deciding})
        self._shadowing.note(exchange.attempts)
        legacy, used = passed(exchange)
        self._shadowing.decided(twin, legacy, used, known=known)

    async def _beside(self, twin: Exchange, scope: Scope) -> bool:
        """Whether there is a decision, or a reason why there is none."""
        try:
            await self.app(scope, replay(twin.body or b"", _never), _nowhere)
        except Exception:
            self._lost += 1
            if self._lost & (self._lost - 1) == 0:
                # The first, the second, the fourth: a log is no place for every request of a day.
                log.warning("request %s: its decision failed (%d so far)", twin.request_id, self._lost, exc_info=True)
            return False
        return True


def _in_share(exchange: Exchange, lane: Lane, share: float) -> bool:
    trace = exchange.trace
    return chosen(lane.name, trace.encode("utf-8", "replace") if trace is not None else exchange.body or b"", share)


def _observes(lane: Lane | None) -> Failure:
    name = lane.name if lane is not None else ""
    message = f"The lane '{name}' only observes: nothing is sent to a model here. Its stage has to be shadow or more."
    return Failure(kind=Kind.FORBIDDEN, message=message, field="lane")


def _serves_no_run(lane: Lane | None, stage: Stage) -> Failure:
    """A decision is no result of a run."""
    name = lane.name if lane is not None else ""
    message = f"The lane '{name}' is in stage {stage.value} and served nothing; a run needs a lane that is active."
    return Failure(kind=Kind.FORBIDDEN, message=message, field="lane")


async def _never() -> Message:
    await asyncio.Event().wait()
    return {"type": "http.disconnect"}


async def _nowhere(_: Message) -> None:
    pass
