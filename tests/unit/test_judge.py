"""Judging behind the requests: bounded, by chance, and one tenant's or one candidate's trouble is nobody else's."""

from __future__ import annotations

import asyncio
import json
import random
from functools import partial
from typing import Any

import pytest

from laneway.chat import Finish
from laneway.dialects import FRONTS
from laneway.edge import App, Receive, Send
from laneway.exchange import Exchange, Scope
from laneway.failure import Failure, Kind
from laneway.jury import Judge
from laneway.learning.judge import Judges
from laneway.policy.judging import RUBRIC
from laneway.ports.examples import Example, Filter, Label
from laneway.route import Attempt, Member, Pool, Provider, Target, Tenant
from laneway.stores.audit import MemoryAudit
from laneway.stores.examples import MemoryExamples
from tests.harness.asgi import until
from tests.harness.loop import run

PROVIDER = Provider(name="sim", dialect="openai", origin="simulated://models")
NAMES = ("fast", "strong", "grader")
FAST, STRONG, GRADER = (Target(provider=PROVIDER, model=name, upstream=name) for name in NAMES)
POOL = Pool(
    name="smart",
    members=(
        Member(name="fast", label="sim/fast", targets=(FAST,)),
        Member(name="strong", label="sim/strong", targets=(STRONG,)),
    ),
    default="sim/fast",
)
QUIET = Pool(name="quiet", members=POOL.members, default="sim/fast")


def judge(**more: Any) -> Judge:
    settings: dict[str, Any] = {"share": 1.0, "pairs": 0.0, "burst": 0, "queue": 4, "workers": 1, **more}
    return Judge(
        name="grader", target=GRADER, pools=frozenset({"smart"}), cap_nanos=0, tenant=None, rubric=RUBRIC, **settings
    )


def answer(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps(
        {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    ).encode()


class House:
    """A stack that grades every answer 7, and in which some cannot pay and some cannot be reached."""

    def __init__(self, *, poor: str = "", down: Target | None = None) -> None:
        self.poor, self.down = poor, down
        self.asked: list[tuple[str, str]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        assert exchange is not None
        assert exchange.candidates is not None
        (target,) = exchange.candidates
        self.asked.append((exchange.tenant.name, target.upstream))
        await self.open.wait()
        status = 402 if exchange.tenant.name == self.poor else 502 if target is self.down else 200
        if status == 402:
            exchange.failure = Failure(kind=Kind.OVER_BUDGET, message="There is no money left.")
        body = answer("7 7" if target is GRADER else "Something.")
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})


def exchange(tenant: str = "acme", prompt: str = "What is 2+2?", pool: Pool | None = POOL, **more: Any) -> Exchange:
    """A request that was served by the fast one."""
    body = {"model": "smart", "messages": [{"role": "user", "content": prompt}], **more}
    made = Exchange.begin(FRONTS["/v1/chat/completions"], {})
    made.tenant, made.pool, made.body = Tenant(name=tenant), pool, json.dumps(body).encode()
    made.view = made.dialect.view(made.op, made.body)
    made.attempts.append(Attempt(target=FAST, started_s=0.0, ended_s=1.0, status=200, finish=Finish.STOP))
    return made


def offered(judges: Judges, of: Exchange, said: bytes | None = None) -> bool:
    lot = judges.draw(of)
    if lot:
        judges.take(lot, of, said if said is not None else answer("4"))
    return bool(lot)


async def begun(app: App, who: Judge, examples: MemoryExamples | None = None) -> Judges:
    judges = Judges(examples or MemoryExamples(), MemoryAudit(), chance=random.Random(1))
    judges.use({"grader": who}, app, lambda name: Tenant(name=name))
    judges.start()
    return judges


def failed(judges: Judges, number: int) -> bool:
    return judges.counts["grader", "failed"] == number


def test_one_tenant_without_money_stops_nobody_else_s_judging() -> None:
    async def play() -> None:
        house, examples = House(poor="poor"), MemoryExamples()
        judges = await begun(house, judge(), examples)
        assert offered(judges, exchange("poor"))
        await until(lambda: judges.counts["grader", "refused"] == 1)
        assert not offered(judges, exchange("poor"))
        assert offered(judges, exchange("acme"))
        await until(lambda: judges.counts["grader", "judged"] == 1)
        assert await examples.count("acme") == 1
        assert await examples.count("poor") == 0
        (told,) = judges.told()
        assert (told["resting"], told["refused"], told["judged"]) == (True, 1, 1)
        await judges.close()

    run(play())


def test_what_finds_the_queue_full_is_dropped_and_counted() -> None:
    """And nothing that waits at the end is kept."""

    async def play() -> None:
        house = House()
        house.open.clear()
        judges = await begun(house, judge(queue=2))
        offered(judges, exchange(prompt="first"))
        await until(lambda: len(house.asked) == 1)
        for number in range(5):
            assert offered(judges, exchange(prompt=f"What is {number}+1?"))
        assert judges.counts["grader", "dropped"] == 3
        assert judges.told()[0]["waiting"] == 2
        await judges.close()
        assert judges.told()[0]["waiting"] == 0

    run(play())


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (exchange(), b"no JSON"),
        (exchange(), answer(" ")),
        (exchange(prompt=" "), answer("4")),
    ],
    ids=["unreadable", "no words", "no prompt"],
)
def test_what_cannot_be_judged_is_left_alone(of: Exchange, said: bytes) -> None:
    async def play() -> None:
        house = House()
        judges = await begun(house, judge())
        offered(judges, of, said)
        await until(lambda: judges.counts["grader", "unfit"] == 1)
        assert house.asked == []
        await judges.close()

    run(play())


