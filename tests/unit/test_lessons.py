"""Lessons: when they are learned, what they hold, and what happens where one cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from laneway.gateway import build
from laneway.learning.dials import TurnedDials
from laneway.learning.lesson import FEWEST_JUDGED, Lesson, Subject, learn
from laneway.policy.standing import progress, sentence
from laneway.policy.verdict import Verdict
from laneway.ports import Rows, Tally
from laneway.ports.records import Figures
from laneway.route import Pool
from laneway.store import open_store
from tests.harness.loop import run
from tests.harness.taught import LARGE, PAIR, SMALL, Office, case, examples, in_office


async def settled(office: Office, until: Callable[[Lesson | None], bool], pool: Pool = PAIR) -> Lesson:
    """What `get` says as soon as that is true of it; fails when it never is."""
    async with asyncio.timeout(20):
        while True:
            shelf = office.shelves.get("acme")
            lesson = office.lessons.get(pool, shelf) if shelf is not None else None
            if lesson is not None and until(lesson):
                return lesson
            await asyncio.sleep(0.005)


def test_what_is_learned_is_what_was_taught() -> None:
    async def play(office: Office) -> None:
        lesson = await office.teach("acme", examples(120, tag="chat"))
        assert lesson is not None
        assert (lesson.examples, lesson.complete, lesson.edition) == (120, 120, 120)
        assert lesson.labels == {SMALL.name: 120, LARGE.name: 120}
        assert lesson.by_tag == {"chat": {SMALL.name: 120, LARGE.name: 120}}
        assert (lesson.strong, lesson.order) == (LARGE.name, (SMALL.name, LARGE.name))
        assert lesson.verdict is not None
        assert lesson.verdict.routable
        assert lesson.line is None, "a ridge needs more"
        biases = [position.bias for position in lesson.positions]
        assert biases == [at / 10 for at in range(11)]
        for low, high in pairwise(lesson.positions):
            assert high.effect.cost > low.effect.cost, "no position is dead"
            assert high.effect.quality > low.effect.quality
        targets = [floor.target for floor in lesson.floors]
        assert targets == [percent / 100 for percent in range(90, 101)]
        for lax, strict in pairwise(lesson.floors):
            assert strict.level <= lax.level, "to keep more, costs may count for less"
            assert strict.effect.cost >= lax.effect.cost

    in_office(play)


def test_with_more_examples_a_ridge_stands_beside_the_vote() -> None:
    async def play(office: Office) -> None:
        lesson = await office.teach("acme", examples(320))
        assert lesson is not None
        assert lesson.line is not None
        vector = office.shelves.embed("Prove it.")
        assert vector is not None
        assert len(lesson.line.expect(vector)) == 2

    in_office(play)


def test_a_large_memory_is_learned_quickly_first_and_then_thoroughly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("laneway.learning.lessons.QUICK_ROWS", 60)

    async def play(office: Office) -> None:
        first = await office.teach("acme", examples(120))
        assert first is not None
        assert first.quick
        assert first.verdict is None
        second = await settled(office, lambda lesson: lesson is not None and not lesson.quick)
        assert second.edition == first.edition
        assert second.verdict is not None

    in_office(play)


def test_new_labels_make_a_new_lesson_and_few_of_them_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(office: Office) -> None:
        await office.teach("acme", examples(120))
        await office.store.examples.add("acme", examples(5, seed=2))
        shelf = await office.shelves.ready("acme")
        assert shelf is not None
        lesson = office.lessons.get(PAIR, shelf)
        assert lesson is not None
        assert lesson.examples == 120
        await asyncio.sleep(0.05)
        assert office.lessons.get(PAIR, shelf) is lesson, "ten labels are no reason"
        await office.store.examples.add("acme", examples(25, seed=3))
        await office.shelves.ready("acme")
        renewed = await settled(office, lambda lesson: lesson is not None and lesson.examples == 150)
        assert renewed.labels[SMALL.name] == 150

    in_office(play)


def test_whoever_waits_gets_all_that_was_taught_before() -> None:
    async def play(office: Office) -> None:
        await office.teach("acme", examples(120))
        lesson = await office.teach("acme", examples(2, seed=4))
        assert lesson is not None
        assert lesson.examples == 122
        assert await office.lessons.ready("nobody", PAIR) is None

    in_office(play)


def test_another_price_is_another_lesson_and_the_same_one_is_not() -> None:
    assert LARGE.price is not None
    dearer = msgspec.structs.replace(LARGE, price=msgspec.structs.replace(LARGE.price, output=LARGE.price.output * 3))
    member = msgspec.structs.replace(PAIR.members[1], targets=(dearer,))
    changed = msgspec.structs.replace(PAIR, members=(PAIR.members[0], member))

    async def play(office: Office) -> None:
        first = await office.teach("acme", examples(120))
        assert first is not None
        shelf = await office.shelves.ready("acme")
        assert shelf is not None
        again = msgspec.structs.replace(PAIR)
        assert office.lessons.get(again, shelf) is first, "a configuration that was only read again"
        assert office.lessons.get(again, shelf) is first
        second = await settled(office, lambda lesson: lesson is not first, changed)
        costs = [lesson.positions[0].effect.cost for lesson in (first, second)]
        assert costs[1] < costs[0], "beside a dearer default the small one is cheaper still"

    in_office(play)


def test_answers_habits_are_in_what_a_request_is_expected_to_cost() -> None:
    async def play(office: Office) -> None:
        async def usage(_: object) -> list[Tally]:
            return [
                Tally(("small", "small"), Figures(requests=40, input=4000, output=40 * 2000)),
                Tally(("large", "large"), Figures(requests=40, input=4000, output=40 * 100)),
            ]

        office.store.reports.usage = usage  # type: ignore[method-assign,assignment]
        lesson = await office.teach("acme", examples(120))
        assert lesson is not None
        assert lesson.habits["small", "small"].expected_output == pytest.approx((80_000 + 800) / 42)
        assert lesson.usual_nanos is not None
        asked = case(examples(1)[0].text, bias=0.5)
        asked = msgspec.structs.replace(asked, view=msgspec.structs.replace(asked.view, max_tokens=None))
        receipt = (await office.adviser.advise(asked)).receipt
        ratios = {each.candidate: each.cost_ratio for each in receipt.standings}
        small = ratios[SMALL.name]
        assert small is not None
        assert 0.2 < small < 0.5, "its answers are long, so that it is not as cheap as its price"

    in_office(play)


def test_what_cannot_be_learned_is_logged_and_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(subject: Subject, *more: Any, **named: Any) -> Lesson:
        if len(subject.rows.ids) == 60:
            raise ArithmeticError("broken on purpose")
        return learn(subject, *more, **named)

    monkeypatch.setattr("laneway.learning.lessons.learn", broken)

    async def play(office: Office) -> None:
        assert await office.teach("acme", examples(60)) is None
        assert await office.teach("bees", examples(120)) is not None
        receipt = (await office.adviser.advise(case(examples(1)[0].text))).receipt
        assert receipt.declined == "what was taught is still being learned"

    in_office(play)
    assert "what a tenant taught could not be learned" in caplog.text


def test_the_end_does_not_wait_for_a_lesson() -> None:
    async def play(office: Office) -> None:
        office.lessons._rest_s = 0.05  # four minutes for the whole of it
        await office.store.examples.add("acme", examples(390))
        shelf = await office.shelves.ready("acme")
        assert shelf is not None
        assert office.lessons.get(PAIR, shelf) is None
        await asyncio.sleep(0.05)

    in_office(play)


def test_labels_that_are_missing_are_no_obstacle() -> None:
    """No example has both labels: there is a dial all the same, and no verdict."""
    halves = [
        msgspec.structs.replace(each, labels=each.labels[at % 4 // 2 :][:1]) for at, each in enumerate(examples(200))
    ]

    async def play(office: Office) -> None:
        lesson = await office.teach("acme", halves)
        assert lesson is not None
        assert (lesson.complete, lesson.verdict) == (0, None)
        assert len(lesson.positions) == 11

    in_office(play)


def test_nothing_above_the_mean_is_nothing_to_route() -> None:
    """The best candidate is the cheapest: what could be gained is quality, and there is none."""
    rows = Rows(
        ids=np.arange(100),
        vectors=np.random.default_rng(1).normal(size=(100, 16)).astype(np.float32),
        tags=np.zeros(100, np.uint16),
        labels=np.tile(np.array([0.9, 0.4], np.float32), (100, 1)),
    )
    rows.vectors[:] /= np.linalg.norm(rows.vectors, axis=1, keepdims=True)
    subject = Subject(
        rows=rows,
        columns={"a/cheap": 0, "b/dear": 1},
        tags={},
        candidates=["a/cheap", "b/dear"],
        ratios=[0.1, 1.0],
        warm=20,
        blend_from=300,
        floor=None,
        clusters=False,
        edition=1,
        space="s",
    )
    lesson = learn(subject, lambda: None)
    assert lesson.strong == "a/cheap"
    assert lesson.verdict is not None
    assert not lesson.verdict.routable


# --- in words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "verdict", "learned", "words"),
    [
        (
            {},
            None,
            False,
            "No examples yet: teach at least 20 labels for each candidate. Until then the default serves.",
        ),
        (
            {SMALL.name: 20},
            None,
            False,
            "Warming up: labels still needed: 20 for large/id. Until then the default serves.",
        ),
        (
            {SMALL.name: 20, LARGE.name: 20},
            None,
            False,
            "What was taught is being learned. Until then the default serves.",
        ),
        (
            {SMALL.name: 20, LARGE.name: 20},
            None,
            True,
            "Routes; 35 more examples with a label of every candidate are needed to say whether it pays.",
        ),
        ({SMALL.name: 90, LARGE.name: 90}, Verdict(True, "Routable: so.", 1, 0, 90), True, "Routable: so."),
    ],
)
def test_a_pool_is_told_in_one_sentence(
    labels: dict[str, int], verdict: Verdict | None, learned: bool, words: str
) -> None:
    made = progress(PAIR, labels)
    assert sentence(PAIR, made, verdict, learned, FEWEST_JUDGED, 5) == words
    assert made.warm is (len(labels) == 2)


def test_a_quick_lesson_judges_nothing_yet() -> None:
    made = progress(PAIR, {SMALL.name: 900, LARGE.name: 900})
    assert sentence(PAIR, made, None, True, FEWEST_JUDGED, 900) == "Routes; whether it pays is being worked out."


def test_other_rules_have_words_of_their_own() -> None:
    plain = msgspec.structs.replace(PAIR, rule="cheapest")
    assert "'cheapest'" in sentence(plain, progress(plain, {}), None, False, 40, 0)
    single = msgspec.structs.replace(PAIR, members=PAIR.members[:1])
    assert "one candidate" in sentence(single, progress(single, {}), None, False, 40, 0)


# --- dials -------------------------------------------------------------------------------------------------


def test_a_dial_holds_at_once_for_its_tenant_alone_and_another_process_follows(tmp_path: Any) -> None:
    async def play() -> None:
        stores = [open_store(f"sqlite:///{tmp_path}/store.db") for _ in range(2)]
        for store in stores:
            await store.start()
        here, there = (TurnedDials(store.dials) for store in stores)
        assert (here.position("acme"), here.bias("acme")) == (5, None)
        there.start()
        await here.turn("acme", 0, actor="admin", now_s=1.0)
        assert (here.position("acme"), here.bias("acme"), here.bias("bees")) == (0, 0.0, None)
        async with asyncio.timeout(20):
            while there.bias("acme") is None:  # noqa: ASYNC110 - it looks by itself, and tells nobody
                await asyncio.sleep(0.01)
        assert there.position("acme") == 0
        (entry,) = await stores[1].audit.recent(5, "routing-alpha")
        assert (entry.actor, entry.subject, entry.detail) == ("admin", "acme", {"alpha": 0, "was": 5})
        await there.close()
        for store in stores:
            await store.close()

    run(play())


def test_a_gateway_knows_its_dials_before_it_serves(tmp_path: Path) -> None:
    """Else the first requests after a restart would be decided by nobody's dial."""
    url = f"sqlite:///{tmp_path}/store.db"
    (tmp_path / "gateway.toml").write_text(f'[server]\nstore = "{url}"\n')

    async def play() -> None:
        store = open_store(url)
        await store.start()
        await TurnedDials(store.dials).turn("acme", 7, actor="admin", now_s=1.0)
        await store.close()
        gateway = build(tmp_path / "gateway.toml", variables={})
        await gateway.open()
        assert gateway.counsel.dials.position("acme") == 7
        await gateway.stop()

    run(play())


