"""Router and Sticky where a pool is asked for: who is asked, what is kept, and which conversation is which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from laneway.exchange import SLOT, Exchange
from laneway.failure import Kind
from laneway.forward import Forward
from laneway.middleware.fallback import FallbackMiddleware
from laneway.middleware.lane import Fixed, LaneMiddleware
from laneway.middleware.router import RouterMiddleware
from laneway.middleware.shadow import ShadowMiddleware
from laneway.middleware.sticky import StickyMiddleware
from laneway.policy.names import Names
from laneway.ports import Advice, Case, Pin, Receipt
from laneway.route import Attempt, Decision, Dropped, Member, Pool, Target, Tenant
from laneway.stores.memory import MemoryPins
from tests.fakes.replies import Script, Scripted, failure, target, whole
from tests.harness.asgi import Answer, Caller, ask
from tests.harness.loop import run

ONE, TWO = (target(name=name) for name in ("one", "two"))
POOL = Pool(
    name="smart",
    members=tuple(Member(name=each.provider.name, label=each.name, targets=(each,)) for each in (ONE, TWO)),
    default=ONE.name,
)
NAMES = Names(models={"plain": (ONE,)}, pools={"smart": POOL, "auto": POOL})
START_S = 1000.0
TALK = [
    {"role": "system", "content": "You are brief. Today is 2025-03-04."},
    {"role": "user", "content": "Hello, who are you?"},
    {"role": "assistant", "content": "Nobody."},
    {"role": "user", "content": "And now?"},
]


class Puts:
    """An adviser who puts one target first, and remembers what it was asked and told."""

    def __init__(self, first: Target, *, at_once: bool = True) -> None:
        self.first = first
        self.at_once = at_once
        self.cases: list[Case] = []
        self.kept: list[Receipt] = []
        self.ends: list[list[str]] = []

    def advise_now(self, case: Case) -> Advice | None:
        return self._advice(case) if self.at_once else None

    async def advise(self, case: Case) -> Advice:
        return self._advice(case)

    def _advice(self, case: Case) -> Advice:
        self.cases.append(case)
        ranked = tuple(sorted(case.plan.ranked, key=lambda each: each is not self.first))
        receipt = Receipt(id=case.id, at_s=case.at_s, tenant=case.tenant, pool="smart", rule="fixed", served="")
        return Advice(Decision(ranked=ranked, by="fixed", dropped=case.plan.dropped), receipt)

    def keep(self, receipt: Receipt) -> None:
        self.kept.append(receipt)

    def ended(self, receipt: Receipt, attempts: Sequence[Attempt]) -> None:
        assert receipt is self.kept[-1]
        self.ends.append([attempt.target.name for attempt in attempts])


class House:
    """The rooms in their order, around scripted providers."""

    def __init__(self, first: Target = TWO, *, at_once: bool = True) -> None:
        self.adviser = Puts(first, at_once=at_once)
        self.pins = MemoryPins()
        self.now_s = START_S

    def serve(
        self,
        *scripts: Script,
        model: str = "auto",
        messages: list[dict[str, str]] | None = None,
        headers: dict[str, str] | None = None,
        facts: dict[str, Any] | None = None,
        front: str = "openai",
        **fields: Any,
    ) -> tuple[Answer, Exchange]:
        if messages is not None:
            fields["messages"] = messages
        caller = ask(front, model, headers=headers, **fields)
        exchange = Exchange.of(caller.scope)
        assert exchange is not None
        for fact, value in (facts or {}).items():
            setattr(exchange, fact, value)
        app: Any = FallbackMiddleware(Forward(Scripted(*(scripts or (whole(front),)))))
        app = RouterMiddleware(ShadowMiddleware(app), adviser=self.adviser)
        app = StickyMiddleware(app, pins=self.pins, clock=lambda: self.now_s)
        return run(caller.call(LaneMiddleware(app, directory=Fixed(NAMES)))), caller.scope[SLOT]

    @property
    def case(self) -> Case:
        return self.adviser.cases[-1]

    def pin(self) -> Pin | None:
        """Whom the last request's conversation was with before."""
        return self.case.pin


@pytest.mark.parametrize("at_once", [True, False])
def test_the_adviser_puts_the_plan_in_order_and_is_told_what_came_of_it(at_once: bool) -> None:
    house = House(at_once=at_once)
    answer, exchange = house.serve(failure(Kind.CONNECT), whole("openai"), headers={"x-laneway-bias": "0.25"})
    assert answer.headers["x-llm-backend"] == "one"
    assert (house.case.pool, house.case.bias, house.case.asked.text) == (POOL, 0.25, "What is 7*8?")
    assert answer.headers["x-laneway-decision"] == exchange.request_id == house.adviser.kept[0].id
    assert house.adviser.ends == [[TWO.name, ONE.name]]
    assert (len(house.adviser.cases), len(house.adviser.kept)) == (1, 1)


def test_nobody_is_asked_about_other_traffic() -> None:
    house = House()
    answer, exchange = house.serve(model="plain")
    assert answer.status == 200
    assert (house.adviser.cases, exchange.asked, exchange.pinned) == ([], None, None)
    assert "x-laneway-decision" not in answer.headers


