"""How records lie in SQLite and are found again: values without names, in blocks that say what is in them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random

import msgspec
import pytest

from laneway.ports import Found, Search
from laneway.record import attributes
from laneway.route import Outcome
from laneway.stores import schema
from laneway.stores.sqlite import records, writer
from laneway.stores.sqlite.database import Database
from laneway.stores.sqlite.journal import SqliteJournal
from tests.harness.loop import run
from tests.harness.outcomes import outcome
from tests.harness.sqlite import NOW, database, plain, rows

MANY = 1500
"""Some blocks of rows, the last of them begun."""
COLUMNS = {"tenant": "tenant", "awooop.lane": "lane", "status": "status", "gen_ai.request.model": "model"}
SEARCHES: Mapping[str, Search] = {
    "all": Search(MANY),
    "a page": Search(50, below=700),
    "behind a number": Search(50, above=510),
    "usual": Search(40, {"tenant": "acme"}),
    "rare": Search(MANY, {"tenant": "rare"}),
    "nobody": Search(MANY, {"tenant": "nobody"}),
    "several columns": Search(MANY, {"tenant": "acme", "status": "502", "awooop.lane": "slow"}),
    "a column and an attribute": Search(MANY, {"gen_ai.request.model": "opus", "stream": "false"}),
    "attributes": Search(MANY, {"request_id": "req_77"}),
    "nothing": Search(MANY, {"awooop.lane": "null"}),
    "no such attribute": Search(MANY, {"strange": "null"}),
    "of a time": Search(MANY, first_s=NOW + 300.0, until_s=NOW + 310.0),
    "of a time and a lane": Search(20, {"awooop.lane": "slow"}, first_s=NOW + 100.0, below=900),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def journal_of(db: Database, *, prefix: str = "awooop", keep_rows: int = 10_000) -> SqliteJournal:
    return SqliteJournal(db, keep_days=30.0, keep_rows=keep_rows, prefix=prefix)


def mixed() -> list[Outcome]:
    """Times are not in order; some tenants and models come rarely, and not in every block."""
    rng = Random(11)
    return [
        outcome(
            request_id=f"req_{number}",
            at_s=NOW + number - rng.random() * 90,
            tenant="rare" if number in (3, 255, 256, 1300) else rng.choice(("acme", "bolt")),
            lane=rng.choice(("slow", "fast", None)),
            status=rng.choice((200, 200, 200, 502)),
            model="opus" if 400 < number < 420 else "sonnet",
            stream=rng.random() < 0.5,
        )
        for number in range(1, MANY + 1)
    ]


def wanted_of(search: Search, outcomes: Sequence[Outcome]) -> list[int]:
    """What a search should find, by the numbers of the rows: one after the other, from 1 on."""
    # A lane that is not known has no column to be found by.
    filters = {name: value for name, value in search.filters.items() if (name, value) != ("awooop.lane", "null")}
    numbers = [
        number
        for number, each in enumerate(outcomes, 1)
        if schema.matches(attributes(each), filters)
        and len(filters) == len(search.filters)
        and (search.first_s is None or each.at_s >= search.first_s)
        and (search.until_s is None or each.at_s < search.until_s)
        and (search.below is None or number < search.below)
        and (search.above is None or number > search.above)
    ]
    return sorted(numbers, reverse=search.above is None)[: search.limit]


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_finds_what_reading_everything_would(path: Path, name: str) -> None:
    """Through blocks of rows the same records come, in the same order, word for word."""
    outcomes, search = mixed(), SEARCHES[name]

    async def scene() -> Sequence[Found]:
        async with database(path) as db:
            journal = journal_of(db)
            for each in outcomes:
                journal.record(each)
            return await journal.search(search)

    found = run(scene())
    numbers = wanted_of(search, outcomes)
    assert [each.number for each in found] == numbers
    assert [each.text for each in found] == [
        msgspec.json.encode(attributes(outcomes[number - 1])) for number in numbers
    ]


def test_a_search_reads_no_more_than_it_must(path: Path) -> None:
    """No search sorts, or makes an index for itself: either would read the whole table for one page."""

    async def scene() -> None:
        async with database(path):
            pass

    run(scene())
    with plain(path) as db:
        asked: list[str] = []
        for search in SEARCHES.values():
            db.set_trace_callback(asked.append)
            records.records_of(search, COLUMNS, db)
            db.set_trace_callback(None)
        plans = [row[3] for sql in asked if sql.startswith("SELECT") for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert any("outcomes USING INTEGER PRIMARY KEY" in plan for plan in plans)
    assert not [plan for plan in plans if "AUTOMATIC" in plan or "TEMP B-TREE" in plan or plan == "SCAN outcomes"]


def older(path: Path, outcomes: Sequence[Outcome]) -> None:
    """A file as it was before rows were narrow."""
    with plain(path) as db:
        db.execute("PRAGMA journal_mode = WAL")
        before = schema.STEPS[: [step.__name__ for step in schema.STEPS].index("narrow_outcomes")]
        for number, step in enumerate(before, 1):
            step(db)
            db.execute(f"PRAGMA user_version = {number}")
        for each in outcomes:
            text = msgspec.json.encode(attributes(each)).decode()
            row = (each.at_s, each.tenant, each.lane, each.status, each.model, text)
            db.execute(
                "INSERT INTO outcomes (at_s, tenant, lane, status, model, record) VALUES (?, ?, ?, ?, ?, ?)", row
            )


def test_records_of_an_older_laneway_are_found_beside_new_ones(path: Path) -> None:
    """Every search finds them as before, and what is written now comes after them."""
    outcomes = mixed()
    older(path, outcomes[:1000])

    async def scene() -> dict[str, Sequence[Found]]:
        async with database(path) as db:
            journal = journal_of(db)
            for each in outcomes[1000:]:
                journal.record(each)
            return {name: await journal.search(search) for name, search in SEARCHES.items()}

    for name, found in run(scene()).items():
        numbers = wanted_of(SEARCHES[name], outcomes)
        texts = [msgspec.json.encode(attributes(outcomes[number - 1])) for number in numbers]
        assert [each.text for each in found] == texts, name


def test_records_keep_the_names_they_were_written_under(path: Path) -> None:
    """Under another prefix, odd as it may be, older records stay what they were, and are found by what they say."""

    async def scene() -> None:
        prefixes = ("awooop", "50%", 'a"b')
        for prefix in prefixes:
            async with database(path) as db:
                journal_of(db, prefix=prefix).record(outcome(lane=f"lane of {prefix}"))
        async with database(path) as db:
            journal = journal_of(db)
            found = await journal.recent(5, {})
            assert [record[f"{prefix}.lane"] for prefix, record in zip(prefixes[::-1], found, strict=True)] == [
                f"lane of {prefix}" for prefix in prefixes[::-1]
            ]
            (record,) = await journal.recent(5, {"50%.lane": "lane of 50%"})
            assert record == attributes(outcome(lane="lane of 50%"), "50%")
            assert not await journal.recent(5, {"50%.lane": "lane of awooop"})

    run(scene())


def test_a_prefix_is_named_once(path: Path) -> None:
    """However often a gateway starts, and whoever starts beside it."""

    async def scene() -> None:
        for _ in range(3):
            async with database(path) as db:
                journal_of(db).record(outcome())

    run(scene())
    assert rows(path, "SELECT count(*) FROM outcome_shapes") == [(1,)]


def test_what_is_forgotten_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its rows nor what was said of their blocks; what comes later is found."""
    monkeypatch.setattr(writer, "PAUSE_S", 600.0)

    async def scene() -> None:
        async with database(path) as db:
            journal = journal_of(db, keep_rows=300)
            for each in mixed():
                journal.record(msgspec.structs.replace(each, model=f"model {each.request_id}"))
            await journal.drain()
            await prune(db, journal, NOW)
            kept = [record["request_id"] for record in await journal.recent(MANY, {})]
            assert kept == [f"req_{number}" for number in range(MANY, MANY - 300, -1)]
            assert rows(path, "SELECT min(block), max(block) FROM outcome_values") == [(4, 5)]
            await prune(db, journal, NOW + 32 * 86_400)
            tables = ("outcomes", "outcome_blocks", "outcome_values")
            assert [rows(path, f"SELECT count(*) FROM {table}") for table in tables] == [[(0,)]] * 3
            journal.record(outcome(tenant="late"))
            assert len(await journal.recent(5, {"tenant": "late"})) == 1

    run(scene())


async def prune(db: Database, journal: SqliteJournal, now_s: float) -> None:
    while await db.write(partial(_step, journal, now_s)):
        pass


def _step(journal: SqliteJournal, now_s: float, db: sqlite3.Connection) -> bool:
    return journal.prune(db, now_s)


def test_nothing_is_noted_outside_the_store(path: Path) -> None:
    """What a statement needs to undo itself stays in memory, and leaves no copies of pages in a folder for all."""

    async def scene() -> None:
        async with database(path) as db:
            assert await db.write(lambda db: db.execute("PRAGMA temp_store").fetchone()) == (2,)

    run(scene())
