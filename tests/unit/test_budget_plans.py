"""Several budgets at once, tiers, kills, and what an attempt may still spend while others were paid for already."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from laneway.chat import Event, Finish, Started, TextDelta, ThinkingDelta, ToolBegan, ToolDelta, Usage, Used
from laneway.edge import App, Receive, Send
from laneway.exchange import SLOT, Exchange, Scope
from laneway.failure import Kind
from laneway.forward import Forward
from laneway.middleware.budget import BudgetMiddleware, usd
from laneway.middleware.fallback import FallbackMiddleware
from laneway.middleware.lane import LaneMiddleware
from laneway.middleware.router import RouterMiddleware
from laneway.policy.budgets import Budget, Period
from laneway.policy.price import nanos_to_usd
from laneway.ports import Hold, Share, Short
from laneway.route import FREE, Lane, Price, Target, Tier
from laneway.stores.memory import MemoryLedger
from tests.fakes.replies import HANG, Given, Script, Scripted, Step, events, failure, frames, target, whole
from tests.harness.asgi import Answer, Caller, ask
from tests.harness.loop import run
from tests.harness.rooms import Foreign
from tests.harness.sqlite import until
from tests.harness.streams import heard, words

NOW_S = 1_795_262_400.0  # 2026-11-21T12:00:00Z
CHEAP = Price(input=1_000_000, output=2_000_000)
DEAR = Price(input=100_000_000, output=200_000_000)


def box(name: str, price: Price | None = CHEAP, tier: Tier = Tier.BALANCED, speaks: str = "openai") -> Target:
    made = target(speaks, name, price=price)
    return msgspec.structs.replace(made, provider=msgspec.structs.replace(made.provider, tier=tier))


class House:
    """Rooms around a lane of targets, with budgets."""

    def __init__(self, *targets: Target, budgets: tuple[Budget, ...] = (), cap: int | None = None) -> None:
        self.targets = targets
        self.budgets = budgets
        self.cap = cap
        self.ledger = MemoryLedger()

    def app(self, inner: App) -> App:
        app = RouterMiddleware(FallbackMiddleware(inner))
        room = BudgetMiddleware(app, ledger=self.ledger, budgets=self.budgets, cap_nanos=self.cap, clock=lambda: NOW_S)
        return LaneMiddleware(room, lanes=[Lane(name="asked", targets=self.targets)])

    def serve(self, *scripts: Script, caller: Caller | None = None) -> tuple[Answer, Scripted, Exchange]:
        upstream = Scripted(*scripts)
        asking = caller or ask("openai", "asked")
        answer = run(asking.call(self.app(Forward(upstream, killed=self.ledger.killed))))
        return answer, upstream, asking.scope[SLOT]

    def spend(self, account: str, nanos: int) -> None:
        run(self.ledger.settle(f"before {account}", {account: nanos}, NOW_S))

    def spent(self, account: str) -> int:
        left = run(self.ledger.left(account, 0, NOW_S))
        assert left.held_nanos == 0, "something is still held"
        return left.spent_nanos


def budget(name: str = "b", cap: str = "1", **fields: Any) -> Budget:
    return Budget(name=name, cap_nanos=usd(cap), **fields)


class Renewing(MemoryLedger):
    """Holds end after ten seconds. Notes when one was made to live anew."""

    def __init__(self) -> None:
        super().__init__(hold_s=10.0)
        self.renewed_s: list[float] = []

    async def extend(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | Short:
        self.renewed_s.append(now_s)
        return await super().extend(request_id, shares, now_s)


# --- as long as it takes -----------------------------------------------------------------------------------


def test_a_hold_lives_as_long_as_its_request() -> None:
    """Nobody else is given the money of an answer that takes longer than holds live; afterwards they are."""
    ledger, now, served = Renewing(), [NOW_S], asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await served.wait()
        await Foreign()(scope, receive, send)

    async def held() -> int:
        return (await ledger.left("tenant:default:2026-11-21", usd("0.003"), now[0])).held_nanos

    room = BudgetMiddleware(
        slow, ledger=ledger, cap_nanos=usd("0.003"), prices={"*": CHEAP}, clock=lambda: now[0], renew_s=0.01
    )

    async def scene() -> None:
        first = ask("openai", "asked").start(room)
        await until(lambda: bool(ledger.accounts))
        whole = await held()
        for _ in range(3):
            # A moment before it would end by itself.
            now[0] += 9.99
            await until(lambda: now[0] in ledger.renewed_s)
            assert await held() == whole
            assert (await ask("openai", "asked").call(room)).status == 402
        served.set()
        assert (await first).status == 200
        assert await held() == 0
        count = len(ledger.renewed_s)
        await asyncio.sleep(0.03)
        assert len(ledger.renewed_s) == count

    run(scene())


# --- several at once ---------------------------------------------------------------------------------------


def test_a_request_is_charged_to_every_budget_that_binds_it() -> None:
    house = House(box("one"), budgets=(budget("all"), budget("each", tenant="*"), budget("other", tenant="acme")))
    house.serve(whole("openai"))
    assert [house.spent(name) for name in ("all:2026-11-21", "each/default:2026-11-21")] == [140_000, 140_000]
    assert set(house.ledger.accounts) == {"all:2026-11-21", "each/default:2026-11-21"}


def test_the_tightest_budget_decides_and_is_named() -> None:
    wide, tight = budget("wide", "100"), budget("tight", "0.001", period=Period.MONTH, zone="Europe/Vienna")
    answer, upstream, _ = House(box("one"), budgets=(wide, tight)).serve(whole("openai"))
    assert answer.status == 402
    assert not upstream.calls
    said = answer.json["error"]["message"]
    assert "The budget 'tight' does not allow this request: cap 0.001 USD, spent 0 USD, held 0 USD" in said
    assert "(2026-12-01 00:00 Europe/Vienna)" in said


def test_a_refusal_says_what_the_request_may_cost() -> None:
    """With nothing spent, a person would not know why else."""
    house = House(box("one", DEAR), box("two"), budgets=(budget("tight", "0.001"),))
    answer, _, exchange = house.serve(whole("openai"), caller=ask("openai", "asked", max_tokens=1_000))
    cost = CHEAP.input * len(exchange.body or b"") + CHEAP.output * 1_000
    said = answer.json["error"]["message"]
    assert f"It may cost {nanos_to_usd(cost // 1_000)} USD; less with a lower limit for the answer." in said


def test_fewer_answers_than_one_take_no_money_out_of_a_hold() -> None:
    house = House(box("one"), budgets=(budget("tight", "0.001"),))
    caller = ask("openai", "asked", n=-5, max_tokens=2_000_000_000)
    answer, upstream, _ = house.serve(whole("openai"), caller=caller)
    assert answer.status == 402
    assert not upstream.calls


def test_a_tier_budget_binds_only_targets_of_its_tier() -> None:
    dear, plain = box("dear", tier=Tier.PREMIUM), box("plain")
    house = House(dear, plain, budgets=(budget("premium", "0", tier="premium"), budget("all", "1")))
    answer, _, exchange = house.serve(whole("openai"))
    assert answer.headers["x-llm-backend"] == "plain"
    assert [dropped.reason for dropped in exchange.dropped] == [
        "may cost 0.002097 USD and 0 USD of the budget 'premium' are left"
    ]
    assert house.spent("all:2026-11-21") == 140_000
    assert house.spent("premium:2026-11-21") == 0


def test_each_tier_can_have_its_own_account() -> None:
    house = House(box("dear", tier=Tier.PREMIUM), box("plain"), budgets=(budget("tier", tier="*"),))
    house.serve(failure(Kind.CONNECT), whole("openai"))
    assert house.spent("tier/balanced:2026-11-21") == 140_000
    assert house.spent("tier/premium:2026-11-21") == 0


def test_a_budget_of_nothing_lets_through_what_is_free() -> None:
    house = House(box("paid"), box("home", FREE), budgets=(budget(cap="0"),))
    assert house.serve(whole("openai"))[0].headers["x-llm-backend"] == "home"
    assert House(box("paid"), budgets=(budget(cap="0"),)).serve(whole("openai"))[0].status == 402


# --- without a price ---------------------------------------------------------------------------------------


def test_a_model_without_a_price_is_refused_free_or_priced_as_the_budget_says() -> None:
    nobody_knows = box("odd", None)
    refused, upstream, _ = House(nobody_knows, budgets=(budget(),)).serve(whole("openai"))
    assert (refused.status, upstream.calls) == (402, [])
    free = House(nobody_knows, budgets=(budget(cap="0", unpriced=FREE),))
    assert free.serve(whole("openai"))[0].status == 200
    priced = House(nobody_knows, budgets=(budget(unpriced=CHEAP),))
    assert priced.serve(whole("openai"))[0].status == 200
    assert priced.spent("b:2026-11-21") == 140_000
    poor = House(nobody_knows, budgets=(budget(cap="0.001", unpriced=CHEAP),))
    assert poor.serve(whole("openai"))[0].status == 402


def test_a_model_without_a_price_is_nobodys_business_outside_every_budget() -> None:
    house = House(box("odd", None), budgets=(budget(tier="premium"),))
    assert house.serve(whole("openai"))[0].status == 200


# --- several answers, large prompts ------------------------------------------------------------------------


def test_every_answer_that_is_asked_for_is_held() -> None:
    body = {"model": "asked", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1000, "n": 5}
    house = House(box("one"), budgets=(budget(cap="0.009"),))
    assert house.serve(whole("openai"), caller=Caller(body=body))[0].status == 402
    assert house.serve(whole("openai"), caller=Caller(body={**body, "n": 4}))[0].status == 200


def test_a_prompt_in_chinese_is_held_by_its_bytes() -> None:
    """A character may be a token or more: fifty thousand of them do not fit where fifty thousand tokens do not."""
    body = {"model": "asked", "messages": [{"role": "user", "content": "\u6f22" * 50_000}], "max_tokens": 1}
    house = House(box("one"), budgets=(budget(cap="0.05"),))
    caller = Caller(body=json.dumps(body, ensure_ascii=False).encode())
    assert house.serve(whole("openai"), caller=caller)[0].status == 402


# --- complaints --------------------------------------------------------------------------------------------


def test_fallback_targets_never_checked() -> None:
    """They are: the whole plan has to fit, and after an attempt that was billed, what is left of it."""
    start = (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"1","model":"m",'
        b'"usage":{"input_tokens":900,"output_tokens":0}}}\n\n'
    )
    billed: list[Step] = [start, failure(Kind.CUT)]
    house = House(box("one", speaks="anthropic"), box("two"), budgets=(budget(cap="0.0027"),))
    answer, upstream, exchange = house.serve(Given(billed), whole("openai"), caller=ask("openai", "asked", stream=True))
    assert len(upstream.calls) == 1, "the second one would have cost more than was left"
    assert answer.status == 502
    assert house.spent("b:2026-11-21") == 900_000
    (skipped,) = exchange.skipped
    assert skipped.kind == "no_budget"
    assert "after the attempts before it" in skipped.reason
    # With a little more money the second is called, and both are paid for.
    rich = House(box("one", speaks="anthropic"), box("two"), budgets=(budget(cap="0.004"),))
    answer, upstream, _ = rich.serve(
        Given(billed), Given(frames("openai", events("hi"))), caller=ask("openai", "asked", stream=True)
    )
    assert (answer.status, len(upstream.calls)) == (200, 2)
    assert rich.spent("b:2026-11-21") == 900_000 + 140_000


@pytest.mark.parametrize("hook", [False, True])
def test_usage_lost_when_a_client_disconnects(hook: bool) -> None:
    """It is not: who leaves after k deltas is charged for k deltas, and the provider is closed at once."""
    house = House(box("one"), budgets=(budget(),))
    pieces = frames("openai", events(*["x" * 40] * 10, usage=None, finish=False), end=False)
    upstream = Scripted(Given([*pieces, HANG]))
    caller = ask("openai", "asked", stream=True, hook=hook)

    async def main() -> None:
        task = caller.start(house.app(Forward(upstream)))
        await caller.until(len(pieces))
        caller.leave()
        await task

    run(main())
    # 3 tokens of prompt and 100 of answer.
    assert house.spent("b:2026-11-21") == 203_000
    assert upstream.replies[0].closed


@pytest.mark.parametrize(
    "end", [failure(Kind.CUT), failure(Kind.RESET), failure(Kind.TIMEOUT), b"data: {broken\n\n", b"data: 7\n\n"]
)
def test_usage_lost_when_a_stream_ends_oddly(end: Any) -> None:
    house = House(box("one"), budgets=(budget(),))
    pieces = frames("openai", events("x" * 400, usage=None, finish=False), end=False)
    house.serve(Given([*pieces, end]), caller=ask("openai", "asked", stream=True))
    assert house.spent("b:2026-11-21") == 203_000


def test_a_bill_found_the_next_morning() -> None:
    """Nothing is spent beyond the cap overnight: neither by what is running nor by what comes."""
    house = House(box("one"), budgets=(budget(cap="0.01"),))
    app = house.app(Forward(Scripted(whole("openai"))))

    async def main() -> None:
        for _ in range(20):
            await asyncio.gather(*(ask("openai", "asked").call(app) for _ in range(10)))

    run(main())
    assert house.spent("b:2026-11-21") <= usd("0.01")


# --- a stream whose money runs out -------------------------------------------------------------------------


def endless(speaks: str, pieces: int, size: int = 400) -> Given:
    """A provider that does not care for `max_tokens`."""
    return Given(frames(speaks, events(*["x" * size] * pieces, usage=None, finish=False), end=False))


def finishes(front: str, body: bytes) -> tuple[Finish | None, str]:
    """How a stream ended for its caller, and what it said. It must be whole."""
    told = heard(front, body)
    assert not [event for event in told if type(event).__name__ == "Faulted"]
    ended = [event.finish for event in told if hasattr(event, "finish")]
    return (ended[-1] if ended else None), words(told)


@pytest.mark.parametrize("front", ["openai", "responses", "anthropic", "ollama"])
@pytest.mark.parametrize("speaks", ["openai", "responses", "anthropic", "ollama"])
def test_a_stream_whose_hold_runs_out_ends_as_if_it_had_come_to_its_length(front: str, speaks: str) -> None:
    """In the caller's own dialect and whole, with what was used in the books and never more than the cap."""
    cap = "0.0022" if front != "ollama" else "0.018"
    house = House(box("one", speaks=speaks), budgets=(budget(cap=cap),))
    answer, upstream, exchange = house.serve(endless(speaks, 400), caller=ask(front, "asked", stream=True))
    assert answer.status == 200
    finish, text = finishes(front, answer.body)
    assert finish is Finish.LENGTH
    assert set(text) == {"x"}
    (attempt,) = exchange.attempts
    assert (attempt.finish, attempt.out_of_budget, attempt.failure) == (Finish.LENGTH, True, None)
    assert 0.9 * usd(cap) < house.spent("b:2026-11-21") <= usd(cap)
    assert upstream.replies[0].closed


