"""Simple ways to choose, for people who come from elsewhere and for comparison with the learned one.

Owns: the plain k-nearest-neighbours rule of a known per-tenant router (mean over k, less alpha times the cost between
its least and its most), the rule of a known cluster router (16 clusters, the 4 nearest, scores held back by 10
pseudo-labels), and the rules that look at no prompt: cheapest, fastest, least busy, weighted, fixed, and cascade.
Refuses: to improve on any of them; a comparison is worth what its rules are faithful to.
numpy is loaded by the first rule that learns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

PLAIN_NEIGHBOURS = 5
CLUSTERS = 16
NEAREST_CLUSTERS = 4
CLUSTER_SHRINKAGE = 10
CLUSTER_ROUNDS = 25


def plain_mean(labels: Floats, prior: Sequence[float]) -> list[float]:
    """The uniform mean of the nearest examples' labels, the model's own mean where none of them has one."""
    means = []
    for column, alone in enumerate(prior):
        present = [value for value in labels[:, column].tolist() if not math.isnan(value)]
        means.append(sum(present) / len(present) if present else alone)
    return means


def plain_scores(means: Sequence[float], costs: Sequence[float], alpha: float) -> list[float]:
    """Mean less alpha times the cost, which runs from 0 for the cheapest candidate to 1 for the dearest."""
    low, high = min(costs), max(costs)
    return [
        mean - alpha * ((cost - low) / (high - low) if high > low else 0.0)
        for mean, cost in zip(means, costs, strict=True)
    ]


class Clusters(msgspec.Struct, frozen=True):
    """Directions of the examples' clusters, and each model's score in each."""

    centres: Floats
    scores: Floats

    def expect(self, vector: Floats) -> list[float]:
        nearest = (-(self.centres @ vector)).argsort(kind="stable")[:NEAREST_CLUSTERS]
        expected: list[float] = self.scores[nearest].mean(axis=0).tolist()
        return expected


def cluster(vectors: Floats, labels: Floats, chance: np.random.Generator) -> Clusters:
    """Spherical k-means, begun with far apart examples. A label that is missing is NaN."""
    import numpy as np

    centres = _first_centres(vectors, chance)
    for _ in range(CLUSTER_ROUNDS):
        mine = (vectors @ centres.T).argmax(axis=1)
        sums = np.stack([vectors[mine == at].sum(axis=0) for at in range(len(centres))])
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        moved = np.where(lengths > 0, sums / np.maximum(lengths, 1e-9), centres).astype(np.float32)
        if np.array_equal(moved, centres):
            break
        centres = moved
    mine = (vectors @ centres.T).argmax(axis=1)
    present = ~np.isnan(labels)
    filled = np.where(present, labels, 0.0)
    means = (filled.sum(axis=0) + 1.0) / (present.sum(axis=0) + 2.0)
    scores = np.stack(
        [
            (filled[mine == at].sum(axis=0) + CLUSTER_SHRINKAGE * means)
            / (present[mine == at].sum(axis=0) + CLUSTER_SHRINKAGE)
            for at in range(len(centres))
        ]
    )
    return Clusters(centres, scores.astype(np.float32))


def _first_centres(vectors: Floats, chance: np.random.Generator) -> Floats:
    """k-means++: each next centre is an example drawn by its distance from those that are there."""
    import numpy as np

    chosen = [int(chance.integers(len(vectors)))]
    while len(chosen) < min(CLUSTERS, len(vectors)):
        distances = np.maximum(1 - (vectors @ vectors[chosen].T).max(axis=1), 0.0).astype(np.float64)
        total = distances.sum()
        if total <= 0:
            break
        chosen.append(int(chance.choice(len(vectors), p=distances / total)))
    return vectors[chosen]


def cheapest(costs: Mapping[str, float]) -> list[str]:
    return sorted(costs, key=lambda name: (costs[name], name))


def fastest(latencies_s: Mapping[str, float]) -> list[str]:
    return sorted(latencies_s, key=lambda name: (latencies_s[name], name))


def least_busy(in_use: Mapping[str, int]) -> list[str]:
    return sorted(in_use, key=lambda name: (in_use[name], name))


def fixed(names: Sequence[str], first: str) -> list[str]:
    """The named one, then the others in their order."""
    return sorted(names, key=lambda name: name != first)


def weighted(shares: Mapping[str, float], draw: Callable[[], float]) -> list[str]:
    """Drawn one after the other by their shares; `draw` gives numbers from 0 to 1. A share of 0 comes last."""
    # Efraimidis and Spirakis 2006: sorting by draw ** (1 / share) draws without replacement.
    keys = {name: -math.log(max(draw(), 1e-300)) / share if share > 0 else math.inf for name, share in shares.items()}
    return sorted(keys, key=lambda name: (keys[name], name))


def cascade(costs: Mapping[str, float], passed: Callable[[str], bool | None]) -> str | None:
    """Whom to ask next: from the cheapest up, the first whose answer is not known to fail the check.

    `passed` says how a model's answer was judged, None if it was not asked yet. None: every answer failed.
    """
    for name in cheapest(costs):
        if passed(name) is not False:
            return name
    return None
