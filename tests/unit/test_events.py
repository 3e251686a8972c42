"""The hub of events: who hears what, what a slow listener misses, and what is there for one who comes back."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from laneway.edge import Receive, Send
from laneway.exchange import SLOT, Scope
from laneway.failure import Failure, Kind
from laneway.forward import Forward
from laneway.middleware.auth import AuthMiddleware
from laneway.middleware.fallback import FallbackMiddleware
from laneway.middleware.lane import LaneMiddleware
from laneway.middleware.observe import ObserveMiddleware
from laneway.middleware.router import RouterMiddleware
from laneway.record import attributes
from laneway.route import Lane
from laneway.stores.memory import MemoryJournal, MemoryKeys
from laneway.watching.events import (
    COMPLETED,
    FALLBACK,
    LAG,
    MOST_LISTENERS,
    MOST_WAITING,
    STARTED,
    Hub,
    Listener,
    completed,
)
from laneway.watching.hearsay import Hearsay
from tests.fakes.replies import HANG, Given, Script, Scripted, failure, frames, target, whole
from tests.fakes.replies import events as said
from tests.harness.asgi import Caller, ask
from tests.harness.loop import run
from tests.harness.outcomes import outcome

ONE, TWO = target(name="one"), target(name="two")
ASKED = Lane(name="asked", targets=(ONE, TWO), badges={ONE.name: "Local", TWO.name: "Fallback: Local"})


def heard(hub: Hub, tenant: str | None = None, last_id: str | None = None) -> Listener:
    listener = hub.listen(tenant, last_id)
    assert isinstance(listener, Listener)
    return listener


def read(frames: bytes) -> list[tuple[str, Any]]:
    """Names and facts, in order."""
    found: list[tuple[str, Any]] = []
    for block in frames.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def ids(frames: bytes) -> list[str]:
    return [line.removeprefix("id: ") for line in frames.decode().splitlines() if line.startswith("id: ")]


# --- listeners ---------------------------------------------------------------------------------------------


def test_nothing_is_kept_before_anybody_listens() -> None:
    hub = Hub()
    assert not hub.active

    async def scene() -> None:
        listener = heard(hub)
        assert hub.active
        assert await listener.take(0.001) == b": keep-alive\n\n"

    run(scene())


def test_a_listener_hears_his_tenant_and_an_operator_hears_all() -> None:
    async def scene() -> None:
        hub = Hub()
        own, other, everybody = heard(hub, "acme"), heard(hub, "bees"), heard(hub)
        hub.publish("acme", STARTED, {"n": 1})
        hub.publish("bees", STARTED, {"n": 2})
        assert read(await own.take()) == [(STARTED, {"n": 1})]
        assert read(await other.take()) == [(STARTED, {"n": 2})]
        assert [facts["n"] for _, facts in read(await everybody.take())] == [1, 2]

    run(scene())


def test_a_slow_listener_is_told_how_much_it_missed_and_where() -> None:
    async def scene() -> None:
        hub = Hub()
        slow, other = heard(hub, "acme"), heard(hub, "bees")
        for number in range(MOST_WAITING + 7):
            hub.publish("acme", STARTED, {"n": number})
        found = read(await slow.take())
        assert [facts["n"] for _, facts in found[:-1]] == list(range(MOST_WAITING))
        assert found[-1] == (LAG, {"dropped": 7})
        hub.publish("acme", STARTED, {"n": "after"})
        assert read(await slow.take()) == [(STARTED, {"n": "after"})]
        assert await other.take(0.001) == b": keep-alive\n\n", "what others miss is not told here"

    run(scene())


def test_who_comes_back_hears_what_came_meanwhile() -> None:
    async def scene() -> None:
        hub = Hub(boot="b")
        first = heard(hub, "acme")
        hub.publish("acme", STARTED, {"n": 1})
        (last,) = ids(await first.take())
        hub.leave(first)
        assert hub.active, "kept for a while"
        hub.publish("acme", STARTED, {"n": 2})
        hub.publish("bees", STARTED, {"n": 3})
        again = heard(hub, "acme", last)
        assert read(await again.take()) == [(STARTED, {"n": 2})]
        hub.publish("acme", STARTED, {"n": 4})
        caught_up = await again.take()
        assert read(caught_up) == [(STARTED, {"n": 4})]
        up_to_date = heard(hub, "acme", ids(caught_up)[-1])
        assert await up_to_date.take(0.001) == b": keep-alive\n\n"

    run(scene())


@pytest.mark.parametrize("last_id", ["another-1", "b-99", "b-x", "nonsense", "b-" + "9" * 5000])
def test_where_the_thread_is_lost_that_is_said(last_id: str) -> None:
    async def scene() -> None:
        hub = Hub(boot="b")
        heard(hub)
        hub.publish("acme", STARTED, {})
        found = read(await heard(hub, None, last_id).take())
        assert found[0] == (LAG, {"dropped": None})

    run(scene())


def test_what_is_kept_has_a_bound_and_a_gap_is_said() -> None:
    async def scene() -> None:
        hub = Hub(boot="b", most_kept=3)
        heard(hub)
        for number in range(1, 7):
            hub.publish("acme", STARTED, {"n": number})
        assert [name for name, _ in read(await heard(hub, None, "b-3").take())] == [STARTED] * 3
        assert [name for name, _ in read(await heard(hub, None, "b-2").take())] == [LAG] + [STARTED] * 3
        hub.rest()
        assert not hub.active
        assert [name for name, _ in read(await heard(hub, None, "b-3").take())] == [LAG]

    run(scene())


def test_there_is_room_for_so_many_and_none_after_the_end() -> None:
    async def scene() -> None:
        hub = Hub()
        listeners = [heard(hub) for _ in range(MOST_LISTENERS)]
        refused = hub.listen(None)
        assert isinstance(refused, Failure)
        assert refused.status == 503
        hub.leave(listeners.pop())
        listeners.append(heard(hub))
        hub.publish("acme", STARTED, {})
        hub.close()
        assert len(read(await listeners[0].take())) == 1, "what was said before the end is still heard"
        assert await listeners[0].take() == b""
        assert isinstance(hub.listen(None), Failure)

    run(scene())


def test_what_cannot_be_said_spoils_nothing() -> None:
    async def scene() -> None:
        hub = Hub()
        listener = heard(hub)
        hub.publish("acme", STARTED, {"odd": object()})
        hub.publish("acme", STARTED, {"n": 1})
        assert read(await listener.take()) == [(STARTED, {"n": 1})]

    run(scene())


# --- requests ----------------------------------------------------------------------------------------------


def stack(hub: Hub, *scripts: Script, journal: MemoryJournal | None = None) -> ObserveMiddleware:
    hub.lanes = {"asked": ASKED}
    app = RouterMiddleware(FallbackMiddleware(Forward(Scripted(*scripts))))
    return ObserveMiddleware(LaneMiddleware(app, lanes=[ASKED]), hub=hub, journal=journal)


def test_while_nobody_listens_a_request_has_no_witness() -> None:
    caller = ask("openai", "asked")
    seen: list[object] = []
    app = stack(Hub(), whole("openai"))
    inner = app.app

    async def looking(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope[SLOT].witness)
        await inner(scope, receive, send)

    app.app = looking
    assert run(caller.call(app)).status == 200
    assert seen == [None]


def told(*scripts: Script, caller: Caller | None = None, leaves: bool = False) -> list[tuple[str, Any]]:
    """The events of one request."""

    async def scene() -> bytes:
        hub = Hub()
        listener = heard(hub)
        asking = caller or ask("openai", "asked")
        task = asking.start(stack(hub, *scripts))
        if leaves:
            await asking.until(2)
            asking.leave()
        await task
        assert asking.scope[SLOT].witness is None, "a circle would outlive the request"
        return await listener.take()

    return read(run(scene()))


def test_a_request_is_started_and_completed() -> None:
    (first, begun), (last, done) = told(whole("openai"))
    assert (first, last) == (STARTED, COMPLETED)
    assert (begun["lane"], begun["decided_by"], begun["requested_model"]) == ("asked", "order", "asked")
    assert [each["provider"] for each in begun["ranked"]] == ["one", "two"]
    assert (done["status"], done["lane"], done["provider"], done["badge"]) == (200, "asked", "one", "Local")
    assert done["request_id"] == begun["request_id"]
    assert done["usage"]["output_tokens"] > 0


def test_a_move_is_told_with_its_reason() -> None:
    found = told(failure(Kind.CONNECT), whole("openai"))
    assert [name for name, _ in found] == [STARTED, FALLBACK, COMPLETED]
    move = found[1][1]
    assert (move["from"]["provider"], move["reason"], move["to"]["provider"]) == ("one", "connect", "two")
    assert found[2][1]["fallback_reason"] == "connect"
    assert found[2][1]["badge"] == "Fallback: Local"


def test_a_second_try_at_the_same_place_is_no_move() -> None:
    assert [name for name, _ in told(failure(Kind.RESET), whole("openai"))] == [STARTED, COMPLETED]


def test_a_last_failure_is_no_move() -> None:
    found = told(failure(Kind.CONNECT), failure(Kind.CONNECT))
    assert [name for name, _ in found] == [STARTED, FALLBACK, COMPLETED]
    assert (found[2][1]["status"], found[2][1]["failure"]) == (502, "connect")


def test_what_was_refused_before_a_decision_is_only_completed() -> None:
    ((name, done),) = told(HANG, caller=Caller("/v1/messages", b"{"))
    assert (name, done["status"], done["failure"]) == (COMPLETED, 400, "malformed_request")


def test_whose_caller_nobody_knows_is_no_tenants() -> None:
    async def scene() -> None:
        hub = Hub()
        tenant, operator = heard(hub, "default"), heard(hub)
        gate = AuthMiddleware(stack(hub), keys=MemoryKeys())
        await ask("openai", "asked").call(ObserveMiddleware(gate, hub=hub))
        assert [name for name, _ in read(await operator.take())] == [COMPLETED]
        assert await tenant.take(0.001) == b": keep-alive\n\n"

    run(scene())


def test_who_left_is_told_of_too() -> None:
    pieces = frames("openai", said("a", usage=None, finish=False), end=False)
    found = told(Given([*pieces, HANG]), caller=ask("openai", "asked", stream=True), leaves=True)
    assert [name for name, _ in found] == [STARTED, COMPLETED]
    assert found[1][1]["caller_gone"] is True


# --- other processes ---------------------------------------------------------------------------------------


def test_what_another_process_served_is_heard_from_its_record() -> None:
    async def scene() -> None:
        hub, journal = Hub(), MemoryJournal()
        journal.record(outcome(request_id="req_before", tenant="acme"))
        hearsay = Hearsay(hub, journal, every_s=0.001)
        hearsay.start()
        listener, other = heard(hub, "acme"), heard(hub, "bees")
        await asyncio.sleep(0.01)
        await ask("openai", "asked").call(stack(hub, whole("openai"), journal=journal))
        journal.record(outcome(request_id="req_elsewhere", tenant="acme"))
        found: list[tuple[str, Any]] = []
        while not found:
            found = read(await listener.take())
        assert [(name, facts["request_id"]) for name, facts in found] == [(COMPLETED, "req_elsewhere")]
        assert found[0][1]["cost_usd"] == "0.0006"
        assert read(await other.take(0.001)) == []
        await hearsay.close()
        assert await listener.take() == b""

    run(scene())


def test_a_record_that_lacks_something_is_passed_over() -> None:
    async def scene() -> None:
        hub, journal = Hub(prefix="awooop"), MemoryJournal(prefix="acme")
        hearsay = Hearsay(hub, journal, every_s=0.001)
        hearsay.start()
        listener = heard(hub)
        await asyncio.sleep(0.01)
        journal.record(outcome(request_id="req_elsewhere"))
        await asyncio.sleep(0.02)
        hub.publish("acme", STARTED, {})
        assert [name for name, _ in read(await listener.take())] == [STARTED]
        await hearsay.close()

    run(scene())


def test_every_word_of_the_last_event_is_there_whatever_happened() -> None:
    refused = outcome(attempts=(), decision=None, lane=None, status=401, failure=failure(Kind.UNAUTHENTICATED))
    told_of = [completed(attributes(each), "awooop", None) for each in (refused, outcome())]
    assert list(told_of[0]) == list(told_of[1])
