"""A choice among candidates written out slowly: what the core's `stand` has to agree with.

Owns: scores, their order, how sure the first is, and the weights at which another would be first, from the definitions.
Refuses: speed, and votes, which it is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

from laneway import _core


class Seat(NamedTuple):
    """A candidate as it is asked about; a line that says nothing is None."""

    name: str
    line: float | None
    cost: float
    penalty: float


class Stood(NamedTuple):
    seat: Seat
    at: int
    quality: float
    score: float


def stand(ballot: _core.Ballot, seats: Sequence[Seat], blend: float, weight: float) -> list[Stood]:
    """Best first; of the same score the cheaper, of the same cost by name."""
    stood: list[Stood] = []
    for at, (seat, voted) in enumerate(zip(seats, ballot.quality, strict=True)):
        quality = voted if seat.line is None else voted + blend * (seat.line - voted)
        stood.append(Stood(seat, at, quality, quality - weight * seat.cost - seat.penalty))
    return sorted(stood, key=lambda each: (-each.score, each.seat.cost, each.seat.name))


def confidence(ballot: _core.Ballot, ordered: Sequence[Stood]) -> float:
    """How likely the first is no worse than whoever comes closest to it."""
    won, *others = ordered
    sure = [1.0]
    for other in others:
        errs = ballot.covariance
        variance = errs[won.at][won.at] + errs[other.at][other.at] - 2 * errs[won.at][other.at]
        lead = won.score - other.score
        if variance > 0:
            sure.append(NormalDist().cdf(lead / math.sqrt(variance)))
        else:
            sure.append(1.0 if lead > 0 else 0.5)
    return min(sure)


def turns(ordered: Sequence[Stood]) -> tuple[float | None, float | None]:
    """The nearest weights, above and below, at which another would win."""
    won = ordered[0]
    cheaper: list[float] = []
    dearer: list[float] = []
    for other in ordered[1:]:
        lead = (won.quality - won.seat.penalty) - (other.quality - other.seat.penalty)
        saved = won.seat.cost - other.seat.cost
        if saved:
            (cheaper if saved > 0 else dearer).append(lead / saved)
    latest = max(dearer, default=0.0)
    return min(cheaper, default=None), latest if latest > 0 else None
