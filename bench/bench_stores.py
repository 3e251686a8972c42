"""What the stores cost the process that serves, in CPU: memory beside SQLite, one caller beside many.

Owns: the questions a request asks of a store, each repeated a thousand times a round. The clock is the CPU time of the
process, its writing thread included, or of the loop's thread alone where the name says so; divide by 1000 for one.
Refuses: to judge, and to wait for a disk: the file is in the temporary folder.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import time
from collections.abc import Callable, Coroutine, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from laneway.ports import Pin, Share
from laneway.route import Key
from laneway.store import Store, open_store
from tests.harness.outcomes import outcome

THOUSAND = 1000
CAP = 10**15
NOW = 1_700_000_000.0
DIGEST = hashlib.sha256(b"a key").digest()
OUTCOME = outcome(at_s=NOW)

_numbers = count()


class Open(NamedTuple):
    """A store that is open on a loop, which runs only while a round does."""

    store: Store
    runner: asyncio.Runner

    def measure(self, benchmark: BenchmarkFixture, round_: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Rounds of a thousand, each begun with nothing left to write."""

        def quiet() -> None:
            self.runner.run(self.store.journal.recent(1, {}))

        once = functools.partial(self._once, round_)
        benchmark.pedantic(once, setup=quiet, rounds=15, warmup_rounds=2)  # type: ignore[no-untyped-call]
        if benchmark.stats:
            benchmark.extra_info["us_each"] = round(benchmark.stats.stats.median / THOUSAND * 1e6, 2)

    def _once(self, round_: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.runner.run(round_())


@pytest.fixture(params=["memory", "sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/store.db"
    store = open_store(url, clock=lambda: NOW)
    with asyncio.Runner() as runner:
        runner.run(store.start())
        yield Open(store, runner)
        runner.run(store.close())


@pytest.mark.benchmark(group="hold and settle", timer=time.process_time)
@pytest.mark.parametrize("callers", [1, 8, 64])
def test_a_request_s_money(benchmark: BenchmarkFixture, opened: Open, callers: int) -> None:
    """hold + settle, as the budget room asks."""
    ledger = opened.store.ledger

    async def caller(names: Iterator[int]) -> None:
        for _ in names:
            name = f"req_{next(_numbers):012x}"
            await ledger.hold(name, (Share("tenant:acme:2026-11-21", 900, CAP),), NOW)
            await ledger.settle(name, {"tenant:acme:2026-11-21": 700}, NOW)

    async def thousand() -> None:
        names = iter(range(THOUSAND))
        await asyncio.gather(*(caller(names) for _ in range(callers)))

    opened.measure(benchmark, thousand)


@pytest.mark.benchmark(group="record, in the loop's thread alone", timer=time.thread_time)
def test_record_in_the_caller(benchmark: BenchmarkFixture, opened: Open) -> None:
    """What a request waits for: putting its outcome into the queue."""

    async def thousand() -> None:
        record = opened.store.journal.record
        for _ in range(THOUSAND):
            record(OUTCOME)

    opened.measure(benchmark, thousand)


@pytest.mark.benchmark(group="record, with the writing", timer=time.process_time)
def test_record_to_the_end(benchmark: BenchmarkFixture, opened: Open) -> None:
    """The whole way of an outcome: words, JSON, its row, and what is said of its block."""

    async def thousand() -> None:
        for _ in range(THOUSAND):
            opened.store.journal.record(OUTCOME)
        await opened.store.journal.recent(1, {})

    opened.measure(benchmark, thousand)


@pytest.mark.benchmark(group="look up", timer=time.process_time)
def test_find_a_key(benchmark: BenchmarkFixture, opened: Open) -> None:
    """A key by its digest, on the loop."""
    keys = opened.store.keys
    opened.runner.run(keys.create(Key(id="key_1", tenant="acme", last4="1234", created_s=1), DIGEST))

    async def thousand() -> None:
        for _ in range(THOUSAND):
            assert await keys.find(DIGEST) is not None

    opened.measure(benchmark, thousand)


@pytest.mark.benchmark(group="look up", timer=time.process_time)
def test_get_a_pin(benchmark: BenchmarkFixture, opened: Open) -> None:
    """A conversation's pin, on the loop."""
    pins = opened.store.pins
    opened.runner.run(pins.put("acme", "trace", Pin(target="studio/a", at_s=NOW)))

    async def thousand() -> None:
        for _ in range(THOUSAND):
            assert await pins.get("acme", "trace", NOW) is not None

    opened.measure(benchmark, thousand)