def test_a_hold_that_runs_out_is_raised_as_long_as_there_is_money() -> None:
    house = House(box("one"), budgets=(budget(cap="1"),))
    answer, _, exchange = house.serve(
        Given([*frames("openai", events(*["x" * 400] * 50, usage=None))]), caller=ask("openai", "asked", stream=True)
    )
    assert finishes("openai", answer.body) == (Finish.STOP, "x" * 20_000)
    assert not exchange.attempts[0].out_of_budget
    assert house.spent("b:2026-11-21") == 3_000 + 5000 * 2_000


def test_a_prompt_that_was_counted_too_low_is_noticed_when_its_figure_comes() -> None:
    """Anthropic says first how long the prompt was: the stream ends where the money does."""
    told: list[Event] = [Started("1", "m"), Used(Usage(input=2_000, output=0)), *[TextDelta("x" * 40)] * 50]
    house = House(box("one", speaks="anthropic"), budgets=(budget(cap="0.0023"),))
    answer, _, exchange = house.serve(
        Given(frames("anthropic", told, end=False)), caller=ask("openai", "asked", stream=True)
    )
    assert finishes("openai", answer.body)[0] is Finish.LENGTH
    assert exchange.attempts[0].out_of_budget
    assert 2_000_000 < house.spent("b:2026-11-21") <= usd("0.0023")


