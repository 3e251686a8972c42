"""The SQLite store beyond what every store does: files, restarts, other processes, trouble, and forgetting."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from laneway.ports import Hold, Pin, Share
from laneway.route import Key
from laneway.store import StoreError, open_store
from laneway.stores import schema
from laneway.stores.sqlite import database as databases
from laneway.stores.sqlite import opening
from laneway.stores.sqlite.database import Database
from laneway.stores.sqlite.ledger import SqliteLedger
from laneway.stores.sqlite.pins import SqlitePins
from tests.harness.loop import run
from tests.harness.outcomes import outcome
from tests.harness.sqlite import NOW, database, held_up, plain, rows, started, until

ADA = Key(id="key_a", tenant="acme", last4="1234", created_s=100)
DIGEST = hashlib.sha256(b"ada").digest()


def share(nanos: int) -> list[Share]:
    return [Share("day", nanos, 1000)]


def pin(trace: str, db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO pins VALUES ('acme', ?, 'studio/a', 0)", (trace,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def refusal(path: Path) -> str:
    """What a person reads who starts on this path."""

    async def start() -> None:
        async with started(path):
            pass

    with pytest.raises(StoreError) as refused:
        run(start())
    return str(refused.value)


# Opening


def test_a_new_store_is_nobody_elses_business(tmp_path: Path) -> None:
    """The folder and every file in it are made for their owner only."""
    path = tmp_path / "state" / "store.db"

    async def scene() -> None:
        async with started(path) as store:
            await store.keys.create(ADA, DIGEST)
            files = sorted(path.parent.iterdir())
            assert [file.name for file in files] == ["store.db", "store.db-board", "store.db-shm", "store.db-wal"]
            assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
            assert path.parent.stat().st_mode & 0o777 == 0o700

    run(scene())


def test_a_folder_that_is_there_keeps_its_rights(tmp_path: Path) -> None:
    """Only what is made is restricted."""
    tmp_path.chmod(0o755)

    async def scene() -> None:
        async with started(tmp_path / "store.db"):
            pass

    run(scene())
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_path_is_relative_with_three_slashes_and_may_begin_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sqlite:///x` is in the working directory, `sqlite:////x` at the root, `sqlite:///~/x` with the person."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_store("sqlite:///laneway.db").place == "laneway.db"
    assert open_store("sqlite:////var/laneway.db").place == "/var/laneway.db"
    assert open_store("sqlite:///~/laneway.db").place == f"{tmp_path}/laneway.db"


def test_a_name_that_means_something_in_a_uri_is_a_name(tmp_path: Path) -> None:
    """A percent sign, a hash and a space are part of the file's name."""
    path = tmp_path / "50% #1 store.db"

    async def scene() -> None:
        async with started(path):
            pass

    run(scene())
    assert path.exists()


def test_the_log_is_folded_into_the_file_at_the_end(path: Path) -> None:
    """After a clean end all rows are in one file, and it can be copied; the board beside it is made anew."""

    async def scene() -> None:
        async with started(path) as store:
            await store.keys.create(ADA, DIGEST)

    run(scene())
    assert sorted(file.name for file in path.parent.iterdir()) == ["store.db", "store.db-board"]
    assert rows(path, "SELECT id FROM keys") == [("key_a",)]


