"""What lanes cost, and what they hold: the board's question per request, and one lane's tail while others are full.

Owns: the board asked with nothing configured and with slots, a thousand times a round, alone and as one of two workers;
and alert-fast's p99 idle and saturated, as one ratio in one run, on hosts whose service time is known.
Refuses: sockets; bench/peers has those.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from laneway.board import Board, Seat
from laneway.crew import CrewBoard
from laneway.route import HostRules, Lane, Provider, Target
from laneway.slate import Slate

THOUSAND = 1000
SERVICE_S = 0.004
"""How long a host takes for a call, and twice that when it has twice as many as it is made for."""
FAST = 200
TARGETS = tuple(
    Target(provider=Provider(name=name, dialect="ollama", origin=f"http://{name}.test"), model="m", upstream="m")
    for name in ("gcp-a", "gcp-b", "111")
)
ALERT = Lane(name="alert-fast", targets=TARGETS)
HEAVY = tuple(
    Lane(name=name, targets=TARGETS[at:] + TARGETS[:at], queue=10_000)
    for name in ("code-review", "embedding")
    for at in range(len(TARGETS))
)
"""Heavy work that wants every host first."""


def measure(benchmark: BenchmarkFixture, round_: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner() as runner:
        benchmark.pedantic(lambda: runner.run(round_()), rounds=30, warmup_rounds=3)  # type: ignore[no-untyped-call]
    if benchmark.stats:
        benchmark.extra_info["us_each"] = round(benchmark.stats.stats.median / THOUSAND * 1e6, 3)


@pytest.mark.parametrize(
    "rules", [{}, {"gcp-a": HostRules(slots=8, reserved={"alert-fast": 2})}], ids=["plain", "slots"]
)
@pytest.mark.parametrize("workers", [1, 2], ids=["alone", "two-workers"])
def test_the_question_and_the_closing(
    benchmark: BenchmarkFixture, rules: dict[str, HostRules], workers: int, tmp_path: Path
) -> None:
    """Two workers are asked in turn, so that each time there is something new to hear of the other."""
    boards = [Board(rules)] if workers == 1 else [CrewBoard(Slate(tmp_path / "s.db"), rules=rules) for _ in range(2)]

    async def round_() -> None:
        for at in range(THOUSAND):
            seat = await boards[at % workers].enter(TARGETS[0], ALERT, "t")
            assert isinstance(seat, Seat)
            seat.leave(None)

    measure(benchmark, round_)


class Hosts:
    """Three hosts that slow down with every call beyond what they are made for."""

    def __init__(self, rules: HostRules) -> None:
        self.board = Board({target.provider.name: rules for target in TARGETS})
        self.made_for = rules.slots or 4
        self.calls = dict.fromkeys((target.provider.name for target in TARGETS), 0)

    async def call(self, lane: Lane) -> float:
        began_s = time.perf_counter()
        for at, target in enumerate(lane.targets):
            seat = await self.board.enter(target, lane, "t", others=lane.targets[at + 1 :])
            if not isinstance(seat, Seat):
                continue
            name = target.provider.name
            self.calls[name] += 1
            try:
                await asyncio.sleep(SERVICE_S * max(self.calls[name] / self.made_for, 1.0))
            finally:
                self.calls[name] -= 1
                seat.leave(None)
            break
        return time.perf_counter() - began_s

    async def p99_s(self) -> float:
        took = sorted([await self.call(ALERT) for _ in range(FAST)])
        return took[int(FAST * 0.99) - 1]

    async def saturated_p99_s(self) -> float:
        """The same while 36 callers of each heavy lane ask without a pause."""

        async def pull(lane: Lane) -> None:
            while True:
                await self.call(lane)

        pulling = [asyncio.ensure_future(pull(lane)) for lane in HEAVY for _ in range(12)]
        await asyncio.sleep(5 * SERVICE_S)
        try:
            return await self.p99_s()
        finally:
            for task in pulling:
                task.cancel()
            await asyncio.gather(*pulling, return_exceptions=True)


@pytest.mark.parametrize(
    "rules",
    [HostRules(slots=4, reserved={"alert-fast": 2}), HostRules(slots=4), HostRules()],
    ids=["reserved", "shared", "unguarded"],
)
def test_the_tail_of_one_lane_while_others_are_full(benchmark: BenchmarkFixture, rules: HostRules) -> None:
    """`p99_ratio`: saturated over idle. Reserved slots keep it under 2; without them it is shown beside."""
    ratios: list[float] = []

    async def both() -> None:
        hosts = Hosts(rules)
        idle_s = await hosts.p99_s()
        ratios.append(await hosts.saturated_p99_s() / idle_s)

    benchmark.pedantic(lambda: asyncio.run(both()), rounds=1)  # type: ignore[no-untyped-call]
    benchmark.extra_info["p99_ratio"] = round(ratios[-1], 2)
