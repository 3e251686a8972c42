"""One request on its way from target to target: conditions, the last resort, full and resting hosts, the deadline."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from laneway.board import Board
from laneway.edge import App
from laneway.exchange import Exchange
from laneway.failure import Kind
from laneway.forward import Forward
from laneway.middleware import fallback
from laneway.middleware.budget import BudgetMiddleware
from laneway.middleware.fallback import FallbackMiddleware
from laneway.policy.breaker import BreakerRules
from laneway.policy.budgets import Budget
from laneway.policy.failover import OVERLOAD_S
from laneway.policy.residency import Denial, real_parameters
from laneway.route import FREE, HostRules, Lane, Skipped, Target, Tenant
from laneway.seat import Seat
from tests.fakes.replies import Script, Scripted, failure, refused, target, whole
from tests.harness.asgi import Answer, ask, turns
from tests.harness.loop import run

A, B, PAID = (target("openai", name=name, price=FREE) for name in ("box-a", "box-b", "paid"))
DOWN, SILENT = failure(Kind.CONNECT), failure(Kind.TIMEOUT, clock="headers")
LANE = Lane(name="alert", targets=(A, B, PAID), emergency=frozenset({PAID.name}))
ONLY_IF = Lane(name="review", targets=(A, B), only_if={B.name: "box-a"})


class Walk:
    """One board and upstream for several requests."""

    def __init__(
        self,
        lane: Lane,
        *scripts: Script,
        board: Board | None = None,
        cap: int | None = 1,
        budgets: tuple[Budget, ...] = (),
    ) -> None:
        self.lane = lane
        self.board = board or Board()
        self.upstream = Scripted(*scripts)
        self.app: App = FallbackMiddleware(Forward(self.upstream), board=self.board)
        self.door: App = BudgetMiddleware(self.app, budgets=budgets)
        self.tenant = Tenant(name="t", daily_nanos=cap)
        self.exchange: Exchange | None = None

    async def go(self) -> Answer:
        caller = ask("openai", "asked")
        exchange = self.exchange = Exchange.of(caller.scope)
        assert exchange is not None
        exchange.lane, exchange.candidates, exchange.tenant = self.lane, self.lane.targets, self.tenant
        return await caller.call(self.door)


def test_what_is_only_for_an_outage_serves_in_one() -> None:
    walk = Walk(ONLY_IF, DOWN, whole("openai"))
    assert run(walk.go()).status == 200
    assert walk.upstream.called() == ["box-a", "box-b"]


@pytest.mark.parametrize("busy", [refused("openai", Kind.RATE_LIMITED, retry_after_s=60.0)])
def test_being_busy_is_no_outage(busy: Script) -> None:
    walk = Walk(ONLY_IF, busy, whole("openai"))
    answer = run(walk.go())
    assert answer.status == 429
    assert "only while box-a is unavailable" in answer.body.decode()
    assert walk.upstream.called() == ["box-a"]


def test_being_full_is_no_outage() -> None:
    board = Board({"box-a": HostRules(slots=1)})

    async def scene() -> Walk:
        assert isinstance(await board.enter(A), Seat)
        walk = Walk(msgspec.structs.replace(ONLY_IF, queue=0), whole("openai"), board=board)
        answer = await walk.go()
        assert answer.status == 503
        return walk

    assert run(scene()).upstream.called() == []


def test_a_full_queue_is_told_with_when_to_come_again() -> None:
    board = Board({"box-a": HostRules(slots=1)})

    async def scene() -> Answer:
        assert isinstance(await board.enter(A), Seat)
        return await Walk(Lane(name="l", targets=(A,), queue=0), whole("openai"), board=board).go()

    answer = run(scene())
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("hook", [False, True])
def test_who_leaves_the_queue_takes_no_slot_and_causes_no_call(hook: bool) -> None:
    board = Board({"box-a": HostRules(slots=1)})

    async def scene() -> Walk:
        seat = await board.enter(A)
        assert isinstance(seat, Seat)
        walk = Walk(Lane(name="l", targets=(A,)), whole("openai"), board=board)
        caller = ask("openai", "asked", hook=hook)
        exchange = Exchange.of(caller.scope)
        assert exchange is not None
        exchange.lane, exchange.candidates = walk.lane, walk.lane.targets
        task = caller.start(walk.app)
        await turns(10)
        assert board.host("box-a").admission.waiting == {"l": 1}
        caller.leave()
        await task
        assert exchange.gone
        seat.leave(None)
        return walk

    walk = run(scene())
    assert walk.upstream.called() == []
    assert (board.host("box-a").admission.waiting, board.host("box-a").admission.in_use) == ({}, {})


def test_the_last_resort_waits_until_all_others_have_failed() -> None:
    walk = Walk(LANE, DOWN, SILENT, whole("openai"))
    answer = run(walk.go())
    assert answer.status == 200
    assert walk.upstream.called() == ["box-a", "box-b", "paid"]


@pytest.mark.parametrize("cap", [None, 0])
def test_without_money_set_aside_it_is_never_called(cap: int | None) -> None:
    walk = Walk(LANE, DOWN, cap=cap)
    assert "no budget above 0 binds it" in run(walk.go()).body.decode()
    assert walk.upstream.called() == ["box-a", "box-b"]


def test_any_budget_that_binds_it_is_money_set_aside() -> None:
    """Of the lane, of the tier, of the project: not only the tenant's own."""
    walk = Walk(LANE, DOWN, DOWN, whole("openai"), cap=None, budgets=(Budget(name="b", cap_nanos=1, tier="balanced"),))
    assert run(walk.go()).status == 200
    assert walk.upstream.called() == ["box-a", "box-b", "paid"]


