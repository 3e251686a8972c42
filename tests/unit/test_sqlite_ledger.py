"""What the ledger in SQLite does beyond its port: leases, hint files, and kills that every process sees at once."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from laneway.ports import Hold, Kill, Moved, Share, Short
from laneway.stores import schema
from laneway.stores.schema import StoreError
from laneway.stores.sqlite import hints, leases
from laneway.stores.sqlite.board import Board
from laneway.stores.sqlite.database import Database
from laneway.stores.sqlite.hints import Hints, Settled
from laneway.stores.sqlite.ledger import SqliteLedger
from tests.harness.loop import run
from tests.harness.sqlite import NOW, crashed, held_up, plain, rows, until

CAP = 1_000_000
HOLD_S = 10.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[tuple[Database, SqliteLedger]]:
    """A ledger as one process has it. One that `crashed` already is left alone."""
    database = Database(path, busy_s=0.3, clock=lambda: NOW)
    ledger = SqliteLedger(database, hold_s=HOLD_S)
    await database.start()
    try:
        yield database, ledger
    finally:
        await database.close()


def share(nanos: int, cap: int = CAP) -> list[Share]:
    return [Share("day", nanos, cap)]


def leased(path: Path) -> int:
    total: int = rows(path, "SELECT coalesce(sum(nanos), 0) FROM leases")[0][0]
    return total


# Leases


def test_holds_within_a_lease_do_not_wait_for_the_file(path: Path) -> None:
    """Another process may keep it locked: what this one has leased, it holds and settles by itself."""

    async def scene() -> None:
        async with opened(path) as (_, ledger):
            assert isinstance(await ledger.hold("a", share(100), NOW), Hold)
            with plain(path) as other:
                other.execute("BEGIN IMMEDIATE")
                for number in range(20):
                    assert isinstance(await ledger.hold(f"r{number}", share(100), NOW), Hold)
                    await ledger.settle(f"r{number}", {"day": 60}, NOW)
                other.execute("COMMIT")
            left = await ledger.left("day", CAP, NOW)
            assert (left.spent_nanos, left.held_nanos) == (20 * 60, 100)

    run(scene())


def test_a_lease_is_a_slice_that_shrinks_near_the_cap(path: Path) -> None:
    """Far from the cap one transaction serves many requests; at the cap nobody leases more than is wanted."""

    async def scene() -> None:
        async with opened(path) as (_, ledger):
            await ledger.hold("a", share(100), NOW)
            assert 100 < leased(path) <= 100 + CAP // 64
            await ledger.hold("b", share(CAP - 200), NOW)
            assert CAP - 100 <= leased(path) <= CAP - 100 + 100 // 8

    run(scene())


def test_what_one_process_has_idle_comes_back_when_another_runs_short(path: Path) -> None:
    """The whole rest of the budget can be held by whoever wants it, whatever slices lie with others."""

    async def scene() -> None:
        async with opened(path) as (_, one), opened(path) as (_, other):
            await one.hold("a", share(100), NOW)
            assert leased(path) > 100
            assert isinstance(await other.hold("b", share(CAP - 100), NOW), Hold)
            assert leased(path) == CAP
            refused = await other.hold("c", share(1), NOW)
            assert isinstance(refused, Short)
            assert refused.lefts[0].free_nanos == 0
            assert isinstance(await one.hold("d", share(1), NOW), Short)

    run(scene())


def test_what_is_idle_for_long_goes_back_by_itself(path: Path) -> None:
    """A quiet process keeps nothing from the others, and forgets the account."""

    async def scene() -> None:
        async with opened(path) as (_, ledger):
            await ledger.hold("a", share(100), NOW)
            await ledger.settle("a", {"day": 40}, NOW)
            await until(lambda: leased(path) == 0)
            await until(lambda: not ledger._purse.accounts)
            assert isinstance(await ledger.hold("b", share(100), NOW), Hold)
            assert (await ledger.left("day", CAP, NOW)).spent_nanos == 40

    run(scene())


def test_a_lease_that_ran_out_is_not_used_any_more(path: Path) -> None:
    """A process that was stopped for long asks again before it holds; what it had is somebody else's."""
    later = NOW + 3 * HOLD_S

    async def scene() -> None:
        async with opened(path) as (_, one), opened(path) as (_, other):
            await one.hold("a", share(CAP // 2), NOW)
            one._timer.cancel()  # type: ignore[union-attr]
            assert isinstance(await other.hold("b", share(CAP - 10), later), Hold)
            assert isinstance(await one.hold("c", share(11), later), Short)
            assert isinstance(await one.hold("d", share(10), later), Hold)
            # It was spent all the same, so it counts.
            await one.settle("a", {"day": 7}, later)
            assert (await other.left("day", CAP, later)).spent_nanos == 0
            await one.left("day", CAP, later)
            assert (await other.left("day", CAP, later)).spent_nanos == 7

    run(scene())


def test_a_hold_that_is_renewed_keeps_what_covers_it(path: Path) -> None:
    """However long its request is served, no other process is given its money."""

    async def scene() -> None:
        async with opened(path) as (_, one), opened(path) as (_, other):
            await one.hold("a", share(CAP), NOW)
            for later in (8, 16, 24, 32):
                assert isinstance(await one.extend("a", share(CAP), NOW + later), Hold)
            assert isinstance(await other.hold("b", share(1), NOW + 40), Short)
            assert isinstance(await other.hold("b", share(1), NOW + 60), Hold), "nobody renews it any more"

    run(scene())


def test_a_lowered_cap_takes_idle_money_back(path: Path) -> None:
    """What was leased under the old cap is not held under the new one."""

    async def scene() -> None:
        async with opened(path) as (_, ledger):
            await ledger.hold("a", share(100), NOW)
            assert leased(path) > 1000
            assert isinstance(await ledger.hold("b", share(901, 1000), NOW), Short)
            assert isinstance(await ledger.hold("c", share(900, 1000), NOW), Hold)
            assert leased(path) == 1000

    run(scene())


def test_whoever_waits_for_a_lease_is_told_when_the_store_fails(path: Path) -> None:
    """In words, at once, and the next one is served again."""

    async def scene() -> None:
        async with opened(path) as (_, ledger):
            with plain(path) as other:
                other.execute("BEGIN IMMEDIATE")
                holding = [ledger.hold(f"r{number}", share(5), NOW) for number in range(3)]
                errors = await asyncio.gather(*holding, return_exceptions=True)
                assert [type(error) for error in errors] == [StoreError] * 3
                other.execute("ROLLBACK")
            assert isinstance(await ledger.hold("a", share(CAP), NOW), Hold)

    run(scene())


# Hint files


def test_what_a_killed_process_had_settled_is_found_by_the_next_once(path: Path) -> None:
    """Also when the same file is found again."""
    moved: list[Moved] = []

    async def scene() -> None:
        async with opened(path) as (database, ledger):
            go, first = held_up(database)
            await ledger.settle("a", {"day": 30, "month": 30}, NOW)
            await ledger.settle("b", {"day": 4}, NOW)
            (left,) = path.parent.glob("*-hint-*")
            shutil.copy(left, path.with_name("kept"))
            go.set()
            await first
            await crashed(database, ledger)
        assert rows(path, "SELECT count(*) FROM settlements") == [(0,)]
        for _ in range(2):
            async with opened(path) as (_, ledger):
                ledger.on_moved = moved.extend
                assert (await ledger.left("day", CAP, NOW)).spent_nanos == 34
                assert (await ledger.left("month", CAP, NOW)).spent_nanos == 30
            assert not list(path.parent.glob("*-hint-*"))
            shutil.copy(path.with_name("kept"), left)

    run(scene())
    assert not moved, "the start tells nobody, because nobody listens yet"


def test_a_living_process_helps_itself_to_what_a_killed_one_had(path: Path) -> None:
    """Its lease is free as soon as somebody needs it, its settlements are counted, and whoever watches sums is told."""
    moved: list[Moved] = []

    async def scene() -> None:
        async with opened(path) as (_, staying), opened(path) as (database, ledger):
            staying.on_moved = moved.extend
            await ledger.hold("a", share(CAP - 5), NOW)
            await ledger.settle("b", {"day": 5}, NOW)
            go, first = held_up(database)
            go.set()
            await first
            await crashed(database, ledger)
            assert isinstance(await staying.hold("c", share(CAP - 4), NOW), Short)
            assert isinstance(await staying.hold("d", share(CAP - 5), NOW), Hold)

    run(scene())
    assert [(each.account, each.before_nanos, each.after_nanos) for each in moved] == [("day", 0, 5)]


def test_a_torn_line_costs_only_itself(path: Path) -> None:
    """A kill cuts a line anywhere; every whole one is read, and nothing that stood there before."""
    own = Hints(path)
    first, second = Settled("a", NOW, {"day": 1}), Settled("b", NOW, {"day/x y:1": 2})
    own.append(first)
    (file,) = path.parent.glob("*-hint-*")
    before = file.read_bytes()
    own.append(second)
    both = file.read_bytes()
    own.close(keep=False)
    assert not file.exists()
    assert list(hints.read(both)) == [first, second]
    end = len(both.rstrip(b"\0")) - 1
    for cut in range(len(before.rstrip(b"\0")), end):
        assert list(hints.read(both[:cut] + before[cut:])) == [first]
        assert list(hints.read(both[:cut])) == [first]
    assert list(hints.read(both.replace(b'"day"', b'"dax"'))) == [second]


def test_what_the_tables_have_is_no_hint_any_more(path: Path) -> None:
    """Lines begin at the top again, over those from before; wherever a kill cuts one, no old one comes back."""
    own = Hints(path)
    for number in range(10):
        own.append(Settled(f"old{number}", NOW, {"day": number}))
    (file,) = path.parent.glob("*-hint-*")
    own.forget([])
    assert list(hints.read(file.read_bytes())) == []
    before = file.read_bytes()
    settled = Settled("new" * 30, NOW, {"day": 7})
    own.append(settled)
    after = file.read_bytes()
    assert list(hints.read(after)) == [settled]
    for cut in range(len(after.rstrip(b"\0"))):
        assert list(hints.read(after[:cut] + before[cut:])) in ([], [settled])
    own.close(keep=False)


def test_a_long_hint_file_is_written_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It grows as it has to, and then holds what is not in the tables, and stays its owner's."""
    monkeypatch.setattr(hints, "FIRST_BYTES", 300)
    monkeypatch.setattr(hints, "MOST_BYTES", 500)
    own = Hints(path)
    settled = [Settled(f"r{number}", NOW, {"day": number}) for number in range(40)]
    for each in settled:
        own.append(each)
    (file,) = path.parent.glob("*-hint-*")
    assert list(hints.read(file.read_bytes())) == settled
    own.forget(settled[38:])
    (file,) = path.parent.glob("*-hint-*")
    assert list(hints.read(file.read_bytes())) == settled[38:]
    assert file.stat().st_size == 300
    assert list(hints.find_dead(path)) == []
    own.append(settled[0])
    own.forget([])
    assert list(hints.read(file.read_bytes())) == []
    own.append(settled[1])
    own.close(keep=True)
    assert [left.settled for left in hints.find_dead(path)] == [(settled[1],)]


def test_a_hint_file_of_before_there_were_generations_is_read(path: Path) -> None:
    """It begins with a line, under a checksum without a seed."""
    text = b'["a",1.0,{"day":3}]'
    assert list(hints.read(b"\n%08x %b\n" % (zlib.crc32(text), text))) == [Settled("a", 1.0, {"day": 3})]


def test_settlements_wait_for_a_locked_store_and_are_not_lost(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are answered at once; the report is tried again until it is in the tables, and told of once."""

    async def scene() -> None:
        async with opened(path) as (_, ledger):
            await ledger.hold("a", share(70), NOW)
            with plain(path) as other:
                other.execute("BEGIN IMMEDIATE")
                await ledger.settle("a", {"day": 70}, NOW)
                for _ in range(2):
                    with pytest.raises(StoreError, match="keeps it locked"):
                        await ledger.left("day", CAP, NOW)
                assert len(caplog.messages) == 1
                other.execute("ROLLBACK")
            assert (await ledger.left("day", CAP, NOW)).spent_nanos == 70
            assert caplog.messages[1:] == ["the settlements that waited are in the store"]
            assert not path.with_name("x").exists()

    run(scene())
    assert leased(path) == 0


def test_a_full_disk_beside_the_store_stops_no_settlement(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported all the same."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def scene() -> None:
        async with opened(path) as (_, ledger):
            monkeypatch.setattr(Hints, "append", full)
            await ledger.settle("a", {"day": 70}, NOW)
            assert (await ledger.left("day", CAP, NOW)).spent_nanos == 70

    run(scene())


def test_a_full_disk_beside_the_store_is_told_whoever_waits_for_money(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever, nothing is left lying about, and with room again there is money again."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def scene() -> None:
        async with opened(path) as (_, ledger):
            with monkeypatch.context() as crowded:
                crowded.setattr(os, "pwrite", full)
                for name in ("a", "b"):
                    with pytest.raises(StoreError, match="its disk is full") as told:
                        await asyncio.wait_for(ledger.hold(name, share(70), NOW), 10)
                    assert str(path.parent) not in str(told.value)
                assert not list(path.parent.glob("*hint*"))
            assert isinstance(await ledger.hold("a", share(70), NOW), Hold)

    run(scene())


def test_the_ledger_forgets_requests_but_no_money(path: Path) -> None:
    """Old leases and settlements go, in small steps; what was spent stays."""

    async def scene() -> None:
        async with opened(path) as (database, ledger):
            many = leases.STEP_ROWS + 20
            for number in range(many):
                await ledger.settle(f"r{number}", {"day": 2}, NOW)
            await ledger.hold("h", share(5), NOW)
            await ledger.left("day", CAP, NOW)
            later = NOW + leases.SETTLED_S
            assert await database.write(lambda db: leases.prune(db, later))
            assert not await database.write(lambda db: leases.prune(db, later))
            left = await ledger.left("day", CAP, NOW)
            assert (left.spent_nanos, left.held_nanos) == (2 * many, 5)
            assert rows(path, "SELECT (SELECT count(*) FROM leases), (SELECT count(*) FROM settlements)") == [(0, 0)]

    run(scene())


def test_a_report_reads_no_settlement_but_its_own(path: Path) -> None:
    """However many there are from before: what it told is summed by the numbers of its rows."""

    async def scene() -> list[str]:
        async with opened(path) as (database, _):
            asked: list[str] = []

            def report(db: sqlite3.Connection) -> list[str]:
                db.set_trace_callback(asked.append)
                leases.report(db, [Settled("a", NOW, {"day": 1, "month": 1})], {})
                db.set_trace_callback(None)
                return [row[3] for sql in asked for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")]

            return await database.write(report)

    plans = run(scene())
    assert any("settlements USING INTEGER PRIMARY KEY" in plan for plan in plans)
    assert not [plan for plan in plans if plan.startswith("SCAN settlements")]


def test_what_an_older_laneway_had_spent_is_kept(path: Path) -> None:
    """Its holds end; a request it settled is not charged again."""
    with plain(path) as db:
        for version, step in enumerate(schema.STEPS[:5], 1):
            step(db)
            db.execute(f"PRAGMA user_version = {version}")
        db.execute("INSERT INTO holds VALUES ('day', 'h', 100, 2e9)")
        db.execute("INSERT INTO settlements VALUES ('day', 'a', 40, 0), ('day', 'b', 2, 0)")

    async def scene() -> None:
        async with opened(path) as (_, ledger):
            await ledger.settle("a", {"day": 40}, NOW)
            left = await ledger.left("day", CAP, NOW)
            assert (left.spent_nanos, left.held_nanos) == (42, 0)

    run(scene())


# Kills


def test_a_kill_is_seen_at_once_by_every_process_and_after_a_restart(path: Path) -> None:
    async def scene() -> None:
        async with opened(path) as (_, one), opened(path) as (_, other):
            assert other.killed() == {}
            await one.kill("all", "a test", NOW)
            assert other.killed() == {"all": Kill("all", "a test", NOW)}
        async with opened(path) as (_, later):
            assert list(later.killed()) == ["all"]
            assert await later.unkill("all")
            assert later.killed() == {}

    run(scene())


def test_a_kill_whose_process_died_right_after_it_holds(path: Path) -> None:
    """Between the first mark and the last, every look reads the rows."""

    async def scene() -> None:
        async with opened(path) as (_, ledger):
            assert ledger.killed() == {}
            board = Board(path)
            board.change_kills(done=False)
            assert ledger.killed() == {}
            with plain(path) as db:
                db.execute("INSERT INTO kills VALUES ('all', 'died here', 0)")
            assert list(ledger.killed()) == ["all"]
            board.close()

    run(scene())


def test_where_the_kills_cannot_be_read_everything_is_stopped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with opened(path) as (database, ledger):

            def broken(sql: str, parameters: object) -> None:
                raise StoreError("made up")

            monkeypatch.setattr(database, "look", broken)
            assert list(ledger.killed()) == ["all"]
            monkeypatch.undo()
            assert ledger.killed() == {}
        assert list(ledger.killed()) == ["all"]

    run(scene())


def test_the_same_kill_from_two_processes_is_one(path: Path) -> None:
    async def scene() -> None:
        async with opened(path) as (_, one), opened(path) as (_, other):
            await asyncio.gather(*(ledger.kill("all", "now", NOW) for ledger in (one, other, one)))
            assert await one.unkill("all")
            assert one.killed() == other.killed() == {}

    run(scene())


def test_the_board_is_its_owners_alone(path: Path) -> None:
    """Nobody else on the machine may stop, or start, somebody's gateway."""

    async def scene() -> None:
        async with opened(path) as (_, ledger):
            await ledger.settle("a", {"day": 1}, NOW)
            for file in path.parent.glob("store.db-*"):
                if "board" in file.name or "hint" in file.name:
                    assert file.stat().st_mode & 0o077 == 0

    run(scene())
    with pytest.raises(sqlite3.OperationalError):
        rows(path, "SELECT * FROM budgets")
