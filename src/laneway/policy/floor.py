"""How far a quality floor lets costs count, by the scores that the examples themselves have.

Owns: the walk from "always the strong" to where more savings would no longer keep a target, for many targets at once,
and how sure a target is. Refuses: estimating (qualities arrive cross-fitted, made without the example they are about),
and what a position of the dial does (`dial`). numpy is loaded by the first walk, which runs in the background.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from laneway.policy.dial import LARGEST_WEIGHT, Outlook, Stance, stance_at, walk

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

LEAST, MOST, STEP = 0.9, 1.0, 0.01
FLOORS = tuple(percent / 100 for percent in range(90, 101))
"""What a tenant may choose among."""
SLACK, MISSES = 0.01, 0.1
"""What it aims at: to fall short by more than SLACK in at most MISSES of all samples of prompts."""
FEW_LABELS = 300
ALWAYS_STRONG = -2.0
"""A level below all others: qualities differ by 1 at most."""


def strictness(labels: int) -> float:
    """How many standard errors a floor keeps away from its target."""
    return 1.65 if labels <= FEW_LABELS else 1.0


def keep_floor(outlooks: Sequence[Outlook], scores: Sequence[Sequence[float]], strong: int, target: float) -> Stance:
    """The most that costs may count so that quality stays at `target` of the strong's, by the examples' own scores."""
    return keep_floors(outlooks, scores, strong, [target])[0]


def keep_floors(
    outlooks: Sequence[Outlook], scores: Sequence[Sequence[float]], strong: int, targets: Sequence[float]
) -> list[Stance]:
    """The same for each of several targets.

    Walks from "always the strong" to where more savings would no longer keep the target by `strictness` standard
    errors. An example without the scores that a comparison needs is left out of it.
    """
    errors = strictness(len(outlooks))
    ground = _walked(outlooks, scores, strong)
    return [stance_at(ground.level(target, errors)) for target in targets]


TINY = 1e-12
"""Sums that cancel each other leave so much."""


class _Ground(msgspec.Struct, frozen=True):
    """What the walk meets: a row of sums before its first step and one after each, with the step's level."""

    levels: Floats
    sums: Floats
    """Count, then the sums of a, s, a squared, a times s and s squared: a the winner's score, s the strong's."""

    def level(self, target: float, errors: float) -> float:
        """How far the walk comes while it keeps the target."""
        import numpy as np

        if self._ends_with_strong():
            return LARGEST_WEIGHT
        # A group of steps at one level is taken whole or not at all.
        ends = np.append(self.levels[1:] > self.levels[:-1], True)[: len(self.levels)]
        kept = _keeps(self.sums[1:], target, errors) | ~ends
        passed = len(kept) if kept.all() else int(kept.argmin())
        whole = np.flatnonzero(ends[:passed])
        if not len(whole):
            return ALWAYS_STRONG
        last = int(whole[-1])
        if last + 1 == len(self.levels):
            return LARGEST_WEIGHT
        return min(float(self.levels[last] + self.levels[last + 1]) / 2, LARGEST_WEIGHT)

    def _ends_with_strong(self) -> bool:
        """Whether the cheapest scores as the strong on every example, as where it is the strong: then paying more buys
        no safety, though a step on the way may seem to fall short."""
        count, _, _, squares, crossed, bests = self.sums[-1].tolist()
        return bool(count >= 2 and squares - 2 * crossed + bests <= TINY * count)


def _walked(outlooks: Sequence[Outlook], scores: Sequence[Sequence[float]], strong: int) -> _Ground:
    import numpy as np

    steps: list[tuple[float, int, int]] = []
    won: list[tuple[Sequence[float], int]] = []
    for outlook, row in zip(outlooks, scores, strict=True):
        if math.isnan(row[strong]):
            continue
        first, path = walk(outlook, strong)
        steps += [(step.level, len(won), step.before) for step in path]
        won.append((row, path[-1].to if path else first))
    steps.sort()
    begun = np.zeros(6)
    for row, at in won:
        begun += _part(row[at], row[strong])
    changes = [begun]
    now = [at for _, at in won]
    for _, example, to in steps:
        row = won[example][0]
        changes.append(np.subtract(_part(row[to], row[strong]), _part(row[now[example]], row[strong])))
        now[example] = to
    return _Ground(np.array([level for level, _, _ in steps]), np.cumsum(np.array(changes), axis=0))


def _part(score: float, best: float) -> tuple[float, ...]:
    """What an example adds; an unknown score counts for nothing."""
    if math.isnan(score):
        return (0.0,) * 6
    return 1.0, score, best, score * score, score * best, best * best


def _keeps(sums: Floats, target: float, errors: float) -> npt.NDArray[np.bool_]:
    """Whether the mean lead over the target is `errors` of its standard errors above 0."""
    import numpy as np

    count, won, best, squares, crossed, bests = sums.T
    several = np.maximum(count, 2.0)
    mean = (won - target * best) / several
    squared = squares - 2 * target * crossed + target * target * bests
    variance = np.maximum(squared / several - mean * mean, 0.0) * several / (several - 1)
    kept: npt.NDArray[np.bool_] = (count >= 2) & (mean - errors * np.sqrt(variance / several) >= -TINY)
    return kept
