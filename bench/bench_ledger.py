"""What money costs a request: hold, settle and record, each beside the others.

Owns: CPU time of the whole process, writing thread included, for hold + settle + record over SQLite, in rounds of a
thousand requests. What it is beside a whole stack, `bench.money` shows.
Refuses: wall time, and networks.
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

from laneway.middleware.budget import usd
from laneway.ports import Hold, Share
from laneway.store import Store, open_store
from tests.harness.outcomes import outcome

THOUSAND = 1000
CALLERS = 16
CAP = usd("1000000")
NOW = 1_795_262_400.0
OUTCOME = outcome(at_s=NOW)

_numbers = count()


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
