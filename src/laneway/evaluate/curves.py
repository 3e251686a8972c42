"""From estimates to a cost-quality curve, and from a curve to its figures.

Owns: the walk of a whole test set from "always the cheapest" to "always the strong" (each prompt's steps are those of
`policy.dial`), the curve's height above the best mixtures of single models, and the bill at which it reaches a share
of the strong's quality.
Refuses: smoothing. A curve runs straight between its points, because decisions may be mixed at random.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from laneway.policy.dial import Outlook, walk

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


TIED = 1e-9
"""Levels closer than this differ by rounding only."""


class Walk(NamedTuple):
    """Every prompt's first model and all changes, in the order in which costs cease to count."""

    first: Indices
    prompts: Indices
    before: Indices
    to: Indices
    ends: Indices
    """Where the changes of one level end: between them decisions are tied."""


def walk_all(qualities: Floats, costs: Floats, strong: int) -> Walk:
    """`costs` has one row for each prompt, or one for all of them."""
    unit = float(costs[..., strong].mean()) or 1.0
    rows = (costs / unit).tolist() if costs.ndim == 2 else [(costs / unit).tolist()] * len(qualities)
    first = np.empty(len(qualities), np.intp)
    levels: list[float] = []
    steps: list[tuple[int, int, int]] = []
    for at, (expected, cost) in enumerate(zip(qualities.tolist(), rows, strict=True)):
        first[at], path = walk(Outlook(expected, cost), strong)
        for step in path:
            levels.append(step.level)
            steps.append((at, step.before, step.to))
    falling = -np.array(levels, np.float64)
    order = np.argsort(falling, kind="stable")
    table = np.array(steps, np.intp).reshape(-1, 3)[order]
    sorted_levels = falling[order]
    ends = np.flatnonzero(np.append(sorted_levels[1:] > sorted_levels[:-1] + TIED, True)) if steps else order
    return Walk(first, table[:, 0], table[:, 1], table[:, 2], ends)


class Curve(NamedTuple):
    costs: Floats
    quality: Floats


def trace(path: Walk, scores: Floats, costs: Floats, weights: Floats | None = None) -> Curve:
    """What the walk costs and scores at each of its points, by the real figures, per prompt."""
    weight = np.ones(len(scores)) if weights is None else weights
    everyone = np.arange(len(scores))
    total = weight.sum()

    def run(values: Floats) -> Floats:
        changes = (values[path.prompts, path.to] - values[path.prompts, path.before]) * weight[path.prompts]
        start = float(values[everyone, path.first] @ weight)
        points: Floats = np.concatenate([[start], start + np.cumsum(changes)[path.ends]]) / total
        return points

    return Curve(run(costs), run(scores))


class Singles(NamedTuple):
    """What each model costs and scores alone."""

    costs: Floats
    quality: Floats

    def hull(self, strong: int) -> Curve:
        """The best mixtures of single models, from the cheapest to the strong."""
        order = np.lexsort((-self.quality, self.costs)).tolist()
        kept: list[int] = []
        for at in order:
            if self.costs[at] > self.costs[strong]:
                break
            if kept and self.quality[at] <= self.quality[kept[-1]] and at != strong:
                continue
            while len(kept) > 1 and self._below(kept[-2], kept[-1], at):
                kept.pop()
            kept.append(at)
        return Curve(self.costs[kept], self.quality[kept])

    def _below(self, left: int, middle: int, right: int) -> bool:
        run = (self.costs[middle] - self.costs[left]) * (self.quality[right] - self.quality[left])
        rise = (self.quality[middle] - self.quality[left]) * (self.costs[right] - self.costs[left])
        return bool(rise <= run)


def singles(scores: Floats, costs: Floats, weights: Floats | None = None) -> Singles:
    weight = np.ones(len(scores)) if weights is None else weights
    return Singles(weight @ costs / weight.sum(), weight @ scores / weight.sum())


def gain(curve: Curve, hull: Curve) -> float:
    """Mean height above the hull, in points of quality (hundredths); where the strong is no dearer than any other, the
    height at that cost."""
    low, high = float(hull.costs[0]), float(hull.costs[-1])
    if high <= low:
        return 100 * float(np.interp(low, curve.costs, curve.quality) - hull.quality.max())
    return 100 * (_mean_height(curve, low, high) - _mean_height(hull, low, high))


def recovered(curve: Curve, hull: Curve) -> float:
    """Mean share of the way from the cheapest's quality to the strong's (APGR); .5 is mixing two at random."""
    low, high = float(hull.costs[0]), float(hull.costs[-1])
    gap = float(hull.quality[-1] - hull.quality[0])
    if high <= low or gap <= 0:
        return 0.0
    return (_mean_height(curve, low, high) - float(hull.quality[0])) / gap


def _mean_height(curve: Curve, low: float, high: float) -> float:
    inside = (curve.costs > low) & (curve.costs < high)
    places = np.concatenate([[low], curve.costs[inside], [high]])
    return float(np.trapezoid(np.interp(places, curve.costs, curve.quality), places)) / (high - low)


def at_half(curve: Curve, hull: Curve) -> tuple[float, float]:
    """Cost and quality half way between the cheapest's cost and the strong's."""
    middle = float(hull.costs[0] + hull.costs[-1]) / 2
    return middle, float(np.interp(middle, curve.costs, curve.quality))


def bill_at(curve: Curve, strong_cost: float, strong_quality: float, share: float) -> float | None:
    """The smallest bill, as a share of the strong's, from which the curve has this share of its quality."""
    wanted = share * strong_quality
    reached = np.flatnonzero(curve.quality >= wanted)
    if not len(reached) or strong_cost <= 0:
        return None
    at = int(reached[0])
    if at == 0:
        return float(curve.costs[0]) / strong_cost
    low, high = float(curve.quality[at - 1]), float(curve.quality[at])
    part = (wanted - low) / (high - low)
    return float(curve.costs[at - 1] + part * (curve.costs[at] - curve.costs[at - 1])) / strong_cost
