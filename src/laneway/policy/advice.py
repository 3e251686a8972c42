"""What an adviser is asked and what it says, without the asking.

Owns: which candidates are able and what a request is expected to cost at each, how a ranking becomes an order of
targets, and its receipt in words and figures. Every rule's ranking ends here, whoever asked.
Refuses: ranking (the rules do), and shelves, lessons and clocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec.structs import astuple

from laneway.policy import knn
from laneway.policy.dial import Dial, Stance
from laneway.policy.expected import NO_HABIT, Habit, expected_nanos
from laneway.policy.knn import Candidate, Choice, Declined
from laneway.policy.stance import turns
from laneway.ports import Advice, Case, Neighbour, Receipt, Setting, Stood
from laneway.route import Decision, Member, Pool, Price, Target

CHARS_PER_TOKEN = 4
CACHE_S = 300.0
"""How long providers hold the prompt of a conversation in their caches."""
SHOWN = 10
"""Neighbours in a receipt."""

Habits: TypeAlias = Mapping[tuple[str, str], Habit]
"""How long answers were, by provider and model."""


class Seat(NamedTuple):
    """A candidate that is able to serve a plan, with what is known of it before there is a request."""

    member: Member
    targets: tuple[Target, ...]
    price: Price | None
    habit: Habit


class Runner(msgspec.Struct, frozen=True):
    """A candidate that is able to serve a request."""

    member: Member
    targets: tuple[Target, ...]
    cost_nanos: float | None


class Ranking(msgspec.Struct, frozen=True):
    """What a rule said: labels, best first, who is put first, and everything that explains it."""

    serves: str
    order: Sequence[str]
    rule: str
    declined: Declined | None = None
    reason: str = ""
    choice: Choice | None = None
    scores: Mapping[str, float] = {}
    qualities: Mapping[str, float] = {}
    stance: Stance = Stance(0.0)
    dial: Dial = Dial()
    level: float | None = None
    floor: float | None = None
    near: Sequence[Neighbour] = ()
    space: str = ""


def habit_of(target: Target, habits: Habits) -> Habit:
    return habits.get((target.provider.name, target.model), NO_HABIT)


def seats(pool: Pool, ranked: Sequence[Target], habits: Habits) -> tuple[Seat, ...]:
    """The candidates of a pool that have a target among those that are able."""
    # Most plans hold the very targets of the pool; a lane's have clocks of their own, and go by their names.
    same = set(map(id, ranked))
    named = {target.name: target for target in ranked}
    taken: list[Seat] = []
    for member in pool.members:
        targets = member.targets
        if any(id(target) not in same for target in targets):
            targets = tuple([named[target.name] for target in targets if target.name in named])
        if targets:
            taken.append(Seat(member, targets, targets[0].price, habit_of(targets[0], habits)))
    return tuple(taken)


def runners(case: Case, taken: Sequence[Seat]) -> list[Runner]:
    """Each with what this request is expected to cost there."""
    view, prompt = case.view, max(case.view.text_chars // CHARS_PER_TOKEN, 1)
    limit, pin = view.max_tokens, case.pin
    field: list[Runner] = []
    for member, targets, price, habit in taken:
        cached = 0
        if pin is not None and _holds(case, targets):
            cached = max(view.text_chars - len(case.asked.text), 0) // CHARS_PER_TOKEN
        cost = expected_nanos(price, prompt, habit, cached=cached, max_tokens=limit)
        field.append(Runner(member, targets, cost))
    return field


def _holds(case: Case, targets: Sequence[Target]) -> bool:
    """Whether the provider of these has most of the conversation in its cache."""
    pin = case.pin
    return pin is not None and pin.target == targets[0].name and case.at_s - pin.at_s < CACHE_S


def is_pinned(who: Runner, case: Case) -> bool:
    return case.pin is not None and any(target.name == case.pin.target for target in who.targets)


def setting_of(case: Case) -> Setting:
    """What surrounds the prompt, as examples are kept with it."""
    asked, view = case.asked, case.view
    return Setting(
        tools=view.tools,
        earlier_turns=max(view.turns - 1, 0),
        system_characters=len(asked.system),
        structured=asked.structured,
        max_tokens=view.max_tokens or 0,
    )


def near(found: knn.Found, candidates: Sequence[Candidate]) -> Sequence[Neighbour]:
    """The nearest examples, for a receipt."""
    names: list[str] = []
    columns: list[int] = []
    for who in candidates:
        if who.column >= 0:
            names.append(who.name)
            columns.append(who.column)
    return found.shown(SHOWN, names, columns)


def declines(case: Case, field: Sequence[Runner], declined: Declined) -> Ranking:
    names = [who.member.label for who in field]
    serves = case.pool.default if case.pool.default in names or not names else names[0]
    return Ranking(serves, (), "default", declined=declined)


# --- what is said of it ------------------------------------------------------------------------------------


def advice_of(case: Case, field: Sequence[Runner], ranking: Ranking, bias: float | None, setting: Setting) -> Advice:
    """Who serves first, then those the rule ranked, then the others as they are written, then what is no candidate."""
    waiting: dict[str, Runner] = {}
    for runner in field:
        waiting[runner.member.label] = runner
    ordered: list[Target] = []
    for label in (ranking.serves, *(ranking.order if ranking.declined is None else ())):
        if (next_ := waiting.pop(label, None)) is not None:
            ordered += next_.targets
    for runner in waiting.values():
        ordered += runner.targets
    placed: dict[int, Target] = {}
    for target in ordered:
        placed[id(target)] = target
    if len(placed) < len(case.plan.ranked):
        for target in case.plan.ranked:
            placed.setdefault(id(target), target)
    plan = tuple(placed.values())
    declined = str(ranking.declined) if ranking.declined is not None else None
    rule = ranking.rule if declined is None or ranking.rule == "pin" else "default"
    reason = ranking.reason or _reason(ranking, declined)
    choice = ranking.choice
    confidence = choice.confidence if choice is not None else None
    decision = Decision(ranked=plan, by=rule, dropped=case.plan.dropped, reason=reason, confidence=confidence)
    where = turns(
        ranking.dial, ranking.level, *((choice.cheaper_from, choice.dearer_until) if choice else (None, None))
    )
    receipt = Receipt(
        id=case.id,
        at_s=case.at_s,
        tenant=case.tenant,
        key_id=case.key_id,
        pool=case.pool.name,
        lane=case.lane,
        rule=ranking.rule,
        served=plan[0].name if plan else "",
        declined=declined,
        reason=reason,
        bias=case.pool.bias if bias is None else bias,
        weight=ranking.stance.weight,
        floor=ranking.floor,
        flips_cheaper=where.cheaper,
        flips_dearer=where.dearer,
        confidence=confidence,
        likeness=choice.likeness if choice is not None else None,
        space=ranking.space,
        tag=case.tag,
        setting=setting,
        standings=_standings(field, ranking),
        neighbours=ranking.near,
        dropped=tuple([(dropped.target.name, dropped.reason) for dropped in case.plan.dropped])
        if case.plan.dropped
        else (),
        plan=tuple([target.name for target in plan]),
        text=case.asked.text if case.pool.keep_prompts else None,
    )
    return Advice(decision, receipt)


def _standings(field: Sequence[Runner], ranking: Ranking) -> tuple[Stood, ...]:
    stood = ranking.choice.ranked if ranking.choice is not None else ()
    made: list[Stood] = []
    for who in field:
        label, target = who.member.label, who.targets[0].name
        for known in stood:
            if known.name == label:
                made.append(Stood(label, target, *astuple(known)[1:]))
                break
        else:
            quality, score = ranking.qualities.get(label), ranking.scores.get(label)
            made.append(Stood(label, target, quality, cost_nanos=who.cost_nanos, score=score))
    return tuple(made)


def _reason(ranking: Ranking, declined: str | None) -> str:
    if declined is not None:
        return declined if ranking.rule != "pin" else f"same conversation; {declined}"
    choice = ranking.choice
    if choice is None or not choice.ranked:
        return f"the {ranking.rule} rule"
    first = choice.ranked[0]
    cost = f"{first.cost_ratio:.3g} of the default's usual cost"
    if len(choice.ranked) < 2:
        return f"quality {first.quality:.2f} at {cost}"
    next_ = choice.ranked[1]
    return (
        f"quality {first.quality:.2f} at {cost}, ahead of {next_.name} "
        f"({next_.quality:.2f} at {next_.cost_ratio:.3g}) by {first.score - next_.score:.3f}"
    )
