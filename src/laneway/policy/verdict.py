"""Go or no-go: are these examples worth routing by?

Owns: the judgement on gains that were measured in folds, and its sentence. Refuses: measuring them, and promising:
a gain must be above 0 by one standard deviation, and worth having.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

WORTH = 0.1
"""Of what an oracle would gain. Where examples tell prompts apart they bring an eighth of it or more; less does not pay
for a router's mistakes."""
FOLDS = 5
"""Each is judged by what the others taught."""
NOTHING = 1e-6
"""Gains that are all 0 differ from it by less, as sums of rounded numbers do."""
PLENTY = 1000
"""With so many examples and no gain, more of the same will not help."""


class Verdict(msgspec.Struct, frozen=True):
    routable: bool
    sentence: str
    gain: float
    deviation: float
    examples: int


def judge(gains: Sequence[float], ceiling: float, examples: int, over: str = "mixing at random") -> Verdict:
    """`gains` of each fold, and the `ceiling` that an oracle would reach, in points of quality `over` something."""
    mean = sum(gains) / len(gains)
    spread = math.sqrt(sum((gain - mean) ** 2 for gain in gains) / max(len(gains) - 1, 1))
    # Folds learn from the same examples, and a second round judges them again: their mean varies less than they do, but
    # more than a mean of strangers (Nadeau and Bengio, Inference for the Generalization Error, 2003, section 3).
    deviation = spread * math.sqrt(1 / len(gains) + 1 / (FOLDS - 1))
    figures = f"{mean:+.2f} points +- {deviation:.2f} over {over}, {examples:,} examples"
    if mean - deviation > NOTHING and mean >= WORTH * ceiling:
        return Verdict(True, f"Routable: {figures}.", mean, deviation, examples)
    if examples < PLENTY:
        sentence = f"Not routable yet: {figures}; teach more examples."
    else:
        sentence = f"There is nothing to route here: {figures}."
    return Verdict(False, sentence, mean, deviation, examples)
