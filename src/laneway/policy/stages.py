"""Stages: how far a lane's traffic is let in, and when figures say that it may go further or must go back.

Owns: the order of the stages, which requests are a canary's share, the gates and their judgement in words.
Refuses: clocks (`now_s` is an argument), knowing where figures come from, and carrying anything out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from laneway.ports import Evidence
from laneway.route import Stage

STAGES = tuple(Stage)
SERVING = (Stage.CANARY, Stage.ACTIVE)
"""Stages in which something is really served."""
STEPS = (0.05, 0.25, 0.5)
MOST_FALLS = 6
"""After so many the rest between a rollback and a new promotion grows no longer."""


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """What must be so before a lane goes a step further."""

    after: int = 500
    """Decisions that were compared (in shadow), or requests that were served (in canary), since the last step."""
    agreement: float = 0.95
    failure_share: float = 0.02
    p95_ms: float | None = None
    steps: tuple[float, ...] = STEPS
    """Shares of a canary, one after the other."""
    up_to: Stage = Stage.ACTIVE
    hold_s: float = 600.0
    """The shortest time in a stage, or at a share."""
    rest_s: float = 3600.0
    """The time without promotion after a gate took the lane back; doubled each time that happens again."""


class Rollback(msgspec.Struct, frozen=True, kw_only=True):
    """What takes a lane back at once. What is None is not looked at."""

    to: Stage = Stage.SHADOW
    window_s: float = 300.0
    least: int = 20
    """Fewer requests than this say nothing."""
    failure_share: float | None = 0.2
    p95_ms: float | None = None
    paid: int | None = None
    """So many requests in the window for which something that costs money stood in are too many."""


class Gates(NamedTuple):
    """The gates of one lane."""

    promotion: Promotion | None = None
    rollback: Rollback | None = None


class Move(NamedTuple):
    """What follows from a judgement."""

    stage: Stage
    share: float
    reason: str
    back: bool


def chosen(lane: str, key: bytes, share: float) -> bool:
    """Whether a request belongs to a canary's share: the same in every process, and still when the share grows."""
    if share >= 1.0:
        return True
    if share <= 0.0:
        return False
    digest = hashlib.blake2b(key, digest_size=8, key=lane.encode("utf-8", "replace")[:64]).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def further(stage: Stage, share: float, steps: Sequence[float] = STEPS) -> tuple[Stage, float] | None:
    """The next step from a stage, or None at the end."""
    if stage is Stage.ACTIVE:
        return None
    if stage is Stage.OBSERVE:
        return Stage.SHADOW, share
    ahead = sorted(steps)
    larger = next((step for step in ahead if stage is Stage.SHADOW or step > share), None)
    return (Stage.CANARY, larger) if larger is not None and larger < 1.0 else (Stage.ACTIVE, share)


def judge_back(stage: Stage, share: float, gate: Rollback, seen: Evidence) -> Move | None:
    """Whether figures of the window take a lane back."""
    if stage not in SERVING or STAGES.index(gate.to) >= STAGES.index(stage):
        return None
    wrong: str | None = None
    if gate.paid is not None and seen.paid >= gate.paid:
        wrong = f"something that costs money stood in for {seen.paid} of {seen.requests} requests"
    elif seen.requests < gate.least:
        return None
    elif gate.failure_share is not None and seen.failures > gate.failure_share * seen.requests:
        most = f"at most {gate.failure_share * 100:g} % may"
        wrong = f"{seen.failures} of {seen.requests} requests failed, and {most}"
    elif gate.p95_ms is not None and seen.p95_ms is not None and seen.p95_ms > gate.p95_ms:
        wrong = f"p95 latency of {seen.requests} requests is {seen.p95_ms:.0f} ms, above {gate.p95_ms:g}"
    return None if wrong is None else Move(gate.to, share, f"{wrong}, within {gate.window_s:g} s", back=True)


def judge_further(
    stage: Stage, share: float, gate: Promotion, seen: Evidence, *, rests_until_s: float, now_s: float
) -> Move | None:
    """Whether figures since the last step let a lane go a step further. Nothing promotes a lane that observes."""
    if stage is Stage.OBSERVE or now_s < rests_until_s:
        return None
    step = further(stage, share, gate.steps)
    if step is None or STAGES.index(step[0]) > STAGES.index(gate.up_to):
        return None
    if stage is Stage.SHADOW:
        if seen.compared < gate.after or seen.agreed < gate.agreement * seen.compared:
            return None
        reason = f"{seen.agreed} of {seen.compared} decisions agreed with the legacy path"
    else:
        if seen.requests < gate.after or seen.failures > gate.failure_share * seen.requests:
            return None
        if gate.p95_ms is not None and (seen.p95_ms is None or seen.p95_ms > gate.p95_ms):
            return None
        reason = f"{seen.failures} of {seen.requests} requests failed at a share of {share * 100:g} %"
    return Move(*step, reason, back=False)


def rest_s(gate: Promotion | None, falls: int) -> float:
    """How long nothing promotes a lane that a gate has taken back so many times in a row."""
    first = gate.rest_s if gate is not None else 0.0
    return first * 2.0 ** (min(falls, MOST_FALLS) - 1)


def words(stage: Stage, share: float) -> str:
    """A stage as a person reads it."""
    return f"{stage.value} {share * 100:g} %" if stage is Stage.CANARY else stage.value