def test_a_dial_that_a_tenant_moved_is_that_of_its_requests() -> None:
    async def play(office: Office) -> None:
        await office.teach("acme", examples(120))
        easy, hard = (each.text for each in examples(2))
        dials = office.adviser._dials
        for position, served in ((0, SMALL.name), (10, LARGE.name)):
            await dials.turn("acme", position, actor="admin", now_s=1.0)
            for text in (easy, hard):
                receipt = (await office.adviser.advise(case(text))).receipt
                assert (receipt.served, receipt.bias) == (served, position / 10)
        # A request's own wish goes first.
        assert (await office.adviser.advise(case(hard, bias=0.0))).receipt.served == SMALL.name

    in_office(play)


def test_a_floor_holds_at_once_for_its_tenant_and_pool_alone_and_another_process_follows(tmp_path: Any) -> None:
    floored = msgspec.structs.replace(PAIR, name="floored", floor=0.8)

    async def play() -> None:
        stores = [open_store(f"sqlite:///{tmp_path}/store.db") for _ in range(2)]
        for store in stores:
            await store.start()
        here, there = (TurnedDials(store.dials) for store in stores)
        there.start()
        assert [here.floor("acme", pool) for pool in (PAIR, floored)] == [None, 0.8]

        async def follows(tenant: str, pool: Pool, floor: float | None) -> None:
            async with asyncio.timeout(20):
                while there.own_floor(tenant, pool) != floor:  # noqa: ASYNC110 - it looks by itself, and tells nobody
                    await asyncio.sleep(0.01)

        for floor, kept in ((0.97, 0.97), (0.0, None), (None, 0.8)):
            await here.keep("acme", floored, floor, actor="admin", now_s=1.0)
            assert (here.own_floor("acme", floored), here.floor("acme", floored)) == (floor, kept)
            assert (here.floor("acme", PAIR), here.floor("bees", floored)) == (None, 0.8)
            await follows("acme", floored, floor)
            assert there.floor("acme", floored) == kept
        told = [entry.detail for entry in await stores[1].audit.recent(5, "routing-floor")]
        assert [(detail["floor"], detail["was"]) for detail in told] == [(None, 0.0), (0.0, 0.97), (0.97, None)]
        await there.close()
        for store in stores:
            await store.close()

    run(play())