def test_a_path_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    """A file where a folder should be, a folder where a file should be, a place where nothing can be made."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "store.db", Path("/proc/laneway/store.db")):
        message = refusal(path)
        assert message.startswith(f"The store '{path}' cannot be made (")
        assert message.endswith("server.store.")
    assert "is a folder; name a file in it" in refusal(tmp_path)


def test_a_file_that_is_no_database_is_a_sentence(path: Path) -> None:
    """It is named, left as it is, and the person is told what to do."""
    path.write_bytes(b"these are a thousand words\n" * 400)
    assert "damaged, or no database at all" in refusal(path)
    assert path.read_bytes() == b"these are a thousand words\n" * 400


def test_another_programs_database_is_left_alone(path: Path) -> None:
    """Its tables are not joined by ours."""
    with plain(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    assert "is a database of another program" in refusal(path)
    assert rows(path, "SELECT name FROM sqlite_master") == [("theirs",)]


def test_a_newer_laneways_database_is_refused(path: Path) -> None:
    """An older program would not know what it overwrites; both steps are named."""

    async def scene() -> None:
        async with started(path):
            pass

    run(scene())
    newest = len(schema.STEPS)
    with plain(path) as db:
        db.execute(f"PRAGMA user_version = {newest + 1}")
    message = refusal(path)
    assert "was written by a newer laneway" in message
    assert f"at step {newest + 1}, this one knows {newest}" in message


def test_a_locked_database_is_a_sentence(path: Path) -> None:
    """Another program that never lets go is what the person is told to look for."""
    with plain(path) as db:
        db.execute("BEGIN EXCLUSIVE")

        async def scene() -> None:
            async with database(path, busy_s=0.05):
                pass

        with pytest.raises(StoreError, match="is locked by another program"):
            run(scene())


def test_a_start_waits_for_a_lock_that_goes(path: Path) -> None:
    """Another process that is making the same new file is waited for."""

    async def scene() -> None:
        store = open_store(f"sqlite:///{path}")
        with plain(path) as other:
            other.execute("BEGIN EXCLUSIVE")
            starting = asyncio.ensure_future(store.start())
            await asyncio.sleep(0.1)
            assert not starting.done()
            other.execute("COMMIT")
        await starting
        await store.close()

    run(scene())


def test_a_start_that_meets_another_at_the_log_tries_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two begin to log ahead at once, SQLite turns one away at once, however long it was told to wait."""
    met: list[str] = []

    class Meeting(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if "WAL" in sql and not met:
                met.append(sql)
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorname = "SQLITE_BUSY"
                raise error
            return super().execute(sql, *parameters)

    connect = partial(sqlite3.connect, factory=Meeting)
    monkeypatch.setattr(sqlite3, "connect", connect)

    async def scene() -> None:
        async with started(path):
            pass

    run(scene())
    assert met


def test_an_old_sqlite_is_a_sentence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there and what is needed are both named."""
    monkeypatch.setattr(opening, "OLDEST_SQLITE", (99, 0, 0))
    assert f"SQLite {sqlite3.sqlite_version}" in refusal(path)


def test_loading_stays_light(tmp_path: Path) -> None:
    """SQLite is loaded when a store of it is started, and what is not needed to serve never is."""
    code = f"""
import asyncio, sys
from laneway.store import open_store
open_store("memory:")
assert "sqlite3" not in sys.modules
async def main():
    store = open_store("sqlite:///{tmp_path}/store.db")
    await store.start()
    await store.close()
asyncio.run(main())
assert "sqlite3" in sys.modules
assert "sqlite_utils" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)}, timeout=60)


# Tables


@pytest.mark.parametrize("older", range(len(schema.STEPS)))
def test_every_older_database_is_brought_up_to_date(path: Path, older: int) -> None:
    """From any step the rest is applied, and the store works."""
    with plain(path) as db:
        db.execute("PRAGMA journal_mode = WAL")
        for number, step in enumerate(schema.STEPS[:older], 1):
            step(db)
            db.execute(f"PRAGMA user_version = {number}")

    async def scene() -> None:
        async with started(path) as store:
            await store.keys.create(ADA, DIGEST)
            assert await store.keys.find(DIGEST) == ADA

    run(scene())
    assert rows(path, "PRAGMA user_version") == [(len(schema.STEPS),)]


