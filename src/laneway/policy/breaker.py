"""The breaker of one model at one host: after timeouts in a row its callers stop waiting for it.

Owns: when it opens (so many timeouts, nothing else), how long it stays open, the one probe that is let through
afterwards, and the floor that a Retry-After puts under the next call, which opens nothing.
Refuses: clocks and chance (`now_s` and `rng` are arguments), and health checks: only callers' own traffic counts.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

Rng = Callable[[], float]
"""Chance in 0..1, as `random.random` gives it."""


class BreakerRules(msgspec.Struct, frozen=True, kw_only=True):
    """When a breaker opens, and for how long. Cool-downs double up to `most_s`, each with `jitter` either way."""

    after: int = 2
    cool_down_s: float = 5.0
    most_s: float = 20.0
    jitter: float = 0.25
    patience_s: float = 20.0
    """A probe that has been silent for so long bars no other: its own limit may be minutes away."""


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one target. Open while `trips` is above 0, half-open from `until_s` on."""

    strikes: int = 0
    trips: int = 0
    until_s: float = 0.0
    probing_s: float | None = None
    rest_until_s: float = 0.0

    def state(self, now_s: float) -> str:
        if not self.trips:
            return "closed"
        return "open" if now_s < self.until_s else "half-open"


CLOSED = Breaker()


def wait_s(breaker: Breaker, rules: BreakerRules, now_s: float) -> float:
    """0 where a call may begin; else the seconds after which one may."""
    if now_s < breaker.rest_until_s:
        return breaker.rest_until_s - now_s
    if not breaker.trips:
        return 0.0
    if now_s < breaker.until_s:
        return breaker.until_s - now_s
    if breaker.probing_s is None:
        return 0.0
    return max(breaker.probing_s + rules.patience_s - now_s, 0.0)


def spent(breaker: Breaker, now_s: float) -> bool:
    """Whether it says nothing any more: as if nobody had ever held anything against the target."""
    return not breaker.strikes and not breaker.trips and breaker.rest_until_s <= now_s


def probed(breaker: Breaker, now_s: float) -> Breaker:
    """A call begins while the breaker is half-open: it is the probe."""
    return msgspec.structs.replace(breaker, probing_s=now_s)


def answered(breaker: Breaker) -> Breaker:
    """One success, whoever's, ends whatever was held against the target; a wait that was asked for stays."""
    return CLOSED if not breaker.rest_until_s else Breaker(rest_until_s=breaker.rest_until_s)


def timed_out(breaker: Breaker, rules: BreakerRules, now_s: float, rng: Rng, *, probe: bool = False) -> Breaker:
    """A call ran into one of its clocks."""
    if breaker.trips:
        # Calls that began before it opened say nothing new: only the probe's word makes the next wait longer.
        return _opened(breaker, rules, now_s, rng) if probe else breaker
    struck = msgspec.structs.replace(breaker, strikes=breaker.strikes + 1)
    return _opened(struck, rules, now_s, rng) if struck.strikes >= rules.after else struck


def failed(breaker: Breaker, rules: BreakerRules, now_s: float, rng: Rng, *, probe: bool = False) -> Breaker:
    """A call failed in another way. A probe that did is no recovery, and no reason to wait longer than before."""
    if not (probe and breaker.trips):
        return breaker
    return _opened(msgspec.structs.replace(breaker, trips=breaker.trips - 1), rules, now_s, rng)


def unanswered(breaker: Breaker, *, probe: bool = False) -> Breaker:
    """A call ended without saying anything of the target: its caller left."""
    return msgspec.structs.replace(breaker, probing_s=None) if probe else breaker


def rested(breaker: Breaker, until_s: float) -> Breaker:
    """The target asked not to be called before this instant."""
    return msgspec.structs.replace(breaker, rest_until_s=max(breaker.rest_until_s, until_s), probing_s=None)


def _opened(breaker: Breaker, rules: BreakerRules, now_s: float, rng: Rng) -> Breaker:
    trips = breaker.trips + 1
    cool_down_s = min(rules.cool_down_s * 2.0 ** min(trips - 1, 16), max(rules.most_s, rules.cool_down_s))
    until_s = now_s + cool_down_s * (1 - rules.jitter + 2 * rules.jitter * rng())
    return Breaker(strikes=breaker.strikes, trips=trips, until_s=until_s, rest_until_s=breaker.rest_until_s)
