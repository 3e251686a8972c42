"""Staging: the stage in force of each lane, whoever set it: the file, a person, or a gate.

Owns: what holds of the file and of the store (the later of the two), orders, following what other processes ordered,
and asking the gates every few seconds. Every change is in the audit with its reason.
Refuses: judging (policy/stages does), money (a kill stands whatever the stage), and the request path.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from laneway.config import nearest
from laneway.failure import FailureError, Kind, fail
from laneway.layout import Layout
from laneway.policy.orders import read_reason
from laneway.policy.stages import SERVING, STAGES, STEPS, Gates, Move, further, judge_back, judge_further, rest_s, words
from laneway.ports import Alert, Shadows, Standing, Standings
from laneway.route import Lane, Stage

EVERY_S = 2.0
FILE, GATE = "configuration", "gate"
"""Who set a stage, where it was no person."""
TOLD_S = 86_400.0
"""For so long a step back is news."""
TRIES = 3
ROWS_PER_S = 10_000
"""What took so many rows to add up is not added up again for a second."""
log = logging.getLogger("laneway")


class InForce(NamedTuple):
    """How far a lane's traffic is let in now."""

    stage: Stage
    share: float
    watched: bool
    """Somebody wants to know what its requests come to."""


def configured(lane: Lane) -> InForce:
    """What a lane says of itself."""
    return InForce(lane.stage, lane.share, watched=False)


