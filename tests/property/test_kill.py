"""The law of a kill: whatever is configured and asked for, no paid call is made, and every process agrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from laneway.gateway import build
from laneway.ports import Call, Clocks, Reply
from laneway.store import open_store
from laneway.upstream.simulated import Simulated
from tests.harness.asgi import ASKS, Caller
from tests.harness.loop import run

MODELS = ("sim-large", "sim-small", "sim-large-fail-503", "sim-small-down", "sim-large-cut-2")
PRICES = ("free", "dear", "window", "none")


class Place(NamedTuple):
    model: str
    price: str
    tier: str


class Asked(NamedTuple):
    front: str
    model: str
    lane: str
    stream: bool
    dry: bool
    trace: str


class World(NamedTuple):
    places: tuple[Place, ...]
    forces: bool
    chained: bool
    sticky: bool
    stage: str
    daily: str
    unpriced: str
    scoped: str

    def toml(self) -> str:
        lines = ["[server]", f'store = "memory:"\nunpriced = "{self.unpriced}"\n']
        for index, place in enumerate(self.places):
            lines += [
                f"[providers.p{index}]",
                f'url = "simulated://p{index}"\ndialect = "openai"\ntier = "{place.tier}"\nlists = false',
                f"[models.m{index}]",
                f'provider = "p{index}"\nid = "{place.model}"',
                {
                    "free": 'price = "free"',
                    "dear": "price = { input = 3, output = 15 }",
                    "window": "price = { input = 0, output = 0, cache_read = 1 }",
                    "none": "",
                }[place.price],
            ]
        names = json.dumps([f"m{index}" for index in range(len(self.places))])
        lines += [
            f'[lanes.fast]\ntargets = {names}\nforces = {str(self.forces).lower()}\nstage = "{self.stage}"',
            f"sticky = {str(self.sticky).lower()}",
            f"[lanes.slow]\ntargets = {names[: names.index(',')] + ']' if ',' in names else names}",
            'chain = ["fast"]' if self.chained else "",
            f'[tenants.default]\nlane = "fast"\n{self.daily}',
            f"[budgets.b]\ncap_usd = 100\n{self.scoped}",
        ]
        return "\n".join(lines)


class Watched:
    """The simulated provider behind a door that writes down who is called."""

    def __init__(self) -> None:
        self.inner = Simulated()
        self.called: list[tuple[str, str]] = []
        """Origin and model of each call."""

    async def open(self, call: Call, clocks: Clocks) -> Reply:
        self.called.append((call.origin, json.loads(call.body)["model"]))
        return await self.inner.open(call, clocks)

    async def close(self) -> None:
        await self.inner.close()


PLACES = st.builds(
    Place, model=st.sampled_from(MODELS), price=st.sampled_from(PRICES), tier=st.sampled_from(["local", "premium"])
)
WORLDS = st.builds(
    World,
    places=st.lists(PLACES, min_size=1, max_size=4).map(tuple),
    forces=st.booleans(),
    chained=st.booleans(),
    sticky=st.booleans(),
    stage=st.sampled_from(["active", "active", "shadow"]),
    daily=st.sampled_from(["", 'daily_usd = "0"', 'daily_usd = "50"']),
    unpriced=st.sampled_from(["refuse", "free"]),
    scoped=st.sampled_from(["", 'tenant = "*"', 'tier = "premium"', 'lane = "slow"', 'unpriced = "free"']),
)
REQUESTS = st.lists(
    st.builds(
        Asked,
        front=st.sampled_from(list(ASKS)),
        model=st.sampled_from(["m0", "m1", "auto", "p0/sim-large", "sim-large", "fast", "slow"]),
        lane=st.sampled_from(["", "fast", "slow"]),
        stream=st.booleans(),
        dry=st.booleans(),
        trace=st.sampled_from(["", "a"]),
    ),
    min_size=1,
    max_size=6,
)


def paid(world: World, called: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of the calls that may cost something, as far as a gateway can know: at one's own machines, what nobody
    priced is free."""
    found: list[tuple[str, str]] = []
    for origin, model in called:
        place = world.places[int(origin.removeprefix("simulated://p"))]
        price = place.price if place.model == model else "none"
        if price != "free" and not (price == "none" and place.tier == "local"):
            found.append((origin, model))
    return found


def caller_of(asked: Asked) -> Caller:
    path, body = ASKS[asked.front]
    headers = {"x-laneway-lane": asked.lane, "x-laneway-trace": asked.trace}
    if asked.dry:
        headers["x-laneway-dry-run"] = "1"
    return Caller(path, {**body, "model": asked.model, "stream": asked.stream}, headers=headers)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=WORLDS, requests=REQUESTS, other=WORLDS)
@example(
    world=World((Place("sim-large", "dear", "local"),), True, False, False, "active", "", "free", ""),
    requests=[Asked("openai", "m0", "", False, False, "")],
    other=World((Place("sim-large", "dear", "premium"),), True, False, False, "active", "", "free", ""),
)
def test_behind_a_kill_nothing_that_costs_is_called(
    tmp_path: Path, world: World, requests: list[Asked], other: World
) -> None:
    """No configuration, header, mode, fallback, dry run or reload makes a paid call; without it, calls are made."""
    path = tmp_path / "laneway.toml"
    store, upstream = open_store("memory:"), Watched()

    async def scene() -> None:
        path.write_text(world.toml())
        gateway = build(path, variables={}, store=store, upstream=upstream)
        await gateway.start()
        try:
            await store.ledger.kill("all", "a test", 0.0)
            for asked in requests:
                await caller_of(asked).call(gateway)
            assert not paid(world, upstream.called)
            upstream.called.clear()
            path.write_text(other.toml())
            await gateway.reload()
            for asked in requests:
                await caller_of(asked).call(gateway)
            assert not paid(other, upstream.called)
        finally:
            await gateway.stop()

    run(scene())


def test_without_a_kill_the_same_calls_are_made(tmp_path: Path) -> None:
    """So that the law above is not kept by a gateway that never calls anybody."""
    world = World((Place("sim-large", "dear", "local"),), True, False, False, "active", "", "refuse", "")
    path, upstream = tmp_path / "laneway.toml", Watched()
    path.write_text(world.toml())

    async def scene() -> None:
        gateway = build(path, variables={}, store=open_store("memory:"), upstream=upstream)
        await gateway.start()
        answer = await caller_of(Asked("openai", "m0", "", False, False, "")).call(gateway)
        assert answer.status == 200
        await gateway.stop()

    run(scene())
    assert paid(world, upstream.called) == [("simulated://p0", "sim-large")]
