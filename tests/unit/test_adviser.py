"""The adviser: each rule's ranking, what it declines and why, conversations, floors, and the receipt of it all."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import pytest

from laneway.chat import Answer, Finish, Text, ToolCall
from laneway.failure import Failure, Kind
from laneway.policy.check import flaw
from laneway.ports import Advice, Case, Example, Pin
from laneway.route import Attempt, Check, Member, Pool, Target
from tests.harness.taught import (
    LARGE,
    MIDDLE,
    NOW_S,
    PAIR,
    SMALL,
    THREE,
    Office,
    case,
    easy,
    examples,
    in_office,
    priced,
)

EASY, HARD = (each.text for each in examples(2))


def advised(*cases: Case, taught: Sequence[Example] = (), pool: Pool = PAIR) -> list[Advice]:
    async def play(office: Office) -> list[Advice]:
        if taught:
            await office.teach("acme", taught, pool)
        return [await office.adviser.advise(each) for each in cases]

    return in_office(play)


def names(advice: Advice) -> list[str]:
    return [target.name for target in advice.decision.ranked]


def with_rule(rule: str, pool: Pool = THREE, **options: object) -> Pool:
    return msgspec.structs.replace(pool, rule=rule, **options)


# --- what was taught ---------------------------------------------------------------------------------------


def test_easy_prompts_go_cheap_and_hard_ones_strong() -> None:
    low, high = advised(case(EASY, bias=0.4), case(HARD, bias=0.6), taught=examples(160))
    assert (names(low)[0], names(high)[0]) == (SMALL.name, LARGE.name)
    assert (low.decision.by, low.receipt.rule, low.receipt.declined) == ("learned", "learned", None)
    assert low.receipt.plan == (SMALL.name, LARGE.name)
    assert low.receipt.space.startswith("static-")
    assert len(low.receipt.neighbours) == 10
    assert "ahead of large/id" in low.decision.reason


def test_a_receipt_adds_up() -> None:
    (advice,) = advised(case(HARD, bias=0.3), taught=examples(160))
    for each in advice.receipt.standings:
        assert each.quality is not None
        assert each.cost_ratio is not None
        expected = each.quality - advice.receipt.weight * each.cost_ratio - each.penalty
        assert each.score == pytest.approx(expected)
    ratios = {each.candidate: each.cost_ratio for each in advice.receipt.standings}
    assert ratios[LARGE.name] == pytest.approx(1.0)
    assert ratios[SMALL.name] == pytest.approx(0.02, rel=0.01)


def test_prompts_rest_in_receipts_only_where_the_pool_says_so() -> None:
    keeps = msgspec.structs.replace(PAIR, keep_prompts=True)
    without, kept = advised(case(EASY), case(EASY, keeps))
    assert (without.receipt.text, kept.receipt.text) == (None, EASY)


def test_only_who_is_able_and_allowed_is_ranked() -> None:
    """A tenant's models, a budget, a missing ability: whatever left the plan smaller, the rule sees what is left."""
    cases = [case(EASY, THREE, bias=0.0, targets=left) for left in ((MIDDLE, LARGE), (LARGE,), (SMALL, MIDDLE))]
    two, alone, without_default = advised(*cases, taught=examples(160, middle=True), pool=THREE)
    assert names(two) == [MIDDLE.name, LARGE.name]
    assert (names(alone), alone.receipt.declined) == ([LARGE.name], "only one candidate is able to serve this")
    assert names(without_default) == [SMALL.name, MIDDLE.name]


def test_what_is_no_candidate_follows_in_its_order() -> None:
    """As in a lane whose last resorts are no part of the pool."""
    last = priced("last", 1.0)
    (advice,) = advised(case(EASY, bias=0.0, targets=(LARGE, last, SMALL)), taught=examples(160))
    assert names(advice) == [SMALL.name, LARGE.name, last.name]


def test_a_candidate_is_served_wherever_it_runs() -> None:
    """The next place of the chosen candidate goes before the next candidate."""
    spare = priced("spare", 0.1)
    members = (Member(name="small", label=SMALL.name, targets=(SMALL, spare)), PAIR.members[1])
    pool = msgspec.structs.replace(PAIR, members=members)
    whole, without_first = advised(
        case(EASY, pool, bias=0.0), case(EASY, pool, bias=0.0, targets=(LARGE, spare)), taught=examples(160), pool=pool
    )
    assert names(whole) == [SMALL.name, spare.name, LARGE.name]
    assert names(without_first) == [spare.name, LARGE.name]


