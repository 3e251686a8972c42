"""What any choice of the rooms owes, in their order: all 256 subsets, in front of Forward and of another's app.

Each test walks every subset on one event loop. A sentence of what is wrong names the subset.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from laneway.chat import Op
from laneway.dialects import dialect
from laneway.exchange import NOBODY, SLOT, Exchange
from laneway.failure import Kind
from laneway.policy.price import nanos_to_usd
from laneway.route import Tenant
from laneway.upstream.simulated import Simulated
from tests.harness.asgi import ASKS, Answer, Caller, ask
from tests.harness.loop import run
from tests.harness.rooms import KEY, PRICE, Foreign, World, ours, simulated, subsets
from tests.harness.streams import heard, words

KEYED = {"authorization": f"Bearer {KEY}"}
RIGHT = "7 * 8 = 56."


def said(front: str, answer: Answer, *, stream: bool) -> str:
    """The words of an answer, read as its caller would."""
    speaks = dialect(front)
    if not stream:
        return "".join(part.text for part in speaks.read_answer(Op.CHAT, answer.body).parts)  # type: ignore[union-attr]
    return words(heard(front, answer.body))


def error_of(front: str, answer: Answer) -> tuple[str, int]:
    """The kind of error that a caller of this front reads, and its status."""
    failure = dialect(front).read_failure(answer.status, [], answer.body)
    return failure.kind.value, answer.status


@pytest.fixture(params=[False, True], ids=["walked", "passed"], autouse=True)
def passes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the rooms are walked through one by one, or passed where they can be."""
    monkeypatch.setattr(World, "passes", request.param)
    monkeypatch.setattr(Caller, "whole", request.param)


