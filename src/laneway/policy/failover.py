"""What may be tried after what: the rules by which one request moves from target to target.

Owns: which failures make a host unavailable, targets that serve only then ("B only if A is unavailable"), the last
resort that costs money, windows after a prompt that was too long, and whether the same target is asked once more.
Refuses: ranking, waiting, and knowing how a host is; it is told what happened so far in this request.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from laneway.failure import Blame, Failure, Kind
from laneway.route import Lane, Skipped, Target

ELSEWHERE = frozenset({Kind.RATE_LIMITED, Kind.MALFORMED_ANSWER})
"""A provider's fault, and yet the host is there: being asked to wait is no outage."""


class Course(msgspec.Struct, kw_only=True):
    """What has happened to one request so far."""

    lane: Lane
    failed: dict[str, Failure] = {}
    """The last failure of each target that was tried."""
    skipped: dict[str, Skipped] = {}
    """Targets that were not called, and why."""

    def unavailable(self, target: Target) -> bool:
        """Whether a target failed as hosts fail, or is known to be failing."""
        failure = self.failed.get(target.name)
        if failure is not None:
            return failure.rule.blame is Blame.PROVIDER and failure.kind not in ELSEWHERE
        skipped = self.skipped.get(target.name)
        return skipped is not None and skipped.kind == "open"


def ordered(lane: Lane, targets: Sequence[Target]) -> Sequence[Target]:
    """Targets with a condition stand behind those it is about, and what costs money stands last."""
    if not (lane.only_if or lane.emergency):
        return targets
    return sorted(targets, key=lambda target: (target.name in lane.emergency, target.name in lane.only_if))


def barred(course: Course, target: Target) -> Skipped | None:
    """Why the lane's rules do not let a target be tried now."""
    lane = course.lane
    provider = lane.only_if.get(target.name)
    if provider is not None:
        those = [other for other in lane.targets if other.provider.name == provider]
        if those and not all(course.unavailable(other) for other in those):
            reason = f"serves the lane '{lane.name}' only while {provider} is unavailable"
            return Skipped(target=target, kind="only_if", reason=reason)
    if target.name in lane.emergency:
        well = [other for other in lane.targets if other.name not in lane.emergency and not course.unavailable(other)]
        if well:
            reason = f"is the last resort, and {well[0].name} has not failed"
            return Skipped(target=target, kind="last_resort", reason=reason)
    return None


def may_hold(target: Target, longer_than: Target) -> bool:
    """Whether a prompt that was too long for one target may be tried at another."""
    if target.window is None:
        return False
    return longer_than.window is None or target.window > longer_than.window


def worth_repeating(failure: Failure) -> bool:
    """A stray 500, or a connection reset before any byte."""
    stray = failure.kind is Kind.RESET or (failure.kind is Kind.UPSTREAM_ERROR and failure.provider_status == 500)
    return stray and failure.rule.retry_same


def worth_waiting_s(failure: Failure, lane: Lane, left_s: float | None) -> float | None:
    """How long to wait before the same target is asked once more: what it asked for, in full, or None."""
    asked = failure.retry_after_s
    if failure.kind is not Kind.RATE_LIMITED or asked is None or asked > lane.wait_s:
        return None
    return asked if left_s is None or asked < left_s else None
