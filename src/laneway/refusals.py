"""Refusals: what is said of a target that is not called now, to its caller and in the records.

Owns: the words, the kind of failure and the seconds after which it is worth asking again, for each reason of the board.
Refuses: deciding; whoever writes a refusal has found the reason.
"""

from __future__ import annotations

from laneway.failure import Failure, Kind
from laneway.route import Lane, Skipped, Target


def resting(target: Target, wait_s: float) -> Skipped:
    reason = f"asked not to be called for another {wait_s:.1f} seconds"
    failure = Failure(kind=Kind.RATE_LIMITED, message=f"{target.name} {reason}.", retry_after_s=wait_s)
    return Skipped(target=target, kind="resting", reason=reason, failure=failure)


def opened(target: Target, wait_s: float) -> Skipped:
    reason = f"its breaker is open after timeouts; the next probe goes in {wait_s:.1f} seconds"
    failure = Failure(kind=Kind.NO_TARGET, message=f"{target.name}: {reason}.", retry_after_s=wait_s)
    return Skipped(target=target, kind="open", reason=reason, failure=failure)


def denied(target: Target, rule: str, parameters: float | None) -> Skipped:
    size = f" ({parameters / 1e9:.3g}B parameters)" if parameters else " (of unknown size)"
    reason = f"the rule '{rule}' keeps {target.upstream}{size} off {target.provider.name}, except in maintenance"
    failure = Failure(kind=Kind.FORBIDDEN, message=f"{reason[0].upper()}{reason[1:]}.", field="model")
    return Skipped(target=target, kind="denied", reason=reason, failure=failure)


def crowded(target: Target, out: str) -> Skipped:
    where = f"{target.upstream} on {target.provider.name}"
    reason = f"loading {where} might push the protected model {out} out of memory"
    failure = Failure(kind=Kind.OVERLOADED, message=f"{reason[0].upper()}{reason[1:]}.", retry_after_s=30.0)
    return Skipped(target=target, kind="crowded", reason=reason, failure=failure)


def full(target: Target, lane: Lane, soon_s: float) -> Skipped:
    of = f"the lane '{lane.name}'" if lane.name else "requests without a lane"
    reason = f"has no free slot for {of}, and its queue is full or took too long"
    failure = Failure(
        kind=Kind.QUEUE_FULL, message=f"{target.provider.name} {reason}; try again later.", retry_after_s=soon_s
    )
    return Skipped(target=target, kind="full", reason=reason, failure=failure)
