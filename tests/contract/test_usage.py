"""What every store's reports say: sums of outcomes, exact, by any labels, whatever became of the records."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from laneway.chat import Usage
from laneway.failure import Failure, Kind
from laneway.policy.report import shown
from laneway.policy.usage import Sums
from laneway.ports import Figures, Question, Tally
from laneway.route import Attempt, Decision, Dropped, Outcome, Price, Target
from laneway.store import Store
from laneway.stores.sqlite.journal import SqliteJournal
from laneway.stores.sqlite.usage import prune_usage
from tests.harness.loop import run
from tests.harness.outcomes import SONNET, STUDIO, outcome
from tests.harness.scenes import opened
from tests.harness.sqlite import NOW, database, rows

DAY_S = 86_400.0
ALWAYS = ("1970-01-01", "9999-12-31")
DEAR = Target(provider=STUDIO, model="opus", upstream="opus-4", price=Price(input=9_000_000, output=45_000_000))
CHEAP = Target(provider=STUDIO, model="haiku", upstream="haiku-4", price=Price(input=1_000_000, output=5_000_000))


def tried(target: Target, cost_nanos: int, *, failure: Failure | None = None, usage: Usage | None = None) -> Attempt:
    usage = usage if usage is not None else Usage(input=100, output=20, cache_read=40)
    return Attempt(target=target, started_s=1.0, ended_s=2.0, usage=usage, cost_nanos=cost_nanos, failure=failure)


def routed(*attempts: Attempt, **changes: object) -> Outcome:
    """An outcome decided between three models."""
    decision = Decision(ranked=(CHEAP, SONNET), by="router", dropped=(Dropped(DEAR, "dear"),))
    cost = sum(attempt.cost_nanos for attempt in attempts)
    return outcome(decision=decision, attempts=attempts, cost_nanos=cost, **changes)


async def report(store: Store, *by: str, days: tuple[str, str] = ALWAYS, **where: str) -> list[Tally]:
    return list(await store.reports.usage(Question(by, *days, where)))


@opened
async def test_outcomes_add_up_exactly_by_any_labels(store: Store) -> None:
    """Amounts beyond what a float holds stay whole; a label nobody knew is an empty one."""
    for number in range(300):
        cost = 9_007_199_254_740_993 // 300 + number
        lane = "fast" if number % 3 else None
        store.journal.record(routed(tried(CHEAP, cost), lane=lane, at_s=NOW + number))
    (all_of_it,) = await report(store)
    assert all_of_it.labels == ()
    assert all_of_it.figures.cost_nanos == sum(9_007_199_254_740_993 // 300 + number for number in range(300))
    assert all_of_it.figures[:5] == (300, 0, 30_000, 12_000, 6_000)
    by_lane = await report(store, "lane", "tenant")
    assert [(line.labels, line.figures.requests) for line in by_lane] == [(("", "acme"), 100), (("fast", "acme"), 200)]
    assert await report(store, "model", lane="slow") == []


@opened
async def test_a_request_that_moved_is_counted_once_and_paid_where_it_cost(store: Store) -> None:
    """Requests belong to where they ended, tokens and money to where they were used."""
    cut = Failure(kind=Kind.CUT, message="cut")
    store.journal.record(routed(tried(SONNET, 700, failure=cut), tried(CHEAP, 200)))
    by_model = {line.labels: line.figures for line in await report(store, "model")}
    assert by_model["haiku",][:3] == (1, 0, 100)
    assert by_model["sonnet",][:3] == (0, 0, 100)
    assert (by_model["haiku",].cost_nanos, by_model["sonnet",].cost_nanos) == (200, 700)


@opened
async def test_saved_is_the_difference_to_the_dearest_candidate(store: Store) -> None:
    """At the prices of the moment, for the same tokens; dropped candidates count, a failed request saved nothing."""
    store.journal.record(routed(tried(CHEAP, 200_000)))
    (line,) = await report(store)
    assert line.figures.dearest_nanos == 100 * 9_000 + 20 * 45_000
    assert shown(line.figures)["saved_usd"] == "0.0016"
    broke = Failure(kind=Kind.OVERLOADED, message="busy")
    store.journal.record(routed(tried(CHEAP, 50, failure=broke), failure=broke, status=503, tenant="bees"))
    store.journal.record(outcome(decision=None, attempts=(), cost_nanos=0, status=401, tenant="none", model="made up"))
    by_tenant = {line.labels[0]: line.figures for line in await report(store, "tenant")}
    assert shown(by_tenant["bees"])["saved_usd"] == "0"
    assert by_tenant["bees"].failures == 1
    assert by_tenant["none"] == Figures(requests=1, failures=1)


@opened
async def test_a_price_edit_never_rewrites_the_past(store: Store) -> None:
    """What was recorded at one price stays, in reports and in records; the new price counts from then on."""
    store.journal.record(routed(tried(CHEAP, 200_000)))
    before = await report(store, "day")
    kept = await store.journal.recent(1, {})
    dearer = Target(provider=STUDIO, model="haiku", upstream="haiku-4", price=Price(input=99_000_000, output=0))
    decision = Decision(ranked=(dearer,), by="lane")
    paid = tried(dearer, 9_900_000)
    store.journal.record(outcome(decision=decision, attempts=(paid,), at_s=NOW + DAY_S, cost_nanos=9_900_000))
    assert (await report(store, "day"))[:1] == before
    assert list(await store.journal.recent(1, {"awooop.cost_usd": "0.0002"})) == list(kept)


@opened
async def test_days_are_of_utc_and_both_ends_are_included(store: Store) -> None:
    """A request at 23:59:59 belongs to its day."""
    for at_s in (NOW - NOW % DAY_S - 1, NOW - NOW % DAY_S, NOW + DAY_S):
        store.journal.record(outcome(at_s=at_s))
    assert [line.labels for line in await report(store, "day")] == [("2023-11-13",), ("2023-11-14",), ("2023-11-15",)]
    assert [line.labels for line in await report(store, "day", days=("2023-11-14", "2023-11-14"))] == [("2023-11-14",)]


@opened
async def test_odd_letters_and_endless_names_are_kept_in_bounds(store: Store) -> None:
    """A label that has no encoding or no end takes nothing along."""
    store.journal.record(outcome(project="é" * 5000))
    store.journal.record(outcome(project="plain"))
    labels = [line.labels[0] for line in await report(store, "project")]
    assert labels == ["plain", "é" * 200]


def test_reports_outlive_the_records(tmp_path: Path) -> None:
    """What is forgotten as a record is still in the sums, also after a restart."""
    path = tmp_path / "store.db"

    async def scene() -> list[Tally]:
        async with database(path) as db:
            journal = SqliteJournal(db, keep_days=1.0, keep_rows=10)
            journal.record(outcome(at_s=NOW - 9 * DAY_S))
            await journal.drain()
            await db.write(lambda rows: journal.prune(rows, NOW))
        async with database(path) as db:
            journal = SqliteJournal(db, keep_days=1.0, keep_rows=10)
            assert await journal.recent(9, {}) == []
            return list(await journal.usage(Question(("tenant",), *ALWAYS)))

    assert [line.figures.requests for line in run(scene())] == [1]


def test_days_past_their_time_are_forgotten_whole(tmp_path: Path) -> None:
    """A day is kept to its end, and the file does not grow for ever."""

    async def scene() -> list[str]:
        async with database(tmp_path / "store.db") as db:
            journal = SqliteJournal(db, keep_days=1.0, keep_rows=10)
            for age in (0, 2, 3, 4):
                for tenant in ("acme", "bees"):
                    journal.record(outcome(at_s=NOW - age * DAY_S, tenant=tenant))
            await journal.drain()
            forget = partial(prune_usage, now_s=NOW, keep_days=2.0)
            assert [await db.write(forget) for _ in range(3)] == [True, True, False]
            return [line.labels[0] for line in await journal.usage(Question(("day",), *ALWAYS))]

    assert run(scene()) == ["2023-11-12", "2023-11-14"]


def test_a_batch_that_is_undone_adds_nothing(tmp_path: Path) -> None:
    """Records and sums are one transaction: neither is there without the other."""
    path = tmp_path / "store.db"

    async def scene() -> None:
        async with database(path) as db:
            await db.write(lambda rows: rows.execute("DROP TABLE usage"))
            journal = SqliteJournal(db, keep_days=1.0, keep_rows=10)
            journal.record(outcome())
            await journal.drain()
            assert journal.dropped == 1

    run(scene())
    assert rows(path, "SELECT count(*) FROM outcomes") == [(0,)]


def test_memory_keeps_the_newest_lines() -> None:
    """A process that runs for years does not grow for years."""
    sums = Sums(most=2)
    for day in range(3):
        sums.count(outcome(at_s=NOW + day * DAY_S), None)
    assert [line.labels for line in sums.answer(Question(("day",), *ALWAYS))] == [("2023-11-15",), ("2023-11-16",)]