def test_another_version_begins_anew() -> None:
    renewed = Member(name="small", label=f"{SMALL.name}@2", targets=(SMALL,))
    pool = msgspec.structs.replace(PAIR, members=(renewed, PAIR.members[1]))
    (advice,) = advised(case(EASY, pool, bias=0.0), taught=examples(160), pool=pool)
    assert (names(advice)[0], advice.receipt.declined) == (LARGE.name, "there are too few examples yet")


def test_a_tag_tells_prompts_apart_that_read_alike() -> None:
    """Of two tenants' tasks with the same words, the small model does one."""
    chance = random.Random(5)
    texts = [easy(chance) for _ in range(120)]
    taught = [
        msgspec.structs.replace(examples(2)[at % 2], text=text, tag=("simple", "subtle")[at % 2])
        for at, text in enumerate(texts)
    ]
    simple, subtle = advised(case(EASY, tag="simple", bias=0.4), case(EASY, tag="subtle", bias=0.6), taught=taught)
    assert (names(simple)[0], names(subtle)[0]) == (SMALL.name, LARGE.name)


def test_a_tag_that_nobody_knows_makes_no_prompt_novel() -> None:
    """Examples that were taught with one key hold for another one."""
    taught = examples(160, tag="key:one")
    for tag in ("key:one", "key:two", ""):
        (advice,) = advised(case(EASY, tag=tag, bias=0.4), taught=taught)
        assert (names(advice)[0], advice.receipt.declined) == (SMALL.name, None)


# --- declining ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "taught", "pool", "reason"),
    [
        (" \n", 160, PAIR, "there is no text to compare"),
        (EASY, 0, PAIR, "there are no examples"),
        (EASY, 10, PAIR, "there are too few examples yet"),
        ("???? !!!!", 160, PAIR, "no example is like this prompt"),
    ],
)
def test_without_an_opinion_the_default_serves(asked: str, taught: int, pool: Pool, reason: str) -> None:
    (advice,) = advised(case(asked, pool, bias=0.4), taught=examples(taught), pool=pool)
    assert names(advice) == [LARGE.name, SMALL.name]
    assert (advice.receipt.declined, advice.decision.by, advice.decision.reason) == (reason, "default", reason)


def test_who_is_not_sure_enough_leaves_it_to_the_default() -> None:
    careful = msgspec.structs.replace(PAIR, default=SMALL.name, least_confidence=1.0)
    sure, unsure = advised(case(HARD, careful, bias=1.0), case(EASY, careful, bias=1.0), taught=examples(160))
    assert (names(sure)[0], names(unsure)[0]) == (LARGE.name, SMALL.name)
    assert (sure.receipt.declined, unsure.receipt.declined) == (None, "the lead is too small to be sure")


def test_where_there_is_nothing_to_gain_the_default_serves() -> None:
    chance = random.Random(1)
    noise = [
        msgspec.structs.replace(each, labels=tuple(label._replace(score=chance.random()) for label in each.labels))
        for each in examples(160)
    ]
    (advice,) = advised(case(EASY, bias=0.5), taught=noise)
    assert names(advice)[0] == LARGE.name
    assert advice.receipt.declined == "the examples show nothing to gain by routing"
    assert advice.receipt.standings[0].quality is not None


def test_before_it_is_learned_the_default_serves() -> None:
    async def play(office: Office) -> None:
        await office.store.examples.add("acme", examples(160))
        assert await office.shelves.ready("acme") is not None
        first = await office.adviser.advise(case(EASY, bias=0.0))
        assert first.receipt.declined == "what was taught is still being learned"
        assert names(first)[0] == LARGE.name
        await office.lessons.ready("acme", PAIR)
        assert names(await office.adviser.advise(case(EASY, bias=0.0)))[0] == SMALL.name

    in_office(play)


# --- floors ------------------------------------------------------------------------------------------------


def test_a_floor_holds_wherever_the_dial_stands() -> None:
    floored = msgspec.structs.replace(PAIR, floor=0.95)
    asked = [case(text, floored, bias=bias) for text in (EASY, HARD) for bias in (None, 0.0, 1.0)]
    advices = advised(*asked, taught=examples(400), pool=floored)
    assert [names(advice)[0] for advice in advices[3:]] == [LARGE.name] * 3, "a hard prompt stays with the strong one"
    assert names(advices[0])[0] == SMALL.name, "what costs nothing in quality is saved"
    # The dial can only be stricter than the floor, and says that no position makes a hard prompt cheap.
    assert [advice.receipt.flips_cheaper for advice in advices[3:]] == [None] * 3