@pytest.mark.parametrize(
    "budget",
    [
        Budget(name="elsewhere", cap_nanos=1, tier="premium"),
        Budget(name="anothers", cap_nanos=1, tenant="another"),
        Budget(name="nothing", cap_nanos=0),
    ],
    ids=["of-another-tier", "of-another-tenant", "of-0"],
)
def test_a_budget_that_does_not_bind_it_or_is_0_is_none(budget: Budget) -> None:
    walk = Walk(LANE, DOWN, cap=None, budgets=(budget,))
    assert "no budget above 0 binds it" in run(walk.go()).body.decode()
    assert walk.upstream.called() == ["box-a", "box-b"]


def test_a_cap_of_0_means_never_whatever_the_others_are() -> None:
    walk = Walk(LANE, DOWN, cap=1, budgets=(Budget(name="never", cap_nanos=0, lane="alert"),))
    assert "no budget above 0 binds it" in run(walk.go()).body.decode()


def test_nor_while_one_of_the_others_is_only_busy() -> None:
    walk = Walk(LANE, DOWN, refused("openai", Kind.RATE_LIMITED, retry_after_s=60.0))
    assert run(walk.go()).status == 429
    assert walk.upstream.called() == ["box-a", "box-b"]


def test_an_open_breaker_counts_as_an_outage_and_is_not_called() -> None:
    walk = Walk(LANE, SILENT, DOWN, whole("openai"), SILENT, DOWN, whole("openai"), DOWN, whole("openai"))

    async def scene() -> None:
        for _ in range(3):
            assert (await walk.go()).status == 200

    run(scene())
    assert walk.upstream.called() == ["box-a", "box-b", "paid"] * 2 + ["box-b", "paid"]
    assert walk.exchange is not None
    assert [skipped.kind for skipped in walk.exchange.skipped] == ["open"]


def test_when_nothing_else_is_left_the_open_breaker_is_named() -> None:
    walk = Walk(Lane(name="l", targets=(A,)), SILENT)

    async def scene() -> Answer:
        await walk.go()
        await walk.go()
        return await walk.go()

    answer = run(scene())
    assert answer.status == 503
    assert "box-a" in answer.body.decode()
    assert "breaker is open" in answer.body.decode()
    assert float(answer.headers["retry-after"]) <= 30
    assert walk.upstream.called() == ["box-a"] * 2


# --- the same target once more -------------------------------------------------------------------------------

BUSY = refused("openai", Kind.OVERLOADED)
ALONE = Lane(name="alone", targets=(A,))


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts, none of which is waited."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(fallback, "asyncio", SimpleNamespace(sleep=sleep))
    return found


def test_an_overloaded_host_is_asked_once_more_where_there_is_no_other(waited: list[float]) -> None:
    walk = Walk(ALONE, BUSY, whole("openai"))
    assert run(walk.go()).status == 200
    assert walk.upstream.called() == ["box-a", "box-a"]
    assert waited == [OVERLOAD_S]


