"""The stage room and what stands behind it: who is refused, who is served, and who is passed on as he came."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from laneway.edge import App
from laneway.exchange import SLOT, Exchange
from laneway.failure import Kind
from laneway.forward import Forward
from laneway.gates import LEGACY
from laneway.middleware import stage as stages
from laneway.middleware.fallback import FallbackMiddleware
from laneway.middleware.lane import LaneMiddleware
from laneway.middleware.router import RouterMiddleware
from laneway.middleware.shadow import ShadowMiddleware
from laneway.middleware.stage import StageMiddleware
from laneway.policy.stages import chosen
from laneway.ports import Choice, Kill, ShadowRow
from laneway.route import FREE, Lane, Price, Provider, Stage, Target
from laneway.staging import InForce
from laneway.stores.shadows import MemoryShadows
from tests.fakes.replies import Given, Scripted, events, failure, frames, refused, target, whole
from tests.harness.asgi import ASKS, Answer, Caller, ask
from tests.harness.loop import run

OWN = msgspec.structs.replace(target(name="box", price=Price(input=1_000_000, output=2_000_000)), model="asked")
SPARE = msgspec.structs.replace(OWN, provider=msgspec.structs.replace(OWN.provider, name="spare"))
OLD = Target(
    provider=Provider(name=LEGACY, dialect="", origin="http://old.test:11434", path="/v1"),
    model="",
    upstream="",
    price=FREE,
)
LANE = Lane(name="asked", targets=(OWN, SPARE))
fronts = pytest.mark.parametrize("front", ASKS)


class Yard:
    """A stack with the room in it, what it would call itself, and the legacy path."""

    def __init__(self, *own: Any, legacy: Sequence[Any] = (), lane: Lane = LANE, inside: App | None = None) -> None:
        self.own, self.old = Scripted(*(own or (whole("openai"),))), Scripted(*(legacy or (whole("openai"),)))
        self.shadows = MemoryShadows()
        self.kills: dict[str, Kill] = {}
        self.watched = False
        within = inside or RouterMiddleware(ShadowMiddleware(FallbackMiddleware(Forward(self.own))))
        room = StageMiddleware(
            within,
            stages=lambda lane: InForce(lane.stage, lane.share, self.watched),
            shadows=self.shadows,
            upstream=self.old,
            killed=lambda: self.kills,
        )
        self.app = LaneMiddleware(room, lanes=[lane])

    def ask(self, front: str = "openai", **fields: Any) -> Answer:
        return run(self.call(ask(front, "asked", **fields)))

    async def call(self, caller: Caller) -> Answer:
        answer = await caller.call(self.app)
        self.exchange: Exchange = caller.scope[SLOT]
        return answer

    def rows(self) -> list[ShadowRow]:
        return list(self.shadows._rows)


def lane(stage: Stage, *, share: float = 0.1, legacy: Target | None = None) -> Lane:
    return msgspec.structs.replace(LANE, stage=stage, share=share, legacy=legacy)


# --- each stage --------------------------------------------------------------------------------------------


@fronts
def test_a_lane_that_observes_says_so_in_the_callers_shape(front: str) -> None:
    yard = Yard(lane=lane(Stage.OBSERVE, legacy=OLD))
    answer = yard.ask(front)
    assert answer.status == 403
    said = answer.json["error"]
    assert "The lane 'asked' only observes" in (said if isinstance(said, str) else said["message"])
    assert yard.own.calls == yard.old.calls == []
    assert yard.rows() == []
    assert yard.exchange.failure is not None
    assert yard.exchange.failure.kind is Kind.FORBIDDEN


def test_an_active_lane_is_served_and_leaves_a_row_where_somebody_watches() -> None:
    yard = Yard(lane=lane(Stage.ACTIVE, legacy=OLD))
    assert yard.ask().status == 200
    assert (len(yard.own.calls), yard.old.calls, yard.rows()) == (1, [], [])
    yard.watched = True
    yard.ask()
    (row,) = yard.rows()
    assert (row.executed, row.failed, row.paid, row.stage) == (True, False, False, "active")
    assert row.decided is not None
    assert (row.decided.host, row.decided.model, row.decided.cost_nanos) == ("box", "own-id", 140_000)


def test_a_shadow_without_a_legacy_path_answers_with_the_decision() -> None:
    yard = Yard(lane=lane(Stage.SHADOW))
    told = yard.ask().json
    assert (told["object"], told["stage"]) == ("laneway.decision", "shadow")
    assert told["would_call"] == {"provider": "box", "model": "own-id", "tier": "balanced", "fallback": False}
    assert yard.own.calls == yard.old.calls == []
    (row,) = yard.rows()
    assert (row.executed, row.compared, row.legacy) == (False, False, None)


def test_a_canary_serves_its_share_and_the_same_conversations_each_time() -> None:
    yard = Yard(lane=lane(Stage.CANARY, share=0.3, legacy=OLD))
    traces = [f"trace-{number}" for number in range(60)]
    for _ in range(2):
        for trace in traces:
            yard.ask(headers={"x-laneway-trace": trace})
    inside = [trace for trace in traces if chosen("asked", trace.encode(), 0.3)]
    assert 5 < len(inside) < 35
    assert len(yard.own.calls) == 2 * len(inside)
    assert len(yard.old.calls) == 2 * (60 - len(inside))
    assert {row.trace for row in yard.rows() if row.executed} == set(inside)


def test_without_a_trace_the_request_itself_is_the_lot() -> None:
    yard = Yard(lane=lane(Stage.CANARY, share=0.5))
    served = [[yard.ask(max_tokens=number).headers.get("x-laneway-provider") for number in range(20)] for _ in "ab"]
    assert served[0] == served[1]
    assert set(served[0]) == {"box", None}


# --- passed on ---------------------------------------------------------------------------------------------

SHADOWED = lane(Stage.SHADOW, legacy=OLD)


@pytest.mark.parametrize(
    ("base", "front", "path"),
    [
        ("/v1", "openai", "/v1/chat/completions"),
        ("", "openai", "/v1/chat/completions"),
        ("/api/v1", "openai", "/api/v1/chat/completions"),
        ("/v1", "anthropic", "/v1/messages"),
        ("/v1", "ollama", "/api/chat"),
        ("", "ollama", "/api/chat"),
        ("/behind/it", "ollama", "/behind/it/api/chat"),
    ],
)
def test_the_legacy_path_gets_the_request_byte_for_byte(base: str, front: str, path: str) -> None:
    old = msgspec.structs.replace(OLD, provider=msgspec.structs.replace(OLD.provider, path=base))
    yard = Yard(legacy=[whole(front)], lane=lane(Stage.SHADOW, legacy=old))
    body = b'{ "unknown":[1.50, {"x" : null}],' + json.dumps({"model": "asked", **ASKS[front][1]}).encode()[1:]
    headers = {"authorization": "Bearer of-the-old-one", "x-own": "kept", "connection": "x-hop, close", "x-hop": "gone"}
    headers["cookie"] = "laneway=session"
    caller = Caller(ASKS[front][0], body, headers=headers, query_string=b"beta=true")
    answer = run(yard.call(caller))
    (call,) = yard.old.calls
    assert (call.method, call.origin, call.target) == ("POST", "http://old.test:11434", f"{path}?beta=true")
    assert call.body == body
    assert dict(call.headers) == {
        b"content-type": b"application/json",
        b"authorization": b"Bearer of-the-old-one",
        b"x-own": b"kept",
    }
    assert answer.body == whole(front).steps[0]
    assert (answer.status, answer.headers["x-laneway-stage"]) == (200, "shadow")
    assert yard.own.calls == []


def test_the_answer_keeps_its_status_and_headers_but_for_those_of_the_connection() -> None:
    theirs = [(b"x-theirs", b"1"), (b"x-theirs", b"2"), (b"connection", b"close"), (b"content-type", b"text/plain")]
    yard = Yard(legacy=[Given([b"no ", b"idea"], 418, theirs)], lane=SHADOWED)
    caller = ask("openai", "asked")
    answer = run(yard.call(caller))
    assert (answer.status, answer.body) == (418, b"no idea")
    start = caller.sent[0]["headers"]
    assert [value for name, value in start if name == b"x-theirs"] == [b"1", b"2"]
    assert (b"connection", b"close") not in start
    assert answer.headers["content-length"] == "7"


@fronts
def test_a_stream_passes_read_by_read(front: str) -> None:
    told = frames(front, events("7 * 8 ", "= 56."))
    kind = b"application/x-ndjson" if front == "ollama" else b"text/event-stream"
    yard = Yard(legacy=[Given(told, headers=[(b"content-type", kind)])], lane=SHADOWED)
    caller = ask(front, "asked", stream=True)
    answer = run(yard.call(caller))
    assert answer.body == b"".join(told)
    assert [message["body"] for message in caller.sent[1:]] == [*told, b""]
    (attempt,) = yard.exchange.attempts
    assert (attempt.usage.input, attempt.usage.output) == (100, 20)


@fronts
def test_a_stream_that_breaks_off_never_looks_whole(front: str) -> None:
    told = frames(front, events("7 * 8 ", finish=False, usage=None), end=False)
    kind = b"application/x-ndjson" if front == "ollama" else b"text/event-stream"
    cut = Given([*told, told[-1][:9], failure(Kind.CUT)], headers=[(b"content-type", kind)])
    yard = Yard(legacy=[cut], lane=SHADOWED)
    answer = yard.ask(front, stream=True)
    assert answer.body.startswith(b"".join(told))
    assert b"It was cut." in answer.body
    for end in (b"[DONE]", b"message_stop", b'"done":true', b'"finish_reason":"stop"'):
        assert end not in answer.body
    assert yard.exchange.failure is not None
    assert yard.exchange.failure.kind is Kind.CUT


@fronts
def test_a_legacy_path_that_is_down_is_said_in_the_callers_shape(front: str) -> None:
    yard = Yard(legacy=[failure(Kind.CONNECT)], lane=SHADOWED)
    answer = yard.ask(front)
    assert answer.status == 502
    assert "It was connect." in answer.body.decode()
    (row,) = yard.rows()
    assert row.legacy is not None
    assert (row.legacy.denied, row.kinds) == ("connect", ("denial",))


def test_a_large_answer_that_is_no_stream_is_not_held_back_for_ever() -> None:
    pieces = [b"x" * 600_000] * 3
    yard = Yard(legacy=[Given(pieces)], lane=SHADOWED)
    caller = ask("openai", "asked")
    answer = run(yard.call(caller))
    assert answer.body == b"".join(pieces)
    assert [len(message["body"]) for message in caller.sent[1:]] == [1_200_000, 600_000, 0]


def test_a_target_of_ones_own_gets_its_own_key_and_id() -> None:
    provider = msgspec.structs.replace(OWN.provider, name="paid", headers=((b"authorization", b"Bearer theirs"),))
    paid = msgspec.structs.replace(OWN, provider=provider)
    yard = Yard(lane=lane(Stage.SHADOW, legacy=paid))
    yard.ask(headers={"authorization": "Bearer callers", "x-api-key": "callers"})
    (call,) = yard.old.calls
    assert [value for name, value in call.headers if name in (b"authorization", b"x-api-key")] == [b"Bearer theirs"]
    assert json.loads(call.body)["model"] == "own-id"
    (attempt,) = yard.exchange.attempts
    assert (attempt.target.provider.name, attempt.cost_nanos) == ("paid", 140_000)


def test_a_key_of_this_gateway_goes_to_no_stranger() -> None:
    yard = Yard(lane=SHADOWED)
    caller = ask("openai", "asked", headers={"authorization": "Bearer sk-ours"})
    exchange = Exchange.of(caller.scope)
    assert exchange is not None
    exchange.key_id = "key_1"
    run(yard.call(caller))
    assert b"sk-ours" not in b"".join(value for _, value in yard.old.calls[0].headers)


def test_a_kill_stops_what_is_not_known_to_be_free() -> None:
    unknown = msgspec.structs.replace(OLD, price=None)
    for old, status in ((OLD, 200), (unknown, 402)):
        yard = Yard(lane=lane(Stage.SHADOW, legacy=old))
        yard.kills["all"] = Kill("all", "a leaked key", 1.0)
        assert yard.ask().status == status
        assert len(yard.old.calls) == (status == 200)


# --- beside it ---------------------------------------------------------------------------------------------


def test_what_would_have_been_done_is_kept_beside_what_was() -> None:
    yard = Yard(legacy=[whole("openai")], lane=SHADOWED)
    yard.ask()
    (row,) = yard.rows()
    assert (row.request_id, row.lane, row.stage) == (yard.exchange.request_id, "asked", "shadow")
    assert row.decided == Choice(
        host="box", model="own-id", tier="balanced", fallback=False, latency_ms=None, cost_nanos=140_000
    )
    assert row.legacy is not None
    assert (row.legacy.host, row.legacy.model, row.legacy.cost_nanos) == ("old.test:11434", "asked", 0)
    assert (row.compared, row.kinds) == (True, ("host",))


class Broken:
    """An inner app that decides nothing."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.hangs = hangs
        self.cancelled = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.request"
        if not self.hangs:
            raise RuntimeError("no idea")
        try:
            await receive()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def test_a_decision_that_fails_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    yard = Yard(lane=SHADOWED, inside=Broken())
    with caplog.at_level(logging.WARNING, "laneway"):
        for _ in range(5):
            assert yard.ask().body == whole("openai").steps[0]
    assert [row.decided for row in yard.rows()] == [None] * 5
    assert len(caplog.records) == 3, "the first, the second and the fourth"


