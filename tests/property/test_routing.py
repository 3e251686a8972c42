"""Laws of routing that hold whatever was taught and whatever is asked."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway import _core
from laneway.policy.dial import Dial, spread
from laneway.policy.knn import Candidate, Choice, Knobs, Question, choose
from laneway.policy.stance import stand, turns
from laneway.ports import Advice, Stood
from laneway.route import Pool
from tests.harness.taught import LARGE, MIDDLE, PAIR, SMALL, THREE, Office, case, easy, examples, hard, in_office

BIASES = tuple(at / 10 for at in range(11))


def prompts(count: int, seed: int = 7) -> list[str]:
    chance = random.Random(seed)
    return [(hard if at % 2 else easy)(chance) for at in range(count)]


def winner(advice: Advice) -> Stood:
    return next(each for each in advice.receipt.standings if each.target == advice.receipt.served)


# --- the dial ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pool", [PAIR, THREE, msgspec.structs.replace(THREE, floor=0.9)], ids=["two", "three", "floor"]
)
def test_more_bias_never_serves_what_is_cheaper_and_worse(pool: Pool) -> None:
    async def play(office: Office) -> None:
        await office.teach("acme", examples(160, middle=True), pool)
        for text in prompts(12):
            served = [winner(await office.adviser.advise(case(text, pool, bias=bias))) for bias in BIASES]
            decided = [each for each in served if each.quality is not None and each.cost_nanos is not None]
            assert len(decided) == len(served)
            for low, high in pairwise(decided):
                assert (high.quality or 0) >= (low.quality or 0) - 1e-9
                assert (high.cost_nanos or 0) >= (low.cost_nanos or 0) - 1e-9

    in_office(play)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Question, _core.Neighbours, Dial]:
    count, rows = draw(st.integers(2, 4)), draw(st.integers(2, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    vectors = rng.normal(size=(rows + 1, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    shelf = _core.Rows(6, count)
    labels = rng.random((rows, count)).astype(np.float32)
    shelf.insert(np.arange(rows, dtype=np.int64), vectors[:rows], None, labels)
    candidates = tuple(
        Candidate(name=f"m{at}", column=at, cost_nanos=float(cost), mean=0.5, labels=100)
        for at, cost in enumerate(rng.uniform(1, 1000, count))
    )
    pinned = draw(st.sampled_from([None, "m0", "m1"]))
    question = Question(candidates=candidates, default="m0", pinned=pinned, examples=rows)
    dial = spread(rng.exponential(0.5, draw(st.integers(0, 40))).tolist())
    return question, shelf.search(vectors[rows], 20), dial


@given(situations(), st.data(), st.one_of(st.none(), st.floats(-0.2, 2.0)))
def test_a_choice_turns_exactly_where_its_receipt_says(
    situation: tuple[Question, _core.Neighbours, Dial], data: st.DataObject, level: float | None
) -> None:
    question, near, dial = situation
    positions = [at / max(len(dial.weights) - 1, 1) for at in range(len(dial.weights))]

    def chosen(bias: float) -> Choice:
        stance = stand(dial, bias, 0.5, level)
        return choose(question, near, Knobs(weight=stance.weight, handicap=stance.handicap, strong="m0"))

    here = data.draw(st.sampled_from(positions))
    choice = chosen(here)
    cheaper, dearer = turns(dial, level, choice.cheaper_from, choice.dearer_until)
    for bias in positions:
        turned = (cheaper is not None and bias <= cheaper) or (dearer is not None and bias >= dearer)
        other = chosen(bias)
        assert (other.serves != choice.serves) is turned
        if turned:
            gone = other.ranked[0].cost_ratio - choice.ranked[0].cost_ratio
            assert gone < 0 if bias < here else gone > 0


# --- candidates --------------------------------------------------------------------------------------------


def test_another_candidate_does_not_reorder_the_others() -> None:
    async def play(office: Office) -> None:
        await office.teach("acme", examples(160, middle=True), THREE)
        lesson = await office.lessons.ready("acme", THREE)
        assert lesson is not None
        for text in prompts(20):
            for weight in (0.0, 0.05, 0.3, 1.0):
                orders = [await ranked(office, text, pool, weight) for pool in (PAIR, THREE)]
                assert [label for label in orders[1] if label != MIDDLE.name] == orders[0]

    async def ranked(office: Office, text: str, pool: Pool, weight: float) -> list[str]:
        # The same weight: each pool's dial is spread over its own candidates.
        shelf = office.shelves.get("acme")
        vector = office.shelves.embed(text)
        assert shelf is not None
        assert vector is not None
        columns, (sums, counts) = shelf.columns, shelf.totals()
        advice = await office.adviser.advise(case(text, pool, bias=1.0))
        costs = {each.candidate: each.cost_nanos for each in advice.receipt.standings}
        candidates = tuple(
            Candidate(
                name=label, column=columns[label], cost_nanos=cost, mean=sums[columns[label]] / counts[columns[label]],
                labels=counts[columns[label]],
            )
            for label, cost in costs.items()
        )  # fmt: skip
        question = Question(candidates=candidates, default=LARGE.name, examples=len(shelf))
        found = shelf.search(vector, 100)
        return [standing.name for standing in choose(question, found, Knobs(weight=weight)).ranked]

    in_office(play)


# --- tenants -----------------------------------------------------------------------------------------------


def test_tenants_never_see_each_others_examples() -> None:
    """What one teaches, or takes back, moves no decision of another."""

    async def play(office: Office) -> None:
        contrary = [
            msgspec.structs.replace(each, labels=tuple(label._replace(score=1 - label.score) for label in each.labels))
            for each in examples(120)
        ]
        await office.teach("acme", examples(120))
        alone = await decided(office)
        await office.teach("bees", contrary)
        assert await decided(office) == alone
        for text in prompts(10):
            ours, theirs = [
                (await office.adviser.advise(case(text, tenant=tenant, bias=1.0))).receipt
                for tenant in ("acme", "bees")
            ]
            labels = [[dict(scores) for _, _, scores in receipt.neighbours] for receipt in (ours, theirs)]
            assert all(row[LARGE.name] > 0.5 for row in labels[0])
            assert all(row[LARGE.name] < 0.5 for row in labels[1])
        theirs_all = await office.store.examples.list("bees", limit=1000)
        await office.store.examples.delete("bees", [each.id for each in theirs_all])
        await office.lessons.ready("bees", PAIR)
        gone = (await office.adviser.advise(case(prompts(1)[0], tenant="bees"))).receipt
        assert (gone.declined, gone.neighbours) == ("there are no examples", ())
        assert await decided(office) == alone

    async def decided(office: Office) -> list[tuple[str, Sequence[Stood]]]:
        found = [(await office.adviser.advise(case(text, bias=0.5))).receipt for text in prompts(10)]
        return [(receipt.served, receipt.standings) for receipt in found]

    in_office(play)


# --- declining ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["learned", "knn", "clusters"])
def test_whatever_breaks_the_default_serves(rule: str, caplog: pytest.LogCaptureFixture) -> None:
    pool = msgspec.structs.replace(THREE, rule=rule)

    def broken(*_: object) -> object:
        raise RuntimeError("broken on purpose")

    async def play(office: Office) -> None:
        await office.teach("acme", examples(120, middle=True), pool)
        for room, name in (
            (office.shelves, "embed"),
            (office.shelves, "get"),
            (office.lessons, "get"),
        ):
            kept = getattr(room, name)
            setattr(room, name, broken)
            advice = await office.adviser.advise(case(hard(random.Random(1)), pool))
            assert [target.name for target in advice.decision.ranked] == [LARGE.name, SMALL.name, MIDDLE.name]
            assert advice.receipt.declined == "the index could not be asked"
            setattr(room, name, kept)
        assert office.adviser.faults == 3
        assert (await office.adviser.advise(case(hard(random.Random(1)), pool))).receipt.declined is None

    in_office(play)
    assert sum("broken on purpose" in str(record.exc_info) for record in caplog.records) == 1


@given(st.text(max_size=300), st.sampled_from([None, 0.0, 0.5, 1.0]), st.integers(0, 2**40), st.text(max_size=80))
def test_any_prompt_is_served(text: str, bias: float | None, before: int, tag: str) -> None:
    asked = case(text, THREE, bias=bias, before=before, tag=tag)
    advice = in_office(lambda office: office.adviser.advise(asked))
    assert {target.name for target in advice.decision.ranked} == {target.name for target in asked.plan.ranked}
    assert advice.decision.ranked[0] == LARGE