def test_a_floor_that_a_tenant_set_is_that_of_its_requests() -> None:
    """Without one the dial decides, and a hard prompt may go cheap; with one it never does."""

    async def play(office: Office) -> None:
        for tenant in ("acme", "bees"):
            await office.teach(tenant, examples(400))
        _, hard = (each.text for each in examples(2))
        dials, cheapest = office.adviser._dials, case(hard, bias=0.0)
        assert (await office.adviser.advise(cheapest)).receipt.served == SMALL.name
        await dials.keep("acme", PAIR, 0.95, actor="admin", now_s=1.0)
        kept = (await office.adviser.advise(cheapest)).receipt
        assert (kept.served, kept.flips_cheaper) == (LARGE.name, None)
        assert (await office.adviser.advise(case(hard, bias=0.0, tenant="bees"))).receipt.served == SMALL.name
        await dials.keep("acme", PAIR, None, actor="admin", now_s=1.0)
        assert (await office.adviser.advise(cheapest)).receipt.served == SMALL.name

    in_office(play)


def test_what_nobody_worked_out_is_kept_by_the_next_stricter_floor() -> None:
    """A configuration's floor changes in a moment, a lesson does not."""

    async def play(office: Office) -> None:
        lesson = await office.teach("acme", examples(120))
        assert lesson is not None
        assert [lesson.level(target) for target in (None, 0.955)] == [None, lesson.level(0.96)]
        assert lesson.level(0.1) == lesson.level(0.9)
        other = await office.lessons.ready("acme", msgspec.structs.replace(PAIR, name="other", floor=0.955))
        assert other is not None
        assert [floor.target for floor in other.floors][5:8] == [0.95, 0.955, 0.96]

    in_office(play)
