"""What every store's book does: budgets made while a gateway ran, seen by whoever shares the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from laneway.ports import BookEntry
from laneway.store import Store, open_store
from tests.harness.loop import run
from tests.harness.sqlite import started

TEAM = BookEntry(name="team", table='{"cap_usd":5}', changed_s=1.0)
HOUSE = BookEntry(name="house", table='{"cap_usd":9}', changed_s=2.0)
DEARER = BookEntry(name="team", table='{"cap_usd":7}', changed_s=3.0)


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/store.db"


def test_a_budget_is_made_changed_and_removed_once(url: str) -> None:
    """A name is taken once; what is not there is neither changed nor removed; a removed one can be made again."""

    async def scene(store: Store) -> None:
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

    run(opened(url, scene))


def test_every_change_makes_a_new_edition(url: str) -> None:
    """Removing and making again is no way back to an edition somebody has seen; what fails makes none."""

    async def scene(store: Store) -> None:
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

    run(opened(url, scene))


async def opened(url: str, scene: object) -> None:
    store = open_store(url)
    await store.start()
    try:
        assert callable(scene)
        await scene(store)
    finally:
        await store.close()


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
