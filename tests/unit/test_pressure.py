"""When a new request begins, when it waits for that, and when it is turned away."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as some

from laneway.dialects import FRONTS
from laneway.metrics import Metrics
from laneway.middleware.pressure import PressureMiddleware
from laneway.policy.pressure import CALM, FEWEST, FLOOD_S, SAMPLES, Pace, ticked
from laneway.pressure import AT_ONCE, TOLD, Pressure
from tests.harness.asgi import ASKS, Caller, ask
from tests.harness.clock import Clock
from tests.harness.loop import run
from tests.harness.rooms import Foreign

MOST_S = 0.5


def after(*ticks: tuple[float, int], pace: Pace = CALM, crowded: bool = True) -> Pace:
    """Ticks, each so long and with so many requests begun."""
    for tick_s, begun in ticks:
        pace = ticked(pace, tick_s=tick_s, begun=begun, crowded=crowded, most_lag_s=MOST_S)
    return pace


TICKS = int(FLOOD_S / 0.05) + 1
FLOOD = after(*[(0.05, 100)] * TICKS)

# --- the arithmetic ----------------------------------------------------------------------------------------


def test_so_many_may_wait_as_are_begun_in_the_time_that_one_may_wait() -> None:
    assert FLOOD.room == 1_000, "two thousand in a second, half a second at most"


def test_a_crowd_that_came_at_once_is_let_in() -> None:
    assert after(*[(0.05, 100)] * (TICKS - 1)).room is None


def test_one_long_tick_is_no_flood() -> None:
    assert after((FLOOD_S, 100)).room is None


def test_what_was_learnt_is_forgotten_with_the_end_of_the_queue() -> None:
    assert after((0.05, 100), pace=FLOOD, crowded=False) == CALM


def test_one_odd_tick_among_busy_ones_moves_nothing() -> None:
    assert after((0.05, 100), (9.0, 20), (0.05, 100), (0.05, 100), pace=FLOOD).room == 1_000


def test_a_loop_that_is_held_up_for_good_lets_fewer_wait() -> None:
    pace = FLOOD
    assert after(*[(1.0, 200)] * SAMPLES, pace=pace).room == 100


@given(some.lists(some.tuples(some.floats(0.05, 20.0), some.integers(0, 10_000), some.booleans())))
def test_a_few_may_always_wait(ticks: list[tuple[float, int, bool]]) -> None:
    pace = CALM
    for tick_s, begun, crowded in ticks:
        pace = after((tick_s, begun), pace=pace, crowded=crowded)
    assert pace.room is None or pace.room >= FEWEST
    assert len(pace.rates) <= SAMPLES


# --- turns -------------------------------------------------------------------------------------------------


async def started() -> Pressure:
    kept = pressure(10_000)
    kept.start()
    return kept


async def passes(count: int = 1) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_few_begin_in_one_pass_and_the_others_in_the_next_ones_in_order() -> None:
    async def scenario() -> None:
        kept = await started()
        begun: list[int] = []
        let_in = [kept.begins() for _ in range(AT_ONCE + 1)]
        assert let_in == [True] * AT_ONCE + [False]
        for at in range(2 * AT_ONCE + 1):
            kept.wait(partial(begun.append, at))
        await passes()
        assert begun == list(range(AT_ONCE))
        assert not kept.begins(), "who comes now is behind those who wait"
        await passes(2)
        assert begun == list(range(2 * AT_ONCE + 1))
        assert kept.begins()
        await passes(2)
        assert [kept.begins() for _ in range(AT_ONCE)] == [True] * AT_ONCE
        await kept.close()

    run(scenario())


def test_where_too_many_are_turned_away_they_are_listened_to_again_few_by_few_and_in_order() -> None:
    """A pass takes as long as telling all of them does, and whoever runs waits for its end."""

    async def scenario() -> None:
        kept = await started()
        heard: list[int] = []

        def turn_away(at: int) -> bool:
            kept.turn_away(FRONTS["/v1/messages"], "requests")
            return kept.silences(partial(heard.append, at))

        first = [turn_away(at) for at in range(TOLD + AT_ONCE + 1)]
        assert first == [False] * TOLD + [True] * (AT_ONCE + 1)
        assert heard == []
        await passes()
        assert heard == list(range(TOLD, TOLD + AT_ONCE))
        assert not turn_away(0), "few of this pass know yet"
        await passes()
        assert heard[-1] == TOLD + AT_ONCE
        await kept.close()

    run(scenario())


def test_those_who_wait_begin_however_many_are_turned_away() -> None:
    async def scenario() -> None:
        kept = await started()
        begun: list[int] = []
        while kept.begins():
            pass
        for at in range(2 * AT_ONCE):
            kept.wait(partial(begun.append, at))
        for pass_ in range(2):
            for _ in range(2 * TOLD):
                kept.turn_away(FRONTS["/v1/messages"], "lag")
                kept.silences(lambda: None)
            await passes()
            assert len(begun) == (pass_ + 1) * AT_ONCE
        await kept.close()

    run(scenario())


def test_without_a_loop_nobody_waits_or_is_left_alone() -> None:
    kept = pressure()
    assert all(kept.begins() for _ in range(10 * AT_ONCE))
    for _ in range(2 * TOLD):
        kept.turn_away(FRONTS["/v1/messages"], "requests")
        assert not kept.silences(lambda: None)


def test_a_queue_that_does_not_end_turns_away_who_would_wait_too_long() -> None:
    """Five hundred a second for half a second are let in; what the loop does in a tick is up to the test's clock."""

    async def scenario() -> None:
        clock, tick_s = Clock(0.0), AT_ONCE / 500
        kept = Pressure(Metrics(), clock)
        kept.use(10_000, MOST_S)
        kept.start()
        # Ticks are the test's.
        await kept.close()
        while kept.begins():
            pass
        for _ in range(100 * AT_ONCE):
            kept.wait(lambda: None)
        kept.tick()
        assert kept.full() is None
        for _ in range(int(FLOOD_S / tick_s) + 1):
            assert kept.full() is None
            clock.now_s += tick_s
            await passes()
            kept.tick()
        assert kept.full() == "lag"
        while not kept.begins():
            await passes()
        clock.now_s += 1.0
        kept.tick()
        assert kept.full() is None, "nobody waits any more"

    run(scenario())


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
