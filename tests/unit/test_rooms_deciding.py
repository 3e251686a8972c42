"""Router and Shadow: from candidates to a decision, and telling it instead of acting on it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from laneway.board import Board
from laneway.exchange import SLOT, Exchange
from laneway.failure import Kind
from laneway.forward import Forward
from laneway.middleware.lane import LaneMiddleware
from laneway.middleware.router import RouterMiddleware
from laneway.middleware.shadow import ShadowMiddleware
from laneway.policy.breaker import Breaker, BreakerRules
from laneway.policy.residency import Denial
from laneway.route import Decision, Dropped, HostRules, Lane, Stage, Target
from tests.fakes.replies import HANG, Scripted, target, whole
from tests.harness.asgi import ASKS, Answer, Caller, ask
from tests.harness.loop import run

SEES, BLIND = (
    Target(provider=target(name=name).provider, model=name, upstream=f"{name}-id", abilities=frozenset(abilities))
    for name, abilities in (("sees", {"vision", "tools"}), ("blind", set()))
)
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def routed(*targets: Target, facts: dict[str, Any] | None = None, **fields: Any) -> tuple[Answer, Exchange]:
    caller = ask("openai", "asked", **fields)
    exchange = Exchange.of(caller.scope)
    assert exchange is not None
    for fact, value in (facts or {}).items():
        setattr(exchange, fact, value)
    app = RouterMiddleware(Forward(Scripted(whole("openai"))), targets=targets)
    return run(caller.call(app)), caller.scope[SLOT]


def test_the_order_is_kept_and_what_cannot_serve_is_dropped_with_a_reason() -> None:
    answer, exchange = routed(BLIND, SEES, messages=[{"role": "user", "content": [PICTURE]}])
    assert answer.headers["x-llm-backend"] == "sees"
    assert exchange.decision == Decision(ranked=(SEES,), by="order", dropped=(Dropped(BLIND, "cannot do vision"),))


def test_when_nothing_is_left_every_reason_is_told() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    facts = {"candidates": (BLIND, SEES), "dropped": [Dropped(SEES, "may cost too much")]}
    answer, exchange = routed(facts=facts, tools=tools)
    assert answer.status == 503
    message = answer.json["error"]["message"]
    assert "blind: cannot do tools" in message
    assert "sees: may cost too much" in message
    assert exchange.failure is not None
    assert exchange.failure.kind is Kind.NO_TARGET


def test_what_no_candidate_could_ever_serve_is_not_asked_for_again() -> None:
    """Clients repeat after a 503, which cannot help here."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    answer, exchange = routed(BLIND, tools=tools)
    assert answer.status == 400
    assert answer.json["error"]["message"] == "No model can serve this request. blind: cannot do tools."
    assert exchange.failure is not None
    assert exchange.failure.kind is Kind.UNSUPPORTED


def test_a_prompt_beyond_every_window_is_told_as_clients_know_it() -> None:
    narrow = msgspec.structs.replace(SEES, window=10)
    answer, _ = routed(narrow, messages=[{"role": "user", "content": "word " * 100}])
    assert answer.status == 400
    assert answer.json["error"]["code"] == "context_length_exceeded"


def test_a_long_list_of_reasons_is_told_in_bounds() -> None:
    many = tuple(
        Target(provider=target(name=f"box-{number}").provider, model="m", upstream="m", abilities=frozenset())
        for number in range(500)
    )
    answer, _ = routed(*many, tools=[{"type": "function", "function": {"name": "f"}}])
    assert answer.status == 400
    assert len(answer.body) < 2000


def test_who_decided_first_has_decided() -> None:
    decided = Decision(ranked=(BLIND,), by="pin")
    answer, exchange = routed(SEES, facts={"decision": decided})
    assert exchange.decision is decided
    assert answer.headers["x-llm-backend"] == "blind"


def test_candidates_go_before_its_own_targets() -> None:
    answer, _ = routed(SEES, facts={"candidates": (BLIND,)})
    assert answer.headers["x-llm-backend"] == "blind"


def test_alone_it_checks_the_body_it_has_to_know() -> None:
    app = RouterMiddleware(Forward(Scripted(HANG)), targets=(SEES,))
    answer = run(Caller(ASKS["anthropic"][0], b"[]").call(app))
    assert (answer.status, answer.json["type"]) == (400, "error")
    gone = Caller(ASKS["anthropic"][0], pieces=[], more=True)
    gone.leave()
    run(gone.call(app))
    assert gone.sent == []
    assert gone.scope[SLOT].gone


# --- shadow ------------------------------------------------------------------------------------------------


