"""The host board of one worker among several: slots, breakers and what is loading hold for all of them together.

Design: each worker writes its own share of a provider and reads the others' from the slate, so that a dead one's is
simply not read any more; whatever the board decides is decided between hearing the others and telling them, under one
lock that is held for microseconds. Who waits looks every few milliseconds, and the workers take turns (policy).
Owns: hearing, telling, looking. Refuses: deciding, which is the board's as ever, and any cost where nothing is
counted: such a provider's calls read one word, to see whether somebody found it broken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from laneway.board import Board
from laneway.host import Host
from laneway.policy.admission import Ticket
from laneway.policy.breaker import Breaker, spent
from laneway.policy.share import Elsewhere, Share, added, summed, without
from laneway.route import PLAIN, Attempt, HostRules, Lane, Skipped, Target
from laneway.seat import Seat
from laneway.slate import AREA, ROOM, Slate

LOOK_S = 0.003
"""How often who waits looks whether another worker has given a slot back."""
WATCH_S = 0.25
"""How soon a dead worker is noticed, at the latest."""
NOBODY = Elsewhere()
NONE: Mapping[str, Breaker] = {}
log = logging.getLogger("laneway")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, dict[str, Breaker]]).decode


class Part:
    """One provider as this worker and the others have it. As a context: heard before, told after, alone meanwhile."""

    __slots__ = ("_before", "_crew", "_slate", "_told", "elsewhere", "granted_s", "host", "looking", "mark", "place")

    def __init__(self, crew: CrewBoard, slate: Slate, host: Host) -> None:
        self._crew = crew
        self._slate = slate
        self._before = NONE
        self._told = Share()
        self.host = host
        self.place: int | None = None
        self.elsewhere = NOBODY
        self.granted_s = 0.0
        self.mark = -1
        self.looking = False

    def __enter__(self) -> None:
        slate = self._slate
        if slate.closed:
            return
        slate.__enter__()
        try:
            self._crew.hear_breakers()
            self._before = dict(self.host.breakers) if self.host.breakers else NONE
            if self.place is not None and (slate.mark(self.place) != self.mark or self.elsewhere.waiting):
                self._hear(self.place)
        except BaseException:
            slate.__exit__(None, None, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        slate = self._slate
        if slate.closed:
            return
        try:
            if self.host.breakers != self._before:
                self._crew.tell_breakers()
            if self.place is not None:
                self._tell(self.place)
        finally:
            slate.__exit__(None, None, None)

    def _hear(self, place: int) -> None:
        host, admission, own = self.host, self.host.admission, self._told
        found = summed(self._slate.shares(place), self._slate.number, self.granted_s, self._crew.clock())
        busy = dict(found.busy)
        for model, (count, _) in own.busy.items():
            busy[model] = busy.get(model, 0) + count
        host.busy = busy
        if host.rules.protected:
            for model, size_bytes in found.sizes.items():
                if size_bytes:
                    host.sizes.setdefault(model, size_bytes)
        host.waiting_elsewhere = found.waiting
        self.elsewhere, self.mark = found, self._slate.mark(place)
        in_use = added(own.lanes, found.lanes)
        admission.hear(added(in_use, found.promised) if found.promised else in_use)
        if admission.waiting:
            admission.call_waiting()
        if host.changed:
            host.wake()

    def _tell(self, place: int) -> None:
        host, admission, found = self.host, self.host.admission, self.elsewhere
        if found.promised:
            # Of no one's counting, once this is over: who was promised a slot takes it by itself.
            admission.hear(without(admission.in_use, found.promised))
        others, sizes = found.busy, host.sizes
        busy = {
            model: (left, sizes.get(model, 0))
            for model, count in host.busy.items()
            if (left := count - others.get(model, 0)) > 0
        }
        share = Share(without(admission.in_use, found.lanes), busy, dict(admission.waiting), self.granted_s)
        if share != self._told:
            self._slate.tell(place, share, host.rules.reserved)
            self._told, self.mark = share, self._slate.mark(place)


class CrewBoard(Board):
    """The board of a worker who has others beside it on this machine."""

    def __init__(self, slate: Slate, **knobs: Any) -> None:
        self._slate = slate
        self._parts: dict[str, Part] = {}
        self._breakers_mark = 0
        self._watching: asyncio.Task[None] | None = None
        super().__init__(**knobs)
        self.worker = slate.number

    def start(self) -> None:
        """Begins to look who lives, and to hear what is told while nobody asks here."""
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """Gives everything back. What still ends counts nowhere any more."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        self._slate.close()

    def refresh(self) -> None:
        self._hear()
        for part in self._parts.values():
            if part.place is not None:
                with part:
                    pass

    # --- the board's own steps, each with the others kept out ------------------------------------------------

    def enter(
        self,
        target: Target,
        lane: Lane = PLAIN,
        tenant: str = "",
        *,
        others: Sequence[Target] = (),
        by_s: float | None = None,
    ) -> Coroutine[Any, Any, Seat | Skipped]:
        self._hear()
        return super().enter(target, lane, tenant, others=others, by_s=by_s)

    def seat(self, target: Target, lane: Lane = PLAIN) -> Seat | None:
        self._hear()
        return super().seat(target, lane)

    def rests_s(self, target: Target) -> float:
        self._hear()
        return super().rests_s(target)

    def waits(self, target: Target, lane: Lane = PLAIN) -> bool:
        """A slot that is free now may be another worker's in the next instant."""
        host = self.hosts.get(target.provider.name)
        return host is not None and not host.plain

    def note(self, host: Host, target: Target, attempt: Attempt | None, *, probe: bool, trimmed: bool) -> None:
        self._hear()
        if not host.breakers and (attempt is None or attempt.failure is None):
            super().note(host, target, attempt, probe=probe, trimmed=trimmed)
            return
        with self._part(host):
            super().note(host, target, attempt, probe=probe, trimmed=trimmed)
            known = host.breakers.get(target.name)
            if known is not None and spent(known, self.clock()):
                del host.breakers[target.name]

    def free(self, host: Host, target: Target, lane: str) -> None:
        with self._part(host):
            super().free(host, target, lane)

    def _rule(self, host: Host, rules: HostRules) -> None:
        part = self._part(host)
        with part:
            super()._rule(host, rules)
        if part.place is None and not host.plain and not host.admission.in_use and not self._slate.closed:
            with self._slate:
                part.place = self._slate.place(host.name) if _writable(rules) else None
            if part.place is None:
                log.warning("each worker counts the calls of %s alone: there is no room to tell of them", host.name)

    def _taken(self, host: Host, target: Target, lane: Lane) -> Seat | Skipped | None:
        part = self._part(host)
        with part:
            found = super()._taken(host, target, lane)
            if isinstance(found, Seat):
                part.granted_s = self.clock()
            return found

    def _admitted(self, host: Host, target: Target, lane: Lane) -> Seat | Skipped:
        part = self._part(host)
        with part:
            part.granted_s = self.clock()
            return super()._admitted(host, target, lane)

    def _free(self, other: Target, than: Target, lane: Lane) -> bool:
        host = self.hosts.get(other.provider.name)
        if host is None or host.plain:
            return super()._free(other, than, lane)
        with self._part(host):
            return super()._free(other, than, lane)

    def _queue(self, host: Host, ticket: Ticket, most: int) -> bool:
        part = self._part(host)
        with part:
            queued = super()._queue(host, ticket, most - part.elsewhere.waiting.get(ticket.lane, 0))
            if queued:
                self._begin_looking(part)
            return queued

    def _give_up(self, host: Host, ticket: Ticket) -> None:
        with self._part(host):
            super()._give_up(host, ticket)

    async def _change(self, host: Host, limit_s: float) -> None:
        self._begin_looking(self._part(host))
        await super()._change(host, limit_s)

    # --- looking -------------------------------------------------------------------------------------------

    def _part(self, host: Host) -> Part:
        part = self._parts.get(host.name)
        if part is None:
            part = self._parts[host.name] = Part(self, self._slate, host)
        return part

    def _begin_looking(self, part: Part) -> None:
        if part.place is None or self._slate.closed:
            return
        self._slate.look(part.place, self.clock())
        if not part.looking:
            part.looking = True
            asyncio.get_running_loop().call_later(LOOK_S, self._look, part)

    def _look(self, part: Part) -> None:
        part.looking = False
        if part.place is None or self._slate.closed or not (part.host.admission.waiting or part.host.changed):
            return
        if self._slate.mark(part.place) != part.mark or part.elsewhere.waiting:
            with part:
                pass
        self._begin_looking(part)

    async def _watch(self) -> None:
        while True:
            with self._slate:
                dead = self._slate.bury()
            if dead:
                log.warning("what %d dead worker%s had taken of the providers is free", dead, "s" if dead > 1 else "")
            self.refresh()
            await asyncio.sleep(WATCH_S)

    # --- breakers ------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        if not self._slate.closed and self._slate.breakers_mark() != self._breakers_mark:
            with self._slate:
                self.hear_breakers()

    def hear_breakers(self) -> None:
        """While the slate is held."""
        mark = self._slate.breakers_mark()
        if mark == self._breakers_mark:
            return
        self._breakers_mark = mark
        text = self._slate.breakers()
        told = _decode(text) if text else {}
        for name in {*self.hosts, *told}:
            self.host(name).breakers = told.get(name, {})

    def tell_breakers(self) -> None:
        """While the slate is held, and they have been heard. With too many at once, the latest are told."""
        now_s = self.clock()
        found = [
            (name, target, breaker)
            for name, host in self.hosts.items()
            for target, breaker in host.breakers.items()
            if not spent(breaker, now_s)
        ]
        text = _written(found)
        while len(text) > AREA - 4:
            found = sorted(found, key=lambda each: each[2].until_s, reverse=True)[: len(found) // 2]
            text = _written(found)
        self._breakers_mark = self._slate.tell_breakers(text)
        for name, host in self.hosts.items():
            host.breakers = {target: breaker for named, target, breaker in found if named == name}


def board_of(file: Path | None, *, crew: bool) -> Board:
    """The board of a process: one of several workers' where it has a store's file to meet them at."""
    if not crew or file is None:
        return Board()
    try:
        return CrewBoard(Slate(file))
    except OSError as error:
        log.warning("each worker counts for itself: %s", error)
        return Board()


def working(board: Board) -> tuple[CrewBoard, ...]:
    """The board as a service, if it is one."""
    return (board,) if isinstance(board, CrewBoard) else ()


def _written(found: Sequence[tuple[str, str, Breaker]]) -> bytes:
    told: dict[str, dict[str, Breaker]] = {}
    for name, target, breaker in found:
        told.setdefault(name, {})[target] = breaker
    return _encode(told)


def _writable(rules: HostRules) -> bool:
    """Lanes with reserved slots are counted by name, however many calls there are."""
    return sum(len(lane.encode()) + 9 for lane in rules.reserved) < ROOM // 2