def test_a_decision_that_never_comes_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "DECIDE_S", 0.01)
    inside = Broken(hangs=True)
    yard = Yard(lane=SHADOWED, inside=inside)
    assert yard.ask().body == whole("openai").steps[0]
    assert inside.cancelled
    assert [row.decided for row in yard.rows()] == [None]


def test_the_legacy_path_is_asked_before_anything_is_decided() -> None:
    order: list[str] = []

    class Noting(Scripted):
        async def open(self, *asked: Any) -> Any:
            order.append("legacy")
            await asyncio.sleep(0)
            return await super().open(*asked)

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        order.append("decision")

    yard = Yard(lane=SHADOWED, inside=inside)
    room: Any = yard.app.app
    room._passage._upstream = Noting(whole("openai"))
    assert yard.ask().status == 200
    assert order == ["legacy", "decision"]


def test_a_caller_who_leaves_ends_both() -> None:
    inside = Broken(hangs=True)
    yard = Yard(legacy=["hang"], lane=SHADOWED, inside=inside)

    async def scene() -> None:
        caller = ask("openai", "asked", hook=True)
        task = caller.start(yard.app)
        await yard.old.opened.wait()
        caller.leave()
        await task
        assert caller.sent == []
        assert caller.scope[SLOT].gone

    stages_s, stages.DECIDE_S = stages.DECIDE_S, 0.01
    try:
        run(scene())
    finally:
        stages.DECIDE_S = stages_s
    (row,) = yard.rows()
    assert row.legacy is None


