"""The adviser: asks a tenant's shelf, its lesson and the pool's rule who should serve.

Owns: putting together what a rule wants to know of a request (vector, tag, neighbours, ridge, stance) and asking it.
Refuses: arithmetic (policy has it), learning (`lessons` does), and failing: what goes wrong is a reason to serve the
default.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from laneway.learning.dials import TurnedDials
from laneway.learning.ground import NO_HABITS, Ground, Grounds, Seating
from laneway.learning.lesson import Lesson
from laneway.learning.lessons import Lessons
from laneway.policy import knn, rules
from laneway.policy.advice import Ranking, advice_of, declines, near, setting_of
from laneway.policy.knn import Declined
from laneway.policy.lineup import Field, field_of, pinned_in
from laneway.ports import Advice, Case, Neighbour, Receipt, Receipts, Setting, Shelf, Shelves
from laneway.ports.examples import PLAIN
from laneway.route import Attempt, Target

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LEARNING = frozenset({"learned", "knn", "clusters"})
SLOW = 0.8
"""The share that the past has in what is known of a target's speed."""
log = logging.getLogger("laneway")
_name = attrgetter("name")


class Inquiry(msgspec.Struct, frozen=True, gc=False):
    """A case with what is known of its tenant at this moment."""

    case: Case
    field: Field
    setting: Setting
    pinned: str | None
    """The candidate that served this conversation, where the pool keeps to that."""
    bias: float | None
    floor: float | None
    """What the tenant set for the pool, else what the configuration says."""
    shelf: Shelf | None
    lesson: Lesson | None

    @property
    def put(self) -> Setting:
        """What the prompt is embedded with."""
        return PLAIN if self.lesson is not None and self.lesson.plain else self.setting