def test_a_stream_that_ends_within_thought_or_a_tools_arguments_is_still_whole() -> None:
    begins: list[list[Event]] = [
        [ThinkingDelta("hm " * 1000)],
        [TextDelta("so"), ToolBegan(0, "call_1", "look"), ToolDelta(0, '{"a":"' + "b" * 4000)],
    ]
    for begin in begins:
        for speaks in ("anthropic", "openai"):
            told: list[Event] = [Started("1", "m"), *begin, *([begin[-1]] * 5)]
            house = House(box("one", speaks=speaks), budgets=(budget(cap="0.0022"),))
            answer, _, exchange = house.serve(
                Given(frames(speaks, told, end=False)), caller=ask("anthropic", "asked", stream=True)
            )
            assert finishes("anthropic", answer.body)[0] is Finish.LENGTH, (speaks, begin)
            assert exchange.attempts[0].out_of_budget


def test_what_is_free_or_outside_every_budget_is_never_cut() -> None:
    for made in (box("home", FREE), box("plain")):
        house = House(made, budgets=(budget(cap="0", tier="premium"), budget(cap="0", lane="other")))
        answer, _, _ = house.serve(
            Given(frames("openai", events(*["x" * 400] * 50))), caller=ask("openai", "asked", stream=True)
        )
        assert finishes("openai", answer.body)[0] is Finish.STOP


