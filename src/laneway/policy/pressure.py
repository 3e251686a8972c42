"""How many new requests one turn of the loop may take in, so that it does not fall behind for good.

Owns: what a request costs the loop, learnt from its busy turns, and the number that follows for the next turn. A turn
that came late once is a hiccup and limits nobody; it takes several busy ones before anything is believed.
Refuses: clocks, loops and requests; it is told how long a turn took and how many came in, and answers with a number.
"""

from __future__ import annotations

import msgspec

FEWEST = 64
"""So many new requests any turn may take in, however long the turns are: something else may hold the loop up."""
SAMPLES = 5
ENOUGH = 3
"""Fewer busy turns than this say nothing."""
_LONG = 4.0
_CROWD = 16
"""A turn with fewer new requests was busy with something else, and says nothing of what a request costs."""


class Pace(msgspec.Struct, frozen=True):
    """What is known of the loop. `room` is how many the present turn may take in; None: as many as come."""

    costs_s: tuple[float, ...] = ()
    room: int | None = None


def turned(pace: Pace, *, turn_s: float, lag_s: float, taken: int, away: int, most_lag_s: float) -> Pace:
    """After a turn that took `turn_s`, was `lag_s` too late, took in so many new requests and turned some away."""
    costs = pace.costs_s
    # Turning away takes time as well: counted as what requests cost, it would make for fewer and fewer of them.
    told = not away or turn_s > _LONG * most_lag_s
    if told and lag_s > most_lag_s / 20 and taken >= _CROWD:
        costs = (*costs[1 - SAMPLES :], turn_s / taken)
    if lag_s < most_lag_s / 2 or len(costs) < ENOUGH:
        # Most turns end here, with nothing new.
        return pace if costs is pace.costs_s and pace.room is None else Pace(costs)
    middle = sorted(costs)[len(costs) // 2]
    return Pace(costs, max(FEWEST, int(most_lag_s / middle)))
