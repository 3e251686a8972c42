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

from laneway.ports.examples import Ballot as Ballot
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
    columns: list[int] = []
    means: list[float] = []
    for candidate in warm:
        columns.append(candidate.column)
        means.append(candidate.mean)
    ballot = found.vote(columns, means)
    covariance = ballot.covariance
    standings = _stand(question, warm, ballot, covariance, knobs)
    places: list[tuple[float, float, str, int]] = []
    for at, standing in enumerate(standings):
        places.append((-standing.score, standing.cost_ratio, standing.name, at))
    places.sort()
    winner = places[0][3]
    confidence = _confidence(standings, covariance, winner)
    likeness = found.likeness(LIKE)
    declined: Declined | None = None
    if likeness < knobs.familiar:
        declined = Declined.NOVEL
    elif confidence < knobs.least_confidence:
        declined = Declined.UNSURE
    cheaper_from, dearer_until = _turns(standings, winner)
    return Choice(
        serves=question.without_opinion if declined else standings[winner].name,
        ranked=tuple([standings[place[3]] for place in places]),
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


def _stand(
    question: Question,
    warm: Sequence[Candidate],
    ballot: Ballot,
    covariance: Sequence[Sequence[float]],
    knobs: Knobs,
) -> list[Standing]:
    lines: dict[str, float] | None = None
    if question.ridge is not None and question.examples >= knobs.blend_from:
        lines = {}
        for who, told in zip(question.candidates, question.ridge, strict=True):
            lines[who.name] = told
    usual_nanos, pinned, default_nanos = question.usual_nanos, question.pinned, None
    for who in question.candidates:
        if who.name == question.default:
            default_nanos = who.cost_nanos
    unknown = 1.0 if default_nanos is None or not usual_nanos else default_nanos / usual_nanos
    base = usual_nanos or default_nanos or REFERENCE_NANOS
    standings: list[Standing] = []
    for at, (who, voted, effective) in enumerate(zip(warm, ballot.quality, ballot.effective, strict=True)):
        quality = voted
        if lines is not None and not math.isnan(told := lines[who.name]):
            quality += knobs.blend * (told - voted)
        ratio = unknown if who.cost_nanos is None else who.cost_nanos / base
        penalty = knobs.switch_penalty if pinned and who.name != pinned else 0.0
        if who.name != knobs.strong:
            penalty += knobs.handicap
        score = quality - knobs.weight * ratio - penalty
        error = math.sqrt(max(covariance[at][at], 0.0))
        standings.append(Standing(who.name, quality, error, effective, who.cost_nanos, ratio, penalty, score))
    return standings


def _confidence(standings: Sequence[Standing], covariance: Sequence[Sequence[float]], winner: int) -> float:
    """How likely the winner is no worse than whichever other candidate comes closest to it."""
    least = math.inf
    won, own = standings[winner].score, covariance[winner]
    for at, standing in enumerate(standings):
        if at != winner:
            lead = won - standing.score
            variance = own[winner] + covariance[at][at] - 2 * own[at]
            sure = math.inf if lead > 0 else 0.0
            least = min(least, lead / math.sqrt(variance) if variance > 0 else sure)
    return 0.5 * math.erfc(-least / math.sqrt(2))


def _turns(standings: Sequence[Standing], winner: int) -> tuple[float | None, float | None]:
    """The nearest weights, above and below, at which another candidate would win."""
    cheaper, dearer = math.inf, 0.0
    won = standings[winner]
    for other in standings:
        lead = (won.quality - won.penalty) - (other.quality - other.penalty)
        saved = won.cost_ratio - other.cost_ratio
        if saved > 0:
            cheaper = min(cheaper, lead / saved)
        elif saved < 0:
            dearer = max(dearer, lead / saved)
    return (cheaper if cheaper < math.inf else None), (dearer if dearer > 0 else None)


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