# --- mirrored ----------------------------------------------------------------------------------------------


def test_a_mirrored_request_is_decided_beside_what_the_legacy_path_chose() -> None:
    """Whatever the stage: it is a copy, and the original was served."""
    said = {"host": "box", "model": "own-id", "tier": "local", "fallback": True, "latency_ms": 12.5, "cost_usd": "0.25"}
    for stage in (Stage.SHADOW, Stage.CANARY, Stage.ACTIVE):
        yard = Yard(lane=lane(stage, share=1.0, legacy=OLD))
        told = yard.ask(headers={"x-laneway-legacy": json.dumps(said)}).json
        assert (told["object"], told["executed"], told["stage"]) == ("laneway.decision", False, stage.value)
        assert yard.own.calls == yard.old.calls == []
        (row,) = yard.rows()
        assert row.kinds == ("tier", "fallback")
        assert row.legacy is not None
        assert (row.legacy.latency_ms, row.legacy.cost_nanos) == (12.5, 250_000_000)


def test_who_asks_what_would_happen_is_told_that_and_nothing_is_done() -> None:
    for stage in (Stage.SHADOW, Stage.CANARY, Stage.ACTIVE):
        yard = Yard(lane=lane(stage, share=1.0, legacy=OLD))
        assert yard.ask(headers={"x-laneway-dry-run": "1"}).json["executed"] is False
        assert yard.own.calls == yard.old.calls == []
        assert [(row.executed, row.compared) for row in yard.rows()] == [(False, False)]


