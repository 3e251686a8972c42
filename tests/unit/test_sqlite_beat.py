"""The beat of a SQLite store: those who wait to write are called together."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from laneway.stores.sqlite import writer
from laneway.stores.sqlite.beat import Beat, Due
from laneway.stores.sqlite.database import Database
from laneway.stores.sqlite.journal import SqliteJournal
from laneway.stores.sqlite.ledger import SqliteLedger
from tests.harness.loop import run
from tests.harness.outcomes import outcome
from tests.harness.sqlite import NOW, rows, until


def test_whoever_waits_less_brings_the_others_along() -> None:
    """All are called at once, in the order in which they came; those who left are not."""

    async def scene() -> None:
        beat, called = Beat(), list[str]()
        beat.join(lambda: called.append("patient"), 3600.0)
        beat.join(lambda: called.append("gone"), 0.01).cancel()
        beat.join(lambda: called.append("hasty"), 0.01)
        beat.join(lambda: called.append("late"), 1800.0)
        await until(lambda: bool(called))
        assert called == ["patient", "hasty", "late"]
        beat.join(lambda: called.append("again"), 0.01)
        await until(lambda: len(called) == 4)

    run(scene())


def test_who_leaves_in_the_last_moment_is_not_called() -> None:
    """Also where another one's call is what made them leave."""

    async def scene() -> None:
        beat, called = Beat(), list[str]()
        turns: list[Due] = []

        def leave() -> None:
            turns[1].cancel()

        turns += (beat.join(leave, 0.0), beat.join(lambda: called.append("left"), 0.0))
        beat.join(lambda: called.append("stays"), 0.0)
        await until(lambda: bool(called))
        assert called == ["stays"]

    run(scene())


def test_an_error_of_one_is_not_the_others() -> None:
    """It is told to the loop, and the rest goes on."""

    async def scene() -> None:
        told: list[BaseException | None] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, facts: told.append(facts.get("exception")))
        beat, called = Beat(), list[str]()
        beat.join(partial(next, iter(())), 0.0)
        beat.join(lambda: called.append("other"), 0.0)
        await until(lambda: bool(called))
        assert [type(error) for error in told] == [StopIteration]

    run(scene())


def test_a_request_s_record_and_its_money_are_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both wait a moment for others, and share one transaction."""
    # Chores have transactions too.
    monkeypatch.setattr(writer, "PAUSE_S", 600.0)
    path = tmp_path / "store.db"
    asked: list[str] = []

    async def scene() -> None:
        database = Database(path, clock=lambda: NOW)
        ledger = SqliteLedger(database)
        journal = SqliteJournal(database, keep_days=30.0, keep_rows=1000)
        await database.start()
        await database.write(lambda db: db.set_trace_callback(asked.append))
        asked.clear()
        await ledger.settle("req_1", {"day": 5}, NOW)
        journal.record(outcome())
        counts = "SELECT (SELECT count(*) FROM settlements), (SELECT count(*) FROM outcomes)"
        await until(lambda: rows(path, counts) == [(1, 1)])
        assert sum(sql.startswith("BEGIN") for sql in asked) == 1
        await database.close()

    run(scene())