def test_a_step_that_fails_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps before it hold, the failed one is undone whole, and the next start goes on from there."""

    def spoil(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half (x)")
        db.execute("CREATE TABLE keys (x)")

    monkeypatch.setattr(schema, "STEPS", [*schema.STEPS, spoil])
    assert "cannot be used" in refusal(path)
    assert rows(path, "SELECT name FROM sqlite_master WHERE name = 'half'") == []
    assert rows(path, "PRAGMA user_version") == [(len(schema.STEPS) - 1,)]


def test_many_may_start_on_a_new_file_at_once(path: Path) -> None:
    """Each step is applied once, whoever comes first."""

    async def scene() -> None:
        stores = [open_store(f"sqlite:///{path}") for _ in range(8)]
        await asyncio.gather(*(store.start() for store in stores))
        await stores[0].keys.create(ADA, DIGEST)
        for store in stores:
            assert await store.keys.find(DIGEST) == ADA
        await asyncio.gather(*(store.close() for store in stores))

    run(scene())


# Sharing and restarting


def test_everything_is_there_after_a_restart(path: Path) -> None:
    """Keys, what was spent, pins and records outlive the process; what it held nobody will settle any more."""

    async def before() -> None:
        async with started(path) as store:
            await store.keys.create(ADA, DIGEST)
            await store.ledger.settle("a", {"day": 300}, NOW)
            await store.ledger.hold("b", share(200), NOW)
            await store.pins.put("acme", "t", Pin(target="studio/a", at_s=NOW))
            store.journal.record(outcome(request_id="req_7"))

    async def after() -> None:
        async with started(path) as store:
            assert await store.keys.find(DIGEST) == ADA
            left = await store.ledger.left("day", 1000, NOW)
            assert (left.spent_nanos, left.held_nanos) == (300, 0)
            await store.ledger.settle("a", {"day": 300}, NOW)
            assert (await store.ledger.left("day", 1000, NOW)).spent_nanos == 300
            assert await store.pins.get("acme", "t", NOW) == Pin(target="studio/a", at_s=NOW)
            (record,) = await store.journal.recent(5, {})
            assert record["request_id"] == "req_7"

    run(before())
    run(after())


def test_what_another_process_did_is_seen_at_once(path: Path) -> None:
    """A key made or revoked at the command line, and money held by another worker: the next look shows it."""

    async def scene() -> None:
        async with started(path) as one, started(path) as other:
            await one.keys.create(ADA, DIGEST)
            assert await other.keys.find(DIGEST) == ADA
            await one.keys.revoke("key_a", 500)
            found = await other.keys.find(DIGEST)
            assert found is not None
            assert found.revoked_s == 500
            await one.ledger.hold("a", share(800), NOW)
            assert not isinstance(await other.ledger.hold("b", share(300), NOW), Hold)
            assert (await other.ledger.left("day", 1000, NOW)).held_nanos == 800
            one.journal.record(outcome(request_id="req_7"))
            assert len(await one.journal.recent(5, {})) == 1
            assert len(await other.journal.recent(5, {})) == 1

    run(scene())


def test_a_second_store_in_the_process_takes_no_locks_away(path: Path) -> None:
    """While a store is open, others may come and go on the same file, here and elsewhere: its rows stay.

    Whoever closes the file last deletes the log; a store that lost its locks would be taken for closed.
    """

    async def scene() -> None:
        async with started(path) as staying:
            async with started(path):
                pass
            leave = f"import sqlite3; db = sqlite3.connect({str(path)!r}); db.execute('SELECT * FROM keys'); db.close()"
            await asyncio.to_thread(subprocess.run, [sys.executable, "-c", leave], check=True)
            assert path.with_name("store.db-wal").exists()
            await staying.keys.create(ADA, DIGEST)
        assert rows(path, "SELECT id FROM keys") == [("key_a",)]

    run(scene())


# Writing


def test_one_jobs_error_is_its_own(path: Path) -> None:
    """Of jobs that share a transaction, one that fails takes nobody along, and leaves nothing half done."""

    def create(name: str, db: sqlite3.Connection) -> str:
        db.execute("INSERT INTO accounts VALUES (?, 0, 0, 0)", (name,))
        if name == "bad":
            db.execute("INSERT INTO accounts VALUES (?, 0, 0, 0)", (name,))
        return name

    def slip(_: sqlite3.Connection) -> str:
        raise LookupError("not SQLite's word")

    async def scene() -> None:
        async with database(path) as db:
            go, first = held_up(db)
            jobs = [db.submit(partial(create, name)) for name in ("a", "bad", "b")]
            jobs.append(db.submit(slip))
            go.set()
            await first
            values = await asyncio.gather(*jobs, return_exceptions=True)
            assert [values[0], values[2]] == ["a", "b"]
            assert isinstance(values[1], StoreError)
            assert isinstance(values[3], LookupError)
            assert await db.write(partial(create, "c")) == "c"

    run(scene())
    assert rows(path, "SELECT name FROM accounts ORDER BY name") == [("a",), ("b",), ("c",)]


def test_a_full_disk_is_a_sentence_without_a_path(path: Path) -> None:
    """The caller of a request may read it; what SQLite said is kept for the record."""

    async def scene() -> None:
        async with database(path) as db:
            await db.write(lambda db: db.execute("PRAGMA max_page_count = 1").fetchone())
            with pytest.raises(StoreError, match="its disk is full") as full:
                await asyncio.gather(*(db.write(partial(pin, f"trace number {number}")) for number in range(3000)))
            assert str(path.parent) not in str(full.value)
            assert "SQLITE_FULL" in (full.value.failure.detail or "")

    run(scene())


def test_the_loop_runs_on_while_another_process_holds_the_lock(path: Path) -> None:
    """Look-ups answer, writes wait for their turn, and both are right."""

    async def scene() -> None:
        async with started(path) as store:
            await store.keys.create(ADA, DIGEST)
            with plain(path) as other:
                other.execute("BEGIN IMMEDIATE")
                holding = asyncio.ensure_future(store.ledger.hold("a", share(1), NOW))
                for _ in range(20):
                    assert await store.keys.find(DIGEST) == ADA
                    await asyncio.sleep(0.001)
                assert not holding.done()
                other.execute("COMMIT")
            assert isinstance(await holding, Hold)

    run(scene())


def test_all_who_wait_for_a_lock_that_stays_are_told_together(path: Path) -> None:
    """The last in the queue does not wait for the sum of all."""

    async def scene() -> None:
        async with database(path, busy_s=0.3) as db:
            with plain(path) as other:
                other.execute("BEGIN IMMEDIATE")
                writing = [db.write(partial(pin, f"t{number}")) for number in range(300)]
                errors = await asyncio.gather(*writing, return_exceptions=True)
                assert {str(error) for error in errors} == {
                    "The gateway's store could not be used: another process keeps it locked."
                }
                other.execute("ROLLBACK")
            await db.write(partial(pin, "t"))

    run(scene(), limit_s=20.0)


def test_closing_does_first_what_was_asked_before(path: Path) -> None:
    """Everything submitted is committed; whoever comes later is told."""

    async def scene() -> None:
        db = Database(path, clock=lambda: NOW)
        await db.start()
        ledger = SqliteLedger(db)
        jobs = [asyncio.ensure_future(ledger.settle(f"r{number}", {"day": 1}, NOW)) for number in range(2000)]
        await asyncio.sleep(0)
        await db.close()
        await asyncio.gather(*jobs)
        for late in (ledger.settle("late", {"day": 1}, NOW), ledger.left("day", 1, NOW), db.read(lambda db: None)):
            with pytest.raises(StoreError, match="not open"):
                await late
        await db.close()

    run(scene())
    assert rows(path, "SELECT spent_nanos FROM accounts") == [(2000,)]


def test_starting_twice_is_starting_once(path: Path) -> None:
    """A host app that starts what is started harms nothing."""

    async def scene() -> None:
        async with started(path) as store:
            await store.start()
            await store.keys.create(ADA, DIGEST)

    run(scene())


def test_writes_beyond_the_bound_wait_for_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who ask for too much at once are slowed, and all are served; who gives up frees the place."""
    monkeypatch.setattr(databases, "MOST_WAITING", 2)
    ran: list[int] = []

    def note(number: int, _: sqlite3.Connection) -> None:
        ran.append(number)

    async def scene() -> None:
        async with database(path) as db:
            go, first = held_up(db)
            writing = [asyncio.ensure_future(db.write(partial(note, number))) for number in range(6)]
            await asyncio.sleep(0)
            writing[3].cancel()
            await asyncio.sleep(0)
            go.set()
            await first
            await asyncio.gather(*writing, return_exceptions=True)

    run(scene())
    assert ran == [0, 1, 2, 4, 5]


