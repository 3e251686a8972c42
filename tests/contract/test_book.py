"""What every store's book does: budgets made while a gateway ran, seen by whoever shares the store."""

from __future__ import annotations

from pathlib import Path

from laneway.ports import BookEntry
from laneway.store import Store
from tests.harness.loop import run
from tests.harness.scenes import opened
from tests.harness.sqlite import started

TEAM = BookEntry(name="team", table='{"cap_usd":5}', changed_s=1.0)
HOUSE = BookEntry(name="house", table='{"cap_usd":9}', changed_s=2.0)
DEARER = BookEntry(name="team", table='{"cap_usd":7}', changed_s=3.0)


@opened
async def test_a_budget_is_made_changed_and_removed_once(store: Store) -> None:
    """A name is taken once; what is not there is neither changed nor removed; a removed one can be made again."""
    book = store.book
    assert await book.put(TEAM, new=True)
    assert not await book.put(DEARER, new=True)
    assert not await book.put(HOUSE, new=False)
    assert await book.put(HOUSE, new=True)
    assert list(await book.list()) == [HOUSE, TEAM]
    assert await book.put(DEARER, new=False)
    assert list(await book.list()) == [HOUSE, DEARER]
    assert await book.remove("team")
    assert not await book.remove("team")
    assert list(await book.list()) == [HOUSE]
    assert await book.put(TEAM, new=True)
    assert list(await book.list()) == [HOUSE, TEAM]


@opened
async def test_every_change_makes_a_new_edition(store: Store) -> None:
    """Removing and making again is no way back to an edition somebody has seen; what fails makes none."""
    book = store.book
    seen = [await book.edition()]
    for change in (book.put(TEAM, new=True), book.put(DEARER, new=False), book.remove("team")):
        assert await change
        seen.append(await book.edition())
    assert await book.put(TEAM, new=True)
    seen.append(await book.edition())
    assert seen == sorted(set(seen))
    assert not await book.put(TEAM, new=True)
    assert not await book.remove("house")
    assert await book.edition() == seen[-1]


def test_another_process_sees_the_book_and_its_edition(tmp_path: Path) -> None:
    """And a restart forgets nothing."""
    path = tmp_path / "store.db"

    async def scene() -> None:
        async with started(path) as one, started(path) as two:
            before = await two.book.edition()
            await one.book.put(TEAM, new=True)
            assert await two.book.edition() > before
            assert list(await two.book.list()) == [TEAM]
            await two.book.remove("team")
            assert list(await one.book.list()) == []
            edition = await one.book.edition()
        async with started(path) as again:
            assert await again.book.edition() == edition

    run(scene())
