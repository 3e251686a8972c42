"""Laws of money: for any history the stores agree, and for racing, killed processes the cap holds.

Histories are played against a ledger written as plainly as the port's words. The race is played by real processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.race_ledger import Books, Race, run_race
from laneway.ports import Hold, Kill, Ledger, Left, Moved, Share, Short
from laneway.stores.memory import MemoryLedger
from laneway.stores.sqlite import ledger as ledgers
from laneway.stores.sqlite.database import Database
from laneway.stores.sqlite.ledger import SqliteLedger
from tests.harness.sqlite import NOW, crashed, rows

HOLD_S = 10.0
ACCOUNTS = ("day", "month")


class Step(NamedTuple):
    verb: str
    request: str
    nanos: tuple[int, int]
    """In the two accounts; -1: that one is not named."""
    cap: int
    after_s: float

    def shares(self, prefix: str) -> tuple[Share, ...]:
        named = zip(ACCOUNTS, self.nanos, strict=True)
        return tuple(Share(f"{prefix}/{account}", nanos, self.cap) for account, nanos in named if nanos >= 0)


class PlainLedger:
    """Accounts in the words of the port: every sum is made anew from what happened."""

    on_moved: Callable[[Sequence[Moved]], None] | None = None

    def __init__(self) -> None:
        self.holds: dict[str, Hold] = {}
        self.settled: dict[str, Mapping[str, int]] = {}

    async def left(self, account: str, cap_nanos: int, now_s: float) -> Left:
        held = [share.nanos for hold in self.live(now_s) for share in hold.shares if share.account == account]
        spent = [nanos for each in self.settled.values() for name, nanos in each.items() if name == account]
        return Left(account=account, cap_nanos=cap_nanos, spent_nanos=sum(spent), held_nanos=sum(held))

    def live(self, now_s: float) -> list[Hold]:
        return [hold for hold in self.holds.values() if hold.expires_s > now_s]

    async def hold(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | Short:
        first = self.holds.get(request_id)
        if first is not None and first.expires_s > now_s:
            return first
        lefts = [await self.left(share.account, share.cap_nanos, now_s) for share in shares]
        if any(left.free_nanos < share.nanos for left, share in zip(lefts, shares, strict=True)):
            return Short(tuple(lefts))
        hold = self.holds[request_id] = Hold(request_id, tuple(shares), now_s + HOLD_S)
        return hold

    def hold_now(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | None:
        return None

    async def extend(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | Short:
        first = self.holds.get(request_id)
        if first is None or first.expires_s <= now_s:
            return await self.hold(request_id, shares, now_s)
        wanted = {share.account: share for share in first.shares}
        for share in shares:
            before = wanted[share.account].nanos if share.account in wanted else 0
            wanted[share.account] = Share(share.account, max(before, share.nanos), share.cap_nanos)
        lefts = [await self.left(share.account, share.cap_nanos, now_s) for share in shares]
        for left, share in zip(lefts, shares, strict=True):
            before = sum(each.nanos for each in first.shares if each.account == share.account)
            if max(share.nanos - before, 0) > left.free_nanos:
                return Short(tuple(lefts))
        hold = self.holds[request_id] = Hold(request_id, tuple(wanted.values()), now_s + HOLD_S)
        return hold

    async def settle(self, request_id: str, spent: Mapping[str, int], now_s: float) -> None:
        self.holds.pop(request_id, None)
        self.settled.setdefault(request_id, spent)

    def settle_now(self, request_id: str, spent: Mapping[str, int], now_s: float) -> bool:
        return False

    async def release(self, request_id: str, now_s: float) -> None:
        self.holds.pop(request_id, None)

    async def kill(self, scope: str, reason: str, now_s: float) -> None: ...

    async def unkill(self, scope: str) -> bool:
        return False

    def killed(self) -> Mapping[str, Kill]:
        return {}


async def play(ledger: Ledger, step: Step, prefix: str, now_s: float) -> Hold | Short | None:
    request, shares = f"{prefix}/{step.request}", step.shares(prefix)
    match step.verb:
        case "hold":
            return await ledger.hold(request, shares, now_s)
        case "extend":
            return await ledger.extend(request, shares, now_s)
        case "settle":
            await ledger.settle(request, {share.account: share.nanos for share in shares}, now_s)
        case "release":
            await ledger.release(request, now_s)
    return None


class Stage:
    """A loop and a database that outlive one history; each history has accounts of its own."""

    def __init__(self, path: Path) -> None:
        self.runner = asyncio.Runner()
        self.path = path
        self.database = Database(path, clock=lambda: NOW)
        self.ledger = SqliteLedger(self.database, hold_s=HOLD_S)
        self.now_s = NOW
        self.prefixes = (f"history-{number}" for number in count())
        self.runner.run(self.database.start())

    def close(self) -> None:
        self.runner.run(self.database.close())
        self.runner.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("ledger") / "store.db")
    yield made
    made.close()


NANOS = st.integers(-1, 60)
STEPS = st.builds(
    Step,
    verb=st.sampled_from(["hold", "hold", "extend", "settle", "release"]),
    request=st.sampled_from("abcde"),
    nanos=st.tuples(NANOS, NANOS),
    cap=st.sampled_from([100, 100, 100, 0, 40, 2**60]),
    # Half and whole lives of a hold, so that histories stand right before, at and after an expiry.
    after_s=st.sampled_from([0.0, 0.0, 1.0, HOLD_S / 2, HOLD_S, 4 * HOLD_S]),
)


@settings(max_examples=60)
@given(history=st.lists(STEPS, max_size=25))
def test_any_history_is_answered_alike(stage: Stage, history: list[Step]) -> None:
    """Memory and SQLite answer every step, and show every state in between, as the plain ledger does."""
    plain, memory = PlainLedger(), MemoryLedger(hold_s=HOLD_S)
    prefix = next(stage.prefixes)

    async def scene() -> None:
        # Time goes on from one history to the next, as it does for a process.
        now_s = stage.now_s = stage.now_s + 1000
        for step in history:
            now_s += step.after_s
            expected = await play(plain, step, prefix, now_s)
            assert await play(memory, step, prefix, now_s) == expected
            assert await play(stage.ledger, step, prefix, now_s) == expected
            for account in ACCOUNTS:
                left = await plain.left(f"{prefix}/{account}", step.cap, now_s)
                assert await memory.left(f"{prefix}/{account}", step.cap, now_s) == left
                assert await stage.ledger.left(f"{prefix}/{account}", step.cap, now_s) == left

    stage.runner.run(scene())
    stage.now_s += 30 * 4 * HOLD_S


# Several processes, one after the other


class Move(NamedTuple):
    who: int
    verb: str
    request: str
    nanos: int
    after_s: float


MOVES = st.builds(
    Move,
    who=st.integers(0, 2),
    verb=st.sampled_from(["hold", "hold", "hold", "extend", "settle", "settle", "release", "crash", "rest"]),
    request=st.sampled_from("abc"),
    nanos=st.integers(0, 60),
    after_s=st.sampled_from([0.0, 0.0, 0.0, 1.0, HOLD_S]),
)


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """What others have idle comes back within a moment, and a refusal does not wait for long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledgers, "TICK_S", 0.002)
        patch.setattr(ledgers, "RETRY_S", 0.002)
        patch.setattr(ledgers, "WAIT_S", 0.02)
        yield