class PoolAdviser:
    """An Adviser. `busy` says how many slots of a target's provider are taken."""

    def __init__(
        self,
        *,
        shelves: Shelves,
        lessons: Lessons,
        dials: TurnedDials,
        receipts: Receipts,
        busy: Callable[[Target], int] = lambda _: 0,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._shelves = shelves
        self._lessons = lessons
        self._dials = dials
        self._receipts = receipts
        self._busy = busy
        self._draw = draw
        self._grounds = Grounds()
        self._seating = Seating()
        self._speeds_s: dict[str, float] = {}
        self._under_way: dict[str, int] = {}
        self.faults = 0

    # --- the port ------------------------------------------------------------------------------------------

    def advise_now(self, case: Case) -> Advice | None:
        bias = self._bias(case)
        try:
            inquiry = self._inquire(case, bias)
            ranking = self._rank(inquiry)
        except Exception as error:  # noqa: BLE001 - nobody's request fails for want of an opinion
            return self._failed(case, bias, error)
        return _said(inquiry, ranking) if ranking is not None else None

    async def advise(self, case: Case) -> Advice:
        advice = self.advise_now(case)
        if advice is not None:
            return advice
        bias = self._bias(case)
        try:
            vector = await self._shelves.vector(case.asked.text, self._inquire(case, bias).put)
            # The shelf may be another one by now, of another space.
            inquiry = self._inquire(case, bias)
            return _said(inquiry, self._by_vector(inquiry, vector))
        except Exception as error:  # noqa: BLE001 - nobody's request fails for want of an opinion
            return self._failed(case, bias, error)

    def _bias(self, case: Case) -> float | None:
        return case.bias if case.bias is not None else self._dials.bias(case.tenant)

    def _failed(self, case: Case, bias: float | None, error: Exception) -> Advice:
        """One trace is enough to find out why."""
        self.faults += 1
        if self.faults == 1:
            said = "a choice of models failed, and the default served; further ones are only counted"
            log.error(said, exc_info=error)
        inquiry = self._made(case, bias, None, None, None)
        return _said(inquiry, declines(case, inquiry.field, Declined.FAULT))

    def keep(self, receipt: Receipt) -> None:
        self._receipts.keep(receipt)
        self._under_way[receipt.served] = self._under_way.get(receipt.served, 0) + 1

    def ended(self, receipt: Receipt, attempts: Sequence[Attempt]) -> None:
        others = self._under_way[receipt.served] - 1
        if others:
            self._under_way[receipt.served] = others
        else:
            del self._under_way[receipt.served]
        for attempt in attempts:
            if attempt.failure is None and attempt.called:
                whole_s = attempt.ended_s - attempt.started_s
                taken_s = whole_s if attempt.first_content_s is None else attempt.first_content_s
                name = attempt.target.name
                before_s = self._speeds_s.get(name, taken_s)
                self._speeds_s[name] = SLOW * before_s + (1 - SLOW) * taken_s

    # --- the rules -----------------------------------------------------------------------------------------

    def _inquire(self, case: Case, bias: float | None) -> Inquiry:
        shelf = self._shelves.get(case.tenant) if case.pool.rule in LEARNING else None
        lesson = self._lessons.get(case.pool, shelf) if shelf is not None else None
        return self._made(case, bias, self._dials.floor(case.tenant, case.pool), shelf, lesson)

    def _made(
        self, case: Case, bias: float | None, floor: float | None, shelf: Shelf | None, lesson: Lesson | None
    ) -> Inquiry:
        habits = lesson.habits if lesson is not None else NO_HABITS
        lineup = self._seating.get(case.pool, case.plan.ranked, habits)
        pinned = pinned_in(case, lineup) if case.pin is not None and case.pool.sticky else None
        return Inquiry(case, field_of(case, lineup), setting_of(case), pinned, bias, floor, shelf, lesson)

    def _rank(self, inquiry: Inquiry) -> Ranking | None:
        """None where a provider has to be asked for the prompt's vector first."""
        case, rule = inquiry.case, inquiry.case.pool.rule
        if rule in LEARNING:
            return self._learned(inquiry)
        field, pinned = inquiry.field, inquiry.pinned
        if rule == "cascade" and case.view.stream:
            return declines(case, field, Declined.UNCHECKED)
        # A cascade begins anew with each turn: whom the last one was good enough for says nothing of this one.
        if pinned is not None and rule != "cascade":
            return _stays(pinned)
        order = self._plainly(rule, case, field)
        return Ranking(order[0], order, rule) if order else declines(case, field, Declined.NO_CANDIDATE)

    def _plainly(self, rule: str, case: Case, field: Field) -> list[str]:
        """By a rule that looks at no prompt."""
        names = field.lineup.labels
        if rule in ("cheapest", "cascade"):
            # What nobody knows the price of may be anything.
            unknown = max((cost for cost in field.costs_nanos if cost is not None), default=0.0) * 2 + 1
            costs = [unknown if cost is None else cost for cost in field.costs_nanos]
            return rules.cheapest(dict(zip(names, costs, strict=True)))
        if rule == "weighted":
            return rules.weighted({name: case.pool.shares.get(name, 1.0) for name in names}, self._draw)
        first = {seat.label: seat.targets[0] for seat in field.lineup.seats}
        if rule == "fastest":
            # Nobody knows how fast one is that never answered, until it has.
            return rules.fastest({name: self._speeds_s.get(target.name, 0.0) for name, target in first.items()})
        if rule == "least-busy":
            return rules.least_busy({name: self._calls(target) for name, target in first.items()})
        return rules.fixed(names, case.pool.first)

    def _calls(self, target: Target) -> int:
        """Of a provider without slots nobody but this room counts the calls."""
        return max(self._busy(target), self._under_way.get(target.name, 0))

    def _learned(self, inquiry: Inquiry) -> Ranking | None:
        text = inquiry.case.asked.text
        if not text or text.isspace():
            return declines(inquiry.case, inquiry.field, Declined.NO_PROMPT)
        if not inquiry.shelf:
            return declines(inquiry.case, inquiry.field, Declined.NO_EXAMPLES)
        vector = self._shelves.embed(text, inquiry.put)
        return None if vector is None else self._by_vector(inquiry, vector)

    def _by_vector(self, inquiry: Inquiry, vector: npt.NDArray[np.float32] | None) -> Ranking:
        case = inquiry.case
        if vector is None or inquiry.shelf is None:
            return declines(case, inquiry.field, Declined.NO_VECTOR)
        ground = self._grounds.get(case.pool, inquiry.shelf, inquiry.lesson, inquiry.bias, inquiry.floor)
        if case.pool.rule == "learned":
            return _by_neighbours(inquiry, ground, inquiry.shelf, vector)
        return _by_relative(inquiry, ground, inquiry.shelf, vector)


def _said(inquiry: Inquiry, ranking: Ranking) -> Advice:
    if ranking.declined is not None and inquiry.pinned is not None:
        ranking = msgspec.structs.replace(ranking, serves=inquiry.pinned, rule="pin")
    return advice_of(inquiry.case, inquiry.field, ranking, inquiry.bias, inquiry.setting)


def _stays(pinned: str) -> Ranking:
    return Ranking(pinned, [pinned], "pin", reason="same conversation")


def _by_neighbours(inquiry: Inquiry, ground: Ground, shelf: Shelf, vector: npt.NDArray[np.float32]) -> Ranking:
    case, lesson, field = inquiry.case, inquiry.lesson, inquiry.field
    tag = shelf.tag(case.tag)
    panel = ground.panel(field.lineup.labels, tag)
    ridge: list[float] | None = None
    if lesson is not None and lesson.line is not None:
        ridge = lesson.line.expect(vector, lesson.tags.get(case.tag, 0))
    found = shelf.search(vector, knn.NEIGHBOURS, tag)
    choice = panel.choose(found, field.costs_nanos, ridge, inquiry.pinned)
    declined = ground.declined if choice.declined is None else choice.declined
    return Ranking(
        choice.serves if declined is choice.declined else panel.without_opinion,
        tuple(map(_name, choice.ranked)) if declined is None else (),
        "learned",
        declined=declined,
        choice=choice,
        stance=ground.stance,
        dial=ground.dial,
        level=ground.level,
        floor=inquiry.floor,
        near=near(found, panel.seen),
        space=shelf.space,
    )


def _by_relative(inquiry: Inquiry, ground: Ground, shelf: Shelf, vector: npt.NDArray[np.float32]) -> Ranking:
    """The rules of known routers, as they are: no dial, no confidence, no floor."""
    case, field, pool = inquiry.case, inquiry.field, inquiry.case.pool
    able = zip(field.lineup.labels, field.costs_nanos, strict=True)
    candidates = [one for label, cost in able if (one := ground.candidate(label, cost)).labels >= pool.warm]
    if len(candidates) < 2:
        return declines(case, field, Declined.WARMING if len(field.costs_nanos) > 1 else Declined.ALONE)
    if inquiry.pinned is not None:
        return _stays(inquiry.pinned)
    names = [who.name for who in candidates]
    shown: Sequence[Neighbour] = ()
    if pool.rule == "clusters":
        lesson = inquiry.lesson
        if lesson is None or lesson.clusters is None:
            return declines(case, field, Declined.LEARNING)
        told = dict(zip(lesson.order, lesson.clusters.expect(vector), strict=True))
        means = [told.get(who.name, who.mean) for who in candidates]
    else:
        found = shelf.search(vector, pool.k)
        shown = near(found, knn.columns_of(candidates))
        means = rules.plain_mean(found.labels[:, [who.column for who in candidates]], [who.mean for who in candidates])
    scores = rules.plain_scores(means, [who.cost_nanos or 0.0 for who in candidates], pool.alpha)
    order = sorted(range(len(names)), key=lambda at: (-scores[at], names[at]))
    return Ranking(
        names[order[0]],
        [names[at] for at in order],
        pool.rule,
        scores=dict(zip(names, scores, strict=True)),
        qualities=dict(zip(names, means, strict=True)),
        near=shown,
        space=shelf.space,
    )