def test_a_token_count_is_nobodys_decision() -> None:
    house = House()
    body = {"model": "auto", "messages": TALK[1:]}
    app: Any = RouterMiddleware(FallbackMiddleware(Forward(Scripted(whole("openai")))), adviser=house.adviser)
    app = StickyMiddleware(app, pins=house.pins)
    caller = Caller("/v1/messages/count_tokens", body)
    run(caller.call(LaneMiddleware(app, directory=Fixed(NAMES))))
    assert (house.adviser.cases, caller.scope[SLOT].pinned) == ([], None)


def test_what_a_budget_dropped_is_not_chosen() -> None:
    house = House()
    answer, exchange = house.serve(facts={"dropped": [Dropped(TWO, "may cost too much")]})
    assert answer.headers["x-llm-backend"] == "one"
    assert house.case.plan.ranked == (ONE,)
    assert exchange.decision is not None
    assert exchange.decision.dropped == (Dropped(TWO, "may cost too much"),)


def test_a_dry_run_is_told_like_a_real_one_and_leaves_nothing() -> None:
    house = House()
    answer, _ = house.serve(headers={"x-laneway-dry-run": "1"})
    assert [each["provider"] for each in answer.json["ranked"]] == ["two", "one"]
    assert answer.json["receipt"]["rule"] == "fixed"
    assert (house.adviser.kept, house.adviser.ends) == ([], [])
    assert not any(house.pins._tenants.values())


def test_an_end_is_told_even_of_what_broke() -> None:
    house = House()

    async def broken(*_: object) -> None:
        raise RuntimeError("broken on purpose")

    caller = ask("openai", "auto")
    app = LaneMiddleware(RouterMiddleware(broken, adviser=house.adviser), directory=Fixed(NAMES))
    with pytest.raises(RuntimeError, match="on purpose"):
        run(caller.call(app))
    assert house.adviser.ends == [[]]


@pytest.mark.parametrize("front", ["openai", "responses", "anthropic", "ollama"])
def test_every_front_tells_its_prompt(front: str) -> None:
    house = House()
    house.serve(front=front)
    assert house.case.asked.text == "What is 7*8?"


def test_the_tag_is_heard_in_its_order() -> None:
    house = House()
    house.serve(messages=TALK)
    by_system = house.case.tag
    assert by_system.startswith("system:")
    other = [{**TALK[0], "content": "You are brief. Today is 2026-11-30."}, *TALK[1:]]
    house.serve(messages=other)
    assert house.case.tag == by_system
    house.serve(messages=TALK, metadata={"tag": "chat"})
    assert house.case.tag == "chat"
    house.serve(messages=TALK, metadata={"tag": "chat"}, headers={"x-laneway-tag": "support"})
    assert house.case.tag == "support"
    house.serve(messages=TALK[1:], tools=[{"type": "function", "function": {"name": "search"}}])
    assert house.case.tag.startswith("tools:")
    house.serve(messages=TALK[1:], facts={"key_id": "key_1"})
    assert house.case.tag == "key:key_1"


# --- conversations -----------------------------------------------------------------------------------------


def test_a_conversation_is_known_by_how_it_began() -> None:
    house = House()
    house.serve(messages=TALK[:2])
    assert house.pin() is None
    house.now_s += 30
    house.serve(messages=TALK)
    assert house.pin() == Pin(target=TWO.name, at_s=START_S)
    other = [TALK[0], {**TALK[1], "content": "Good evening."}, *TALK[2:]]
    house.serve(messages=other)
    assert house.pin() is None, "another conversation"


def test_an_opening_alone_is_no_conversation_yet() -> None:
    """Two people may begin with the same words, and neither has heard anything."""
    house = House()
    house.serve(messages=TALK[:2])
    house.serve(messages=TALK[:2])
    assert house.pin() is None


@pytest.mark.parametrize(
    "facts", [{"key_id": "key_2"}, {"tenant": Tenant(name="bees")}, {"tag": "other"}], ids=["key", "tenant", "tag"]
)
def test_the_same_words_of_others_are_another_conversation(facts: dict[str, Any]) -> None:
    house = House()
    house.serve(messages=TALK[:2], facts={"key_id": "key_1"})
    tag = facts.pop("tag", None)
    headers = {"x-laneway-tag": tag} if tag else None
    house.serve(messages=TALK, facts={"key_id": "key_1", **facts}, headers=headers)
    assert house.pin() is None
    house.serve(messages=TALK, facts={"key_id": "key_1"})
    assert house.pin() is not None


def test_a_named_conversation_is_known_by_its_name_from_its_first_word_on() -> None:
    house = House()
    named = {"x-laneway-trace": "talk-1"}
    house.serve(headers=named)
    house.serve(headers=named, messages=TALK)
    assert house.pin() == Pin(target=TWO.name, at_s=START_S)


def test_who_served_in_anothers_stead_is_remembered() -> None:
    house = House()
    house.serve(failure(Kind.CONNECT), whole("openai"), messages=TALK)
    house.serve(failure(Kind.CONNECT), failure(Kind.CONNECT), messages=TALK)
    assert house.pin() == Pin(target=ONE.name, at_s=START_S)
    house.serve(messages=TALK)
    assert house.pin() == Pin(target=ONE.name, at_s=START_S), "the last answer that was one"


def test_a_conversation_lives_from_its_last_request_and_ends_in_time() -> None:
    house = House()
    for _ in range(4):
        house.serve(messages=TALK)
        house.now_s += POOL.ttl_s - 10
    house.serve(messages=TALK)
    assert house.pin() is not None
    house.now_s += POOL.ttl_s
    house.serve(messages=TALK)
    assert house.pin() is None
