"""The journal over SQLite: written behind, bounded, counted, and forgotten in time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from laneway.stores.sqlite import writer
from laneway.stores.sqlite.database import Database
from laneway.stores.sqlite.journal import SqliteJournal
from tests.harness.loop import run
from tests.harness.outcomes import outcome
from tests.harness.sqlite import NOW, database, held_up, plain, rows, started, until

DAY_S = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def journal_of(db: Database, *, keep_days: float = 30.0, keep_rows: int = 10_000, most: int = 10_000) -> SqliteJournal:
    return SqliteJournal(db, keep_days=keep_days, keep_rows=keep_rows, most=most)


def test_a_full_queue_drops_and_counts(path: Path) -> None:
    """What does not fit while the disk is behind is counted; what fitted is kept."""

    async def scene() -> None:
        async with database(path) as db:
            journal = journal_of(db, most=5)
            go, first = held_up(db)
            for number in range(8):
                journal.record(outcome(request_id=f"req_{number}"))
            assert journal.dropped == 3
            go.set()
            await first
            found = await journal.recent(10, {})
            assert [record["request_id"] for record in found] == [f"req_{number}" for number in (4, 3, 2, 1, 0)]
            journal.record(outcome())
            assert len(await journal.recent(10, {})) == 6
            assert journal.dropped == 3

    run(scene())


def test_a_burst_is_written_in_many_small_pieces(path: Path) -> None:
    """Thousands at once all arrive, in order."""

    async def scene() -> None:
        async with database(path) as db:
            journal = journal_of(db)
            for number in range(3000):
                journal.record(outcome(request_id=f"req_{number}"))
            await journal.drain()
            assert journal.dropped == 0

    run(scene())
    found = rows(path, "SELECT record ->> '$[0]' FROM outcomes ORDER BY id")
    assert found == [(f"req_{number}",) for number in range(3000)]


def test_records_are_written_without_being_asked_for(path: Path) -> None:
    """Some moments after a request its record is in the file, however many there are."""

    async def scene() -> None:
        async with started(path) as store:
            for _ in range(600):
                store.journal.record(outcome())
            await until(lambda: rows(path, "SELECT count(*) FROM outcomes") == [(600,)])

    run(scene())


def test_an_outcome_that_cannot_be_written_takes_no_other_along(path: Path) -> None:
    """A text that is no text is counted as dropped, its neighbours are kept; odd letters are no obstacle."""

    async def scene() -> None:
        async with database(path) as db:
            journal = journal_of(db)
            for model in ("first", "\ud800", "nul \x00 and é \u2028", "last"):
                journal.record(outcome(model=model))
            found = await journal.recent(10, {})
            assert [record["gen_ai.request.model"] for record in found] == ["last", "nul \x00 and é \u2028", "first"]
            assert journal.dropped == 1

    run(scene())


def test_a_store_in_trouble_keeps_records_and_counts_what_it_cannot(path: Path) -> None:
    """Locked for too long, closed, or without a loop: `record` never raises, and nothing is lost unseen."""

    async def scene() -> None:
        db = Database(path, busy_s=0.05, clock=lambda: NOW)
        journal = journal_of(db)
        await db.start()
        with plain(path) as other:
            other.execute("BEGIN IMMEDIATE")
            journal.record(outcome())
            await journal.drain()
            journal.record(outcome(request_id="behind"))
            await journal.drain()
            assert journal.dropped == 0
            other.execute("ROLLBACK")
        # Nobody asks for them: they are written once there is room.
        await until(lambda: rows(path, "SELECT count(*) FROM outcomes") == [(2,)])
        with plain(path) as other:
            other.execute("BEGIN IMMEDIATE")
            journal.record(outcome())
            await db.close()
        assert journal.dropped == 1
        for _ in range(600):
            journal.record(outcome())
        await journal.drain()
        assert journal.dropped == 601

    run(scene())


def test_what_was_recorded_before_a_loop_ran_is_kept(path: Path) -> None:
    """A host app may speak before it starts the store."""
    db = Database(path, clock=lambda: NOW)
    journal = journal_of(db)
    journal.record(outcome(request_id="early"))

    async def scene() -> None:
        await db.start()
        (record,) = await journal.recent(5, {})
        assert record["request_id"] == "early"
        await db.close()

    run(scene())


def test_records_are_forgotten_by_age_and_by_number(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In small steps, oldest first, until both bounds are kept."""
    # The thread's own steps would come between those of the test.
    monkeypatch.setattr(writer, "PAUSE_S", 600.0)

    async def scene() -> None:
        async with database(path) as db:
            journal = journal_of(db, keep_days=2.0, keep_rows=100)
            for number in range(1200):
                journal.record(outcome(at_s=NOW - (3 * DAY_S if number < 600 else 0.0), request_id=f"req_{number}"))
            await journal.drain()
            counts = [1200]
            while await db.write(lambda db: journal.prune(db, NOW)):
                counts += rows(path, "SELECT count(*) FROM outcomes")[0]
            assert all(before - after <= 1000 for before, after in pairwise(counts))
            found = await journal.recent(1200, {})
            assert [record["request_id"] for record in found] == [f"req_{number}" for number in range(1199, 1099, -1)]

    run(scene())


def test_forgetting_happens_by_itself(path: Path) -> None:
    """A store that runs forgets what is past its time without being told."""

    async def scene() -> None:
        async with started(path, keep_days=1.0) as store:
            store.journal.record(outcome(at_s=1000.0))
            await store.journal.recent(1, {})
        async with started(path, keep_days=1.0):
            await until(lambda: not rows(path, "SELECT 1 FROM outcomes"))

    run(scene())
