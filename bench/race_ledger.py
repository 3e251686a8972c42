"""Processes race at one budget, some are killed on the way, and an observer looks on: is the cap ever passed?

Owns: the racers, the referee who kills and replaces them, the observer, and the books they are held to afterwards.
Half of the requests walk through the rooms, with callers who leave, streams that are cut, and fallbacks.
Refuses: timing anything; what it measures is whether the sums are right. `python -m bench.race_ledger` runs it whole:
8 processes x 64 tasks x 100,000 holds; a test runs it small.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from bench.race_requests import Rooms
from laneway.policy.price import usd_to_nanos
from laneway.ports import Hold, Left, Share
from laneway.stores.schema import StoreError
from laneway.stores.sqlite.database import Database
from laneway.stores.sqlite.journal import SqliteJournal
from laneway.stores.sqlite.ledger import SqliteLedger

DAY, MONTH = "day:total", "month:total"
MOST = 1000
HOLD_S = 3.0
AT_ONCE = """
SELECT (SELECT coalesce(sum(spent_nanos), 0) FROM accounts WHERE name = 'day:total'),
    (SELECT coalesce(sum(nanos), 0) FROM leases WHERE account = 'day:total' AND expires_s > ?)
"""
LEASED = "(SELECT coalesce(sum(nanos), 0) FROM leases WHERE account = 'day:total')"


class Race(NamedTuple):
    """How many race, for how much, and how many of them are killed."""

    processes: int
    tasks: int
    holds: int
    kills: int
    seed: int = 7

    @property
    def cap(self) -> int:
        """What the requests would spend together is about twice as much."""
        return self.holds * MOST // 8


class Seen(NamedTuple):
    """What the observer tells."""

    most: int
    most_spent: int
    looks: int


class Books(NamedTuple):
    """What the race came to."""

    cap: int
    spent: int
    held: int
    """In leases and holds, when all of them had expired."""
    most_seen: int
    """Spent and leased at the worst instant that the observer saw."""
    most_spent: int
    looks: int
    settlements: int
    settled: int
    told: int
    """Settlements that a racer was told of before it ended or was killed."""
    lost: int
    """Of these, what is not in the books, or not as it was told."""
    recorded: int
    """Requests through the rooms whose record was written before their process was killed."""
    disagreeing: int
    """Of these, what says another cost than the books."""
    left_early: int
    cut: int
    fell_back: int
    kills: int
    refused: int
    elapsed_s: float


# --- a racer -----------------------------------------------------------------------------------------------


async def one(ledger: SqliteLedger, request: str, rng: random.Random, cap: int, log: int) -> bool:
    """One request; True when the ledger refused it."""
    nanos = rng.randint(1, MOST)
    shares = [Share(DAY, nanos, cap)]
    if rng.random() < 0.3:
        shares.append(Share(MONTH, nanos, cap * 2))
    held = await ledger.hold(request, shares, time.time())
    if not isinstance(held, Hold):
        return True
    await asyncio.sleep(rng.random() * 0.004)
    fate = rng.random()
    if fate < 0.1:
        # A stream that ran out of its hold.
        more = await ledger.extend(request, [Share(DAY, nanos + 200, cap)], time.time())
        nanos += 200 * isinstance(more, Hold)
    if fate < 0.85:
        # A caller who left after some of it pays for some of it.
        spent = rng.randint(1, nanos)
        await ledger.settle(request, {share.account: min(spent, share.nanos) for share in shares}, time.time())
        os.write(log, f"{request} {min(spent, shares[0].nanos)}\n".encode())
    elif fate < 0.97:
        await ledger.release(request, time.time())
    # The rest is stranded: nobody ever hears of it again.
    return False


async def run_racer(path: Path, name: str, tasks: int, holds: int, cap: int) -> None:
    database = Database(path, busy_s=60.0)
    ledger = SqliteLedger(database, hold_s=HOLD_S)
    journal = SqliteJournal(database, keep_days=1.0, keep_rows=1_000_000)
    await database.start()
    log = os.open(path.with_name(f"told-{name}"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    done = os.open(path.with_name(f"done-{name}"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    numbers, rng = iter(range(holds)), random.Random(name)

    rooms = Rooms(ledger, journal, rng, cap)

    async def work() -> None:
        for number in numbers:
            # Every other one walks through the rooms; the others ask the ledger for what rooms ask seldom.
            if number % 2:
                ended = await rooms.one()
                refused = ended.refused
                if ended.spent_nanos:
                    os.write(log, f"{ended.request_id} {ended.spent_nanos}\n".encode())
            else:
                refused = await one(ledger, f"{name}-{number}", rng, cap, log)
            os.write(done, b"r" if refused else b".")

    await asyncio.gather(*(work() for _ in range(tasks)))
    await journal.drain()
    await database.close()


# --- the observer ------------------------------------------------------------------------------------------


def run_observer(path: Path) -> None:
    """Looks without pause until its input ends, and tells the worst it saw."""
    most = most_spent = looks = 0
    os.set_blocking(0, False)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60.0)) as db:
        while True:
            # A process that gets no turn for long may leave a lease behind that came to its end: it covers nothing.
            spent, leased = db.execute(AT_ONCE, (time.time(),)).fetchone()
            most, most_spent, looks = max(most, spent + leased), max(most_spent, spent), looks + 1
            try:
                if os.read(0, 1) == b"":
                    break
            except BlockingIOError:
                time.sleep(0.001)
    sys.stdout.write(json.dumps([most, most_spent, looks]))


# --- the referee -------------------------------------------------------------------------------------------


def begin(path: Path, role: str, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench.race_ledger", "--role", role, str(path), *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])},
        text=True,
    )


def run_race(race: Race, path: Path) -> Books:
    """Races to the end, with every killed racer replaced by one that runs what it left; then audits the file."""
    began_s = time.monotonic()
    asyncio.run(make(path))
    observer = begin(path, "observer")
    racers: list[subprocess.Popen[str]] = []
    names: Iterator[int] = iter(range(1_000_000))
    try:
        refused = sum(rounds(race, path, names, racers))
        # Every process that still lives has closed its ledger; what the killed left is found by whoever comes next.
        observer_says, _ = observer.communicate("", timeout=60.0)
    finally:
        for process in [*racers, observer]:
            if process.poll() is None:
                process.kill()
            process.communicate()
    seen = Seen(*json.loads(observer_says))
    return audit(race, path, seen, refused, time.monotonic() - began_s)


async def make(path: Path) -> None:
    database = Database(path)
    await database.start()
    await database.close()


def rounds(race: Race, path: Path, names: Iterator[int], racers: list[subprocess.Popen[str]]) -> Iterator[int]:
    chance = random.Random(race.seed)
    running: dict[subprocess.Popen[str], tuple[str, int]] = {}

    def start(holds: int) -> None:
        name = f"racer{next(names)}"
        process = begin(path, "racer", name, race.tasks, holds, race.cap)
        racers.append(process)
        running[process] = (name, holds)

    for _ in range(race.processes):
        start(race.holds // race.processes)
    kills, goal = 0, race.holds // (race.kills + 1)
    while running:
        time.sleep(0.01)
        for process, (name, _) in list(running.items()):
            if process.poll() is not None:
                if process.returncode:
                    raise RuntimeError(f"{name} failed with {process.returncode}")
                del running[process]
                yield told_done(path, name).count(b"r")
        made = sum(len(told_done(path, f"racer{number}")) for number in range(len(racers)))
        if kills < race.kills and made > goal * (kills + 1) and running:
            kills += 1
            process = chance.choice(list(running))
            name, holds = running.pop(process)
            process.send_signal(signal.SIGKILL)
            process.wait()
            yield told_done(path, name).count(b"r")
            if (rest := holds - len(told_done(path, name))) > 0:
                start(rest)


def told_done(path: Path, name: str) -> bytes:
    try:
        return path.with_name(f"done-{name}").read_bytes()
    except FileNotFoundError:
        return b""


def audit(race: Race, path: Path, seen: Seen, refused: int, elapsed_s: float) -> Books:
    left, recorded = asyncio.run(look_later(path, race.cap))
    told = {
        request: int(nanos)
        for file in path.parent.glob("told-*")
        for request, nanos in (line.split() for line in file.read_text().splitlines())
    }
    with closing(sqlite3.connect(path)) as db:
        settled = dict(db.execute("SELECT request_id, nanos FROM settlements WHERE account = ?", (DAY,)).fetchall())
        (leased,) = db.execute(f"SELECT {LEASED}").fetchone()
    hints = list(path.parent.glob(f"{path.name}-hint-*"))
    return Books(
        cap=race.cap,
        spent=left.spent_nanos,
        held=left.held_nanos + leased + len(hints),
        most_seen=seen.most,
        most_spent=seen.most_spent,
        looks=seen.looks,
        settlements=len(settled),
        settled=sum(settled.values()),
        told=len(told),
        lost=sum(settled.get(request) != nanos for request, nanos in told.items()),
        recorded=len(recorded),
        disagreeing=sum(
            usd_to_nanos(str(record["awooop.cost_usd"])) != settled.get(str(record["request_id"]), 0)
            for record in recorded
        ),
        left_early=sum(record["caller_gone"] is True for record in recorded),
        cut=sum(record["failure"] == "cut" for record in recorded),
        fell_back=sum(int(str(record["attempts"])) > 1 for record in recorded),
        kills=race.kills,
        refused=refused,
        elapsed_s=round(elapsed_s, 1),
    )


async def look_later(path: Path, cap: int) -> tuple[Left, Sequence[Mapping[str, object]]]:
    """The books and the records as somebody finds them who opens the store when every hold has expired."""
    database = Database(path)
    ledger = SqliteLedger(database, hold_s=HOLD_S)
    journal = SqliteJournal(database, keep_days=1.0, keep_rows=1_000_000)
    await database.start()
    left = await ledger.left(DAY, cap, time.time() + 3 * HOLD_S)
    recorded = await journal.recent(1_000_000, {})
    await database.close()
    return left, recorded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", choices=("referee", "racer", "observer"), default="referee")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--tasks", type=int, default=64)
    parser.add_argument("--holds", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("words", nargs="*")
    asked = parser.parse_args()
    if asked.role == "racer":
        path, name, tasks, holds, cap = asked.words
        logging.disable()
        try:
            asyncio.run(run_racer(Path(path), name, int(tasks), int(holds), int(cap)))
        except StoreError as error:
            sys.exit(f"{name}: {error.failure.message} {error.failure.detail}")
    elif asked.role == "observer":
        run_observer(Path(asked.words[0]))
    else:
        race = Race(asked.processes, asked.tasks, asked.holds, asked.kills)
        with tempfile.TemporaryDirectory() as folder:
            books = run_race(race, Path(folder) / "store.db")
        sys.stdout.write("\n".join(f"{name:>12} {value}" for name, value in books._asdict().items()) + "\n")


if __name__ == "__main__":
    main()
