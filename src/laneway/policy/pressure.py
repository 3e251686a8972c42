"""How many new requests may wait for their turn, so that nobody waits for what will not come.

Owns: how many the loop begins in a second while others wait, learnt from the ticks of its clock, and the number that
may wait which follows. A crowd that came at once is no flood: it takes seconds in which somebody always waited before
anything is believed, and with the queue's end all of it is forgotten.
Refuses: clocks, loops and requests; it is told what became of a tick, and answers with a number.
"""

from __future__ import annotations

import msgspec

FEWEST = 64
"""So many may always wait, however slowly they begin: something else may hold the loop up."""
SAMPLES = 5
ENOUGH = 3
"""Fewer ticks than this say nothing."""
FLOOD_S = 3.0
"""Thousands who come at once and then wait for their answers have all begun by then."""


class Pace(msgspec.Struct, frozen=True):
    """What is known of the loop. `room` is how many may wait; None: as many as come."""

    rates: tuple[float, ...] = ()
    crowded_s: float = 0.0
    """For how long somebody has always waited."""
    room: int | None = None


CALM = Pace()


def ticked(pace: Pace, *, tick_s: float, begun: int, crowded: bool, most_lag_s: float) -> Pace:
    """After a tick that took `tick_s`, in which so many requests were begun; `crowded`: others waited in all of it."""
    if not crowded:
        return CALM
    rates = (*pace.rates[1 - SAMPLES :], begun / tick_s)
    crowded_s = pace.crowded_s + tick_s
    if len(rates) < ENOUGH or crowded_s < FLOOD_S:
        return Pace(rates, crowded_s)
    return Pace(rates, crowded_s, max(FEWEST, int(sorted(rates)[len(rates) // 2] * most_lag_s)))