class Owners:
    """Three ledgers of one account, each as a process of its own, beside the one book of what is true."""

    def __init__(self, path: Path, cap: int) -> None:
        self.path = path
        self.cap = cap
        self.now_s = NOW
        self.ledgers: list[tuple[Database, SqliteLedger]] = []
        self.holds: list[dict[str, Hold]] = [{}, {}, {}]
        self.settled: dict[str, int] = {}

    async def begin(self) -> tuple[Database, SqliteLedger]:
        database = Database(self.path, clock=lambda: NOW)
        ledger = SqliteLedger(database, hold_s=HOLD_S)
        await database.start()
        return database, ledger

    def held(self) -> int:
        alive = [hold for holds in self.holds for hold in holds.values() if hold.expires_s > self.now_s]
        return sum(hold.shares[0].nanos for hold in alive)

    async def move(self, move: Move) -> None:
        self.now_s += move.after_s
        ledger, holds = self.ledgers[move.who][1], self.holds[move.who]
        # A request belongs to one process.
        request = f"{move.who}{move.request}"
        shares = [Share("day", move.nanos, self.cap)]
        alive = request in holds and holds[request].expires_s > self.now_s
        if move.verb == "crash":
            await crashed(*self.ledgers[move.who])
            holds.clear()
            self.ledgers[move.who] = await self.begin()
        elif move.verb == "rest":
            await asyncio.sleep(0.005)
        elif move.verb == "release" or (move.verb == "settle" and not alive):
            await ledger.release(request, self.now_s)
            holds.pop(request, None)
        elif move.verb == "settle":
            spent = min(move.nanos, holds.pop(request).shares[0].nanos)
            await ledger.settle(request, {"day": spent}, self.now_s)
            self.settled.setdefault(request, spent)
        elif request not in self.settled:
            ask = ledger.extend if move.verb == "extend" else ledger.hold
            answer = await ask(request, shares, self.now_s)
            if isinstance(answer, Hold):
                holds[request] = answer

    def check(self) -> None:
        assert sum(self.settled.values()) + self.held() <= self.cap
        sums = rows(
            self.path,
            "SELECT coalesce((SELECT sum(spent_nanos) FROM accounts), 0) + "
            f"coalesce((SELECT sum(nanos) FROM leases WHERE expires_s > {self.now_s}), 0)",
        )
        assert sums[0][0] <= self.cap

    async def end(self) -> None:
        """One process is left: it finds every settlement, and may hold all the rest."""
        for number in (1, 2):
            await crashed(*self.ledgers[number])
            self.holds[number].clear()
        database, ledger = self.ledgers[0]
        rest = self.cap - sum(self.settled.values()) - self.held()
        assert isinstance(await ledger.hold("the rest", [Share("day", rest, self.cap)], self.now_s), Hold)
        left = await ledger.left("day", self.cap, self.now_s)
        assert (left.spent_nanos, left.free_nanos) == (sum(self.settled.values()), 0)
        await database.close()
        # Whoever comes next tidies up after those who were killed.
        database, _ = await self.begin()
        await database.close()