def test_a_callers_own_mistake_is_compared_with_nothing() -> None:
    yard = Yard(legacy=[refused("openai", Kind.BAD_REQUEST)], lane=SHADOWED)
    assert yard.ask().status == 400
    (row,) = yard.rows()
    assert (row.legacy, row.compared) == (None, False)


@pytest.mark.parametrize("said", ["", "[]", '{"hots": 1}', '{"cost_usd": "much"}', '{"latency_ms": "12"}'])
def test_a_choice_that_is_none_is_refused(said: str) -> None:
    yard = Yard(lane=SHADOWED)
    answer = yard.ask(headers={"x-laneway-legacy": said})
    assert answer.status == 400
    assert "legacy: expected an object with some of host, provider" in answer.json["error"]["message"]


def test_a_decision_is_no_result_of_a_run() -> None:
    for legacy, status in ((None, 403), (OLD, 200)):
        yard = Yard(lane=lane(Stage.SHADOW, legacy=legacy))
        caller = ask("openai", "asked")
        exchange = Exchange.of(caller.scope)
        assert exchange is not None
        exchange.run = "run_1"
        answer = run(yard.call(caller))
        assert answer.status == status
        assert b"laneway.decision" not in answer.body


# --- executed ----------------------------------------------------------------------------------------------