@pytest.fixture
def rewritten(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Facts that somebody wrote over: a fact that is known stays as it is."""
    found: list[str] = []
    unknown = (None, "", 0, False)
    write = Exchange.__setattr__

    def strictly(self: Exchange, name: str, value: object) -> None:
        before = getattr(self, name, None)
        known = before is not NOBODY and not any(before is absent or before == absent for absent in unknown)
        if known and value is not before and value != before:
            found.append(f"{name}: {before!r} became {value!r}")
        write(self, name, value)

    monkeypatch.setattr(Exchange, "__setattr__", strictly, raising=False)
    yield found
    assert not found


def test_the_ban_on_writing_over_a_fact_bites(rewritten: list[str]) -> None:
    exchange = Exchange.of(ask("openai", "m").scope)
    assert exchange is not None
    exchange.tenant = Tenant(name="a")
    exchange.status = 200
    assert not rewritten
    exchange.status = 502
    assert rewritten == ["status: 200 became 502"]
    rewritten.clear()


@pytest.mark.parametrize("front", ASKS)
@pytest.mark.parametrize("stream", [False, True])
def test_every_subset_serves(front: str, stream: bool, rewritten: list[str]) -> None:
    async def main() -> None:
        for rooms in subsets():
            world = World(simulated("sim-large"), simulated("sim-small", dialect="ollama"))
            app = world.stack(rooms, ours(Simulated(), world.targets[0]))
            caller = ask(front, "asked", headers=KEYED, stream=stream)
            answer = await caller.call(app)
            assert answer.status == 200, (rooms, answer)
            assert said(front, answer, stream=stream) == RIGHT, rooms
            assert answer.headers["x-llm-backend"] == "at-sim-large", rooms
            assert answer.headers["x-laneway-attempts"] == "1", rooms
            assert ("x-laneway-lane" in answer.headers) is ("lane" in rooms), rooms
            await check_books(rooms, world, caller, 200)

    run(main())


@pytest.mark.parametrize("front", ASKS)
@pytest.mark.parametrize("stream", [False, True])
def test_every_subset_with_fallback_survives_its_first_target(front: str, stream: bool, rewritten: list[str]) -> None:
    async def main() -> None:
        for rooms in subsets():
            world = World(simulated("sim-large-fail-503"), simulated("sim-large", dialect="anthropic"))
            app = world.stack(rooms, ours(Simulated(), world.targets[0]))
            caller = ask(front, "asked", headers=KEYED, stream=stream)
            answer = await caller.call(app)
            if "fallback" in rooms:
                assert said(front, answer, stream=stream) == RIGHT, rooms
                assert answer.headers["x-llm-backend"] == "at-sim-large", rooms
                assert answer.headers["x-laneway-attempts"] == "2", rooms
            else:
                # https://docs.claude.com/en/api/errors: Anthropic's clients know an overload by 529.
                expected = 529 if front == "anthropic" else 503
                assert error_of(front, answer) == ("overloaded", expected), (rooms, answer)
            await check_books(rooms, world, caller, answer.status)

    run(main())


@pytest.mark.parametrize("front", ASKS)
def test_every_subset_refuses_bad_input_alike(front: str, rewritten: list[str]) -> None:
    """Whichever room reads the body first: a 400 in the caller's shape, and no provider is called."""

    async def main() -> None:
        for rooms in subsets():
            world = World(simulated("sim-large"))
            upstream = Simulated()
            caller = Caller(ASKS[front][0], b'{"model": "asked", "messages": 7, "input": 7}', headers=KEYED)
            answer = await caller.call(world.stack(rooms, ours(upstream, world.targets[0])))
            assert answer.status == 400, (rooms, answer)
            assert ("input" if front == "responses" else "messages") in answer.body.decode(), rooms
            assert not upstream.asked
            await check_books(rooms, world, caller, 400)

    run(main())


def test_every_subset_with_auth_turns_strangers_away(rewritten: list[str]) -> None:
    async def main() -> None:
        for rooms in subsets():
            world = World(simulated("sim-large"))
            caller = ask("anthropic", "asked", headers={"x-api-key": "sk-of-a-stranger"})
            answer = await caller.call(world.stack(rooms, ours(Simulated(), world.targets[0])))
            assert answer.status == (401 if "auth" in rooms else 200), rooms
            await check_books(rooms, world, caller, answer.status)

    run(main())


def test_every_subset_with_shadow_and_a_decision_only_tells_when_asked_to(rewritten: list[str]) -> None:
    async def main() -> None:
        for rooms in subsets():
            world = World(simulated("sim-large"))
            upstream = Simulated()
            caller = ask("openai", "asked", headers={**KEYED, "x-laneway-dry-run": "1"})
            answer = await caller.call(world.stack(rooms, ours(upstream, world.targets[0])))
            told = "shadow" in rooms and "router" in rooms
            assert (answer.json["object"] == "laneway.decision") is told, rooms
            assert bool(upstream.asked) is not told, rooms
            await check_books(rooms, world, caller, 200)

    run(main())


@pytest.mark.parametrize("front", ASKS)
@pytest.mark.parametrize("stream", [False, True])
def test_every_subset_lets_another_app_answer(front: str, stream: bool, rewritten: list[str]) -> None:
    async def main() -> None:
        bare = await ask(front, "asked", stream=stream).call(Foreign())
        for rooms in subsets():
            world = World(simulated("sim-large"), simulated("sim-small"))
            app = Foreign()
            caller = ask(front, "asked", headers=KEYED, stream=stream)
            assert await caller.call(world.stack(rooms, app)) == bare, rooms
            assert len(app.bodies) == 1, rooms
            assert json.loads(app.bodies[0])["model"] == "asked", rooms
            assert app.after == ["http.disconnect"], rooms
            assert not any(message["type"] == "http.response.start" for message in caller.sent[1:])
            if "observe" in rooms:
                assert [outcome.status for outcome in world.journal.outcomes] == [200], rooms

    run(main())


@pytest.mark.parametrize("status", [400, 503])
def test_every_subset_tells_another_apps_failure_in_its_own_words(status: int, rewritten: list[str]) -> None:
    async def main() -> None:
        bare = await ask("openai", "asked").call(Foreign(status=status))
        for rooms in subsets():
            world = World(simulated("sim-large"), simulated("sim-small"))
            app = Foreign(status=status)
            assert await ask("openai", "asked", headers=KEYED).call(world.stack(rooms, app)) == bare, rooms
            assert len(app.bodies) == (2 if status == 503 and "fallback" in rooms else 1), rooms
            assert await world.spent_nanos() == 0
            if "observe" in rooms:
                assert [outcome.status for outcome in world.journal.outcomes] == [status], rooms

    run(main())


def test_every_subset_meters_another_app_where_there_are_prices(rewritten: list[str]) -> None:
    async def main() -> None:
        for rooms in subsets():
            if "budget" not in rooms:
                continue
            world = World(simulated("sim-large"), simulated("sim-small"))
            plain = world.knobs

            def priced(room: str, plain: Any = plain) -> dict[str, Any]:
                return {**plain(room), **({"prices": {"asked": PRICE}} if room == "budget" else {})}

            world.knobs = priced  # type: ignore[method-assign]
            answer = await ask("openai", "asked", headers=KEYED, stream=True).call(world.stack(rooms, Foreign()))
            assert answer.status == 200, rooms
            # 100 tokens in at 1 USD a million, 20 out at 2 USD a million.
            assert await world.spent_nanos() == 140_000, rooms

    run(main())


async def check_books(rooms: tuple[str, ...], world: World, caller: Caller, status: int) -> None:
    """One record, and the ledger says what it says."""
    exchange: Exchange = caller.scope[SLOT]
    assert exchange.status == status, rooms
    if "observe" in rooms:
        (outcome,) = world.journal.outcomes
        assert outcome.status == status, rooms
        assert (outcome.failure is None) is (status == 200), rooms
        assert outcome.tenant == ("team-a" if "auth" in rooms and status != 401 else "default"), rooms
        assert outcome.cost_nanos == exchange.cost_nanos(), rooms
    held = "budget" in rooms and exchange.holding
    spent = await world.spent_nanos()
    assert spent == (exchange.cost_nanos() if held else 0), (rooms, nanos_to_usd(spent))
    assert bool(world.pins._tenants["team-a"] or world.pins._tenants["default"]) is False, "no trace was given"


def test_what_the_last_word_of_a_failed_request_is(rewritten: list[str]) -> None:
    """The Exchange keeps what the caller was told, not what was held back on the way."""

    async def main() -> None:
        world = World(simulated("sim-small-down"), simulated("sim-small-fail-429"))
        app = world.stack(("observe", "lane", "router", "fallback"), ours(Simulated()))
        answer = await ask("ollama", "asked").call(app)
        assert answer.status == 429
        (outcome,) = world.journal.outcomes
        assert outcome.failure is not None
        assert outcome.failure.kind is Kind.RATE_LIMITED
        assert [attempt.failure.kind for attempt in outcome.attempts if attempt.failure] == [
            Kind.CONNECT,
            Kind.RATE_LIMITED,
        ]

    run(main())