# --- conversations -----------------------------------------------------------------------------------------


def test_a_switch_is_priced_and_made_where_it_pays() -> None:
    pin = Pin(target=SMALL.name, at_s=NOW_S - 10)
    talk, free = case(HARD, bias=0.9, pin=pin, before=4000), case(HARD, bias=0.9, before=4000)
    held, moved = advised(
        msgspec.structs.replace(talk, pool=msgspec.structs.replace(PAIR, switch_penalty=1.0)),
        talk,
        taught=examples(160),
    )
    assert (names(held)[0], names(moved)[0]) == (SMALL.name, LARGE.name)
    penalties = {each.candidate: each.penalty for each in moved.receipt.standings}
    assert penalties == {SMALL.name: 0.0, LARGE.name: PAIR.switch_penalty}
    (unpinned,) = advised(free, taught=examples(160))
    assert {each.penalty for each in unpinned.receipt.standings} == {0.0}


def test_what_a_provider_holds_in_its_cache_costs_less() -> None:
    assert LARGE.price is not None
    cached = msgspec.structs.replace(
        LARGE, price=msgspec.structs.replace(LARGE.price, cache_read=LARGE.price.input // 10)
    )
    member = Member(name="large", label=LARGE.name, targets=(cached,))
    pool = msgspec.structs.replace(PAIR, members=(PAIR.members[0], member))

    def cost(at_s: float | None) -> float:
        pin = Pin(target=LARGE.name, at_s=at_s) if at_s is not None else None
        (advice,) = advised(case(HARD, pool, pin=pin, before=40_000))
        return next(each.cost_nanos or 0.0 for each in advice.receipt.standings if each.candidate == LARGE.name)

    assert cost(NOW_S - 10) < 0.6 * cost(None)
    assert cost(NOW_S - 3000) == cost(None), "nobody holds it so long"


def test_a_conversation_stays_where_nothing_is_known() -> None:
    pin = Pin(target=SMALL.name, at_s=NOW_S)
    stays, restless, unable = advised(
        case(EASY, pin=pin),
        case(EASY, msgspec.structs.replace(PAIR, sticky=False), pin=pin),
        case(EASY, pin=pin, targets=(LARGE,)),
    )
    assert (names(stays)[0], stays.decision.by) == (SMALL.name, "pin")
    assert "same conversation" in stays.decision.reason
    assert names(restless)[0] == LARGE.name
    assert names(unable) == [LARGE.name]


# --- the other rules ---------------------------------------------------------------------------------------


def ended(target: Target, took_s: float, failure: Failure | None = None, first_s: float | None = None) -> Attempt:
    return Attempt(target=target, started_s=100.0, ended_s=100.0 + took_s, failure=failure, first_content_s=first_s)


def test_the_cheapest_by_this_requests_own_cost() -> None:
    (advice,) = advised(case(EASY, with_rule("cheapest")))
    assert names(advice) == [SMALL.name, MIDDLE.name, LARGE.name]
    assert (advice.decision.by, advice.receipt.declined) == ("cheapest", None)
    unknown = msgspec.structs.replace(SMALL, price=None)
    pool = with_rule("cheapest", msgspec.structs.replace(THREE, members=(
        Member(name="small", label=SMALL.name, targets=(unknown,)), *THREE.members[1:])))  # fmt: skip
    (advice,) = advised(case(EASY, pool))
    assert names(advice) == [MIDDLE.name, LARGE.name, SMALL.name], "what nobody knows the price of comes last"


def test_the_fastest_by_what_was_measured() -> None:
    pool = with_rule("fastest")

    async def play(office: Office) -> None:
        first = await office.adviser.advise(case(EASY, pool))
        # Of a stream, what counts is how long its first words took.
        for attempt in (ended(SMALL, 3.0), ended(MIDDLE, 9.0, first_s=1.0), ended(LARGE, 2.0)):
            office.adviser.keep(first.receipt)
            office.adviser.ended(first.receipt, [attempt])
        office.adviser.keep(first.receipt)
        office.adviser.ended(first.receipt, [ended(SMALL, 0.001, Failure(kind=Kind.CONNECT, message="refused"))])
        assert names(await office.adviser.advise(case(EASY, pool))) == [MIDDLE.name, LARGE.name, SMALL.name]

    in_office(play)


def test_the_least_busy_by_what_is_under_way() -> None:
    pool = with_rule("least-busy")

    async def play(office: Office) -> None:
        served: list[str] = []
        receipts = []
        for _ in range(6):
            advice = await office.adviser.advise(case(EASY, pool))
            office.adviser.keep(advice.receipt)
            receipts.append(advice.receipt)
            served.append(names(advice)[0])
        assert sorted(served) == sorted([SMALL.name, MIDDLE.name, LARGE.name] * 2)
        for receipt in receipts:
            if receipt.served == LARGE.name:
                office.adviser.ended(receipt, [])
        assert names(await office.adviser.advise(case(EASY, pool)))[0] == LARGE.name

    in_office(play)


def test_weights_are_shares() -> None:
    pool = with_rule("weighted", shares={SMALL.name: 3.0, MIDDLE.name: 0.0})

    async def play(office: Office) -> None:
        served = [names(await office.adviser.advise(case(EASY, pool)))[0] for _ in range(400)]
        assert 250 < served.count(SMALL.name) < 350
        assert served.count(MIDDLE.name) == 0

    in_office(play)


def test_a_fixed_one_serves_and_the_others_follow() -> None:
    (advice,) = advised(case(EASY, with_rule("fixed", first=MIDDLE.name)))
    assert names(advice) == [MIDDLE.name, SMALL.name, LARGE.name]
    (advice,) = advised(case(EASY, with_rule("fixed", first=MIDDLE.name), pin=Pin(target=SMALL.name, at_s=NOW_S)))
    assert (names(advice)[0], advice.decision.by) == (SMALL.name, "pin")


@pytest.mark.parametrize("rule", ["knn", "clusters"])
def test_known_routers_rules_choose_by_neighbours_and_costs(rule: str) -> None:
    thrifty, careful = with_rule(rule, PAIR, alpha=0.4), with_rule(rule, PAIR, alpha=2.0)
    low, high, cheap = advised(
        case(EASY, thrifty), case(HARD, thrifty), case(HARD, careful), taught=examples(160), pool=thrifty
    )
    assert (names(low)[0], names(high)[0], names(cheap)[0]) == (SMALL.name, LARGE.name, SMALL.name)
    assert (low.decision.by, low.receipt.confidence) == (rule, None)
    (cold,) = advised(case(EASY, thrifty), taught=examples(10), pool=thrifty)
    assert cold.receipt.declined == "there are too few examples yet"


# --- cascades ----------------------------------------------------------------------------------------------


def test_a_cascade_begins_with_the_cheapest_and_leaves_streams_to_the_default() -> None:
    pool = with_rule("cascade")
    asked = case(EASY, pool)
    stream = msgspec.structs.replace(asked, view=msgspec.structs.replace(asked.view, stream=True))
    whole, streamed = advised(asked, stream)
    assert (names(whole), whole.decision.by) == ([SMALL.name, MIDDLE.name, LARGE.name], "cascade")
    assert names(streamed)[0] == LARGE.name
    assert streamed.receipt.declined == "a stream cannot be checked before it is sent"


@pytest.mark.parametrize(
    ("check", "text", "finish", "told"),
    [
        (Check(), "Fine.", Finish.STOP, None),
        (Check(), "  ", Finish.STOP, "it has fewer than 1 characters"),
        (Check(least_chars=6), "Fine.", Finish.STOP, "it has fewer than 6 characters"),
        (Check(), "Fine", Finish.LENGTH, "it was cut at its length"),
        (Check(whole=False), "Fine", Finish.LENGTH, None),
        (Check(), "No.", Finish.REFUSED, "it was refused"),
        (Check(without=("i don't KNOW",)), "I DON'T know that.", Finish.STOP, "it holds words that it must not hold"),
        (Check(json=True), '{"a": 1}', Finish.STOP, None),
        (Check(json=True), "Sure: {}", Finish.STOP, "it is no JSON"),
    ],
)
def test_which_answers_do_not_do(check: Check, text: str, finish: Finish, told: str | None) -> None:
    assert flaw(check, Answer(model="m", parts=(Text(text),), finish=finish)) == told


def test_a_call_of_a_tool_is_no_answer_yet() -> None:
    assert flaw(Check(), Answer(model="m", parts=(ToolCall("1", "f", "{}"),), finish=Finish.TOOLS)) is None
