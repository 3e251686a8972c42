"""Trust: how much a source of labels is to be believed, measured where people have scored the same.

Owns: pairing a source's labels with people's for the same prompt and candidate, and what their differences say.
Refuses: reading memories, and using the trust; whoever learns from labels does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from laneway.ports.examples import HUMAN, Example, Label

FEEDBACK = "feedback"
"""The source of what callers say of single answers: people, in a hurry."""
PEOPLE = (HUMAN, FEEDBACK)
PRIOR_ERROR = 0.15
"""How far a source nobody has measured is taken to be off, on average: one in five judged wrongly, and some doubt."""
PRIOR_PAIRS = 10
LEAST = 0.05


class Trust(NamedTuple):
    """What a label of this source is worth beside a person's, 0 to 1, and what that rests on."""

    source: str
    pairs: int
    error: float
    """Mean distance to people's scores; NaN-free: without pairs it is what is taken for granted."""
    lean: float
    """Mean of its scores less people's: above 0 it flatters."""
    trust: float


def measure(examples: Iterable[Example]) -> Mapping[str, Trust]:
    """For every source but people themselves, beside what people say of the same prompt and candidate."""
    people: dict[tuple[str, str], list[Label]] = {}
    others: dict[str, list[tuple[tuple[str, str], float]]] = {}
    for example in examples:
        text = plain(example.text)
        for label in example.labels:
            if label.source in PEOPLE:
                people.setdefault((text, label.candidate), []).append(label)
            if label.source != HUMAN:
                others.setdefault(label.source, []).append(((text, label.candidate), label.score))
    return {
        source: weigh(source, [gap for place, score in found for gap in _gaps(source, score, people.get(place, ()))])
        for source, found in others.items()
    }


def gaps_in(examples: Iterable[Example], source: str) -> list[float]:
    """How far a source's scores lie above people's, where both have spoken of one answer."""
    return [
        gap
        for example in examples
        for label in example.labels
        if label.source == source
        for gap in _gaps(source, label.score, [other for other in example.labels if other.candidate == label.candidate])
    ]


def _gaps(source: str, score: float, labels: Iterable[Label]) -> list[float]:
    """One gap or none. Who was asked counts more than who spoke up; nobody is measured by his own word."""
    for kind in PEOPLE:
        said = [label.score for label in labels if label.source == kind != source]
        if said:
            return [score - sum(said) / len(said)]
    return []


def weigh(source: str, gaps: list[float]) -> Trust:
    """Who errs in a share e of cases leaves (1 - 2e) of a label's contrast, and the square of that is its weight."""
    pairs = len(gaps)
    error = (sum(map(abs, gaps)) + PRIOR_ERROR * PRIOR_PAIRS) / (pairs + PRIOR_PAIRS)
    lean = sum(gaps) / pairs if pairs else 0.0
    return Trust(source, pairs, error, lean, max((1 - 2 * min(error, 0.5)) ** 2, LEAST))


def plain(text: str) -> str:
    """A prompt as it counts as the same: without regard to case and white space."""
    return " ".join(text.casefold().split())
