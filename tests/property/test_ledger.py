"""Laws of money: for any history the stores agree, and for racing, killed processes the cap holds.

The history is played against a ledger written as plainly as the port's words. The race is played by real processes.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.ports import Hold, Ledger, Left
from laneway.stores.memory import MemoryLedger
from laneway.stores.sqlite.database import Database
from laneway.stores.sqlite.ledger import SqliteLedger, prune
from tests.harness.sqlite import NOW, rows

HOLD_S = 10.0


class Step(NamedTuple):
    verb: str
    request: str
    nanos: int
    cap: int
    after_s: float


class PlainLedger:
    """One budget, in the words of the port: every sum is made anew from what happened."""

    def __init__(self) -> None:
        self.holds: dict[str, Hold] = {}
        self.settled: dict[str, int] = {}

    async def left(self, budget: str, cap_nanos: int, now_s: float) -> Left:
        held = sum(hold.nanos for hold in self.holds.values() if hold.expires_s > now_s)
        return Left(budget=budget, cap_nanos=cap_nanos, spent_nanos=sum(self.settled.values()), held_nanos=held)

    async def hold(self, request_id: str, budget: str, nanos: int, cap_nanos: int, now_s: float) -> Hold | Left:
        first = self.holds.get(request_id)
        if first is not None and first.expires_s > now_s:
            return first
        left = await self.left(budget, cap_nanos, now_s)
        if left.free_nanos < nanos:
            return left
        hold = Hold(request_id=request_id, budget=budget, nanos=nanos, expires_s=now_s + HOLD_S)
        self.holds[request_id] = hold
        return hold

    async def settle(self, request_id: str, budget: str, nanos: int, now_s: float) -> None:
        self.holds.pop(request_id, None)
        self.settled.setdefault(request_id, nanos)

    async def release(self, request_id: str, budget: str, now_s: float) -> None:
        self.holds.pop(request_id, None)


async def play(ledger: Ledger, step: Step, budget: str, now_s: float) -> Hold | Left | None:
    match step.verb:
        case "hold":
            return await ledger.hold(step.request, budget, step.nanos, step.cap, now_s)
        case "settle":
            await ledger.settle(step.request, budget, step.nanos, now_s)
        case "release":
            await ledger.release(step.request, budget, now_s)
    return None


class Stage:
    """A loop and a database that outlive one history; each history has a budget of its own."""

    def __init__(self, path: Path) -> None:
        self.runner = asyncio.Runner()
        self.database = Database(path, clock=lambda: NOW)
        self.ledger = SqliteLedger(self.database, hold_s=HOLD_S)
        self.budgets = (f"budget-{number}" for number in count())
        self.runner.run(self.database.start())

    def close(self) -> None:
        self.runner.run(self.database.close())
        self.runner.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("ledger") / "store.db")
    yield made
    made.close()


STEPS = st.builds(
    Step,
    verb=st.sampled_from(["hold", "hold", "settle", "release"]),
    request=st.sampled_from("abcde"),
    nanos=st.integers(0, 60),
    cap=st.sampled_from([100, 100, 100, 0, 40, 2**60]),
    # Half and whole lives of a hold, so that histories stand right before, at and after an expiry.
    after_s=st.sampled_from([0.0, 0.0, 1.0, HOLD_S / 2, HOLD_S]),
)


@given(history=st.lists(STEPS, max_size=30))
def test_any_history_is_answered_alike(stage: Stage, history: list[Step]) -> None:
    """Memory and SQLite answer every step, and show every state in between, as the plain ledger does."""
    plain, memory = PlainLedger(), MemoryLedger(hold_s=HOLD_S)
    budget = next(stage.budgets)

    async def scene() -> None:
        now_s = NOW
        for step in history:
            now_s += step.after_s
            expected = await play(plain, step, budget, now_s)
            assert await play(memory, step, budget, now_s) == expected
            assert await play(stage.ledger, step, budget, now_s) == expected
            left = await plain.left(budget, step.cap, now_s)
            assert await memory.left(budget, step.cap, now_s) == left
            assert await stage.ledger.left(budget, step.cap, now_s) == left

    stage.runner.run(scene())


@given(history=st.lists(STEPS, max_size=30), cap=st.integers(0, 200))
def test_spent_and_held_never_pass_the_cap(stage: Stage, history: list[Step], cap: int) -> None:
    """As long as each request settles no more than it holds, and within its hold's life."""
    memory = MemoryLedger(hold_s=HOLD_S)
    budget = next(stage.budgets)

    async def scene(ledger: Ledger) -> None:
        now_s = NOW
        held: dict[str, Hold] = {}
        for step in history:
            now_s += step.after_s
            if step.verb == "hold":
                answer = await ledger.hold(step.request, budget, step.nanos, cap, now_s)
                if isinstance(answer, Hold):
                    held[step.request] = answer
            elif step.request in held:
                hold = held.pop(step.request)
                if step.verb == "release" or hold.expires_s <= now_s:
                    await ledger.release(step.request, budget, now_s)
                else:
                    await ledger.settle(step.request, budget, min(step.nanos, hold.nanos), now_s)
            left = await ledger.left(budget, cap, now_s)
            assert left.spent_nanos + left.held_nanos <= cap

    stage.runner.run(scene(memory))
    stage.runner.run(scene(stage.ledger))


