"""Who can serve a plan: found once for all requests that bring it, and ordered as each of them is answered."""

from __future__ import annotations

import msgspec

from laneway.policy.lineup import MOST_ORDERS, field_of, line_up, pinned_in
from laneway.ports import Pin
from laneway.route import Price, Target
from tests.harness.taught import LARGE, MIDDLE, NOW_S, SMALL, THREE, case


def _names(*targets: Target) -> tuple[str, ...]:
    return tuple([target.name for target in targets])


def test_who_is_ranked_first_is_tried_first_and_the_others_follow_as_they_are_written() -> None:
    lineup = line_up(THREE, (SMALL, MIDDLE, LARGE), {})
    assert lineup.tried((LARGE.name,)).names == _names(LARGE, SMALL, MIDDLE)
    assert lineup.tried((MIDDLE.name, LARGE.name)).targets == (MIDDLE, LARGE, SMALL)
    assert lineup.tried((LARGE.name,)) is lineup.tried((LARGE.name,))


def test_a_target_of_the_plan_that_is_no_candidate_is_tried_last() -> None:
    other = msgspec.structs.replace(SMALL, upstream="other")
    lineup = line_up(THREE, (other, SMALL, LARGE), {})
    assert lineup.labels == _names(SMALL, LARGE)
    assert lineup.tried((LARGE.name, MIDDLE.name)).names == _names(LARGE, SMALL, other)


def test_a_lanes_own_targets_stand_for_the_pools() -> None:
    """They have other clocks, and the same names."""
    own = msgspec.structs.replace(LARGE, window=1000)
    lineup = line_up(THREE, (own, SMALL), {})
    assert lineup.labels == _names(SMALL, LARGE)
    assert lineup.tried((LARGE.name,)).targets[0] is own


def test_orders_that_were_asked_for_do_not_pile_up() -> None:
    lineup = line_up(THREE, (SMALL, MIDDLE, LARGE), {})
    for at in range(3 * MOST_ORDERS):
        assert lineup.tried((LARGE.name, str(at))).names == _names(LARGE, SMALL, MIDDLE)
    assert len(lineup.orders) <= MOST_ORDERS


def test_whoever_served_the_conversation_reads_what_it_has_read_for_less() -> None:
    cheaper_again = msgspec.structs.replace(LARGE, price=Price(input=5_000_000, output=20_000_000, cache_read=500_000))
    lineup = line_up(THREE, (SMALL, MIDDLE, cheaper_again), {})
    alone = case("And now?", THREE, before=40_000)
    going_on = case("And now?", THREE, before=40_000, pin=Pin(target=LARGE.name, at_s=NOW_S - 10))
    assert pinned_in(alone, lineup) is None
    assert pinned_in(going_on, lineup) == LARGE.name
    once, again = field_of(alone, lineup).costs_nanos, field_of(going_on, lineup).costs_nanos
    assert once[:2] == again[:2]
    # Nine tenths of what ten thousand tokens cost otherwise.
    assert (once[2] or 0) - (again[2] or 0) == 10_000 * 4_500
