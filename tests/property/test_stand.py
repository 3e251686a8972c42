"""The core's choice among candidates is the reference's, whatever was voted and whatever each costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway import _core
from tests.reference import choice
from tests.reference.choice import Seat

shares = st.one_of(st.sampled_from((0.0, 0.5, 1.0)), st.floats(0, 1))
UNPRICED = 2.0
prices = st.one_of(st.sampled_from((0.0, 1.0, 2.0)), st.floats(1e-6, 50))


@st.composite
def elections(draw: st.DrawFn) -> tuple[_core.Ballot, list[Seat]]:
    """Few different labels, lines and costs, so that some candidates come out even."""
    count = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = draw(st.integers(0, 30))
    similarities = np.sort(rng.random(rows, np.float32))[::-1].copy()
    labels = rng.choice(np.array([0, 0.5, 1, np.nan], np.float32), (rows, draw(st.integers(1, count))))
    columns = rng.integers(0, labels.shape[1], count)
    mean = draw(shares)
    ballot = _core.vote(similarities, np.ascontiguousarray(labels[:, columns]), [mean] * count)
    names = draw(st.permutations([f"m{at}" for at in range(count)]))
    line = st.one_of(st.none(), shares)
    return ballot, [Seat(name, draw(line), draw(prices), draw(st.sampled_from((0.0, 0.02)))) for name in names]


@given(elections(), shares, st.one_of(st.just(0.0), st.floats(1e-6, 1e3)))
def test_candidates_stand_as_the_reference_says(
    election: tuple[_core.Ballot, list[Seat]], blend: float, weight: float
) -> None:
    ballot, seats = election
    lines = [math.nan if seat.line is None else seat.line for seat in seats]
    named, penalties = [each.name for each in seats], [each.penalty for each in seats]
    # Half a unit each: halving and doubling is exact.
    costs = [None if seat.cost == UNPRICED else seat.cost / 2 for seat in seats]
    placed, sure, cheaper, dearer = ballot.stand(named, lines, costs, (0.5, UNPRICED), penalties, (blend, weight))
    expected = choice.stand(ballot, seats, blend, weight)
    assert placed == [
        (
            each.seat.name,
            each.quality,
            ballot.error[each.at],
            ballot.effective[each.at],
            costs[each.at],
            each.seat.cost,
            each.seat.penalty,
            each.score,
        )
        for each in expected
    ]
    assert sure == pytest.approx(choice.confidence(ballot, expected), abs=1e-9)
    assert (cheaper, dearer) == choice.turns(expected)


def test_what_does_not_fit_is_refused() -> None:
    ballot = _core.vote(np.zeros(0, np.float32), np.zeros((0, 2), np.float32), [0.5, 0.5])
    with pytest.raises(ValueError, match="as many of each"):
        ballot.stand(["a", "b"], [0.5], [1.0, 1.0], (1.0, 1.0), [0.0, 0.0], (0.5, 1.0))
    with pytest.raises(ValueError, match="for each of 2 candidates, got 1"):
        ballot.stand(["a"], [0.5], [1.0], (1.0, 1.0), [0.0], (0.5, 1.0))