# --- kills -------------------------------------------------------------------------------------------------


def test_behind_a_kill_only_what_is_free_is_called() -> None:
    house = House(box("paid"), box("odd", None), box("home", FREE))
    run(house.ledger.kill("all", "the bill is odd", NOW_S))
    answer, upstream, exchange = house.serve(whole("openai"))
    assert answer.headers["x-llm-backend"] == "home"
    assert len(upstream.calls) == 1
    assert {dropped.reason for dropped in exchange.dropped} == {"paid calls are stopped by hand (the bill is odd)"}
    run(house.ledger.unkill("all"))
    assert house.serve(whole("openai"))[0].headers["x-llm-backend"] == "paid"


def test_a_refusal_names_the_kill() -> None:
    house = House(box("paid"), cap=usd("1"))
    run(house.ledger.kill("tenant:default", "", NOW_S))
    answer, upstream, _ = house.serve(whole("openai"))
    assert (answer.status, upstream.calls) == (402, [])
    assert "paid calls are stopped for tenant:default by hand" in answer.json["error"]["message"]


def test_a_kill_between_the_plan_and_the_call_stops_the_call() -> None:
    """The last door asks again, and what was held goes back."""
    house = House(box("first"), box("second"), budgets=(budget(),))

    class Slow(Scripted):
        async def open(self, call: Any, clocks: Any) -> Any:
            await house.ledger.kill("all", "now", NOW_S)
            return await super().open(call, clocks)

    upstream = Slow(failure(Kind.CONNECT))
    answer = run(ask("openai", "asked").call(house.app(Forward(upstream, killed=house.ledger.killed))))
    assert len(upstream.calls) == 1
    assert answer.status == 402
    assert "second/own-id was not called: paid calls are stopped by hand (now)" in answer.json["error"]["message"]
    assert house.spent("b:2026-11-21") == 0


