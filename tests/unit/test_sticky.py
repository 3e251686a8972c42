"""A conversation stays with the target that served it, where its lane wants that and while it can."""

from __future__ import annotations

from typing import Any

import pytest

from laneway.exchange import SLOT, Exchange
from laneway.failure import Kind
from laneway.forward import Forward
from laneway.middleware.fallback import FallbackMiddleware
from laneway.middleware.lane import LaneMiddleware
from laneway.middleware.router import RouterMiddleware
from laneway.middleware.sticky import StickyMiddleware
from laneway.ports import Pin
from laneway.route import Lane, Target, Tenant
from laneway.stores.memory import MemoryPins
from tests.fakes.replies import HANG, Given, Script, Scripted, events, failure, frames, target, whole
from tests.harness.asgi import Answer, Caller, ask
from tests.harness.loop import run

ONE, TWO, THREE = (target(name=name) for name in ("one", "two", "three"))
NOW_S = 1000.0
TRACE = {"x-laneway-trace": "talk-1"}


class Room:
    """Sticky between a lane and what executes, with pins to look at."""

    def __init__(self, *targets: Target, sticky: bool = True, everywhere: bool = False) -> None:
        self.pins = MemoryPins()
        self.lane = Lane(name="asked", targets=targets or (ONE, TWO, THREE), sticky=sticky)
        self.everywhere = everywhere

    def serve(
        self, *scripts: Script, headers: dict[str, str] | None = None, stream: bool = False
    ) -> tuple[Answer, Exchange]:
        caller = ask("openai", "asked", headers=TRACE if headers is None else headers, stream=stream)
        return run(caller.call(self.around(Forward(Scripted(*scripts))))), caller.scope[SLOT]

    def around(self, app: Any) -> Any:
        inner = RouterMiddleware(FallbackMiddleware(app))
        sticky = StickyMiddleware(inner, pins=self.pins, everywhere=self.everywhere, clock=lambda: NOW_S)
        return LaneMiddleware(sticky, lanes=[self.lane])

    def pinned(self, tenant: str = "default", trace: str = "talk-1") -> str | None:
        pin = run(self.pins.get(tenant, trace, NOW_S))
        return pin.target if pin is not None else None

    def pin(self, name: str) -> None:
        run(self.pins.put("default", "talk-1", Pin(target=name, at_s=NOW_S)))


def test_who_served_a_conversation_serves_it_again() -> None:
    room = Room()
    answer, _ = room.serve(failure(Kind.CONNECT), whole("openai"))
    assert answer.headers["x-llm-backend"] == "two"
    assert room.pinned() == "two/own-id"
    answer, exchange = room.serve(whole("openai"))
    assert answer.headers["x-llm-backend"] == "two"
    assert exchange.decision is not None
    assert (exchange.decision.by, exchange.decision.ranked) == ("pin", (TWO, ONE, THREE))
    # Another conversation begins at the front of the lane.
    answer, exchange = room.serve(whole("openai"), headers={"x-laneway-trace": "talk-2"})
    assert answer.headers["x-llm-backend"] == "one"
    assert exchange.decision is not None
    assert exchange.decision.by == "order"


def test_when_the_pinned_target_fails_the_rest_is_tried_and_remembered() -> None:
    room = Room()
    room.pin("two/own-id")
    answer, _ = room.serve(failure(Kind.CONNECT), whole("openai"))
    assert answer.headers["x-llm-backend"] == "one"
    assert room.pinned() == "one/own-id"


def test_a_pin_to_what_is_no_candidate_any_more_is_forgotten() -> None:
    room = Room(ONE, TWO)
    room.pin("three/own-id")
    answer, exchange = room.serve(whole("openai"))
    assert answer.headers["x-llm-backend"] == "one"
    assert exchange.decision is not None
    assert exchange.decision.by == "order"
    assert room.pinned() == "one/own-id"


def test_a_pin_to_what_cannot_serve_this_request_is_not_kept() -> None:
    blind = Target(provider=TWO.provider, model="asked", upstream="own-id", abilities=frozenset())
    room = Room(ONE, blind)
    room.pin("two/own-id")
    caller = ask("openai", "asked", headers=TRACE, tools=[{"type": "function", "function": {"name": "f"}}])
    answer = run(caller.call(room.around(Forward(Scripted(whole("openai"))))))
    assert answer.headers["x-llm-backend"] == "one"


@pytest.mark.parametrize(
    ("sticky", "everywhere", "holds"), [(True, False, True), (False, True, True), (False, False, False)]
)
def test_only_lanes_that_ask_for_it_are_held(sticky: bool, everywhere: bool, holds: bool) -> None:
    """Where the order is a rule, a pin would keep traffic away from a primary that has recovered."""
    room = Room(sticky=sticky, everywhere=everywhere)
    room.pin("two/own-id")
    answer, _ = room.serve(whole("openai"))
    assert answer.headers["x-llm-backend"] == ("two" if holds else "one")


def test_without_a_trace_nothing_is_remembered() -> None:
    room = Room(everywhere=True)
    room.serve(whole("openai"), headers={})
    assert not any(room.pins._tenants.values())


@pytest.mark.parametrize("stream", [False, True])
def test_what_did_not_end_well_is_not_remembered(stream: bool) -> None:
    room = Room(ONE)
    cut = Given([*frames("openai", events("a", usage=None, finish=False), end=False), failure(Kind.CUT)])
    room.serve(cut if stream else failure(Kind.CONNECT), stream=stream)
    assert room.pinned() is None


def test_who_leaves_pins_nothing() -> None:
    room = Room()
    caller: Caller = ask("openai", "asked", headers=TRACE, stream=True)
    upstream = Scripted(Given([*frames("openai", events("a"))[:2], HANG]))

    async def main() -> None:
        task = caller.start(room.around(Forward(upstream)))
        await caller.until(2)
        caller.leave()
        await task

    run(main())
    assert room.pinned() is None


def test_pins_of_tenants_are_apart() -> None:
    room = Room()
    run(room.pins.put("other", "talk-1", Pin(target="two/own-id", at_s=NOW_S)))
    answer, _ = room.serve(whole("openai"))
    assert answer.headers["x-llm-backend"] == "one"
    caller = ask("openai", "asked", headers=TRACE)
    exchange = Exchange.of(caller.scope)
    assert exchange is not None
    exchange.tenant = Tenant(name="other")
    answer = run(caller.call(room.around(Forward(Scripted(whole("openai"))))))
    assert answer.headers["x-llm-backend"] == "two"


def test_a_pin_that_is_still_right_is_not_written_again() -> None:
    room = Room()
    room.pin("one/own-id")
    puts: list[str] = []
    put = room.pins.put

    async def counting(tenant: str, trace: str, pin: Pin) -> None:
        puts.append(pin.target)
        await put(tenant, trace, pin)

    room.pins.put = counting  # type: ignore[method-assign]
    room.serve(whole("openai"))
    assert puts == []


def test_alone_around_forward_it_has_nothing_to_hold() -> None:
    pins = MemoryPins()
    caller = ask("openai", "asked", headers=TRACE)
    app = StickyMiddleware(Forward(Scripted(whole("openai")), target=ONE), pins=pins, everywhere=True)
    assert run(caller.call(app)).status == 200
    assert not any(pins._tenants.values()), "the trace is the lane room's to hear"