def test_a_hold_whose_caller_left_is_let_go(path: Path) -> None:
    """Cancelled while queued, it does not stand in the way of others until it expires."""

    async def scene() -> None:
        async with database(path) as db:
            ledger = SqliteLedger(db)
            go, first = held_up(db)
            holding = asyncio.ensure_future(ledger.hold("a", share(1000), NOW))
            await asyncio.sleep(0)
            holding.cancel()
            await asyncio.sleep(0)
            go.set()
            await first
            assert isinstance(await ledger.hold("b", share(1000), NOW), Hold)
            assert holding.cancelled()

    run(scene())


def test_a_settlement_whose_caller_left_is_made(path: Path) -> None:
    """Money that was spent is charged even if nobody waits for the answer."""

    async def scene() -> None:
        async with database(path) as db:
            ledger = SqliteLedger(db)
            go, first = held_up(db)
            settling = asyncio.ensure_future(ledger.settle("a", {"day": 70}, NOW))
            await asyncio.sleep(0)
            settling.cancel()
            go.set()
            await first
            await ledger.settle("b", {"day": 7}, NOW)
            assert (await ledger.left("day", 1000, NOW)).spent_nanos == 77

    run(scene())


def test_a_look_up_that_meets_a_lock_goes_to_a_thread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's own connection never waits; the answer comes all the same."""

    class Locked:
        def execute(self, *_: object) -> None:
            raise sqlite3.OperationalError("database is locked")

        def close(self) -> None:
            pass

    async def scene() -> None:
        async with started(path) as store:
            await store.keys.create(ADA, DIGEST)
        async with database(path) as db:
            reader = db._reader
            assert reader is not None
            reader.close()
            monkeypatch.setattr(db, "_reader", Locked())
            assert await db.row("SELECT id FROM keys WHERE digest = ?", (DIGEST,)) == ("key_a",)
            with pytest.raises(StoreError, match="its database failed"):
                await db.row("SELECT nothing FROM nowhere", ())

    run(scene())


