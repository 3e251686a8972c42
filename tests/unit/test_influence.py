"""A decision voted again without one of its neighbours: by the vote's own kernel, and honest about what it moves."""

from __future__ import annotations

import pytest

from laneway.policy.influence import revote
from laneway.ports.receipts import Receipt, Stood

FAST, STRONG = "sim/small", "sim/large"


def receipt(scores: list[tuple[float, float]], *, declined: str | None = None) -> Receipt:
    """Three equally near neighbours, in the middle of whose opinions the recorded qualities lie."""
    stood = tuple(
        Stood(candidate=name, target=name, quality=quality, score=quality - cost)
        for name, quality, cost in ((FAST, 0.6, 0.0), (STRONG, 0.8, 0.15))
    )
    return Receipt(
        id="req_1",
        at_s=0.0,
        tenant="acme",
        pool="smart",
        rule="learned",
        served=STRONG,
        declined=declined,
        standings=stood,
        neighbours=tuple((at, 0.9, {FAST: fast, STRONG: strong}) for at, (fast, strong) in enumerate(scores, 1)),
    )


def test_the_example_that_decided_it_is_told_from_one_that_did_not() -> None:
    """Without the one that says the cheap model fails here, the cheap one would have won."""
    made = receipt([(0.0, 1.0), (1.0, 1.0), (1.0, 1.0)])
    against, along = revote(made, 1), revote(made, 2)
    assert (against.won, against.without, against.changed) == (STRONG, FAST, True)
    assert (along.won, along.without, along.changed) == (STRONG, STRONG, False)
    # Equal weights of 1: (0 + 1 + 1 + 3 x .6) / 6 becomes (1 + 1 + 3 x .6) / 5.
    assert against.shift == pytest.approx(3.8 / 5 - 3.8 / 6)
    assert against.similarity == 0.9


def test_an_example_that_was_no_neighbour_moves_nothing() -> None:
    found = revote(receipt([(0.0, 1.0)]), 99)
    assert (found.changed, found.shift, found.similarity) == (False, 0.0, 0.0)


def test_a_declined_decision_is_nobody_s_work() -> None:
    assert not revote(receipt([(0.0, 1.0), (1.0, 1.0), (1.0, 1.0)], declined="warming"), 1).changed


def test_without_its_only_neighbour_a_decision_rests_on_the_means() -> None:
    found = revote(receipt([(0.0, 1.0)]), 1)
    assert found.without is not None
    assert found.shift == pytest.approx(0.15)
