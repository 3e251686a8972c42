"""When new requests are turned away, and what knows a request by its bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from laneway.metrics import Metrics
from laneway.middleware.pressure import PressureMiddleware
from laneway.policy.pressure import ENOUGH, FEWEST, Pace, turned
from laneway.pressure import Pressure
from tests.harness.asgi import ASKS, Caller, ask
from tests.harness.loop import run
from tests.harness.rooms import Foreign

MOST_S = 0.5


def after(*turns: tuple[float, int], pace: Pace | None = None, away: int = 0) -> Pace:
    """Turns, each so long and with so many new requests."""
    pace = pace or Pace()
    for turn_s, taken in turns:
        pace = turned(pace, turn_s=turn_s, lag_s=max(turn_s - 0.05, 0), taken=taken, away=away, most_lag_s=MOST_S)
    return pace


# --- the arithmetic ----------------------------------------------------------------------------------------


def test_a_turn_may_take_in_what_it_can_carry() -> None:
    pace = after(*[(1.0, 2_000)] * ENOUGH)
    assert pace.room == 1_000, "half a millisecond each, half a second for all"
    assert after((0.2, 400), pace=pace).room is None, "in time again"


def test_a_hiccup_limits_nobody() -> None:
    assert after((3.0, 5)).room is None
    assert after(*[(3.0, 5)] * 10).room is None, "busy with something else, as often as it may be"
    assert after(*[(0.05, 500)] * 100, (3.0, 500)).room is None


def test_one_odd_turn_among_busy_ones_moves_little() -> None:
    assert after((1.0, 2_000), (9.0, 20), (1.0, 2_000), (1.0, 2_000)).room == 1_000


def test_the_time_that_turning_away_takes_does_not_make_for_fewer_and_fewer() -> None:
    pace = after(*[(1.0, 2_000)] * ENOUGH)
    assert after(*[(1.0, 1_000)] * 10, pace=pace, away=5_000).room == 1_000
    # But what makes turns far too long is no matter of that.
    assert after(*[(4.0, 1_000)] * 10, pace=pace, away=5_000).room == 125


@given(some.lists(some.tuples(some.floats(0.05, 20.0), some.integers(0, 10_000))))
def test_a_turn_may_always_take_in_a_few(turns: list[tuple[float, int]]) -> None:
    pace = after(*turns)
    assert pace.room is None or pace.room >= FEWEST
    assert len(pace.costs_s) <= 5


# --- the room ----------------------------------------------------------------------------------------------


def pressure(most: int = 1) -> Pressure:
    made = Pressure(Metrics())
    made.use(most, MOST_S)
    return made


@pytest.mark.parametrize("front", ASKS)
def test_who_is_one_too_many_is_told_so_with_the_body_unread(front: str) -> None:
    kept = pressure()
    kept.enter()
    app, caller = Foreign(), ask(front, "asked")
    answer = run(caller.call(PressureMiddleware(app, pressure=kept)))
    assert answer.status == (529 if front == "anthropic" else 503)
    assert answer.headers["retry-after"] in "123"
    assert "ask again in" in str(answer.json["error"])
    assert (app.scopes, caller.received) == ([], 0)
    kept.leave()
    assert run(ask(front, "asked").call(PressureMiddleware(app, pressure=kept))).status == 200
    assert kept.under_way == 0


def test_what_is_no_front_is_neither_counted_nor_turned_away() -> None:
    kept = pressure()
    kept.enter()
    assert run(Caller("/healthz", method="GET").call(PressureMiddleware(Foreign(), pressure=kept))).status == 200
    assert kept.under_way == 1


def test_two_of_them_count_once_and_an_error_leaves_nothing_behind() -> None:
    kept = pressure()
    stack = PressureMiddleware(PressureMiddleware(Foreign(), pressure=kept), pressure=kept)
    assert run(ask("openai", "asked").call(stack)).status == 200

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(ask("openai", "asked").call(PressureMiddleware(broken, pressure=kept)))
    assert kept.under_way == 0
