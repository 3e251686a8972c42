"""Who of a pool can serve a plan, and what a request is expected to cost with each.

Owns: the candidates that have a target among those that are able, worked out once for all requests with one plan; the
order of targets that an order of candidates means; and the costs that one request brings to it.
Refuses: ranking, and knowing who asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from laneway.policy.expected import NO_HABIT, Habit, expected_nanos
from laneway.ports import Case
from laneway.route import Pool, Price, Target

CHARS_PER_TOKEN = 4
CACHE_S = 300.0
"""How long providers hold the prompt of a conversation in their caches."""
MOST_ORDERS = 256

Habits: TypeAlias = Mapping[tuple[str, str], Habit]
"""How long answers were, by provider and model."""


class Seat(NamedTuple):
    """A candidate that is able to serve a plan, with what is known of it before there is a request."""

    label: str
    first: str
    """The name of the target that is called first."""
    targets: tuple[Target, ...]
    price: Price | None
    habit: Habit


class Tried(NamedTuple):
    """Targets in the order in which they would be tried, and their names."""

    targets: tuple[Target, ...]
    names: tuple[str, ...]


class Lineup(msgspec.Struct, frozen=True):
    """Those of a pool that are able to serve a plan."""

    ranked: Sequence[Target]
    """The plan's targets, in their plain order."""
    seats: tuple[Seat, ...]
    labels: tuple[str, ...]
    orders: dict[tuple[str, ...], Tried] = {}
    """Those that were asked for: most requests with a plan bring one of a few."""

    def tried(self, labels: tuple[str, ...]) -> Tried:
        """These first, then the others as they are written, then what is no candidate."""
        known = self.orders.get(labels)
        if known is None:
            if len(self.orders) >= MOST_ORDERS:
                self.orders.clear()
            known = self.orders[labels] = self._tried(labels)
        return known

    def _tried(self, labels: Sequence[str]) -> Tried:
        waiting = {seat.label: seat.targets for seat in self.seats}
        ordered = [target for label in labels for target in waiting.pop(label, ())]
        for targets in waiting.values():
            ordered += targets
        # A target may stand in two candidates.
        placed = {id(target): target for target in (*ordered, *self.ranked)}
        return Tried(tuple(placed.values()), tuple([target.name for target in placed.values()]))


class Field(msgspec.Struct, frozen=True, gc=False):
    """A lineup before one request: for each seat what the request is expected to cost there, None without a price."""

    lineup: Lineup
    costs_nanos: list[float | None]


def habit_of(target: Target, habits: Habits) -> Habit:
    return habits.get((target.provider.name, target.model), NO_HABIT)


def line_up(pool: Pool, ranked: Sequence[Target], habits: Habits) -> Lineup:
    # Most plans hold the very targets of the pool; a lane's have clocks of their own, and go by their names.
    same = set(map(id, ranked))
    named = {target.name: target for target in ranked}
    taken: list[Seat] = []
    for member in pool.members:
        targets = member.targets
        if any(id(target) not in same for target in targets):
            targets = tuple([named[target.name] for target in targets if target.name in named])
        if targets:
            taken.append(Seat(member.label, targets[0].name, targets, targets[0].price, habit_of(targets[0], habits)))
    return Lineup(ranked, tuple(taken), tuple([seat.label for seat in taken]))


def field_of(case: Case, lineup: Lineup) -> Field:
    view = case.view
    chars, limit, pin = view.text_chars, view.max_tokens, case.pin
    prompt = max(chars // CHARS_PER_TOKEN, 1)
    costs_nanos: list[float | None] = []
    for _, first, _, price, habit in lineup.seats:
        cached = 0
        if pin is not None and pin.target == first and case.at_s - pin.at_s < CACHE_S:
            # Its provider has most of the conversation in its cache.
            cached = max(chars - len(case.asked.text), 0) // CHARS_PER_TOKEN
        costs_nanos.append(expected_nanos(price, prompt, habit, cached=cached, max_tokens=limit))
    return Field(lineup, costs_nanos)


def pinned_in(case: Case, lineup: Lineup) -> str | None:
    """The candidate that served this conversation."""
    if case.pin is None:
        return None
    name = case.pin.target
    return next((seat.label for seat in lineup.seats if any(target.name == name for target in seat.targets)), None)