def shadowed(
    stage: Stage = Stage.ACTIVE, *, headers: dict[str, str] | None = None, **knobs: Any
) -> tuple[Answer, Scripted]:
    upstream = Scripted(whole("openai"))
    app = RouterMiddleware(ShadowMiddleware(Forward(upstream), **knobs))
    lane = Lane(name="asked", targets=(SEES, BLIND), stage=stage)
    caller = ask("openai", "asked", headers=headers)
    return run(caller.call(LaneMiddleware(app, lanes=[lane]))), upstream


def test_a_shadowed_lane_tells_and_calls_nobody() -> None:
    answer, upstream = shadowed(Stage.SHADOW)
    told = answer.json
    assert answer.status == 200
    assert upstream.calls == []
    assert told["object"] == "laneway.decision"
    assert (told["lane"], told["stage"], told["by"], told["executed"]) == ("asked", "shadow", "order", False)
    assert told["ranked"] == [
        {"provider": "sees", "model": "sees-id", "tier": "balanced"},
        {"provider": "blind", "model": "blind-id", "tier": "balanced"},
    ]
    assert told["request_id"] == answer.headers["x-laneway-request-id"]
    assert answer.headers["x-laneway-attempts"] == "0"


def test_other_lanes_execute() -> None:
    answer, upstream = shadowed(Stage.ACTIVE)
    assert len(upstream.calls) == 1
    assert "choices" in answer.json


@pytest.mark.parametrize(
    ("value", "tells"), [("1", True), ("true", True), ("yes", True), ("0", False), ("false", False), ("", False)]
)
def test_a_caller_may_ask_what_would_happen(value: str, tells: bool) -> None:
    _, upstream = shadowed(headers={"X-Laneway-Dry-Run": value})
    assert bool(upstream.calls) is not tells


def test_the_header_can_be_ones_own() -> None:
    assert not shadowed(headers={"x-what-if": "1"}, header="X-What-If")[1].calls
    assert shadowed(headers={"x-laneway-dry-run": "1"}, header="X-What-If")[1].calls


# --- at this moment ----------------------------------------------------------------------------------------

HOST = target(name="host").provider
HEAVY, LIGHT = (Target(provider=HOST, model=name, upstream=name) for name in ("heavy", "light"))


def foreseen(*targets: Target, board: Board, **rules: Any) -> dict[str, Any]:
    lane = Lane(name="asked", targets=targets, stage=Stage.SHADOW, **rules)
    app = RouterMiddleware(ShadowMiddleware(Forward(Scripted(HANG)), board=board))
    told: dict[str, Any] = run(ask("openai", "asked").call(LaneMiddleware(app, lanes=[lane]))).json
    return told


def test_it_says_by_which_rule_a_host_is_left_out_now() -> None:
    board = Board()
    rule = Denial(name="no-heavy", providers=frozenset({"host"}), models=("heavy",), from_parameters=None)
    board.configure({"host": HostRules()}, BreakerRules(), [rule])
    told = foreseen(HEAVY, LIGHT, SEES, board=board)
    assert [(each["model"], each["kind"]) for each in told["skipped"]] == [("heavy", "denied")]
    assert "the rule 'no-heavy' keeps heavy (of unknown size) off host" in told["skipped"][0]["reason"]
    assert told["would_call"] == {"provider": "host", "model": "light", "tier": "balanced", "fallback": True}


def test_open_breakers_full_hosts_and_conditions_are_foreseen() -> None:
    now_s = 100.0
    board = Board({"host": HostRules(slots=1, reserved={"other": 1})}, clock=lambda: now_s)
    board.host("sees").breakers[SEES.name] = Breaker(strikes=2, trips=1, until_s=now_s + 9)
    told = foreseen(SEES, BLIND, LIGHT, board=board, queue=0, only_if={BLIND.name: "sees"}, emergency=frozenset())
    assert [(each["provider"], each["kind"]) for each in told["skipped"]] == [("sees", "open"), ("host", "full")]
    assert "its breaker is open after timeouts" in told["skipped"][0]["reason"]
    assert told["would_call"]["provider"] == "blind", "which serves only while the first is away"
    told = foreseen(SEES, LIGHT, board=board, queue=0)
    assert (told["would_call"], len(told["skipped"])) == (None, 2)


def test_a_last_resort_is_foreseen_only_behind_everything_else() -> None:
    told = foreseen(SEES, BLIND, board=Board(), emergency=frozenset({BLIND.name}))
    assert told["would_call"]["fallback"] is False
    assert told["skipped"] == []
    told = foreseen(BLIND, board=Board(), emergency=frozenset({BLIND.name}))
    assert [each["kind"] for each in told["skipped"]] == ["no_budget"]
