"""What every store keeps of shadowed lanes: rows and what they add up to, and each lane's standing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from laneway.ports import STAGED, Beside, Choice, Evidence, ShadowRow, Standing
from laneway.store import Store
from laneway.stores.sqlite.behind import Behind
from laneway.stores.sqlite.shadows import SqliteShadows
from tests.harness.loop import run
from tests.harness.scenes import opened
from tests.harness.sqlite import NOW, database, held_up, rows, started

HERE = Choice(host="gcp-a", model="gemma3:4b", latency_ms=100.0, cost_nanos=5)
THERE = Choice(host="gcp-b", model="gemma3:4b", latency_ms=150.0, cost_nanos=7)
CANARY = Standing(lane="fast", stage="canary", share=0.25, reason="looks well", actor="admin", at_s=NOW, over="shadow")


def row(number: int, **fields: Any) -> ShadowRow:
    plain = {"request_id": f"req_{number}", "at_s": NOW + number, "lane": "fast", "stage": "shadow"}
    return ShadowRow(**{**plain, **fields})


@opened
async def test_rows_add_up_by_lane_and_since_an_instant(store: Store) -> None:
    shadows = store.shadows
    shadows.keep(row(0, decided=HERE, legacy=HERE, compared=True))
    shadows.keep(row(1, decided=HERE, legacy=THERE, compared=True, kinds=("host",)))
    shadows.keep(row(2, decided=None, legacy=THERE))
    shadows.keep(row(3, decided=Choice(denied="no_target"), lane="slow"))
    both = await shadows.report(None, 0)
    fast, slow = both
    assert (fast.lane, slow.lane) == ("fast", "slow")
    assert (fast.decisions, fast.compared, fast.agreed, fast.undecided) == (3, 2, 1, 1)
    assert fast.kinds == {"host": 1, "model": 0, "tier": 0, "fallback": 0, "denial": 0}
    assert fast.latency_ms == Beside(2, 200.0, 250.0)
    assert fast.cost_nanos == Beside(2, 10, 12)
    assert (slow.decisions, slow.denied) == (1, 1)
    (late,) = await shadows.report("fast", NOW + 1)
    assert (late.decisions, late.agreed) == (2, 0)
    assert await shadows.report("nobody", 0) == []
    newest = await shadows.recent(2)
    assert [found.request_id for found in newest] == ["req_3", "req_2"]
    assert await shadows.recent(9, "slow") == [row(3, decided=Choice(denied="no_target"), lane="slow")]


@opened
async def test_gates_are_told_counts_and_the_latency_of_what_did_not_fail(store: Store) -> None:
    shadows = store.shadows
    assert await shadows.evidence("fast", 0) == Evidence()
    for number in range(40):
        took = Choice(host="gcp-a", latency_ms=float(number + 1))
        shadows.keep(row(number, executed=True, failed=number >= 38, paid=number < 3, decided=took))
    shadows.keep(row(40, compared=True, decided=HERE, legacy=HERE))
    shadows.keep(row(41, compared=True, decided=HERE, legacy=THERE, kinds=("host",)))
    assert await shadows.evidence("fast", 0) == Evidence(2, 2, 1, 40, 2, 3, 37.0)
    assert (await shadows.evidence("fast", 0, timed=False)).p95_ms is None
    assert await shadows.evidence("fast", NOW + 39) == Evidence(2, 2, 1, 1, 1, 0, None)
    assert await shadows.evidence("slow", 0) == Evidence()


@opened
async def test_a_standing_is_replaced_by_who_knows_the_last_one(store: Store) -> None:
    """Of two who judged by the same standing one moves the lane, and the audit has one line."""
    standings = store.standings
    assert (await standings.edition(), list(await standings.list())) == (0, [])
    assert await standings.put(CANARY, after=0)
    assert not await standings.put(CANARY, after=0)
    (known,) = await standings.list()
    assert known == msgspec.structs.replace(CANARY, edition=known.edition)
    wider = msgspec.structs.replace(CANARY, share=0.5)
    assert await standings.put(wider, after=known.edition)
    assert not await standings.put(CANARY, after=known.edition)
    assert await standings.edition() > known.edition
    assert [each.share for each in await standings.list()] == [0.5]
    noted = await store.audit.recent(9, STAGED)
    assert [(entry.subject, entry.detail["share"], entry.actor) for entry in noted] == [
        ("fast", 0.5, "admin"),
        ("fast", 0.25, "admin"),
    ]


def test_another_process_sees_standings_and_rows(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    async def scene() -> None:
        async with started(path) as one, started(path) as two:
            before = await two.standings.edition()
            await one.standings.put(CANARY, after=0)
            assert await two.standings.edition() > before
            one.shadows.keep(row(1, decided=HERE, legacy=HERE, compared=True))
            await one.shadows.recent(1)
            assert (await two.shadows.evidence("fast", 0)).agreed == 1
        async with started(path) as again:
            assert [each.stage for each in await again.standings.list()] == ["canary"]
            assert (await again.shadows.evidence("fast", 0)).agreed == 1

    run(scene())


def test_what_waits_is_bounded_and_the_rest_is_counted(tmp_path: Path) -> None:
    """Nobody waits for a store that is slow, and closing it writes what was taken in."""
    path = tmp_path / "store.db"
    taken: list[int] = []

    async def scene() -> None:
        async with database(path) as db:
            behind: Behind[int] = Behind(db, lambda batch, _: taken.extend(batch), most=5)
            go, held = held_up(db)
            for number in range(8):
                behind.put(number)
            assert behind.dropped == 3
            go.set()
            await held
            await behind.drain()
            assert taken == [0, 1, 2, 3, 4]
            behind.put(9)
            await behind.drain()
        behind.put(10)
        await behind.drain()
        assert (taken[-1], behind.dropped) == (9, 4)

    run(scene())


def test_old_rows_and_a_lanes_oldest_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    async def scene() -> None:
        async with started(path) as store:
            for number in range(30):
                store.shadows.keep(row(number, at_s=NOW - 3 * 86_400 if number < 10 else NOW + number))
            store.shadows.keep(row(30, lane="slow"))
            await store.shadows.recent(1)
        async with database(path) as db:
            shadows = SqliteShadows(db, keep_days=1, keep_rows=12)
            while await db.write(lambda rows: shadows.prune(rows, NOW)):
                pass
            assert [found.request_id for found in await shadows.recent(99, "fast")] == [
                f"req_{number}" for number in range(29, 17, -1)
            ]
            assert len(await shadows.recent(99, "slow")) == 1
        assert rows(path, "SELECT count(*) FROM shadow_rows") == [(13,)]

    run(scene())
