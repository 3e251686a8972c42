"""From a position of the dial to the weight that costs have in a choice.

Owns: at which weights an example's winner changes, the dial whose positions lie between these weights, so that each
changes the mix, and what each position would do.
Refuses: floors (`floor` has them), and estimating; qualities arrive as cross-fitted estimates, made without the
example they are about.
Levels order every stance on one line: a weight where they are positive, a handicap of all but the strong where not.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

LARGEST_WEIGHT = 1e6
"""Above it the cheapest wins whatever is expected of it."""
MOST_POSITIONS = 101
FEWEST_POSITIONS = 11


class Outlook(msgspec.Struct, frozen=True):
    """What is expected of each candidate on one example, and what each would cost as a ratio to the default."""

    qualities: Sequence[float]
    costs: Sequence[float]


class Step(msgspec.Struct, frozen=True):
    """Below `level` the winner is `to` instead of `before`."""

    level: float
    before: int
    to: int


class Stance(NamedTuple):
    weight: float
    handicap: float = 0.0


def stance_at(level: float) -> Stance:
    return Stance(level) if level >= 0 else Stance(0.0, -level)


def walk(outlook: Outlook, strong: int) -> tuple[int, list[Step]]:
    """The winner where only cost counts, and its changes down to where only the strong will do."""
    qualities, costs = outlook.qualities, outlook.costs
    count = range(len(costs))
    first = now = min(count, key=lambda at: (costs[at], -qualities[at]))
    steps: list[Step] = []
    while True:
        best, level = now, 0.0
        for at in count:
            if costs[at] > costs[now] and qualities[at] > qualities[now]:
                slope = (qualities[at] - qualities[now]) / (costs[at] - costs[now])
                if slope > level or (slope == level and costs[at] > costs[best]):
                    best, level = at, slope
        if best == now:
            break
        steps.append(Step(level, now, best))
        now = best
    if now != strong and costs[strong] > costs[now]:
        steps.append(Step(qualities[strong] - qualities[now], now, strong))
    return first, steps


class Dial(msgspec.Struct, frozen=True):
    """Weights by position, the first for the lowest cost, the last for the highest quality."""

    weights: tuple[float, ...] = (LARGEST_WEIGHT, 0.0)
    rising: tuple[float, ...] = ()
    """The same below zero, made of them and kept: every choice is looked up in it twice."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "rising", tuple([-weight for weight in self.weights]))

    def weight(self, bias: float) -> float:
        """`bias` runs from 0, lowest cost, to 1, highest quality."""
        if not 0 <= bias <= 1:
            raise ValueError(f"bias: expected a number from 0 to 1, got {bias}")
        return self.weights[math.floor(bias * (len(self.weights) - 1) + 0.5)]

    def first_below(self, weight: float) -> float:
        """The lowest bias whose weight is no larger: where the choice turns dearer that holds from `weight` up."""
        last = len(self.weights) - 1
        return min(bisect_left(self.rising, -weight), last) / max(last, 1)

    def last_above(self, weight: float) -> float:
        """The highest bias whose weight is no smaller: where the choice turns cheaper that holds down to `weight`."""
        return max(bisect_right(self.rising, -weight) - 1, 0) / max(len(self.weights) - 1, 1)


def spread(weights: Iterable[float]) -> Dial:
    """A dial over the weights at which examples change their winner.

    Positions lie between these weights, as many examples apart as can be, and never two where the mix is the same.
    """
    turning = sorted((weight for weight in weights if 0 < weight < LARGEST_WEIGHT), reverse=True)
    between = [LARGEST_WEIGHT]
    passed = [0]
    for at, weight in enumerate(turning):
        following = turning[at + 1] if at + 1 < len(turning) else 0.0
        if weight - following <= 1e-12 * weight:
            continue
        middle = (weight + following) / 2 if following else 0.0
        between.append(middle)
        passed.append(at + 1)
    if len(between) == 1:
        return Dial()
    return Dial(tuple([between[at] for at in _thinned(passed)]))


def _thinned(passed: Sequence[int]) -> list[int]:
    """At most MOST_POSITIONS places of a rising row, first and last included, as evenly spread in it as can be."""
    if len(passed) <= FEWEST_POSITIONS:
        return list(range(len(passed)))
    last = passed[-1]
    kept = {0, len(passed) - 1}
    for position in range(1, MOST_POSITIONS - 1):
        wanted = last * position / (MOST_POSITIONS - 1)
        after = bisect_left(passed, wanted)
        kept.add(after if passed[after] - wanted <= wanted - passed[after - 1] else after - 1)
    if len(kept) < FEWEST_POSITIONS:
        # Most examples turn at one weight: every mix that there is gets its share of the dial instead.
        kept = {round((len(passed) - 1) * at / (FEWEST_POSITIONS - 1)) for at in range(FEWEST_POSITIONS)}
    return sorted(kept)


class Effect(NamedTuple):
    """What a stance would have done with the examples: share of each candidate, expected quality, and expected cost in
    defaults' costs."""

    mix: tuple[float, ...]
    quality: float
    cost: float


class Position(msgspec.Struct, frozen=True):
    """What a position of the dial would have done."""

    bias: float
    weight: float
    effect: Effect


def preview(dial: Dial, outlooks: Sequence[Outlook], positions: int = FEWEST_POSITIONS) -> list[Position]:
    """At evenly spaced positions."""
    spaced = [at / (positions - 1) for at in range(positions)]
    return [Position(bias, dial.weight(bias), foresee(outlooks, Stance(dial.weight(bias)))) for bias in spaced]


def foresee(outlooks: Sequence[Outlook], stance: Stance, strong: int = -1) -> Effect:
    shares = [0.0] * (len(outlooks[0].costs) if outlooks else 0)
    quality = cost = 0.0
    for outlook in outlooks:
        won = winner(outlook, stance, strong)
        shares[won] += 1 / len(outlooks)
        quality += outlook.qualities[won] / len(outlooks)
        cost += outlook.costs[won] / len(outlooks)
    return Effect(tuple(shares), quality, cost)


def winner(outlook: Outlook, stance: Stance, strong: int = -1) -> int:
    qualities, costs, (weight, handicap) = outlook.qualities, outlook.costs, stance
    return min(
        range(len(costs)),
        key=lambda at: (weight * costs[at] - qualities[at] + (handicap if at != strong else 0.0), costs[at]),
    )
