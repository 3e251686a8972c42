"""A judge's opinion: everybody is seen first and second, and what the order decides is no opinion."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable

from laneway.chat import ChatRequest, Message, Role, Text
from laneway.edge import Receive, Send
from laneway.exchange import Exchange, Scope
from laneway.failure import Failure, Kind
from laneway.jury import Judge
from laneway.learning.opinion import Opinion, judge_for, opine, paired
from laneway.policy.judging import RUBRIC
from laneway.route import Member, Pool, Provider, Target, Tenant
from tests.harness.loop import run

PROVIDER = Provider(name="sim", dialect="openai", origin="simulated://models")
FAST, GRADER = (Target(provider=PROVIDER, model=name, upstream=name) for name in ("fast", "grader"))
ASKED = ChatRequest(model="any", messages=(Message(Role.USER, (Text("What is 2+2?"),)),))
_SHOWN = re.compile(r"<(answer|first|second)-\w+>\n(.*?)\n<", re.DOTALL)


def judge(name: str = "grader", pools: frozenset[str] | None = None) -> Judge:
    return Judge(
        name=name,
        target=GRADER,
        pools=pools,
        share=0.0,
        pairs=0.0,
        burst=0,
        cap_nanos=0,
        tenant=None,
        rubric=RUBRIC,
        queue=4,
        workers=2,
    )


class House:
    """A stack whose judge says what it is told to, of the answers it is shown in their order; None: it fails."""

    def __init__(self, says: Callable[[list[str]], str | None]) -> None:
        self.says = says
        self.shown: list[tuple[str, ...]] = []
        self.payers: set[tuple[str, str | None, str | None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        assert exchange is not None
        assert exchange.body is not None
        prompt = json.loads(exchange.body)["messages"][-1]["content"]
        shown = [text for _, text in _SHOWN.findall(prompt)]
        self.shown.append(tuple(shown))
        self.payers.add((exchange.tenant.name, exchange.key_id, exchange.intent))
        said = self.says(shown)
        if said is None:
            exchange.failure = Failure(kind=Kind.OVER_BUDGET, message="There is no money left.")
        choice = {"index": 0, "message": {"role": "assistant", "content": said or ""}, "finish_reason": "stop"}
        told = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        await send({"type": "http.response.start", "status": 402 if said is None else 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})


def asked(says: Callable[[list[str]], str | None], **answers: str) -> tuple[Opinion, House]:
    house = House(says)
    return run(opine(house, judge(), Tenant(name="acme"), ASKED, answers)), house


def by_length(shown: list[str]) -> str:
    return " ".join(str(min(len(text), 10)) for text in shown)


def test_each_is_shown_first_as_often_as_second() -> None:
    opinion, house = asked(by_length, a="xxx", b="x", c="xxxxxxxx")
    assert opinion.scores == {"a": 0.3, "b": 0.1, "c": 0.8}
    assert (opinion.calls, opinion.failure) == (6, None)
    assert Counter(first for first, _ in house.shown) == Counter(second for _, second in house.shown)
    assert house.payers == {("acme", "judge:grader", "judge")}


def test_a_pair_takes_two_calls_and_a_single_answer_one() -> None:
    assert paired(1) == []
    assert paired(2) == [(0, 1)]
    assert paired(4) == [(0, 1), (1, 2), (2, 3), (3, 0)]
    pair, house = asked(by_length, a="xxx", b="x")
    assert (pair.scores, house.shown) == ({"a": 0.3, "b": 0.1}, [("xxx", "x"), ("x", "xxx")])
    alone, house = asked(by_length, a="xxx")
    assert (alone.scores, house.shown) == ({"a": 0.3}, [("xxx",)])


def test_who_is_better_for_standing_first_is_scored_not_at_all() -> None:
    opinion, _ = asked(lambda shown: "10 0", a="xxx", b="x")
    assert (opinion.scores, opinion.failure) == ({}, None)
    # Beside a third, with whom it is sure, it has an opinion all the same.
    sure, _ = asked(lambda shown: by_length(shown) if "xxxxx" in shown else "10 0", a="xxx", b="x", c="xxxxx")
    assert sure.scores == {"a": 0.3, "b": 0.1, "c": 0.5}


def test_words_without_a_score_are_no_opinion() -> None:
    for answers in ({"a": "xxx"}, {"a": "xxx", "b": "x"}):
        opinion, _ = asked(lambda shown: "Hard to say.", **answers)
        assert (opinion.scores, opinion.failure) == ({}, None)


def test_a_call_that_fails_takes_its_pair_along_and_no_other() -> None:
    opinion, _ = asked(lambda shown: None if shown == ["xxx", "x"] else by_length(shown), a="xxx", b="x", c="xxxxx")
    assert (opinion.scores, opinion.failure) == ({"a": 0.3, "b": 0.1, "c": 0.5}, None)
    poor, _ = asked(lambda shown: None, a="xxx", b="x")
    assert poor.failure is not None
    assert poor.failure.kind is Kind.OVER_BUDGET


def test_a_judge_of_some_pools_judges_their_candidates_only() -> None:
    pool = Pool(name="smart", members=(Member(name="fast", label="sim/fast", targets=(FAST,)),), default="sim/fast")
    pools = {"smart": pool, "other": Pool(name="other", members=(), default="")}
    own = {"grader": judge(pools=frozenset({"smart"}))}
    assert judge_for(own, pools, ["else", "fast"]) is own["grader"]
    assert judge_for(own, pools, ["sim/fast"]) is own["grader"]
    assert judge_for(own, pools, ["else"]) is None
    assert judge_for({"none": judge(pools=frozenset({"other"})), **own}, pools, ["fast"]) is own["grader"]
    anybody = {**own, "any": judge("any")}
    assert judge_for(anybody, pools, ["else"]) is anybody["any"]
    assert judge_for({}, pools, ["fast"]) is None