def test_nothing_is_drawn_of_other_pools_of_long_requests_and_of_dry_runs() -> None:
    async def play() -> None:
        judges = await begun(House(), judge())
        assert not offered(judges, exchange(pool=QUIET))
        assert not offered(judges, exchange(pool=None))
        assert not offered(judges, exchange(prompt="x" * (1 << 20)))
        dry = exchange()
        dry.headers[b"x-laneway-dry-run"] = b"1"
        assert not offered(judges, dry)
        assert offered(judges, exchange())
        await judges.close()

    run(play())


def test_a_sample_is_as_large_as_was_asked_for() -> None:
    async def play() -> None:
        judges = await begun(House(), judge(share=0.2, pairs=0.05))
        drawn = [judges.draw(exchange()) for _ in range(2000)]
        pairs = sum(bool(lot) and lot[0][1] for lot in drawn)
        alone = sum(bool(lot) and not lot[0][1] for lot in drawn)
        assert 60 < pairs < 140
        assert 320 < alone < 480
        await judges.close()

    run(play())


def test_a_burst_with_a_candidate_that_cannot_be_asked_ends() -> None:
    async def play() -> None:
        house, examples = House(down=STRONG), MemoryExamples()
        known = [Example(text=f"prompt {at}", labels=(Label("sim/fast", 1.0),)) for at in range(5)]
        await examples.add("acme", known)
        judges = await begun(house, judge(share=0.0, burst=3), examples)
        # The first one makes it count what is known.
        assert not offered(judges, exchange())
        await until(lambda: bool(judges.draw(exchange())))
        for number in range(1, 4):
            assert offered(judges, exchange(prompt=f"What is {number}+1?"))
            await until(partial(failed, judges, number))
        assert not offered(judges, exchange())
        assert {upstream for _, upstream in house.asked} == {"strong"}
        assert await examples.count("acme", where=Filter(source="judge:grader")) == 0
        await judges.close()

    run(play())


def test_a_reload_that_says_nothing_new_of_judges_disturbs_none() -> None:
    async def play() -> None:
        house = House()
        house.open.clear()
        judges = await begun(house, judge())
        offered(judges, exchange())
        await until(lambda: len(house.asked) == 1)
        judges.use({"grader": judge()}, house, lambda name: Tenant(name=name))
        house.open.set()
        await until(lambda: judges.counts["grader", "judged"] == 1)
        judges.use({}, house, lambda name: Tenant(name=name))
        assert not offered(judges, exchange())
        await judges.close()

    run(play())
