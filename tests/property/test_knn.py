"""Laws of deciding that hold for any neighbours, prices and knobs."""

from __future__ import annotations

import math
from itertools import pairwise

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from laneway import _core
from laneway.policy.dial import LARGEST_WEIGHT, Dial, Outlook, Stance, spread, walk, winner
from laneway.policy.knn import Candidate, Choice, Knobs, Question, choose

MOST = 5


@st.composite
def situations(draw: st.DrawFn) -> tuple[Question, _core.Neighbours]:
    """Real neighbours from a small shelf, with missing labels, and candidates with any prices."""
    count = draw(st.integers(2, MOST))
    rows = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    vectors = rng.normal(size=(rows + 1, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = rng.random((rows, count)).astype(np.float32).round(1)
    labels[rng.random((rows, count)) < draw(st.sampled_from([0, 0.3, 0.9]))] = np.nan
    shelf = _core.Rows(8, count)
    shelf.insert(np.arange(rows, dtype=np.int64), vectors[:rows], None, labels)
    price = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 5.0]), st.floats(1, 1e9))
    candidates = tuple(
        Candidate(name=f"m{at}", column=at, cost_nanos=draw(price), mean=float(rng.random()), labels=100)
        for at in range(count)
    )
    ridge = draw(st.one_of(st.none(), st.just([*rng.random(count).tolist()])))
    pinned = draw(st.one_of(st.none(), st.sampled_from([who.name for who in candidates])))
    question = Question(candidates=candidates, default="m0", pinned=pinned, examples=400, ridge=ridge)
    return question, shelf.search(vectors[rows], 40)


weights = st.one_of(st.just(0.0), st.floats(1e-6, 1e3), st.just(LARGEST_WEIGHT))


def _served(choice: Choice) -> tuple[float, float]:
    top = choice.ranked[0]
    return top.cost_ratio, top.quality - top.penalty


@given(situations(), weights, weights)
def test_more_weight_on_cost_never_buys_what_is_dearer(
    situation: tuple[Question, _core.Neighbours], one: float, other: float
) -> None:
    question, near = situation
    low, high = sorted([one, other])
    careful = _served(choose(question, near, Knobs(weight=low)))
    thrifty = _served(choose(question, near, Knobs(weight=high)))
    assert thrifty[0] <= careful[0] * (1 + 1e-9) + 1e-9
    assert thrifty[1] <= careful[1] + 1e-9


@given(situations(), st.lists(st.floats(1e-5, 1e2), max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_more_bias_never_picks_a_cheaper_and_worse_plan(
    situation: tuple[Question, _core.Neighbours], turns: list[float], one: float, other: float
) -> None:
    question, near = situation
    dial = spread(turns)
    low, high = sorted([one, other])
    thrifty = _served(choose(question, near, Knobs(weight=dial.weight(low))))
    careful = _served(choose(question, near, Knobs(weight=dial.weight(high))))
    assert not (careful[0] < thrifty[0] * (1 - 1e-9) and careful[1] < thrifty[1] - 1e-9)


@given(situations(), weights)
def test_adding_a_candidate_does_not_reorder_the_others(
    situation: tuple[Question, _core.Neighbours], weight: float
) -> None:
    question, near = situation
    fewer = msgspec.structs.replace(
        question,
        candidates=question.candidates[:-1],
        ridge=None if question.ridge is None else question.ridge[:-1],
        pinned=None if question.pinned == question.candidates[-1].name else question.pinned,
    )
    question = msgspec.structs.replace(question, pinned=fewer.pinned)
    added = question.candidates[-1].name
    after = [standing for standing in choose(question, near, Knobs(weight=weight)).ranked if standing.name != added]
    before = choose(fewer, near, Knobs(weight=weight)).ranked
    assert not before or list(before) == after


@given(situations(), weights)
def test_a_choice_is_finite_and_explains_itself(situation: tuple[Question, _core.Neighbours], weight: float) -> None:
    question, near = situation
    choice = choose(question, near, Knobs(weight=weight))
    scores = [standing.score for standing in choice.ranked]
    assert scores == sorted(scores, reverse=True)
    assert all(math.isfinite(score) for score in scores)
    assert choice.confidence is not None
    assert 0 <= choice.confidence <= 1
    assert choice.serves == choice.ranked[0].name
    assert choose(question, near, Knobs(weight=weight)).ranked == choice.ranked


@given(situations(), weights)
def test_the_winner_turns_where_it_says(situation: tuple[Question, _core.Neighbours], weight: float) -> None:
    question, near = situation
    choice = choose(question, near, Knobs(weight=weight))
    if choice.cheaper_from is not None and 1e-6 < choice.cheaper_from < 1e4:
        beyond = choose(question, near, Knobs(weight=choice.cheaper_from * 1.001 + 1e-9))
        assert beyond.ranked[0].cost_ratio <= choice.ranked[0].cost_ratio
        assert beyond.serves != choice.serves
    if choice.dearer_until is not None and 1e-6 < choice.dearer_until < 1e4:
        beyond = choose(question, near, Knobs(weight=choice.dearer_until * 0.999 - 1e-9))
        assert beyond.ranked[0].cost_ratio >= choice.ranked[0].cost_ratio
        assert beyond.serves != choice.serves


outlooks = st.integers(2, MOST).flatmap(
    lambda count: st.builds(
        Outlook,
        st.lists(st.floats(0, 1), min_size=count, max_size=count),
        st.lists(st.floats(0.001, 100), min_size=count, max_size=count),
    )
)


@given(outlooks, st.floats(1e-4, 1e4))
def test_a_walk_passes_the_winner_of_every_weight(outlook: Outlook, weight: float) -> None:
    now, steps = walk(outlook, 0)
    for step in steps:
        if step.level > weight:
            now = step.to
    best = winner(outlook, Stance(weight))
    scores = [quality - weight * cost for quality, cost in zip(outlook.qualities, outlook.costs, strict=True)]
    assert math.isclose(scores[now], scores[best], abs_tol=1e-6 * max(weight, 1))
    assert [step.level for step in steps] == sorted((step.level for step in steps), reverse=True)


@given(st.lists(st.floats(0, 1e3), max_size=300))
def test_dial_positions_fall_and_no_two_are_the_same(turns: list[float]) -> None:
    held = spread(turns).weights
    assert held[0] == LARGEST_WEIGHT
    assert held[-1] == 0
    assert all(later < earlier for earlier, later in pairwise(held))
    dial = Dial(held)
    assert all(dial.weight(dial.first_below(weight)) == weight for weight in held)
    assert all(dial.weight(dial.last_above(weight)) == weight for weight in held)
