"""When a target is left alone after timeouts, how it is probed, and what Retry-After asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.policy.breaker import (
    CLOSED,
    Breaker,
    BreakerRules,
    answered,
    failed,
    probed,
    rested,
    timed_out,
    unanswered,
    wait_s,
)

RULES = BreakerRules()


def half() -> float:
    return 0.5


def opened(now_s: float = 0.0) -> Breaker:
    return timed_out(timed_out(CLOSED, RULES, now_s, half), RULES, now_s, half)


@pytest.mark.parametrize("after", [1, 2, 5])
def test_it_opens_after_exactly_so_many_timeouts(after: int) -> None:
    rules, breaker = BreakerRules(after=after), CLOSED
    for strike in range(1, after + 1):
        assert wait_s(breaker, rules, 0.0) == 0
        breaker = timed_out(breaker, rules, 0.0, half)
        assert breaker.state(0.0) == ("open" if strike == after else "closed")
    assert wait_s(breaker, rules, 0.0) == rules.cool_down_s


def test_other_failures_do_not_open_it_and_one_success_resets() -> None:
    breaker = CLOSED
    for _ in range(20):
        breaker = failed(breaker, RULES, 0.0, half)
    assert breaker is CLOSED
    breaker = answered(timed_out(CLOSED, RULES, 0.0, half))
    assert timed_out(breaker, RULES, 0.0, half).state(0.0) == "closed"


def test_one_probe_at_a_time_until_it_has_been_silent_for_long() -> None:
    breaker = opened()
    assert breaker.state(5.0) == "half-open"
    assert wait_s(breaker, RULES, 5.0) == 0
    probing = probed(breaker, 5.0)
    assert wait_s(probing, RULES, 6.0) == RULES.patience_s - 1
    assert wait_s(probing, RULES, 5.0 + RULES.patience_s) == 0
    assert answered(probing) is CLOSED
    assert wait_s(unanswered(probing, probe=True), RULES, 6.0) == 0


def test_only_a_probe_makes_the_next_wait_longer() -> None:
    breaker = opened()
    assert timed_out(breaker, RULES, 1.0, half) is breaker, "it had begun before"
    again = timed_out(probed(breaker, 5.0), RULES, 10.0, half, probe=True)
    assert wait_s(again, RULES, 10.0) == 2 * RULES.cool_down_s
    refused = failed(probed(breaker, 5.0), RULES, 10.0, half, probe=True)
    assert wait_s(refused, RULES, 10.0) == RULES.cool_down_s


@given(probes=st.integers(0, 60), chance=st.floats(0, 1))
def test_after_an_outage_a_probe_goes_within_half_a_minute(probes: int, chance: float) -> None:
    """However long the outage was, and whatever chance does."""
    breaker = opened()
    for _ in range(probes):
        breaker = timed_out(probed(breaker, 0.0), RULES, 0.0, lambda: chance, probe=True)
    assert wait_s(breaker, RULES, 0.0) < 30


def test_a_wait_that_was_asked_for_is_a_floor_and_opens_nothing() -> None:
    breaker = rested(CLOSED, 7.0)
    assert breaker.state(0.0) == "closed"
    assert (wait_s(breaker, RULES, 0.0), wait_s(breaker, RULES, 7.0)) == (7.0, 0.0)
    assert wait_s(answered(breaker), RULES, 0.0) == 7.0
    assert wait_s(rested(breaker, 3.0), RULES, 0.0) == 7.0
