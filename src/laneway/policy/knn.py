"""Choosing a model for a prompt from what its nearest examples say.

Owns: one pure function. Neighbours, candidates and knobs go in; a Choice with everything that explains it comes out:
quality, error and cost of every candidate, the winner, how sure it is, and the weights at which another would win.
Refuses: searching, embedding, money (costs arrive as expected nano-USD), and failing: where nothing can be learned it
says why, in one of a closed list of reasons, and the lane's default serves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from laneway.ports.examples import Found as Found

NEIGHBOURS = 150
"""So many of the nearest examples are asked; from 100 to 200 it makes no difference."""
LIKE = 10
"""So many of the nearest examples say whether a prompt is of a known kind."""
REFERENCE_NANOS = 1_000_000.0
"""Costs are ratios to the default's; to a tenth of a cent where that is free or has no price."""


class Declined(StrEnum):
    """Why learning has no opinion on a request. The list is closed; the default serves in every case."""

    OFF = "learned routing is off here"
    NO_PROMPT = "there is no text to compare"
    NO_VECTOR = "the text could not be embedded in time"
    NO_CANDIDATE = "no candidate is able to serve this"
    ALONE = "only one candidate is able to serve this"
    NO_EXAMPLES = "there are no examples"
    WARMING = "there are too few examples yet"
    LEARNING = "what was taught is still being learned"
    NOT_ROUTABLE = "the examples show nothing to gain by routing"
    NOVEL = "no example is like this prompt"
    UNSURE = "the lead is too small to be sure"
    UNCHECKED = "a stream cannot be checked before it is sent"
    FAULT = "the index could not be asked"


