"""Choosing a model for a prompt from what its nearest examples say.

Owns: one pure function. Neighbours, candidates and knobs go in; a Choice with everything that explains it comes out:
quality, error and cost of every candidate, the winner, how sure it is, and the weights at which another would win.
Refuses: searching, embedding, money (costs arrive as expected nano-USD), and failing: where nothing can be learned it
says why, in one of a closed list of reasons, and the lane's default serves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import starmap
from typing import NamedTuple

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


class Standing(msgspec.Struct, frozen=True, gc=False):
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


class Choice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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


class Columns(NamedTuple):
    """Where the labels of some candidates stand: those of whom there are any."""

    names: list[str]
    places: list[int]


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """Candidates as they stand before any request, by knobs: what every choice among them has in common."""

    knobs: Knobs
    without_opinion: str
    """Who serves where nothing is decided: the default, or the first candidate where the default is not able."""
    default_at: int | None
    """Its place among the candidates."""
    count: int
    seen: Columns
    warm: tuple[int, ...]
    """The places of those that have labels enough to be chosen. Everything below has one for each of them."""
    cold: tuple[str, ...]
    names: list[str]
    columns: list[int]
    means: list[float]
    lines: tuple[int | None, ...] | None
    """Which of what the ridge says is whose; None where there are too few examples to ask it."""
    straight: bool
    """Whether that is each in turn."""
    nothing: list[float]
    """What the ridge says where it is not asked."""
    penalties: list[float]
    """Where no conversation is pinned."""
    terms: tuple[float, float]
    """The share that the ridge has in a quality, and the weight of costs."""
    usual_nanos: float | None

    def choose(
        self,
        found: Found,
        costs_nanos: list[float | None],
        ridge: Sequence[float] | None = None,
        pinned: str | None = None,
    ) -> Choice:
        """Ranks the candidates by what the neighbours and the ridge expect of them, less what they cost."""
        knobs = self.knobs
        if len(self.warm) < 2 or not len(found):
            why = self._unanswerable(len(found))
            return Choice(serves=self.without_opinion, cold=self.cold, declined=why, weight=knobs.weight)
        # A request's costs count by what a usual one costs at the default; who has no price is taken for the default.
        default_nanos = costs_nanos[self.default_at] if self.default_at is not None else None
        usual_nanos = self.usual_nanos
        unpriced = 1.0 if default_nanos is None or not usual_nanos else default_nanos / usual_nanos
        placed, confidence, cheaper_from, dearer_until = found.vote(self.columns, self.means).stand(
            self.names,
            self._said(ridge) if ridge is not None else self.nothing,
            [costs_nanos[at] for at in self.warm] if self.cold else costs_nanos,
            (usual_nanos or default_nanos or REFERENCE_NANOS, unpriced),
            self._penalties(pinned) if pinned else self.penalties,
            self.terms,
        )
        ranked = tuple(starmap(Standing, placed))
        likeness = found.likeness(LIKE)
        declined: Declined | None = None
        if likeness < knobs.familiar:
            declined = Declined.NOVEL
        elif confidence < knobs.least_confidence:
            declined = Declined.UNSURE
        return Choice(
            serves=self.without_opinion if declined else ranked[0].name,
            ranked=ranked,
            cold=self.cold,
            declined=declined,
            confidence=confidence,
            likeness=likeness,
            weight=knobs.weight,
            cheaper_from=cheaper_from,
            dearer_until=dearer_until,
        )

    def _unanswerable(self, neighbours: int) -> Declined:
        """Why there is no opinion where fewer than two candidates are warm, or nothing is near."""
        if self.count < 2:
            return Declined.ALONE if self.count else Declined.NO_CANDIDATE
        return Declined.WARMING if neighbours else Declined.NO_EXAMPLES

    def _said(self, ridge: Sequence[float]) -> Sequence[float]:
        """What the ridge expects of each."""
        if self.lines is None:
            return self.nothing
        if self.straight and len(ridge) == len(self.lines):
            return ridge
        return [math.nan if at is None else ridge[at] for at in self.lines]

    def _penalties(self, pinned: str) -> list[float]:
        """Where `pinned` has the conversation."""
        switch = self.knobs.switch_penalty
        return [
            penalty if name == pinned else switch + penalty
            for name, penalty in zip(self.names, self.penalties, strict=True)
        ]


def panel_of(
    candidates: Sequence[Candidate],
    knobs: Knobs,
    default: str,
    *,
    usual_nanos: float | None = None,
    examples: int = 0,
    lines: Mapping[str, int] | None = None,
) -> Panel:
    """`lines` says which of what the ridge says is whose, by name; None: it says something of each, in their order."""
    names = [who.name for who in candidates]
    if lines is None:
        lines = {name: at for at, name in enumerate(names)}
    warm = [at for at, who in enumerate(candidates) if who.labels >= knobs.warm]
    sitting = [candidates[at] for at in warm]
    own = tuple([lines.get(who.name) for who in sitting])
    return Panel(
        knobs=knobs,
        without_opinion=default if default in names or not names else names[0],
        default_at=names.index(default) if default in names else None,
        count=len(names),
        seen=columns_of(candidates),
        warm=tuple(warm),
        cold=tuple([who.name for who in candidates if who.labels < knobs.warm]),
        names=[who.name for who in sitting],
        columns=[who.column for who in sitting],
        means=[who.mean for who in sitting],
        lines=own if examples >= knobs.blend_from else None,
        straight=own == tuple(range(len(own))),
        nothing=[math.nan] * len(sitting),
        penalties=[0.0 if who.name == knobs.strong else knobs.handicap for who in sitting],
        terms=(knobs.blend, knobs.weight),
        usual_nanos=usual_nanos,
    )


def columns_of(candidates: Sequence[Candidate]) -> Columns:
    labelled = [who for who in candidates if who.column >= 0]
    return Columns([who.name for who in labelled], [who.column for who in labelled])


def choose(question: Question, found: Found, knobs: Knobs) -> Choice:
    """One choice by itself; who chooses among the same candidates again keeps a panel."""
    panel = panel_of(
        question.candidates,
        knobs,
        question.default,
        usual_nanos=question.usual_nanos,
        examples=question.examples,
    )
    return panel.choose(found, [who.cost_nanos for who in question.candidates], question.ridge, question.pinned)


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