@settings(max_examples=40)
@given(history=st.lists(MOVES, max_size=40), cap=st.integers(0, 150))
def test_processes_that_hold_settle_and_crash_never_pass_the_cap_and_lose_nothing(
    tmp_path_factory: pytest.TempPathFactory, quick: None, history: list[Move], cap: int
) -> None:
    owners = Owners(tmp_path_factory.mktemp("owners") / "store.db", cap)

    async def scene() -> None:
        owners.ledgers = [await owners.begin() for _ in range(3)]
        for move in history:
            await owners.move(move)
            owners.check()
        await owners.end()

    asyncio.run(scene())
    assert dict(rows(owners.path, "SELECT request_id, nanos FROM settlements")) == owners.settled
    assert rows(owners.path, "SELECT count(*) FROM leases") == [(0,)]
    assert not list(owners.path.parent.glob("*-hint-*"))


# The race


def check(books: Books) -> None:
    assert books.most_spent <= books.cap, "spent passed the cap"
    assert books.most_seen <= books.cap, "spent and leased passed the cap"
    assert books.looks > 20
    assert books.lost == 0, "what was answered before a kill is in the books, once"
    assert books.spent == books.settled, "the sum is the sum of its records"
    assert books.held == 0, "something is stranded"
    assert books.disagreeing == 0, "a record says another cost than the books"
    assert min(books.recorded, books.left_early, books.cut, books.fell_back) > 0, "nothing went wrong"
    assert books.refused > 0, "the race was too short to reach the cap"
    assert books.cap * 0.97 < books.spent <= books.cap, "they stopped before the cap"


def test_budgets_overspent_when_requests_race(tmp_path: Path) -> None:
    """They are not: processes race at one budget and are killed on the way, and at no instant is it passed."""
    check(run_race(Race(processes=3, tasks=16, holds=6000, kills=3), tmp_path / "store.db"))


@pytest.mark.heavy
def test_budgets_overspent_when_eight_processes_race(tmp_path: Path) -> None:
    """The same, whole: 8 processes, 64 tasks in each, 100,000 holds."""
    check(run_race(Race(processes=8, tasks=64, holds=100_000, kills=12), tmp_path / "store.db"))
