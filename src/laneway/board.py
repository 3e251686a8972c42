"""The host board: what this process knows about the state of each provider, and who may call it now.

Owns: breakers, slots and queues, resident models, maintenance, per provider; one question before an attempt (`enter`)
and one closing after it (`Seat.leave`). Decisions are policy's.
Refuses: calling anybody, and sharing: this one acts on its own evidence, and where several workers have one board
(crew), each change is made between hearing the others and telling them. Maintenance alone is told from outside.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from laneway import refusals
from laneway.failure import Kind
from laneway.host import UNLIMITED, Host, Size
from laneway.policy import breaker as circuits
from laneway.policy.admission import Ticket
from laneway.policy.breaker import CLOSED, BreakerRules
from laneway.policy.residency import Denial, Loaded, denied, evicted, guessed_bytes, plain_name, real_parameters
from laneway.route import PLAIN, Attempt, HostRules, Lane, Skipped, Target
from laneway.seat import Seat

OLLAMA_KEEPS_S = 300.0
"""How long an Ollama host keeps a model that nobody gave a time (docs/faq.mdx, OLLAMA_KEEP_ALIVE)."""


class Board:
    """All hosts of one process. `configure` follows the configuration; state outlives it."""

    def __init__(
        self,
        rules: Mapping[str, HostRules] | None = None,
        *,
        breaker: BreakerRules | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.worker: int | None = None  # which of several
        self.hosts: dict[str, Host] = {}
        self.clock = clock
        self.wall = wall
        self._rng = rng
        self._least_s: dict[str, float] = {}
        self.ask_size: Callable[[Target], Awaitable[None]] | None = None  # of a host; returns soon, whatever comes
        self.configure(rules or {}, breaker or BreakerRules(), ())

    def configure(self, rules: Mapping[str, HostRules], breaker: BreakerRules, denials: Sequence[Denial]) -> None:
        """Puts a configuration in force. Calls under way keep their seats."""
        self.breaker = breaker
        self.denials = tuple(denials)
        for name, host in self.hosts.items():
            self._rule(host, rules.get(name, UNLIMITED))
        for name, own in rules.items():
            if name not in self.hosts:
                self._rule(self.host(name), own)

    def _rule(self, host: Host, rules: HostRules) -> None:
        host.rules = rules
        host.admission.resize(rules.slots, rules.reserved)
        host.plain = rules.plain and not any(host.name in denial.providers for denial in self.denials)

    def host(self, name: str) -> Host:
        found = self.hosts.get(name)
        if found is None:
            found = self.hosts[name] = Host(name, UNLIMITED)
        return found

    # --- the question --------------------------------------------------------------------------------------

    async def enter(
        self,
        target: Target,
        lane: Lane = PLAIN,
        tenant: str = "",
        *,
        others: Sequence[Target] = (),
        by_s: float | None = None,
    ) -> Seat | Skipped:
        """A seat for one attempt, waited for where the lane waits; or why there is none.

        Where one of the `others` that is no dearer has a slot right now, nobody waits here. `by_s` is the request's
        own deadline on the board's clock.
        """
        host = self.hosts.get(target.provider.name) or self.host(target.provider.name)
        if host.plain and not host.breakers:
            return self._seated(host, target, lane)
        if self.ask_size is not None and self._unsized(host, target):
            await self.ask_size(target)
        found = self._taken(host, target, lane)
        if isinstance(found, Skipped) and found.kind == "crowded" and lane.crowded == "wait":
            found = await self._until_roomy(host, target, lane, by_s, found)
        if found is not None:
            return found
        if any(self._free(other, target, lane) for other in others):
            return refusals.full(target, lane, self._soon_s(lane))
        return await self._queued(host, target, lane, tenant, by_s)

    def seat(self, target: Target, lane: Lane = PLAIN) -> Seat | None:
        """A seat at a host where there is nothing to ask: none of its calls is counted, and none has failed lately."""
        host = self.hosts.get(target.provider.name) or self.host(target.provider.name)
        return Seat(self, host, target, lane.name) if host.plain and not host.breakers else None

    def refresh(self) -> None:
        """Before somebody reads what is known of the hosts: hears what others know, where there are others."""

    def rests_s(self, target: Target) -> float:
        """How long the target asked not to be called; 0 where it did not."""
        host = self.hosts.get(target.provider.name)
        known = host.breakers.get(target.name) if host is not None and host.breakers else None
        return max(known.rest_until_s - self.clock(), 0.0) if known is not None and known.rest_until_s else 0.0

    def waits(self, target: Target, lane: Lane = PLAIN) -> bool:
        """Whether `enter` may have to wait."""
        host = self.hosts.get(target.provider.name)
        if host is None or host.plain:
            return False
        if self.ask_size is not None and self._unsized(host, target):
            return True
        return lane.crowded == "wait" or not host.admission.may(lane.name)

    def least_s(self, target: Target) -> float:
        """About as long as its quickest answers have taken lately."""
        return self._least_s.get(target.name, 0.0)

    def barred(self, target: Target, lane: Lane = PLAIN) -> Skipped | None:
        """Why a target cannot be called now, whoever asks and however long he waits for a slot."""
        host = self.hosts.get(target.provider.name)
        if host is None:
            return None
        return self._denied(host, target) or self._broken(host, target) or self._crowded(host, target)

    def _taken(self, host: Host, target: Target, lane: Lane) -> Seat | Skipped | None:
        """A seat, or why there can be none; None where no slot is free."""
        skipped = self.barred(target, lane)
        if skipped is not None:
            return skipped
        return self._seated(host, target, lane) if host.plain or host.admission.take(lane.name) else None

    def _seated(self, host: Host, target: Target, lane: Lane) -> Seat:
        seat = Seat(self, host, target, lane.name)
        if host.breakers:
            self._probe(host, target, seat)
        if host.plain:
            return seat
        seat.counted = True
        model = plain_name(target.upstream)
        host.busy[model] = host.busy.get(model, 0) + 1
        if host.rules.protected and not self.in_maintenance(host):
            seat.keep_s = host.rules.keep_s if model in host.rules.protected else OLLAMA_KEEPS_S
        return seat

    def _probe(self, host: Host, target: Target, seat: Seat) -> None:
        known = host.breakers.get(target.name)
        if known is not None and known.trips:
            seat.probe = True
            host.breakers[target.name] = circuits.probed(known, self.clock())

    # --- the closing ---------------------------------------------------------------------------------------

    def note(self, host: Host, target: Target, attempt: Attempt | None, *, probe: bool, trimmed: bool) -> None:
        """What an attempt says of its target."""
        failure = attempt.failure if attempt is not None else None
        known = host.breakers.get(target.name)
        if attempt is None or (failure is not None and failure.kind in _NO_WORD) or not attempt.called:
            if known is not None:
                host.breakers[target.name] = circuits.unanswered(known, probe=probe)
            return
        if failure is None or failure.kind in _WELL:
            if failure is None:
                took_s = attempt.ended_s - attempt.started_s
                least_s = self._least_s.get(target.name)
                # Follows a faster answer at once and slower ones slowly: what could not be done so fast any more.
                self._least_s[target.name] = (
                    took_s if least_s is None or took_s < least_s else 0.9 * least_s + 0.1 * took_s
                )
            if known is not None:
                after = circuits.answered(known)
                if after is CLOSED:
                    del host.breakers[target.name]
                else:
                    host.breakers[target.name] = after
            return
        now_s, before = self.clock(), known or CLOSED
        if failure.kind is Kind.TIMEOUT and failure.clock is not None and not trimmed:
            after = circuits.timed_out(before, self.breaker, now_s, self._rng, probe=probe)
        else:
            after = circuits.failed(before, self.breaker, now_s, self._rng, probe=probe)
        if failure.kind is Kind.RATE_LIMITED and failure.retry_after_s:
            after = circuits.rested(after, now_s + failure.retry_after_s)
        if after is not CLOSED:
            host.breakers[target.name] = after

    def free(self, host: Host, target: Target, lane: str) -> None:
        """Gives back what a seat that counts had taken."""
        model = plain_name(target.upstream)
        left = host.busy[model] - 1
        if left:
            host.busy[model] = left
        else:
            del host.busy[model]
        if host.rules.protected:
            kept_s = host.rules.keep_s if model in host.rules.protected else OLLAMA_KEEPS_S
            before = host.loaded.get(model)
            # Until the host is asked again: its clock for this model has just begun anew.
            host.loaded[model] = Loaded(
                size_bytes=before.size_bytes if before else host.sizes.get(model, 0), expires_s=self.wall() + kept_s
            )
        host.admission.leave(lane)
        host.wake()

    # --- reasons -------------------------------------------------------------------------------------------

    def _broken(self, host: Host, target: Target) -> Skipped | None:
        known = host.breakers.get(target.name)
        if known is None:
            return None
        now_s = self.clock()
        wait_s = circuits.wait_s(known, self.breaker, now_s)
        if wait_s < EARLY_S:
            return None
        if now_s < known.rest_until_s:
            return refusals.resting(target, wait_s)
        return refusals.opened(target, wait_s)

    def _denied(self, host: Host, target: Target) -> Skipped | None:
        if host.plain or not self.denials or self.in_maintenance(host):
            return None
        name = plain_name(target.upstream)
        told = host.told.get(name) or self._told_elsewhere(name)
        parameters = real_parameters(name, told.parameters if told else None, told.bytes if told else None)
        rule = denied(self.denials, host.name, name, parameters)
        if rule is None and parameters is None and not host.listed:
            rule = next((each for each in self.denials if each.from_parameters and host.name in each.providers), None)
        if rule is None:
            return None
        return refusals.denied(target, rule.name, parameters)

    def _unsized(self, host: Host, target: Target) -> bool:
        """Whether a rule about sizes holds here, and the host has not told this model's."""
        if target.provider.dialect != "ollama" or plain_name(target.upstream) in host.told:
            return False
        sized = any(each.from_parameters and host.name in each.providers for each in self.denials)
        return sized and not self.in_maintenance(host)

    def _told_elsewhere(self, name: str) -> Size | None:
        return next((host.told[name] for host in self.hosts.values() if name in host.told), None)

    def _crowded(self, host: Host, target: Target) -> Skipped | None:
        if host.plain or not host.rules.protected or self.in_maintenance(host):
            return None
        model = plain_name(target.upstream)
        for name in (model, *host.rules.protected):
            if name not in host.sizes:
                told = host.told.get(name)
                embeds = name == model and target.kind == "embed"
                guess = guessed_bytes(
                    name, told.parameters if told else None, told.bytes if told else None, embeds=embeds
                )
                if guess is not None:
                    host.sizes[name] = guess
        out = evicted(
            model,
            sizes=host.sizes,
            loaded=host.now_loaded(self.wall()),
            protected=host.rules.protected,
            busy=host.busy,
            memory_bytes=host.memory_bytes,
        )
        return None if out is None else refusals.crowded(target, out)

    # --- waiting -------------------------------------------------------------------------------------------

    def _free(self, other: Target, than: Target, lane: Lane) -> bool:
        host = self.hosts.get(other.provider.name)
        if _DEARNESS[other.provider.tier] > _DEARNESS[than.provider.tier] or other.name in lane.only_if:
            return False
        return host is None or (host.admission.may(lane.name) and self.barred(other, lane) is None)

    def _soon_s(self, lane: Lane) -> float:
        return max(lane.queue_s / 2, 1.0)

    async def _queued(self, host: Host, target: Target, lane: Lane, tenant: str, by_s: float | None) -> Seat | Skipped:
        loop = asyncio.get_running_loop()
        called: asyncio.Future[None] = loop.create_future()
        ticket = Ticket(lane.name, tenant, lambda: None if called.done() else called.set_result(None))
        if not self._queue(host, ticket, lane.queue):
            return refusals.full(target, lane, self._soon_s(lane))
        try:
            await asyncio.wait({called}, timeout=self._patience_s(lane, by_s))
        except asyncio.CancelledError:
            self._give_up(host, ticket)
            raise
        if not ticket.granted:
            self._give_up(host, ticket)
            return refusals.full(target, lane, self._soon_s(lane))
        return self._admitted(host, target, lane)

    def _queue(self, host: Host, ticket: Ticket, most: int) -> bool:
        return host.admission.queue(ticket, most)

    def _give_up(self, host: Host, ticket: Ticket) -> None:
        host.admission.give_up(ticket)

    def _admitted(self, host: Host, target: Target, lane: Lane) -> Seat | Skipped:
        """Who waited asks again: the host may have failed, or filled up, meanwhile."""
        skipped = self.barred(target, lane)
        if skipped is not None:
            host.admission.leave(lane.name)
            return skipped
        return self._seated(host, target, lane)

    def _patience_s(self, lane: Lane, by_s: float | None) -> float:
        return lane.queue_s if by_s is None else max(min(lane.queue_s, by_s - self.clock()), 0.0)

    async def _until_roomy(
        self, host: Host, target: Target, lane: Lane, by_s: float | None, found: Seat | Skipped | None
    ) -> Seat | Skipped | None:
        """Waits while loading the model would push a protected one out."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self._patience_s(lane, by_s)
        while isinstance(found, Skipped) and found.kind == "crowded" and loop.time() < end_s:
            await self._change(host, end_s - loop.time())
            found = self._taken(host, target, lane)
        return found

    async def _change(self, host: Host, limit_s: float) -> None:
        """Waits until something has changed at the host."""
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        host.changed.append(changed)
        try:
            await asyncio.wait({changed}, timeout=limit_s)
        finally:
            if changed in host.changed:
                host.changed.remove(changed)

    # --- what is told from outside -------------------------------------------------------------------------

    def hear_models(self, name: str, models: Iterable[tuple[str, str | None, int | None]]) -> None:
        """What a host lists: each model's name, parameters as it says them, and its file's size."""
        host = self.host(name)
        host.listed = True
        for model, parameters, size_bytes in models:
            plain = plain_name(model)
            host.told[plain] = Size(parameters, size_bytes)

    def hear_size(self, name: str, model: str, parameters: str) -> None:
        """What a host says of one model that it has not listed."""
        self.host(name).told[plain_name(model)] = Size(parameters, None)

    def hear_loaded(self, name: str, loaded: Mapping[str, Loaded]) -> None:
        """What a host holds in memory now, by plain name."""
        host = self.host(name)
        host.loaded = dict(loaded)
        host.seen_s = self.wall()
        host.sizes.update({model: it.size_bytes for model, it in loaded.items() if it.size_bytes})
        host.learned_bytes = max(host.learned_bytes, sum(it.size_bytes for it in loaded.values()))
        host.wake()

    def open_maintenance(self, name: str, until_s: float) -> None:
        """Lifts denials and protection on a host until then (wall clock); 0 closes it."""
        host = self.host(name)
        host.maintenance_s = until_s
        host.wake()

    def in_maintenance(self, host: Host) -> bool:
        return host.maintenance_s > 0 and self.wall() < host.maintenance_s


EARLY_S = 0.005
"""Timers of some loops ring a little early: who has waited as long as he was asked to is not sent away for that."""
_DEARNESS = {"local": 0, "balanced": 1, "premium": 2}
_NO_WORD = frozenset({Kind.CALLER_GONE, Kind.STOPPING, Kind.INTERNAL})
"""Ends of attempts that say nothing of the host."""
_WELL = frozenset({Kind.CONTEXT_TOO_LONG, Kind.REFUSED, Kind.BAD_REQUEST, Kind.UNSUPPORTED, Kind.DIVERGED, Kind.UNFIT})
"""Failures that are a host's good answer to a bad question, or to one that it could not know."""