class Knobs(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant may set. `weight` is what one default's cost is worth in quality; the dial and the floor set it."""

    weight: float = 0.0
    handicap: float = 0.0
    """Lead that a candidate other than `strong` needs: how a quality floor asks for more than a weight of 0 does."""
    strong: str = ""
    switch_penalty: float = 0.02
    """Lead that a candidate needs to take over a conversation."""
    warm: int = 50
    """A candidate with fewer labels is not chosen."""
    blend_from: int = 300
    blend: float = 0.5
    """From so many examples on, the share that the ridge has in a quality."""
    familiar: float = -1.0
    """Declines below this mean similarity of the nearest examples; `novelty_bound` computes it."""
    least_confidence: float = 0.0


class Candidate(msgspec.Struct, frozen=True):
    """One model as the examples and the price list know it. `column` is where its labels stand."""

    name: str
    column: int
    cost_nanos: float | None = None
    """What this request is expected to cost there; None where no price is known: taken as the default's cost."""
    mean: float = 0.5
    labels: int = 0


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Who may serve, who serves if nothing is learned, and who served this conversation before."""

    candidates: tuple[Candidate, ...]
    default: str
    usual_nanos: float | None = None
    """What a request of this tenant usually costs at the default: the unit of costs, so that a long prompt weighs more
    than a short one. None: what this request would cost there."""
    pinned: str | None = None
    examples: int = 0
    ridge: Sequence[float] | None = None
    """What the ridge expects of each candidate, NaN where it cannot say."""

    @property
    def without_opinion(self) -> str:
        """Who serves where nothing is decided: the default, or the first candidate where the default is not able."""
        for candidate in self.candidates:
            if candidate.name == self.default:
                return self.default
        return self.candidates[0].name if self.candidates else self.default


class Standing(msgspec.Struct, frozen=True):
    """One candidate's part of a choice: score = quality - weight x cost_ratio - penalty."""

    name: str
    quality: float
    error: float
    labels: float
    """How many equally near labels its quality rests on."""
    cost_nanos: float | None
    cost_ratio: float
    penalty: float
    score: float


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided and why. Where `declined` is set, the default serves, and the ranking is an opinion."""

    serves: str
    ranked: tuple[Standing, ...] = ()
    cold: tuple[str, ...] = ()
    """Candidates with too few labels to be chosen."""
    declined: Declined | None = None
    confidence: float | None = None
    likeness: float | None = None
    weight: float = 0.0
    cheaper_from: float | None = None
    """From this weight on another candidate, a cheaper one, would win."""
    dearer_until: float | None = None
    """Up to this weight another candidate, a dearer one, would win."""


def choose(question: Question, found: Found, knobs: Knobs) -> Choice:
    """Ranks the candidates by what the neighbours and the ridge expect of them, less what they cost."""
    # This runs on every request. Loops are written out: a comprehension is a call, a sort with a key one for each item.
    warm: list[Candidate] = []
    cold: list[str] = []
    for candidate in question.candidates:
        if candidate.labels >= knobs.warm:
            warm.append(candidate)
        else:
            cold.append(candidate.name)
    if len(warm) < 2 or not len(found):
        why = _unanswerable(question, len(found))
        return Choice(serves=question.without_opinion, cold=tuple(cold), declined=why, weight=knobs.weight)
    names: list[str] = []
    columns: list[int] = []
    means: list[float] = []
    for candidate in warm:
        names.append(candidate.name)
        columns.append(candidate.column)
        means.append(candidate.mean)
    ratios, penalties = _costs(question, warm), _penalties(question, warm, knobs)
    placed, confidence, cheaper_from, dearer_until = found.vote(columns, means).stand(
        names, _lines(question, warm, knobs), ratios, penalties, knobs.blend, knobs.weight
    )
    ranked: list[Standing] = []
    for at, quality, error, effective, score in placed:
        who = warm[at]
        ranked.append(Standing(who.name, quality, error, effective, who.cost_nanos, ratios[at], penalties[at], score))
    likeness = found.likeness(LIKE)
    declined: Declined | None = None
    if likeness < knobs.familiar:
        declined = Declined.NOVEL
    elif confidence < knobs.least_confidence:
        declined = Declined.UNSURE
    return Choice(
        serves=question.without_opinion if declined else ranked[0].name,
        ranked=tuple(ranked),
        cold=tuple(cold),
        declined=declined,
        confidence=confidence,
        likeness=likeness,
        weight=knobs.weight,
        cheaper_from=cheaper_from,
        dearer_until=dearer_until,
    )


def _unanswerable(question: Question, neighbours: int) -> Declined:
    """Why there is no opinion where fewer than two candidates are warm, or nothing is near."""
    if len(question.candidates) < 2:
        return Declined.ALONE if question.candidates else Declined.NO_CANDIDATE
    return Declined.WARMING if neighbours else Declined.NO_EXAMPLES


def _lines(question: Question, warm: Sequence[Candidate], knobs: Knobs) -> list[float]:
    """What the ridge expects of each that is warm, as far as there are examples enough to ask it."""
    if question.ridge is None or question.examples < knobs.blend_from:
        return [math.nan] * len(warm)
    if len(warm) == len(question.candidates):
        return list(question.ridge)
    told = {who.name: line for who, line in zip(question.candidates, question.ridge, strict=True)}
    return [told[who.name] for who in warm]


def _costs(question: Question, warm: Sequence[Candidate]) -> list[float]:
    """What each costs in defaults."""
    usual_nanos, default_nanos = question.usual_nanos, None
    for who in question.candidates:
        if who.name == question.default:
            default_nanos = who.cost_nanos
    unknown = 1.0 if default_nanos is None or not usual_nanos else default_nanos / usual_nanos
    base = usual_nanos or default_nanos or REFERENCE_NANOS
    return [unknown if who.cost_nanos is None else who.cost_nanos / base for who in warm]


def _penalties(question: Question, warm: Sequence[Candidate], knobs: Knobs) -> list[float]:
    pinned, strong, handicap = question.pinned, knobs.strong, knobs.handicap
    if not pinned and not handicap:
        return [0.0] * len(warm)
    penalties: list[float] = []
    for who in warm:
        penalty = knobs.switch_penalty if pinned and who.name != pinned else 0.0
        penalties.append(penalty if who.name == strong else penalty + handicap)
    return penalties


def expected_mean(total: float, labels: int) -> float:
    """What a model scores without neighbours: its mean, with two labels of one half beside the real ones."""
    return (total + 1.0) / (labels + 2.0)


def novelty_bound(likenesses: Sequence[float], share: float = 0.1) -> float:
    """The likeness that this share of a tenant's own examples, each beside the others, falls below."""
    if not likenesses:
        return -1.0
    ordered = sorted(likenesses)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
