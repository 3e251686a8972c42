"""The audit of every store: what was noted stays, in order, and the last word on each subject is found."""

from __future__ import annotations

from pathlib import Path

from laneway.ports import Audited
from laneway.store import Store
from tests.harness.loop import run
from tests.harness.scenes import opened
from tests.harness.sqlite import started


def entry(at_s: float, subject: str, *, action: str = "maintenance", opened: bool = True) -> Audited:
    return Audited(
        at_s=at_s, actor="admin", action=action, subject=subject, detail={"open": opened, "until_s": at_s + 1}
    )


@opened
async def test_entries_stay_in_order_and_the_last_word_is_found(store: Store) -> None:
    first, other, last = entry(1.0, "gcp-a"), entry(2.0, "gcp-b"), entry(3.0, "gcp-a", opened=False)
    promoted = entry(4.0, "alert-fast", action="stage")
    for each in (first, other, last, promoted):
        await store.audit.note(each)
    assert list(await store.audit.recent(10)) == [promoted, last, other, first]
    assert list(await store.audit.recent(2)) == [promoted, last]
    assert list(await store.audit.recent(10, "stage")) == [promoted]
    assert list(await store.audit.recent(10, subject="gcp-a")) == [last, first]
    assert list(await store.audit.recent(1, "maintenance", "gcp-a")) == [last]
    assert list(await store.audit.recent(10, "stage", "gcp-a")) == []
    assert sorted(await store.audit.latest("maintenance"), key=lambda each: each.at_s) == [other, last]


def test_another_process_reads_what_was_noted(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    async def scene() -> None:
        async with started(path) as one, started(path) as other:
            await one.audit.note(entry(1.0, "gcp-a"))
            assert list(await other.audit.latest("maintenance")) == [entry(1.0, "gcp-a")]

    run(scene())