class Staging:
    """A service of the gateway; `of` is asked for every request, and looks into a table."""

    def __init__(
        self,
        standings: Standings,
        shadows: Shadows,
        layout: Layout,
        *,
        clock: Callable[[], float] = time.time,
        every_s: float = EVERY_S,
    ) -> None:
        self._standings = standings
        self._shadows = shadows
        self._clock = clock
        self._every_s = every_s
        self._edition = 0
        self._known: dict[str, Standing] = {}
        self._in_force: dict[str, InForce] = {}
        self._again_s: dict[str, float] = {}
        self._running: asyncio.Task[None] | None = None
        self._layout: Layout | None = None
        self._is_new = False
        self.use(layout)

    def use(self, layout: Layout) -> None:
        """Puts a configuration in force, beside what is known of the store; what it says anew is written down soon."""
        self._is_new = self._is_new or layout is not self._layout
        self._layout = layout
        self._lanes = layout.lanes
        self._gates = layout.gates
        self._settle()

    def of(self, lane: Lane) -> InForce:
        return self._in_force.get(lane.name) or configured(lane)

    def standing(self, name: str) -> Standing | None:
        """Who set the stage that is in force, and why; None where it is the file's."""
        known, lane = self._known.get(name), self._lanes.get(name)
        return known if known is not None and lane is not None and known.over == said(lane) else None

    def _settle(self) -> None:
        made: dict[str, InForce] = {}
        for name, lane in self._lanes.items():
            known = self.standing(name)
            watched = name in self._gates
            if known is not None and known.stage in STAGES:
                made[name] = InForce(Stage(known.stage), known.share, watched)
            else:
                made[name] = InForce(lane.stage, lane.share, watched)
            before = self._in_force.get(name)
            if before is not None and made[name][:2] != before[:2]:
                who, why = (known.actor, known.reason) if known is not None else (FILE, "as it says now")
                log.info("lane %s is in stage %s (%s): %s", name, words(*made[name][:2]), who, why)
        self._in_force = made

    # --- the store -----------------------------------------------------------------------------------------

    async def load(self) -> None:
        """At the start and after a reload: what the file says anew holds from now on, and is written down."""
        self._is_new = False
        await self._read()
        for name, lane in self._lanes.items():
            known = self._known.get(name)
            if known.over == said(lane) if known is not None else name not in self._gates:
                continue
            reason = "as the configuration says" if known is None else "the configuration says so now"
            await self._put(lane, Move(lane.stage, lane.share, reason, back=False), FILE, known)
        await self._read()

    async def follow(self) -> bool:
        """Whether another process, or this one, has changed anything."""
        if await self._standings.edition() == self._edition:
            return False
        await self._read()
        return True

    async def _read(self) -> None:
        listed = await self._standings.list()
        self._known = {standing.lane: standing for standing in listed}
        self._edition = max((standing.edition for standing in listed), default=0)
        self._settle()

    async def _put(self, lane: Lane, move: Move, actor: str, known: Standing | None) -> Standing | None:
        """Writes a change over what was known; None where somebody else was first."""
        now_s, gates = self._clock(), self._gates.get(lane.name, Gates())
        falls = 0 if known is None or actor not in (FILE, GATE) else known.falls + (actor == GATE and move.back)
        standing = Standing(
            lane=lane.name,
            stage=move.stage.value,
            share=move.share,
            reason=move.reason,
            actor=actor,
            at_s=now_s,
            over=said(lane),
            back=move.back,
            falls=falls,
            rests_until_s=now_s + rest_s(gates.promotion, falls) if actor == GATE and move.back else 0.0,
        )
        if not await self._standings.put(standing, after=known.edition if known is not None else 0):
            return None
        return standing

    # --- orders --------------------------------------------------------------------------------------------

    async def order(self, name: str, stage: str, share: float | None, reason: str, actor: str) -> Standing:
        """Sets a lane's stage. Raises FailureError where there is no such lane, stage or share, or no reason."""
        lane = self._lane(name)
        if stage not in STAGES:
            raise fail(
                Kind.BAD_REQUEST, f"stage: there is no '{stage[:40]}'; write {', '.join(STAGES)}.", field="stage"
            )
        if share is not None and not 0 <= share <= 1:
            raise fail(Kind.BAD_REQUEST, "share: expected a number from 0 to 1.", field="share")
        reason = read_reason(reason)
        return await self._ordered(
            lane, actor, lambda now: (Stage(stage), now.share if share is None else share), reason
        )

    async def promote(self, name: str, reason: str, actor: str) -> Standing:
        """One step further."""
        lane = self._lane(name)
        promotion = self._gates.get(name, Gates()).promotion

        def ahead(now: InForce) -> tuple[Stage, float]:
            step = further(now.stage, now.share, promotion.steps if promotion is not None else STEPS)
            if step is None:
                raise fail(Kind.BAD_REQUEST, f"The lane '{name}' is active already.")
            return step

        return await self._ordered(lane, actor, ahead, read_reason(reason))

    async def rollback(self, name: str, reason: str, actor: str) -> Standing:
        """Back to where its gate leads, or to shadow; from there to observing. It touches no money."""
        lane = self._lane(name)
        gate = self._gates.get(name, Gates()).rollback
        to = gate.to if gate is not None else Stage.SHADOW

        def behind(now: InForce) -> tuple[Stage, float]:
            if STAGES.index(now.stage) <= STAGES.index(to):
                raise fail(Kind.BAD_REQUEST, f"The lane '{name}' is in stage {now.stage.value} already.")
            return to, now.share

        return await self._ordered(lane, actor, behind, read_reason(reason))

    async def _ordered(
        self, lane: Lane, actor: str, wanted: Callable[[InForce], tuple[Stage, float]], reason: str
    ) -> Standing:
        for _ in range(TRIES):
            await self._read()
            now = self.of(lane)
            stage, share = wanted(now)
            move = Move(stage, share, reason, back=STAGES.index(stage) < STAGES.index(now.stage))
            standing = await self._put(lane, move, actor, self._known.get(lane.name))
            if standing is not None:
                await self._read()
                return standing
        raise fail(Kind.BAD_REQUEST, f"Somebody else is changing the lane '{lane.name}' at this moment; look again.")

    def _lane(self, name: str) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            message = f"There is no lane '{name[:80]}'{nearest(name, self._lanes)}."
            raise fail(Kind.UNKNOWN_PATH, message, field="lane")
        return lane

    # --- gates ---------------------------------------------------------------------------------------------

    async def judge(self) -> None:
        """Asks every gate once. Of several processes the first to see it moves the lane."""
        for name, gates in self._gates.items():
            lane = self._lanes[name]
            now = self.of(lane)
            move = await self._judged(name, now, gates)
            if move is not None and await self._put(lane, move, GATE, self._known.get(name)) is not None:
                await self._read()

    async def _judged(self, name: str, now: InForce, gates: Gates) -> Move | None:
        standing, now_s = self.standing(name), self._clock()
        since_s = standing.at_s if standing is not None else 0.0
        back, on = gates.rollback, gates.promotion
        if back is not None and now.stage in SERVING:
            from_s = max(since_s, now_s - back.window_s)
            seen = await self._shadows.evidence(name, from_s, timed=back.p95_ms is not None)
            move = judge_back(now.stage, now.share, back, seen)
            if move is not None:
                return move
        rests_until_s = max(standing.rests_until_s if standing is not None else 0.0, since_s + on.hold_s if on else 0.0)
        if on is None or now.stage in (Stage.OBSERVE, Stage.ACTIVE):
            return None
        if now_s < max(rests_until_s, self._again_s.get(name, 0.0)):
            return None
        seen = await self._shadows.evidence(name, since_s, timed=on.p95_ms is not None)
        self._again_s[name] = now_s + (seen.decisions + seen.requests) // ROWS_PER_S
        return judge_further(now.stage, now.share, on, seen, rests_until_s=rests_until_s, now_s=now_s)

    async def look(self, now_s: float) -> list[Alert]:
        """Steps back that people are told of, whoever made them."""
        return [
            Alert(
                kind="rollback",
                subject=known.lane,
                period=f"{known.at_s:.3f}",
                facts={"stage": known.stage, "reason": known.reason},
            )
            for known in self._known.values()
            if known.back and known.at_s > now_s - TOLD_S
        ]

    # --- running -------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                if self._is_new:
                    await self.load()
                await self.follow()
                await self.judge()
            except FailureError as error:
                log.warning("the stages of lanes wait: %s", error.failure.message)
            except Exception:
                log.exception("the stages of lanes wait: something unexpected happened")


def said(lane: Lane) -> str:
    """What the configuration says of a lane's stage, in a word that changes when it does."""
    return f"{lane.stage.value} {lane.share:g}"
