"""Money: what is held, what is refused, what is settled, and how often, whatever becomes of the request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from laneway.chat import Event, Started, TextDelta, Usage, Used
from laneway.edge import App, Receive, Send
from laneway.exchange import SLOT, Exchange, Scope
from laneway.failure import Kind
from laneway.forward import Forward
from laneway.meter import Meter
from laneway.middleware import budget
from laneway.middleware.budget import BudgetMiddleware, usd
from laneway.middleware.fallback import FallbackMiddleware
from laneway.middleware.lane import LaneMiddleware
from laneway.middleware.router import RouterMiddleware
from laneway.policy.price import nanos_to_usd
from laneway.ports import Hold, Share, Short
from laneway.route import Lane, Price, Target, Tenant
from laneway.stores.memory import MemoryLedger
from tests.fakes.replies import HANG, USED, Given, Script, Scripted, events, failure, frames, target, whole
from tests.harness.asgi import Answer, Caller, ask, turns
from tests.harness.loop import run

NOW_S = 1_795_262_400.0  # 2026-11-21T12:00:00Z
DAY = "tenant:default:2026-11-21"
CAP = usd("1.00")
CHEAP = Price(input=1_000_000, output=2_000_000)
DEAR = Price(input=100_000_000, output=200_000_000)
FREE = Price(input=0, output=0)


class Counting(MemoryLedger):
    """A ledger that remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.verbs: list[tuple[str, int]] = []

    def hold_now(self, request_id: str, shares: Sequence[Share], now_s: float) -> None:
        """What is asked, is asked below."""

    def settle_now(self, request_id: str, spent: Mapping[str, int], now_s: float) -> bool:
        return False

    async def hold(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | Short:
        self.verbs.append(("hold", shares[0].nanos))
        return await super().hold(request_id, shares, now_s)

    async def settle(self, request_id: str, spent: Mapping[str, int], now_s: float) -> None:
        self.verbs.append(("settle", max(spent.values())))
        super().settle_now(request_id, spent, now_s)

    async def release(self, request_id: str, now_s: float) -> None:
        self.verbs.append(("release", 0))
        await super().release(request_id, now_s)

    @property
    def ended(self) -> list[tuple[str, int]]:
        return [verb for verb in self.verbs if verb[0] != "hold"]


class Bank:
    """A budget around a lane of targets, and what it did."""

    def __init__(self, *targets: Target, cap: int | None = CAP, spent: int = 0, tenant: Tenant | None = None) -> None:
        self.targets = targets
        self.cap = cap
        self.ledger = Counting()
        self.tenant = tenant
        if spent:
            run(self.ledger.settle("before", {DAY: spent}, NOW_S))
            self.ledger.verbs.clear()

    def around(self, app: App) -> App:
        knobs: dict[str, Any] = {"ledger": self.ledger, "cap_nanos": self.cap, "clock": lambda: NOW_S}
        inner = BudgetMiddleware(RouterMiddleware(FallbackMiddleware(app)), **knobs)
        return LaneMiddleware(inner, lanes=[Lane(name="asked", targets=self.targets)])

    def serve(self, *scripts: Script, caller: Caller | None = None) -> tuple[Answer, Scripted]:
        upstream = Scripted(*scripts)
        asking = caller or ask("openai", "asked")
        if self.tenant is not None:
            exchange = Exchange.of(asking.scope)
            assert exchange is not None
            exchange.tenant = self.tenant
        return run(asking.call(self.around(Forward(upstream)))), upstream

    def left(self, name: str = DAY) -> tuple[int, int]:
        """Spent and held."""
        left = run(self.ledger.left(name, CAP, NOW_S))
        return left.spent_nanos, left.held_nanos


def box(name: str, price: Price | None) -> Target:
    return target(name=name, price=price)


# --- narrowing ---------------------------------------------------------------------------------------------


def test_the_dearest_that_fits_is_held_and_what_was_spent_is_settled() -> None:
    bank = Bank(box("cheap", CHEAP))
    answer, _ = bank.serve(whole("openai"))
    assert answer.status == 200
    # At most 1000 tokens of answer at 2 USD a million, and a prompt counted high.
    (_, held), settled = bank.ledger.verbs
    assert 2_000_000 < held < 2_100_000
    assert settled == ("settle", 140_000)
    assert bank.left() == (140_000, 0)


def test_what_no_longer_fits_is_left_out_and_what_does_serves() -> None:
    bank = Bank(box("dear", DEAR), box("cheap", CHEAP), spent=CAP - usd("0.1"))
    answer, upstream = bank.serve(whole("openai"))
    assert answer.headers["x-llm-backend"] == "cheap"
    assert len(upstream.calls) == 1
    (_, refused), (_, held), _ = bank.ledger.verbs
    assert refused > usd("0.2") > usd("0.1") > held


def test_as_long_as_it_fits_the_dear_one_stays_first() -> None:
    bank = Bank(box("dear", DEAR), box("cheap", CHEAP))
    answer, _ = bank.serve(whole("openai"))
    assert answer.headers["x-llm-backend"] == "dear"
    assert bank.ledger.verbs[0][1] > usd("0.2")


def test_what_was_left_out_is_left_out_without_a_router_as_well() -> None:
    for rooms in ((FallbackMiddleware,), ()):
        ledger = Counting()
        run(ledger.settle("before", {DAY: CAP - usd("0.1")}, NOW_S))
        app: App = Forward(Scripted(whole("openai")))
        for room in rooms:
            app = room(app)
        app = BudgetMiddleware(app, ledger=ledger, cap_nanos=CAP, clock=lambda: NOW_S)
        lane = Lane(name="asked", targets=(box("dear", DEAR), box("cheap", CHEAP)))
        answer = run(ask("openai", "asked").call(LaneMiddleware(app, lanes=[lane])))
        assert answer.headers["x-llm-backend"] == "cheap"


def test_what_is_free_always_fits() -> None:
    bank = Bank(box("dear", DEAR), box("home", FREE), spent=CAP)
    answer, _ = bank.serve(whole("openai"))
    assert answer.headers["x-llm-backend"] == "home"
    assert bank.ledger.ended == [], "nothing is held for what costs nothing"
    assert bank.left() == (CAP, 0)


def test_what_has_no_price_is_not_used_under_a_budget() -> None:
    bank = Bank(box("unknown", None), box("cheap", CHEAP))
    answer, _ = bank.serve(whole("openai"))
    assert answer.headers["x-llm-backend"] == "cheap"
    answer, upstream = Bank(box("unknown", None)).serve(whole("openai"))
    assert answer.status == 402
    assert "no price: asked" in answer.json["error"]["message"]
    assert upstream.calls == []


def test_without_a_cap_nothing_is_asked_of_the_ledger() -> None:
    bank = Bank(box("unknown", None), cap=None)
    answer, _ = bank.serve(whole("openai"))
    assert answer.status == 200
    assert bank.ledger.verbs == []


def test_a_tenants_own_budget_goes_before_the_rooms() -> None:
    poor = Tenant(name="acme", daily_nanos=0)
    bank = Bank(box("cheap", CHEAP), tenant=poor)
    answer, _ = bank.serve(whole("openai"))
    assert answer.status == 402
    assert "'tenant:acme'" in answer.json["error"]["message"]
    rich = Bank(box("cheap", CHEAP), cap=0, tenant=Tenant(name="acme", daily_nanos=CAP))
    assert rich.serve(whole("openai"))[0].status == 200
    assert rich.left("tenant:acme:2026-11-21") == (140_000, 0)


def test_a_count_of_tokens_needs_no_money() -> None:
    bank = Bank(box("cheap", CHEAP), spent=CAP)
    body = {"model": "asked", "messages": [{"role": "user", "content": "hi"}]}
    answer, _ = bank.serve(HANG, caller=Caller("/v1/messages/count_tokens", body))
    assert answer.status == 200


def test_a_new_day_begins_with_nothing_spent() -> None:
    ledger = Counting()
    now = [NOW_S]
    app = FallbackMiddleware(Forward(Scripted(whole("openai"))))
    stack = LaneMiddleware(
        BudgetMiddleware(app, ledger=ledger, cap_nanos=usd("0.0025"), clock=lambda: now[0]),
        lanes=[Lane(name="asked", targets=(box("cheap", CHEAP),))],
    )

    async def main() -> list[int]:
        today = [(await ask("openai", "asked").call(stack)).status for _ in range(6)]
        now[0] += 86_400
        return [*today, (await ask("openai", "asked").call(stack)).status]

    # 2.5 thousandths; each may cost 2.1 and really costs 0.14.
    assert run(main()) == [200, 200, 200, 402, 402, 402, 200]


# --- refusal -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("front", ["openai", "responses", "anthropic", "ollama"])
def test_a_refusal_names_cap_spent_held_and_reset(front: str) -> None:
    bank = Bank(box("cheap", CHEAP), spent=usd("0.75"), cap=usd("0.76"))
    run(bank.ledger.hold("other", [Share(DAY, usd("0.0099"), usd("0.76"))], NOW_S))
    answer, upstream = bank.serve(whole("openai"), caller=ask(front, "asked"))
    assert answer.status == 402
    text = answer.body.decode()
    for said in ("cap 0.76 USD", "spent 0.75 USD", "held 0.0099 USD", "resets in 43200 seconds", "00:00 UTC"):
        assert said in text
    assert upstream.calls == []


def test_the_ledger_refuses_in_the_last_moment_and_the_plan_is_narrowed_again() -> None:
    class Raced(Counting):
        """Somebody else takes most of the money between the question and the hold."""

        async def hold(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | Short:
            if not self.verbs:
                MemoryLedger.settle_now(self, "other", {DAY: CAP - usd("0.1")}, now_s)
            return await super().hold(request_id, shares, now_s)

    bank = Bank(box("dear", DEAR), box("cheap", CHEAP))
    bank.ledger = Raced()
    answer, _ = bank.serve(whole("openai"))
    assert answer.headers["x-llm-backend"] == "cheap"
    assert [verb for verb, _ in bank.ledger.verbs] == ["hold", "hold", "settle"]


def test_many_at_once_stop_at_the_cap() -> None:
    """Each may cost 2.1 thousandths and really costs 0.14: the cap bounds what is held as well."""
    ledger = Counting()
    scripts = Scripted(whole("openai"))
    stack = LaneMiddleware(
        BudgetMiddleware(
            FallbackMiddleware(Forward(scripts)), ledger=ledger, cap_nanos=usd("0.01"), clock=lambda: NOW_S
        ),
        lanes=[Lane(name="asked", targets=(box("cheap", CHEAP),))],
    )

    async def main() -> None:
        for _ in range(10):
            await asyncio.gather(*(ask("openai", "asked").call(stack) for _ in range(10)))
            left = await ledger.left(DAY, usd("0.01"), NOW_S)
            assert left.spent_nanos <= usd("0.01")
            assert left.held_nanos == 0

    run(main())
    assert 0 < len(scripts.calls) < 100


# --- settling ----------------------------------------------------------------------------------------------


def test_a_failure_is_settled_with_nothing() -> None:
    bank = Bank(box("cheap", CHEAP))
    answer, _ = bank.serve(failure(Kind.CONNECT))
    assert answer.status == 502
    assert bank.ledger.ended == [("release", 0)]
    assert bank.left() == (0, 0)


def test_all_attempts_are_paid_for() -> None:
    start = (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"1","model":"m",'
        b'"usage":{"input_tokens":500,"output_tokens":0}}}\n\n'
    )
    bank = Bank(target("anthropic", name="one", price=CHEAP), box("two", CHEAP))
    bank.serve(
        Given([start, failure(Kind.CUT)]),
        Given([*frames("openai", events("hi"))]),
        caller=ask("openai", "asked", stream=True),
    )
    assert bank.ledger.ended == [("settle", 640_000)]


@pytest.mark.parametrize("hook", [False, True])
def test_who_leaves_pays_for_what_came(hook: bool) -> None:
    bank = Bank(box("cheap", CHEAP))
    pieces = frames("openai", events("x" * 400, usage=None, finish=False), end=False)
    caller = ask("openai", "asked", stream=True, hook=hook)
    upstream = Scripted(Given([*pieces, HANG]))

    async def main() -> None:
        task = caller.start(bank.around(Forward(upstream)))
        await caller.until(2)
        caller.leave()
        await task

    run(main())
    assert bank.ledger.ended == [("settle", 203_000)]
    assert bank.left() == (203_000, 0)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_cancelled_request_is_settled_all_the_same(times: int) -> None:
    """Also when the settling itself takes its time and the task is cancelled again meanwhile."""

    class Slow(Counting):
        async def settle(self, request_id: str, spent: Mapping[str, int], now_s: float) -> None:
            await turns(10)
            await super().settle(request_id, spent, now_s)

    bank = Bank(box("cheap", CHEAP))
    bank.ledger = Slow()
    pieces = frames("openai", events("x" * 400, usage=None, finish=False), end=False)
    caller = ask("openai", "asked", stream=True)
    upstream = Scripted(Given([*pieces, HANG]))

    async def main() -> None:
        task = caller.start(bank.around(Forward(upstream)))
        await caller.until(2)
        for _ in range(times):
            task.cancel()
            await turns(2)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bank.ledger.ended == [("settle", 203_000)], "settled before the task has ended"

    run(main())


def test_an_exception_inside_is_settled_and_passes() -> None:
    bank = Bank(box("cheap", CHEAP))
    with pytest.raises(RuntimeError, match="a bug"):
        bank.serve(RuntimeError("a bug"))
    assert bank.ledger.ended == [("release", 0)]


def test_settling_has_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(Counting):
        async def settle(self, request_id: str, spent: Mapping[str, int], now_s: float) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(budget, "SETTLE_S", 0.01)
    bank = Bank(box("cheap", CHEAP))
    bank.ledger = Stuck()
    with pytest.raises(TimeoutError):
        bank.serve(whole("openai"))


def test_a_dry_run_costs_nothing() -> None:
    from laneway.middleware.shadow import ShadowMiddleware

    bank = Bank(box("cheap", CHEAP))
    inner = RouterMiddleware(ShadowMiddleware(Forward(Scripted(HANG))))
    app = BudgetMiddleware(inner, ledger=bank.ledger, cap_nanos=CAP, clock=lambda: NOW_S)
    stack = LaneMiddleware(app, lanes=[Lane(name="asked", targets=bank.targets)])
    answer = run(ask("openai", "asked", headers={"x-laneway-dry-run": "1"}).call(stack))
    assert answer.json["object"] == "laneway.decision"
    assert bank.ledger.ended == [("release", 0)]


# --- without a lane: what it costs is decided further inside ------------------------------------------------


def test_without_candidates_the_cap_holds_from_the_request_on_that_reaches_it() -> None:
    ledger = Counting()
    app = FallbackMiddleware(Forward(Scripted(whole("openai"))), targets=(box("cheap", CHEAP),))
    stack = BudgetMiddleware(app, ledger=ledger, cap_nanos=200_000, clock=lambda: NOW_S)

    async def main() -> list[int]:
        return [(await ask("openai", "asked").call(stack)).status for _ in range(4)]

    assert run(main()) == [200, 200, 402, 402]
    assert [nanos for verb, nanos in ledger.verbs if verb == "settle"] == [140_000, 140_000]


# --- an app that is not ours -------------------------------------------------------------------------------


def metered(
    app: Any, caller: Caller, *, prices: Mapping[str, Price] | None = None, cap: int = CAP
) -> tuple[Answer, Counting]:
    ledger = Counting()
    room = BudgetMiddleware(
        app, ledger=ledger, cap_nanos=cap, prices={"asked": CHEAP} if prices is None else prices, clock=lambda: NOW_S
    )
    return run(caller.call(room)), ledger


def fastapi_app(reply: Any) -> FastAPI:
    app = FastAPI()

    @app.post("/v1/chat/completions")
    @app.post("/v1/responses")
    @app.post("/v1/messages")
    @app.post("/api/chat")
    async def mine(request: Request) -> Response:
        made: Response = reply(await request.json())
        return made

    return app


def _in_fastapi(reply: Any, caller: Caller, cap: int = CAP) -> tuple[Answer, Counting]:
    ledger = Counting()
    app = fastapi_app(reply)
    app.add_middleware(
        BudgetMiddleware,
        ledger=ledger, cap_nanos=cap, prices={"asked": CHEAP}, clock=lambda: NOW_S,
    )  # fmt: skip
    return run(caller.call(app)), ledger


@pytest.mark.parametrize("front", ["openai", "responses", "anthropic", "ollama"])
def test_an_answer_of_fastapi_is_metered_as_json(front: str) -> None:
    body = json.loads(whole(front).steps[0])  # type: ignore[arg-type]
    answer, ledger = _in_fastapi(lambda _: JSONResponse(body), ask(front, "asked"))
    assert answer.json == body
    assert ledger.ended == [("settle", 140_000)]


@pytest.mark.parametrize("front", ["openai", "responses", "anthropic", "ollama"])
def test_an_answer_of_fastapi_is_metered_as_a_stream(front: str) -> None:
    kind = "application/x-ndjson" if front == "ollama" else "text/event-stream"
    pieces = frames(front, events("7 * ", "8"))
    answer, ledger = _in_fastapi(
        lambda _: StreamingResponse(iter(pieces), media_type=kind), ask(front, "asked", stream=True)
    )
    assert answer.body == b"".join(pieces)
    assert ledger.ended == [("settle", 140_000)]


def test_in_fastapi_a_budget_ends_in_402() -> None:
    body = json.loads(whole("openai").steps[0])  # type: ignore[arg-type]
    answer, ledger = _in_fastapi(lambda _: JSONResponse(body), ask("openai", "asked"), cap=1000)
    assert answer.status == 402
    assert ledger.ended == []


def _answering(body: bytes, *, status: int = 200, kind: bytes = b"application/json", raises: bool = False) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        for at in range(0, len(body), 7):
            await send({"type": "http.response.body", "body": body[at : at + 7], "more_body": True})
        if raises:
            raise RuntimeError
        await send({"type": "http.response.body"})

    return app


def test_an_answer_without_usage_is_counted() -> None:
    body = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x" * 400}}]}
    _, ledger = metered(_answering(json.dumps(body).encode()), ask("openai", "asked"))
    # 3 tokens of prompt and 100 of answer.
    assert ledger.ended == [("settle", 203_000)]


def test_an_answer_nobody_can_read_is_counted_by_its_size() -> None:
    _, ledger = metered(_answering(b"x" * 400), ask("openai", "asked"))
    assert ledger.ended == [("settle", 203_000)]


def test_an_answer_too_large_to_keep_is_counted_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("laneway.meter.MOST_KEPT", 100)
    _, ledger = metered(_answering(b"x" * 400), ask("openai", "asked"))
    assert ledger.ended == [("settle", 203_000)]


def test_a_stream_without_usage_is_counted() -> None:
    body = b"".join(frames("openai", events("x" * 400, usage=None)))
    _, ledger = metered(_answering(body, kind=b"text/event-stream; charset=utf-8"), ask("openai", "asked", stream=True))
    assert ledger.ended == [("settle", 203_000)]


def test_a_stream_whose_last_event_has_no_blank_line_is_read_to_its_end() -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":20}}'
    body = b"".join(frames("openai", events("x" * 400, usage=None), end=False)) + usage
    _, ledger = metered(_answering(body, kind=b"text/event-stream"), ask("openai", "asked", stream=True))
    assert ledger.ended == [("settle", 140_000)]


def test_a_stream_that_broke_off_is_charged_for_what_came() -> None:
    told: list[Event] = [Started("1", "m"), Used(Usage(input=100, output=1)), TextDelta("x" * 400)]
    body = b"".join(frames("anthropic", told, end=False))
    caller = ask("anthropic", "asked", stream=True)
    ledger = Counting()
    app = _answering(body, kind=b"text/event-stream", raises=True)
    room = BudgetMiddleware(app, ledger=ledger, cap_nanos=CAP, prices={"*": CHEAP}, clock=lambda: NOW_S)
    with pytest.raises(RuntimeError):
        run(caller.call(room))
    assert ledger.ended == [("settle", 300_000)]


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_failure_of_another_app_costs_nothing(status: int) -> None:
    answer, ledger = metered(_answering(b'{"error":{}}', status=status), ask("openai", "asked"))
    assert answer.status == status
    assert ledger.ended == [("release", 0)]


def test_a_model_without_a_price_is_refused_by_its_name() -> None:
    answer, _ = metered(_answering(b"{}"), ask("openai", "asked"), prices={"other": CHEAP})
    assert answer.status == 402
    assert "no price: asked" in answer.json["error"]["message"]
    answer, ledger = metered(_answering(whole("openai").steps[0]), ask("openai", "any"), prices={"*": CHEAP})  # type: ignore[arg-type]
    assert answer.status == 200
    assert ledger.ended == [("settle", 140_000)]


def test_another_app_behind_a_lane_is_metered_by_its_prices_too() -> None:
    """Candidates that nobody of ours calls do not make the answer free."""
    ledger = Counting()
    app = _answering(whole("openai").steps[0])  # type: ignore[arg-type]
    room = BudgetMiddleware(app, ledger=ledger, cap_nanos=CAP, prices={"*": CHEAP}, clock=lambda: NOW_S)
    stack = LaneMiddleware(room, lanes=[Lane(name="asked", targets=(box("cheap", DEAR),))])
    assert run(ask("openai", "asked").call(stack)).status == 200
    assert ledger.ended == [("settle", 140_000)]


def test_a_lane_that_is_only_a_label_does_not_stop_the_metering() -> None:
    ledger = Counting()
    app = _answering(whole("openai").steps[0])  # type: ignore[arg-type]
    room = BudgetMiddleware(app, ledger=ledger, cap_nanos=CAP, prices={"*": CHEAP}, clock=lambda: NOW_S)
    answer = run(ask("openai", "asked").call(LaneMiddleware(room, lanes=[Lane(name="asked", targets=())])))
    assert answer.status == 200
    assert ledger.ended == [("settle", 140_000)]


def test_the_meter_passes_each_message_as_it_is_and_at_once() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for _ in range(3):
            count = len(caller.sent)
            await send({"type": "http.response.body", "body": b": x\n\n", "more_body": True})
            assert len(caller.sent) == count + 1
        await send({"type": "http.response.body", "body": b""})

    caller = ask("openai", "asked", stream=True)
    metered(app, caller)


def test_a_meter_of_nothing_says_nothing() -> None:
    caller = ask("openai", "asked")
    exchange = Exchange.of(caller.scope)
    assert exchange is not None
    assert Meter(exchange, caller.send).usage() == Usage()


# --- words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "nanos"),
    [("5.00", 5_000_000_000), (5, 5_000_000_000), ("0.1", 100_000_000), (0.1, 100_000_000), ("0", 0)],
)
def test_usd_is_exact(amount: str | float, nanos: int) -> None:
    assert usd(amount) == nanos


def test_usd_says_its_amounts_as_they_are_written() -> None:
    assert nanos_to_usd(usd("0.000000001")) == "0.000000001"
    assert nanos_to_usd(0) == "0"


def test_the_usage_of_a_whole_answer_is_what_it_reports() -> None:
    caller = ask("openai", "asked")
    bank = Bank(box("cheap", CHEAP))
    bank.serve(whole("openai", usage=msgspec.structs.replace(USED, cache_read=50)), caller=caller)
    assert caller.scope[SLOT].attempts[0].usage.cache_read == 50
