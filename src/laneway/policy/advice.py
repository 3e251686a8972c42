"""What an adviser is asked and what it says, without the asking.

Owns: what a rule says, and how that becomes a decision and its receipt, in words and figures. Every rule's ranking
ends here, whoever asked.
Refuses: ranking (the rules do), and shelves, lessons and clocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from laneway.policy import knn
from laneway.policy.dial import Dial, Stance
from laneway.policy.knn import Choice, Columns, Declined
from laneway.policy.lineup import Field
from laneway.policy.stance import turns
from laneway.ports import Advice, Case, Neighbour, Receipt, Setting, Stood
from laneway.route import Decision

NO_CHOICE = Choice(serves="")
SHOWN = 10
"""Neighbours in a receipt."""


class Ranking(msgspec.Struct, frozen=True, gc=False):
    """What a rule said: labels, best first, who is put first, and everything that explains it."""

    serves: str
    order: Sequence[str]
    rule: str
    declined: Declined | None = None
    reason: str = ""
    choice: Choice = NO_CHOICE
    """Of the rule that learns."""
    scores: Mapping[str, float] = {}
    qualities: Mapping[str, float] = {}
    stance: Stance = Stance(0.0)
    dial: Dial = Dial()
    level: float | None = None
    floor: float | None = None
    near: Sequence[Neighbour] = ()
    space: str = ""


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


def near(found: knn.Found, columns: Columns) -> Sequence[Neighbour]:
    """The nearest examples, for a receipt."""
    return found.shown(SHOWN, columns.names, columns.places)


def declines(case: Case, field: Field, declined: Declined) -> Ranking:
    names = field.lineup.labels
    serves = case.pool.default if case.pool.default in names or not names else names[0]
    return Ranking(serves, (), "default", declined=declined)


# --- what is said of it ------------------------------------------------------------------------------------


def advice_of(case: Case, field: Field, ranking: Ranking, bias: float | None, setting: Setting) -> Advice:
    """Who serves first, then those the rule ranked, then the others as they are written, then what is no candidate."""
    rule, choice, pool, able = ranking.rule, ranking.choice, case.pool, case.plan
    by, declined, order = rule, None, ranking.order
    if ranking.declined is not None:
        by, declined, order = rule if rule == "pin" else "default", str(ranking.declined), ()
    plan, names = field.lineup.tried((ranking.serves, *order))
    reason = ranking.reason or _reason(ranking, declined)
    confidence = choice.confidence
    decision = Decision(ranked=plan, by=by, dropped=able.dropped, reason=reason, confidence=confidence)
    cheaper, dearer = turns(ranking.dial, ranking.level, choice.cheaper_from, choice.dearer_until)
    receipt = Receipt(
        id=case.id,
        at_s=case.at_s,
        tenant=case.tenant,
        key_id=case.key_id,
        pool=pool.name,
        lane=case.lane,
        rule=rule,
        served=names[0] if names else "",
        declined=declined,
        reason=reason,
        bias=pool.bias if bias is None else bias,
        weight=ranking.stance.weight,
        floor=ranking.floor,
        flips_cheaper=cheaper,
        flips_dearer=dearer,
        confidence=confidence,
        likeness=choice.likeness,
        space=ranking.space,
        tag=case.tag,
        setting=setting,
        standings=_standings(field, ranking),
        neighbours=ranking.near,
        dropped=tuple([(dropped.target.name, dropped.reason) for dropped in able.dropped]) if able.dropped else (),
        plan=names,
        text=case.asked.text if pool.keep_prompts else None,
    )
    return Advice(decision, receipt)


def _standings(field: Field, ranking: Ranking) -> tuple[Stood, ...]:
    chosen = {who.name: who for who in ranking.choice.ranked}
    made: list[Stood] = []
    for (label, first, _, _, _), cost_nanos in zip(field.lineup.seats, field.costs_nanos, strict=True):
        who = chosen.get(label)
        if who is not None:
            quality, ratio = who.quality, who.cost_ratio
            made.append(Stood(label, first, quality, who.error, who.labels, cost_nanos, ratio, who.penalty, who.score))
        else:
            told, score = ranking.qualities.get(label), ranking.scores.get(label)
            made.append(Stood(label, first, told, cost_nanos=cost_nanos, score=score))
    return tuple(made)


def _reason(ranking: Ranking, declined: str | None) -> str:
    if declined is not None:
        return declined if ranking.rule != "pin" else f"same conversation; {declined}"
    ranked = ranking.choice.ranked
    if not ranked:
        return f"the {ranking.rule} rule"
    first = ranked[0]
    cost = f"{first.cost_ratio:.3g} of the default's usual cost"
    if len(ranked) < 2:
        return f"quality {first.quality:.2f} at {cost}"
    next_ = ranked[1]
    return (
        f"quality {first.quality:.2f} at {cost}, ahead of {next_.name} "
        f"({next_.quality:.2f} at {next_.cost_ratio:.3g}) by {first.score - next_.score:.3f}"
    )
