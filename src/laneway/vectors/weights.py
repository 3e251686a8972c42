"""What the labels of an example say about each candidate, when several sources have spoken.

Owns: how much each source counts. Refuses: measuring whom to trust, and leaving anybody's label out of the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from laneway.ports.examples import HUMAN, Label

USUAL = 0.7
"""What a source counts beside a person's 1, where nothing else is known of it."""


def weighed(labels: Iterable[Label], trust: Mapping[str, float]) -> dict[str, float]:
    """One score for each candidate: the mean of its labels, each by the trust in its source.

    One source alone is taken at its word, however little it is trusted; one with a trust of 0 is not heard.
    """
    sums: dict[str, tuple[float, float]] = {}
    for label in labels:
        weight = trust.get(label.source, 1.0 if label.source == HUMAN else USUAL)
        if weight > 0:
            total, weights = sums.get(label.candidate, (0.0, 0.0))
            sums[label.candidate] = (total + weight * label.score, weights + weight)
    # Rounding may carry a mean of ones past one.
    return {candidate: min(total / weights, 1.0) for candidate, (total, weights) in sums.items()}
