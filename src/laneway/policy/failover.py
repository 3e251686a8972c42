"""What may be tried after what: the rules by which one request moves from target to target.

Owns: which failures make a host unavailable, targets that serve only then ("B only if A is unavailable"), the last
resort that costs money, windows after a prompt that was too long, and whether the same target is asked once more.
Refuses: ranking, waiting, and knowing how a host is; it is told what happened so far in this request.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from laneway.failure import Blame, Failure, Kind
from laneway.ports import Allowance
from laneway.route import Attempt, Clocks, Lane, Skipped, Target

ELSEWHERE = frozenset({Kind.RATE_LIMITED})
"""Whose fault it may be, the host is there: being asked to wait is no outage."""
OVERLOAD_S = 0.5
"""The wait for an overloaded host that does not say how long, in real seconds."""


class Course:
    """One request on its way from target to target: what is left, and what has happened."""

    __slots__ = ("calls", "failed", "lane", "left", "repeated", "skipped")

    def __init__(self, lane: Lane, targets: Sequence[Target]) -> None:
        self.lane = lane
        self.left: list[Target] = list(ordered(lane, targets))
        self.failed: dict[str, Failure] = {}
        """The last failure of each target that was tried."""
        self.skipped: dict[str, Skipped] = {}
        self.calls = 0
        self.repeated = False
        """The first target that is left was tried once already."""

    def skip(self, skipped: Skipped) -> None:
        """The first that is left is not called."""
        self.skipped[skipped.target.name] = skipped
        self.repeated = False
        del self.left[0]
        if skipped.kind == "crowded" and self.lane.crowded == "refuse":
            self.left.clear()

    def fail(
        self,
        failure: Failure,
        *,
        called: bool,
        most_calls: int,
        left_s: float | None,
        attempt: Attempt | None = None,
    ) -> float | None:
        """The first that is left failed. How long to wait before it is tried once more; None: it is not."""
        target = self.left[0]
        self.failed[target.name] = failure
        self.calls += called
        if self.calls >= most_calls:
            self.left.clear()
            return None
        begun = attempt is not None and attempt.first_content_s is not None
        wait_s = None if begun else self._pause_s(failure, left_s, alone=attempt is not None and len(self.left) == 1)
        if wait_s is not None and not self.repeated:
            self.repeated = True
            return wait_s
        self.repeated = False
        del self.left[0]
        if not failure.rule.try_next and not (failure.kind is Kind.BAD_REQUEST and attempt and attempt.resumed):
            # What a caller asked for is not asked elsewhere; a request that was written anew to go on may be.
            self.left.clear()
        elif failure.kind is Kind.CONTEXT_TOO_LONG:
            self.left = [other for other in self.left if may_hold(other, target)]
        return None

    def _pause_s(self, failure: Failure, left_s: float | None, *, alone: bool) -> float | None:
        """After which the same target is the better bet than the next one; None: it is not."""
        return 0.0 if worth_repeating(failure) else worth_waiting_s(failure, self.lane, left_s, alone=alone)

    def unavailable(self, target: Target) -> bool:
        """Whether a target failed as hosts fail, or is known to be failing."""
        failure = self.failed.get(target.name)
        if failure is not None:
            return failure.rule.blame is Blame.PROVIDER and failure.kind not in ELSEWHERE
        skipped = self.skipped.get(target.name)
        return skipped is not None and skipped.kind == "open"

    def verdict(self) -> Failure:
        """What the caller is told when no target was called at all."""
        told = [skipped.failure for skipped in self.skipped.values() if skipped.failure is not None]
        waits = [failure.retry_after_s for failure in told if failure.retry_after_s is not None]
        wait_s = min(waits, default=None)
        if len(told) == len(self.skipped) and len({failure.kind for failure in told}) == 1:
            message = " ".join(failure.message for failure in told[:8])
            return msgspec.structs.replace(told[0], message=message, retry_after_s=wait_s)
        reasons = "; ".join(f"{skipped.target.name}: {skipped.reason}" for skipped in list(self.skipped.values())[:8])
        return Failure(
            kind=Kind.NO_TARGET, message=f"No target can serve this request now. {reasons}.", retry_after_s=wait_s
        )


def ordered(lane: Lane, targets: Sequence[Target]) -> Sequence[Target]:
    """Targets with a condition stand behind those it is about, and what costs money stands last."""
    if not (lane.only_if or lane.emergency):
        return targets
    return sorted(targets, key=lambda target: (target.name in lane.emergency, target.name in lane.only_if))


def barred(course: Course, allowance: Allowance | None) -> Skipped | None:
    """Why the lane's rules do not let the first target that is left be tried now."""
    lane, target = course.lane, course.left[0]
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
        if allowance is None or not allowance.funds(target):
            # Nobody set money aside for this: a bill is never a surprise.
            reason = "is the last resort, and no budget above 0 binds it for this caller"
            return Skipped(target=target, kind="no_budget", reason=reason)
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


def trimmed(target: Target, left_s: float) -> Target:
    """The target with clocks that end with the request's own deadline; itself where they do anyway."""
    clocks = target.clocks
    if left_s >= max(clocks.connect_s + clocks.first_content_s, clocks.connect_s + clocks.headers_s):
        return target
    cut = Clocks(
        connect_s=min(clocks.connect_s, left_s),
        headers_s=min(clocks.headers_s, left_s),
        first_content_s=min(clocks.first_content_s, left_s),
        between_chunks_s=clocks.between_chunks_s,
    )
    return msgspec.structs.replace(target, clocks=cut)


def worth_waiting_s(failure: Failure, lane: Lane, left_s: float | None, *, alone: bool) -> float | None:
    """How long to wait before the same target is asked once more: what it asked for, in full, or None.

    An overload is waited for only where nobody else is left: others are a better bet than a host that has too much.
    """
    asked = failure.retry_after_s
    if failure.kind is Kind.OVERLOADED and alone:
        asked = OVERLOAD_S if asked is None else asked
    elif failure.kind is not Kind.RATE_LIMITED:
        return None
    if asked is None or asked > lane.wait_s:
        return None
    return asked if left_s is None or asked < left_s else None
