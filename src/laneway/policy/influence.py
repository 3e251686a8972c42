"""Influence: what a decision would have been without one of the examples it rests on.

Owns: voting again over the neighbours that a receipt kept, with the vote's own kernel and without one of them, and
moving each candidate's recorded quality by the difference.
Refuses: claiming more: neighbours beyond those on the receipt, the ridge, costs and the dial are taken as they were.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from laneway.ports.receipts import Neighbour, Receipt

METHOD = (
    "The neighbours on the receipt vote again without the example, with the same kernel; each candidate's recorded "
    "quality moves by the difference. It is an estimate: neighbours that the receipt did not keep, the ridge, costs "
    "and the dial are taken as they were, and the farthest neighbour that was kept sets the scale."
)
SCALE_AT = 40
PULL = 3.0
WIDTH = 0.3
LEAST = 1e-6


class Revote(NamedTuple):
    """One decision: who won it, and who would have."""

    receipt: Receipt
    similarity: float
    won: str | None
    without: str | None
    shift: float
    """The largest change of a candidate's quality."""

    @property
    def changed(self) -> bool:
        """It would have gone elsewhere. A declined decision goes to the default whatever its neighbours say."""
        return self.receipt.declined is None and self.won != self.without


def revote(receipt: Receipt, example_id: int) -> Revote:
    standings = [each for each in receipt.standings if each.score is not None and each.quality is not None]
    similarity = next((near for id_, near, _ in receipt.neighbours if id_ == example_id), 0.0)
    rest = [each for each in receipt.neighbours if each[0] != example_id]
    scores: dict[str, tuple[float, float]] = {}
    shift = 0.0
    for stood in standings:
        assert stood.score is not None
        assert stood.quality is not None
        before = _vote(receipt.neighbours, stood.candidate, stood.quality)
        moved = _vote(rest, stood.candidate, stood.quality) - before
        shift = max(shift, abs(moved), key=abs)
        scores[stood.candidate] = stood.score, stood.score + moved
    won = max(scores, key=lambda name: scores[name][0], default=None)
    without = max(scores, key=lambda name: scores[name][1], default=None)
    return Revote(receipt, similarity, won, without, shift)


def _vote(neighbours: Sequence[Neighbour], candidate: str, mean: float) -> float:
    """The kernel-weighted mean of a candidate's labels, pulled to `mean` by three labels."""
    rows = [(1 - near, scores.get(candidate)) for _, near, scores in neighbours]
    if not rows:
        return mean
    far = max(sorted(distance for distance, _ in rows)[:SCALE_AT][-1], LEAST)
    weights = [math.exp((far - distance) / (WIDTH * far)) for distance, _ in rows]
    unit = sum(weights) / len(weights)
    total = count = 0.0
    for weight, (_, score) in zip(weights, rows, strict=True):
        if score is not None:
            total += weight / unit * score
            count += weight / unit
    return (total + PULL * mean) / (count + PULL)