def test_another_app_is_not_reached_behind_a_kill_unless_it_is_free() -> None:
    for prices, status in (({"*": CHEAP}, 402), (None, 402), ({"*": FREE}, 200)):
        ledger = MemoryLedger()
        run(ledger.kill("all", "", NOW_S))
        app = Foreign()
        room = BudgetMiddleware(app, ledger=ledger, prices=prices, clock=lambda: NOW_S)
        assert run(ask("openai", "asked").call(room)).status == status
        assert len(app.bodies) == (status == 200)


def test_a_kill_stops_what_a_provider_would_be_asked_whatever_it_is() -> None:
    house = House(box("paid", speaks="anthropic"))
    run(house.ledger.kill("all", "", NOW_S))
    body = {"model": "asked", "messages": [{"role": "user", "content": "hi"}]}
    answer, upstream, _ = house.serve(HANG, caller=Caller("/v1/messages/count_tokens", body))
    assert (answer.status, upstream.calls) == (402, [])


def test_a_hold_is_made_in_all_accounts_or_none() -> None:
    house = House(box("one"), budgets=(budget("wide"), budget("full", "0.001")))
    assert house.serve(whole("openai"))[0].status == 402
    held = run(house.ledger.hold("x", [Share("wide:2026-11-21", usd("1"), usd("1"))], NOW_S))
    assert isinstance(held, Hold)