# Pins


def test_a_pin_never_makes_a_request_fail(path: Path) -> None:
    """A store that is closed or locked has pinned nothing, and says nothing."""

    async def scene() -> None:
        db = Database(path, busy_s=0.05, clock=lambda: NOW)
        pins = SqlitePins(db)
        await pins.put("acme", "t", Pin(target="studio/a", at_s=NOW))
        assert await pins.get("acme", "t", NOW) is None
        await db.start()
        with plain(path) as other:
            other.execute("BEGIN IMMEDIATE")
            await pins.put("acme", "t", Pin(target="studio/a", at_s=NOW))
            assert await pins.get("acme", "t", NOW) == Pin(target="studio/a", at_s=NOW)
            await db.close()
            other.execute("ROLLBACK")

    run(scene())
    assert rows(path, "SELECT * FROM pins") == []


def test_old_pins_and_a_tenants_flood_are_forgotten(path: Path) -> None:
    """Each tenant keeps its newest; a tenant that floods takes nothing from another."""

    async def scene() -> None:
        async with database(path) as db:
            pins = SqlitePins(db, ttl_s=100.0, most=3)
            await pins.put("bees", "quiet", Pin(target="studio/b", at_s=NOW - 50))
            await pins.put("bees", "old", Pin(target="studio/b", at_s=NOW - 100))
            for number in range(10):
                await pins.put("acme", f"t{number}", Pin(target="studio/a", at_s=NOW - 20 + number))
            assert not await db.write(lambda db: pins.prune(db, NOW))
            kept = [trace for trace in ("quiet", "old") if await pins.get("bees", trace, NOW - 20)]
            assert kept == ["quiet"]
            assert [n for n in range(10) if await pins.get("acme", f"t{n}", NOW)] == [7, 8, 9]

    run(scene())


# Chores


def test_a_chore_in_trouble_ends_nothing(path: Path) -> None:
    """Tidying that fails is tried again later; the thread writes on."""
    tried: list[float] = []

    def chore(db: sqlite3.Connection, now_s: float) -> bool:
        db.execute("INSERT INTO accounts VALUES ('half', 0, 0, 0)")
        tried.append(now_s)
        raise LookupError("made up")

    async def scene() -> None:
        db = Database(path, clock=lambda: NOW)
        db.add_chore(chore)
        await db.start()
        await until(lambda: bool(tried))
        await db.write(lambda db: db.execute("INSERT INTO accounts VALUES ('whole', 0, 0, 0)").rowcount)
        await db.close()

    run(scene())
    assert tried == [NOW]
    assert rows(path, "SELECT name FROM accounts") == [("whole",)]
