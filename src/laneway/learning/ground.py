"""Ground: what a learned choice stands on that is the same for request after request.

Owns: who of a pool can serve a plan, what the examples say of each candidate on the whole, and the knobs, as a lesson,
a dial and a floor put them; worked out once, and again as soon as one of these is another.
Refuses: anything of a single request, and choosing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from laneway.learning.lesson import Lesson
from laneway.policy.dial import Dial, Stance
from laneway.policy.knn import Candidate, Declined, Knobs, Panel, expected_mean, panel_of
from laneway.policy.lineup import Habits, Lineup, line_up
from laneway.policy.stance import stand
from laneway.ports import Shelf
from laneway.route import Pool, Target

MOST_KEPT = 4096
MOST_PANELS = 64
NO_HABITS: Habits = {}
NOTHING_LEARNED = Dial()


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    pool: Pool
    lesson: Lesson | None
    columns: Mapping[str, int]
    """The shelf's own: it has another one whenever a row has changed."""
    bias: float | None
    floor: float | None
    dial: Dial
    level: float | None
    stance: Stance
    known: Knobs
    """For a request whose tag some example has."""
    unknown: Knobs
    seats: dict[str, Candidate]
    """By label, for any cost."""
    examples: int
    places: dict[str, int]
    """Which number of what the ridge says is whose."""
    declined: Declined | None
    """Why the best of opinions would not be followed."""
    panels: dict[tuple[bool, tuple[str, ...]], Panel] = {}
    """Those that were asked for, by whether the tag is known and by candidates."""

    def candidate(self, label: str, cost_nanos: float | None) -> Candidate:
        seat = self.seats[label]
        return Candidate(label, seat.column, cost_nanos, seat.mean, seat.labels)

    def panel(self, labels: tuple[str, ...], tag: int) -> Panel:
        """These candidates, for a request with a tag of this number."""
        key = tag > 0, labels
        panel = self.panels.get(key)
        if panel is None:
            if len(self.panels) >= MOST_PANELS:
                self.panels.clear()
            lesson = self.lesson
            panel = self.panels[key] = panel_of(
                [self.seats[label] for label in labels],
                self.known if tag else self.unknown,
                self.pool.default,
                usual_nanos=lesson.usual_nanos if lesson is not None else None,
                examples=self.examples,
                lines=self.places,
            )
        return panel


class Seating:
    """Who of a pool can sit down to a plan: by pool, the last answer of each, as most requests bring the same plan."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Pool, Habits, Lineup]] = {}

    def get(self, pool: Pool, ranked: Sequence[Target], habits: Habits = NO_HABITS) -> Lineup:
        kept = self._kept.get(pool.name)
        if kept is None or kept[0] is not pool or kept[2].ranked is not ranked or kept[1] is not habits:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            kept = self._kept[pool.name] = pool, habits, line_up(pool, ranked, habits)
        return kept[2]


class Grounds:
    """By tenant and pool, the last one of each."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Ground] = {}

    def get(self, pool: Pool, shelf: Shelf, lesson: Lesson | None, bias: float | None, floor: float | None) -> Ground:
        key = (shelf.tenant, pool.name)
        kept = self._kept.get(key)
        if (
            kept is None
            or kept.pool is not pool
            or kept.lesson is not lesson
            or kept.columns is not shelf.columns
            or kept.bias != bias
            or kept.floor != floor
        ):
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            kept = self._kept[key] = _worked_out(pool, shelf, lesson, bias, floor)
        return kept


def _worked_out(pool: Pool, shelf: Shelf, lesson: Lesson | None, bias: float | None, floor: float | None) -> Ground:
    columns = shelf.columns
    dial, level = (lesson.dial, lesson.level(floor)) if lesson is not None else (NOTHING_LEARNED, None)
    stance = stand(dial, bias, pool.bias, level)
    known = Knobs(
        weight=stance.weight,
        handicap=stance.handicap,
        strong=lesson.strong if lesson is not None else pool.default,
        switch_penalty=pool.switch_penalty,
        warm=pool.warm,
        familiar=lesson.familiar if lesson is not None else -1.0,
        least_confidence=pool.least_confidence,
    )
    declined = None
    if lesson is None:
        declined = Declined.LEARNING
    elif lesson.verdict is not None and not lesson.verdict.routable:
        declined = Declined.NOT_ROUTABLE
    return Ground(
        pool=pool,
        lesson=lesson,
        columns=columns,
        bias=bias,
        floor=floor,
        dial=dial,
        level=level,
        stance=stance,
        known=known,
        unknown=msgspec.structs.replace(known, familiar=lesson.familiar_untagged) if lesson is not None else known,
        seats=_seats(pool, shelf, columns),
        examples=len(shelf),
        places={label: at for at, label in enumerate(lesson.order)} if lesson is not None else {},
        declined=declined,
    )


def _seats(pool: Pool, shelf: Shelf, columns: Mapping[str, int]) -> dict[str, Candidate]:
    sums, counts = shelf.totals()
    seats: dict[str, Candidate] = {}
    for member in pool.members:
        column = columns.get(member.label, -1)
        labels = counts[column] if column >= 0 else 0
        mean = expected_mean(sums[column], labels) if labels else 0.5
        seats[member.label] = Candidate(member.label, column, None, mean, labels)
    return seats
