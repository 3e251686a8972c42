"""The audit of every store: what was noted stays, in order, and the last word on each subject is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from laneway.ports import Audited
from laneway.store import Store, open_store
from tests.harness.loop import run


def entry(at_s: float, subject: str, *, action: str = "maintenance", opened: bool = True) -> Audited:
    return Audited(
        at_s=at_s, actor="admin", action=action, subject=subject, detail={"open": opened, "until_s": at_s + 1}
    )


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/store.db"


def test_entries_stay_in_order_and_the_last_word_is_found(url: str) -> None:
    first, other, last = entry(1.0, "gcp-a"), entry(2.0, "gcp-b"), entry(3.0, "gcp-a", opened=False)
    promoted = entry(4.0, "alert-fast", action="stage")

    async def scene(store: Store) -> None:
        for each in (first, other, last, promoted):
            await store.audit.note(each)
        assert list(await store.audit.recent(10)) == [promoted, last, other, first]
        assert list(await store.audit.recent(2)) == [promoted, last]
        assert list(await store.audit.recent(10, "stage")) == [promoted]
        assert list(await store.audit.recent(10, subject="gcp-a")) == [last, first]
        assert list(await store.audit.recent(1, "maintenance", "gcp-a")) == [last]
        assert list(await store.audit.recent(10, "stage", "gcp-a")) == []
        assert sorted(await store.audit.latest("maintenance"), key=lambda each: each.at_s) == [other, last]

    async def play() -> None:
        store = open_store(url)
        await store.start()
        try:
            await scene(store)
        finally:
            await store.close()

    run(play())


def test_another_process_reads_what_was_noted(tmp_path: Path) -> None:
    async def play() -> None:
        one, other = (open_store(f"sqlite:///{tmp_path}/store.db") for _ in range(2))
        await one.start()
        await other.start()
        try:
            await one.audit.note(entry(1.0, "gcp-a"))
            assert list(await other.audit.latest("maintenance")) == [entry(1.0, "gcp-a")]
        finally:
            await one.close()
            await other.close()

    run(play())