def test_what_was_served_is_judged_by_whose_fault_it_was() -> None:
    for own, expected in (
        ([refused("openai", Kind.BAD_REQUEST)], None),
        ([refused("openai", Kind.OVERLOADED, 503)], (True, "overloaded")),
    ):
        yard = Yard(*own, lane=msgspec.structs.replace(lane(Stage.CANARY, share=1.0), wait_s=0.0))
        yard.ask()
        found = [(row.failed, row.decided.denied if row.decided else None) for row in yard.rows()]
        assert found == ([expected] if expected else [])


@pytest.mark.parametrize(("price", "paid"), [(FREE, True), (Price(input=1, output=1), False)])
def test_something_paid_that_stood_in_for_something_free_is_counted(price: Price, paid: bool) -> None:
    first = msgspec.structs.replace(OWN, price=price)
    canary = msgspec.structs.replace(lane(Stage.CANARY, share=1.0), targets=(first, SPARE))
    yard = Yard(failure(Kind.CONNECT), whole("openai"), lane=canary)
    assert yard.ask().headers["x-laneway-provider"] == "spare"
    (row,) = yard.rows()
    assert (row.paid, row.failed) == (paid, False)
    assert row.decided is not None
    assert (row.decided.host, row.decided.fallback) == ("spare", True)


def test_a_deadline_makes_no_fallback_of_the_first_choice() -> None:
    """Near it, what is called is the same target with shorter clocks."""
    near = msgspec.structs.replace(lane(Stage.CANARY, share=1.0), deadline_s=20.0)
    yard = Yard(lane=near)
    yard.ask()
    assert yard.exchange.attempts[0].target is not OWN
    (row,) = yard.rows()
    assert row.decided is not None
    assert (row.decided.host, row.decided.fallback, row.paid) == ("box", False, False)


def test_what_targets_took_lately_is_what_a_decision_is_expected_to_take() -> None:
    yard = Yard(lane=lane(Stage.ACTIVE))
    room: Any = yard.app.app
    yard.ask()
    (took_ms,) = room._shadowing._paces_ms.values()
    yard.ask(headers={"x-laneway-legacy": "{}"})
    assert [row.decided.latency_ms for row in yard.rows() if row.decided] == [took_ms]


def test_alone_it_follows_the_lanes_own_stage() -> None:
    app = StageMiddleware(RouterMiddleware(ShadowMiddleware(Forward(Scripted(whole("openai"))))))
    for stage, status in ((Stage.OBSERVE, 403), (Stage.SHADOW, 200), (Stage.ACTIVE, 200)):
        answer = run(ask("openai", "asked").call(LaneMiddleware(app, lanes=[lane(stage, legacy=OLD)])))
        assert answer.status == status
        assert ("laneway.decision" in answer.body.decode()) is (stage is Stage.SHADOW)