# The race

PROCESSES = 4
HOLDS = 250
TASKS = 8
MOST = 1000
CAP = HOLDS * MOST // 8
"""About half of what one process alone would keep, so that all run into the cap."""

# It tells what the ledger answered, a line each.
WORKER = """
import asyncio, random, sys
from pathlib import Path
from laneway.ports import Hold
from laneway.stores.sqlite.database import Database
from laneway.stores.sqlite.ledger import SqliteLedger

path, name, holds, tasks, most, cap, hold_s, now = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])

async def one(ledger, number, rng):
    request, nanos = f"{name}-{number}", rng.randint(1, most)
    held = await ledger.hold(request, "day", nanos, cap, now)
    if not isinstance(held, Hold):
        print("refused", request, 0, flush=True)
        return
    await asyncio.sleep(rng.random() * 0.002)
    fate = rng.random()
    if fate < 0.7:
        spent = rng.randint(0, nanos)
        await ledger.settle(request, "day", spent, now)
        print("settled", request, spent, flush=True)
    elif fate < 0.9:
        await ledger.release(request, "day", now)
        print("released", request, 0, flush=True)
    # The rest is stranded: its caller is never heard of again.

async def main():
    database = Database(Path(path), clock=lambda: now)
    ledger = SqliteLedger(database, hold_s=hold_s)
    await database.start()
    numbers, rng = iter(range(holds)), random.Random(name)
    print("ready", flush=True)
    sys.stdin.readline()

    async def work():
        for number in numbers:
            await one(ledger, number, rng)

    await asyncio.gather(*(work() for _ in range(tasks)))
    await database.close()

asyncio.run(main())
"""


class Racer:
    """One process of the race, and what it was told by the ledger before it ended."""

    def __init__(self, path: Path, name: str, holds: int) -> None:
        numbers = (holds, TASKS, MOST, CAP, int(HOLD_S), int(NOW))
        self.told: dict[str, int] = {}
        self.refused = 0
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path), name, *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line.startswith("settled"):
            _, request, spent = line.split()
            self.told[request] = int(spent)
        self.refused += line.startswith("refused")
        return line

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self) -> int:
        """Reads what is left to be told, so that nobody waits for a full pipe."""
        while self.line():
            pass
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(30.0)


def held_and_spent(path: Path) -> int:
    """Both sums at one instant, as another program sees them."""
    with closing(sqlite3.connect(path)) as db:
        row: tuple[int] | None = db.execute("SELECT spent_nanos + held_nanos FROM budgets").fetchone()
    return row[0] if row else 0


def test_racing_and_killed_processes_stop_at_the_cap(tmp_path: Path) -> None:
    """Four processes race at one budget, two are killed on the way: no instant over the cap, nothing lost, nothing
    stranded once holds have expired."""
    path = tmp_path / "store.db"
    # Those that will be killed would never end by themselves.
    racers = [Racer(path, f"racer{number}", 10**9 if number < 2 else HOLDS) for number in range(PROCESSES)]
    chance = random.Random(7)
    seen: list[int] = []
    try:
        for racer in racers:
            assert racer.line() == "ready\n"
        for racer in racers:
            racer.go()
        for racer in racers[:2]:
            for _ in range(chance.randint(20, 60)):
                assert racer.line()
                seen.append(held_and_spent(path))
            racer.process.send_signal(signal.SIGKILL)
        codes = [racer.end() for racer in racers]
    finally:
        for racer in racers:
            if racer.process.poll() is None:
                racer.process.kill()
    seen.append(held_and_spent(path))
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0, 0]
    assert max(seen) <= CAP
    assert all(racer.refused for racer in racers[2:]), "the race was too short to reach the cap"

    settled = dict(rows(path, "SELECT request_id, nanos FROM settlements"))
    told = {request: spent for racer in racers for request, spent in racer.told.items()}
    assert told.items() <= settled.items(), "what was answered before a kill is in the file"
    check_sums(path, sum(settled.values()))


def check_sums(path: Path, spent: int) -> None:
    """After the holds' time nothing is held, what was spent is what was settled, and the rest can be used again."""
    (before,) = rows(path, "SELECT spent_nanos, held_nanos - (SELECT coalesce(sum(nanos), 0) FROM holds) FROM budgets")
    assert before == (spent, 0)

    async def scene() -> None:
        database = Database(path, clock=lambda: NOW)
        ledger = SqliteLedger(database, hold_s=HOLD_S)
        await database.start()
        left = await ledger.left("day", CAP, NOW + HOLD_S)
        assert (left.spent_nanos, left.held_nanos) == (spent, 0)
        rest = await ledger.hold("the rest", "day", CAP - spent, CAP, NOW + HOLD_S)
        assert isinstance(rest, Hold)
        while await database.write(lambda db: prune(db, NOW + 3 * HOLD_S)):
            pass
        await database.close()

    asyncio.run(scene())
    assert rows(path, "SELECT held_nanos FROM budgets") == [(0,)]
