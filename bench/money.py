"""What money costs a request: the stack with and without the budget room and the records, in turn, in one run.

`python -m bench.money [--rounds N] [--requests N]`. A round serves so many requests by sixteen callers, to the last row
that they write; CPU is the whole process's, writing thread included, and the loop's own thread beside it. Quote the
differences: each is the median of what two stacks took in the same round, so that a busy machine means little.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, NamedTuple

from laneway.edge import WATCH, App
from laneway.forward import Forward
from laneway.middleware.budget import BudgetMiddleware, usd
from laneway.middleware.fallback import FallbackMiddleware
from laneway.middleware.lane import LaneMiddleware
from laneway.middleware.observe import ObserveMiddleware
from laneway.middleware.router import RouterMiddleware
from laneway.policy.budgets import Budget
from laneway.ports import Call, Clocks, Share
from laneway.route import Lane, Outcome, Price
from laneway.store import Store, open_store
from laneway.stores.sqlite.journal import SqliteJournal
from tests.fakes.replies import Given, ScriptedReply, target, whole
from tests.harness.asgi import ASKS
from tests.harness.outcomes import outcome

CALLERS = 16
NOW = 1_795_262_400.0
DAY = "all:2026-11-21"
CAP = usd("1000000")
PRICE = Price(input=1_000_000, output=2_000_000)
PATH, ASKED = ASKS["openai"]
BODY = json.dumps({**ASKED, "model": "asked"}).encode()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
OUTCOME = outcome(at_s=NOW)
Each = Callable[[], Awaitable[object]]

_numbers = count()


class Took(NamedTuple):
    """CPU microseconds for each request of one round."""

    process_us: float
    loop_us: float


class Quick:
    """A provider that answers from memory."""

    def __init__(self) -> None:
        self._given = Given(whole("openai").steps, headers=[(b"content-type", b"application/json")])

    async def open(self, call: Call, clocks: Clocks) -> ScriptedReply:
        return ScriptedReply(self._given)

    async def close(self) -> None:
        """Nothing is held open."""


class Unkept:
    """A journal that keeps nothing: what is left of a record is making the outcome."""

    dropped = 0

    def record(self, outcome: Outcome) -> None:
        """Forgotten."""

    async def recent(self, limit: int, filters: object) -> list[Any]:
        return []


def watch(_: object) -> None:
    """Nobody leaves."""


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": BODY, "more_body": False}


def asking(app: App) -> Each:
    async def each() -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": PATH, "root_path": "", "headers": HEADERS, WATCH: watch}
        await app(scope, receive, send)
        assert sent[0]["status"] == 200

    return each


def stack(store: Store, *, budgets: int, records: bool) -> Each:
    """The same rooms around the same provider, with this many budgets to be held to."""
    app: App = RouterMiddleware(FallbackMiddleware(Forward(Quick(), killed=store.ledger.killed)))
    if budgets:
        made = [Budget(name="all", cap_nanos=CAP), Budget(name="each", cap_nanos=CAP, tenant="*")][:budgets]
        app = BudgetMiddleware(app, ledger=store.ledger, budgets=made, clock=lambda: NOW)
    app = LaneMiddleware(app, lanes=[Lane(name="asked", targets=(target(price=PRICE, output=1000),))])
    return asking(ObserveMiddleware(app, journal=store.journal if records else Unkept()))


def ports(store: Store) -> Each:
    """Hold, settle and record alone, as the ports are asked."""
    ledger, record = store.ledger, store.journal.record

    async def each() -> None:
        name = f"req_{next(_numbers):012x}"
        await ledger.hold(name, (Share(DAY, 2_000_000, CAP),), NOW)
        await ledger.settle(name, {DAY: 140_000}, NOW)
        record(OUTCOME)

    return each


async def one_round(store: Store, each: Each, requests: int) -> Took:
    process_s, loop_s = time.process_time(), time.thread_time()
    numbers = iter(range(requests))

    async def caller() -> None:
        for _ in numbers:
            await each()
            await asyncio.sleep(0)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    # Everything settled and recorded before is in the tables.
    assert isinstance(store.journal, SqliteJournal)
    await store.journal.drain()
    await store.ledger.left(DAY, CAP, NOW)
    took = time.process_time() - process_s, time.thread_time() - loop_s
    return Took(*(1e6 * seconds / requests for seconds in took))


async def run(rounds: int, requests: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/store.db", clock=lambda: NOW)
        await store.start()
        stacks = {
            "hold + settle + record, the ports alone": ports(store),
            "the stack without either": stack(store, budgets=0, records=False),
            "the stack with records": stack(store, budgets=0, records=True),
            "the stack with records and a budget": stack(store, budgets=1, records=True),
            "the stack with records and two budgets": stack(store, budgets=2, records=True),
        }
        laps: dict[str, list[Took]] = {name: [] for name in stacks}
        gc.collect()
        gc.freeze()
        for number in range(rounds + 1):
            for name, each in stacks.items():
                took = await one_round(store, each, requests)
                if number:  # the first round warms up
                    laps[name].append(took)
        await store.close()
    say(laps)


def say(laps: dict[str, list[Took]]) -> None:
    print(f"{'CPU us for each request':<42} {'least':>7} {'median':>7} {'loop':>7}   more than without (median)")
    plain = laps["the stack without either"]
    for name, all_laps in laps.items():
        process = [lap.process_us for lap in all_laps]
        more = statistics.median(
            mine.process_us - theirs.process_us for mine, theirs in zip(all_laps, plain, strict=True)
        )
        middle = statistics.median(process)
        loop = statistics.median(lap.loop_us for lap in all_laps)
        beside = "" if "ports" in name or all_laps is plain else f"{more:+.1f}"
        print(f"{name:<42} {min(process):>7.1f} {middle:>7.1f} {loop:>7.1f}   {beside}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare stacks with and without money and records.")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--requests", type=int, default=500)
    asked = parser.parse_args()
    asyncio.run(run(asked.rounds, asked.requests))


if __name__ == "__main__":
    main()