def test_and_only_once(waited: list[float]) -> None:
    walk = Walk(ALONE, BUSY)
    assert run(walk.go()).status == 503
    assert walk.upstream.called() == ["box-a", "box-a"]
    assert len(waited) == 1


def test_where_there_is_another_one_it_is_left_at_once(waited: list[float]) -> None:
    walk = Walk(Lane(name="two", targets=(A, B)), BUSY, whole("openai"))
    assert run(walk.go()).status == 200
    assert walk.upstream.called() == ["box-a", "box-b"]
    assert waited == []


def test_the_last_of_several_is_asked_once_more_too(waited: list[float]) -> None:
    walk = Walk(Lane(name="two", targets=(A, B)), DOWN, BUSY, whole("openai"))
    assert run(walk.go()).status == 200
    assert walk.upstream.called() == ["box-a", "box-b", "box-b"]


@pytest.mark.parametrize(("asked_s", "wait_s", "waits"), [(3.0, 5.0, [3.0]), (9.0, 5.0, []), (None, 0.0, [])])
def test_it_is_given_the_time_it_asks_for_where_the_lane_can_wait(
    waited: list[float], asked_s: float | None, wait_s: float, waits: list[float]
) -> None:
    lane = msgspec.structs.replace(ALONE, wait_s=wait_s)
    walk = Walk(lane, refused("openai", Kind.OVERLOADED, retry_after_s=asked_s), whole("openai"))
    run(walk.go())
    assert waited == waits
    assert len(walk.upstream.called()) == 1 + len(waits)


def test_near_the_deadline_it_is_not_asked_again(waited: list[float]) -> None:
    lane = msgspec.structs.replace(ALONE, deadline_s=OVERLOAD_S / 2)
    walk = Walk(lane, BUSY, whole("openai"))
    assert run(walk.go()).status == 503
    assert walk.upstream.called() == ["box-a"]
    assert waited == []


def test_near_the_deadline_no_attempt_begins() -> None:
    now = [0.0]
    board = Board(clock=lambda: now[0])
    walk = Walk(Lane(name="l", targets=(A, B), deadline_s=10.0), DOWN, whole("openai"), board=board)
    inner = walk.app

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        now[0] += 11.0
        await Forward(walk.upstream)(scope, receive, send)

    assert isinstance(inner, FallbackMiddleware)
    inner.app = slow
    answer = run(walk.go())
    assert answer.status == 502
    assert "could not have finished" in answer.body.decode()
    assert walk.upstream.called() == ["box-a"]


# --- sizes and denials -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "told", "size", "parameters"),
    [
        ("phi4", "14.7B", None, 14.7e9),
        ("small-7b", "14.7B", None, 14.7e9),
        ("qwen2.5:14b", None, None, 14e9),
        ("qwen2.5-coder:7b-instruct-q4_0", None, None, 7e9),
        ("mixtral:8x7b", None, None, 56e9),
        ("bge-m3", "566.70M", None, 566.7e6),
        ("mystery", None, 9 * 10**9, 15e9),
        ("mystery", "", None, None),
        ("v4b4bb", None, None, None),
    ],
)
def test_a_models_size_is_what_its_host_says(
    model: str, told: str | None, size: int | None, parameters: float | None
) -> None:
    found = real_parameters(model, told, size)
    assert found == (pytest.approx(parameters) if parameters is not None else None)


def test_before_a_host_has_told_sizes_nothing_unknown_is_loaded_there() -> None:
    board = Board()
    denial = Denial(name="light-only", providers=frozenset({"box-a"}), from_parameters=14e9)
    board.configure({"box-a": HostRules()}, BreakerRules(), (denial,))

    def asked(name: str) -> Skipped | None:
        return board.barred(Target(provider=A.provider, model=name, upstream=name))

    unknown = asked("phi4")
    assert unknown is not None
    assert "light-only" in unknown.reason
    assert asked("gemma3:4b") is None
    board.hear_models("box-a", [("phi4:latest", "14.7B", None), ("custom", None, None)])
    assert asked("custom") is None
    for spelled in ("phi4", "Phi4:latest", "library/phi4", "registry.ollama.ai/library/phi4"):
        skipped = asked(spelled)
        assert skipped is not None
        assert skipped.failure is not None
        assert skipped.failure.kind is Kind.FORBIDDEN
    board.open_maintenance("box-a", board.wall() + 60)
    assert asked("phi4") is None
