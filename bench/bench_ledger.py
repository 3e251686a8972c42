"""What money costs a request: the stack with the budget room beside the stack without it, and its parts alone.

Owns: CPU time of the whole process, writing thread included, for hold + settle + record over SQLite, in rounds of a
thousand requests; both stacks take turns in one run, so that a ratio means something on any machine.
Refuses: wall time, and networks: the provider answers from memory.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from laneway.edge import App
from laneway.forward import Forward
from laneway.middleware.budget import BudgetMiddleware, usd
from laneway.middleware.fallback import FallbackMiddleware
from laneway.middleware.lane import LaneMiddleware
from laneway.middleware.observe import ObserveMiddleware
from laneway.middleware.router import RouterMiddleware
from laneway.policy.budgets import Budget
from laneway.ports import Call, Clocks, Hold, Share
from laneway.route import Lane, Price
from laneway.store import Store, open_store
from tests.fakes.replies import ScriptedReply, target, whole
from tests.harness.asgi import ask
from tests.harness.outcomes import outcome

THOUSAND = 1000
CALLERS = 16
CAP = usd("1000000")
NOW = 1_795_262_400.0
PRICE = Price(input=1_000_000, output=2_000_000)
BUDGETS = (Budget(name="all", cap_nanos=CAP), Budget(name="each", cap_nanos=CAP, tenant="*"))
OUTCOME = outcome(at_s=NOW)

_numbers = count()


class Quick:
    """A provider that answers from memory, and remembers nothing: what grows would be measured as well."""

    def __init__(self) -> None:
        self._given = whole("openai")

    async def open(self, call: Call, clocks: Clocks) -> ScriptedReply:
        return ScriptedReply(self._given)

    async def close(self) -> None:
        """Nothing is held open."""


class Open:
    """A store that is open on a loop, which runs only while a round does."""

    def __init__(self, path: Path, runner: asyncio.Runner) -> None:
        self.store: Store = open_store(f"sqlite:///{path}/store.db", clock=lambda: NOW)
        self.runner = runner
        runner.run(self.store.start())

    async def _quiet(self) -> None:
        """Everything settled and recorded before is in the tables."""
        await self.store.journal.recent(1, {})
        await self.store.ledger.left("all:2026-11-21", CAP, NOW)

    def measure(self, benchmark: BenchmarkFixture, each: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Rounds of a thousand by sixteen callers at once, each to the last row that it writes."""

        async def caller(numbers: Iterator[int]) -> None:
            for _ in numbers:
                await each()

        async def thousand() -> None:
            numbers = iter(range(THOUSAND))
            await asyncio.gather(*(caller(numbers) for _ in range(CALLERS)))
            await self._quiet()

        benchmark.pedantic(functools.partial(self._once, thousand), rounds=15, warmup_rounds=2)  # type: ignore[no-untyped-call]
        if benchmark.stats:
            benchmark.extra_info["us_each"] = round(benchmark.stats.stats.median / THOUSAND * 1e6, 2)

    def _once(self, thousand: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.runner.run(thousand())


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    with asyncio.Runner() as runner:
        made = Open(tmp_path, runner)
        yield made
        runner.run(made.store.close())


@pytest.mark.benchmark(group="money of one request, to the last row", timer=time.process_time)
def test_hold_and_settle(benchmark: BenchmarkFixture, opened: Open) -> None:
    """In one account."""
    ledger = opened.store.ledger

    async def each() -> None:
        name = f"req_{next(_numbers):012x}"
        assert type(await ledger.hold(name, (Share("all:2026-11-21", 2_000_000, CAP),), NOW)) is Hold
        await ledger.settle(name, {"all:2026-11-21": 140_000}, NOW)

    opened.measure(benchmark, each)


@pytest.mark.benchmark(group="money of one request, to the last row", timer=time.process_time)
def test_hold_settle_and_record(benchmark: BenchmarkFixture, opened: Open) -> None:
    """In one account, with the outcome beside it."""
    ledger, record = opened.store.ledger, opened.store.journal.record

    async def each() -> None:
        name = f"req_{next(_numbers):012x}"
        await ledger.hold(name, (Share("all:2026-11-21", 2_000_000, CAP),), NOW)
        await ledger.settle(name, {"all:2026-11-21": 140_000}, NOW)
        record(OUTCOME)

    opened.measure(benchmark, each)


@pytest.mark.benchmark(group="money of one request, in the serving thread", timer=time.thread_time)
def test_hold_and_settle_in_the_loop(benchmark: BenchmarkFixture, opened: Open) -> None:
    """What keeps the loop from other requests."""
    ledger = opened.store.ledger

    async def each() -> None:
        name = f"req_{next(_numbers):012x}"
        await ledger.hold(name, (Share("all:2026-11-21", 2_000_000, CAP),), NOW)
        await ledger.settle(name, {"all:2026-11-21": 140_000}, NOW)

    opened.measure(benchmark, each)


@pytest.mark.benchmark(group="the stack, to the last row", timer=time.process_time)
@pytest.mark.parametrize("rooms", ["plain", "with-records", "with-money", "with-money-and-records"])
def test_the_stack(benchmark: BenchmarkFixture, opened: Open, rooms: str) -> None:
    """The same rooms around the same provider, with and without money in two accounts, with and without records."""
    app: App = RouterMiddleware(FallbackMiddleware(Forward(Quick(), killed=opened.store.ledger.killed)))
    if "money" in rooms:
        app = BudgetMiddleware(app, ledger=opened.store.ledger, budgets=BUDGETS, clock=lambda: NOW)
    app = LaneMiddleware(app, lanes=[Lane(name="asked", targets=(target(price=PRICE, output=1000),))])
    if "records" in rooms:
        app = ObserveMiddleware(app, journal=opened.store.journal)

    async def each() -> None:
        caller = ask("openai", "asked")
        await app(caller.scope, caller.receive, caller.send)
        assert caller.sent[0]["status"] == 200

    opened.measure(benchmark, each)
