"""What every store's examples do: rows with labels, editions that others can follow, deletions that are ones."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from laneway.ports import Change, Example, Filter, Label, Setting
from laneway.ports.examples import Examples
from laneway.store import Store
from tests.harness.loop import run
from tests.harness.scenes import opened
from tests.harness.sqlite import started

CHEAP, DEAR = "near/small", "far/large@2"


def example(text: str, *labels: tuple[str, float] | Label, **more: Any) -> Example:
    return Example(text=text, labels=tuple([Label(*label) for label in labels]), **more)


def texts(found: Sequence[Example]) -> list[str]:
    return [one.text for one in found]


@opened
async def test_what_was_taught_is_found_whole(store: Store) -> None:
    """Every field comes back; ids count from 1; labels stand in order, the last of a candidate and source alone."""
    taught = example(
        "Was ist \x00 grün? 🟢",
        (DEAR, 0.1 + 0.2),
        Label(CHEAP, 0.5, "judge"),
        (CHEAP, 0.0),
        (CHEAP, 1.0),
        tag="colours",
        setting=Setting(tools=2, structured=True),
        task_id="t1",
        batch="b1",
        taught_by="key_1",
        at_s=5.5,
    )
    first, second = await store.examples.add("acme", [taught, example("plain")])
    labels = (Label(DEAR, 0.1 + 0.2), Label(CHEAP, 1.0), Label(CHEAP, 0.5, "judge"))
    assert first == msgspec.structs.replace(taught, id=1, labels=labels)
    assert second == Example(id=2, text="plain")
    assert await store.examples.get("acme", 1) == first
    assert await store.examples.get("acme", 3) is None
    assert await store.examples.get("bees", 1) is None
    assert list(await store.examples.list("acme")) == [first, second]


@opened
async def test_a_score_that_is_none_teaches_nothing(store: Store) -> None:
    """All of them or none, and the same for a change."""
    for score in (-0.01, 1.01, float("nan")):
        with pytest.raises(ValueError, match="from 0 to 1"):
            await store.examples.add("acme", [example("good", (CHEAP, 1.0)), example("bad", (CHEAP, score))])
    assert await store.examples.count("acme") == 0
    assert await store.examples.edition("acme") == 0
    (kept,) = await store.examples.add("acme", [example("good", (CHEAP, 1.0))])
    with pytest.raises(ValueError, match="from 0 to 1"):
        await store.examples.change("acme", msgspec.structs.replace(kept, labels=(Label(CHEAP, 2.0),)))
    assert await store.examples.get("acme", 1) == kept


@opened
async def test_text_without_bytes_is_kept_as_far_as_it_can_be(store: Store) -> None:
    """A lone surrogate, which JSON lets in, becomes a question mark."""
    (kept,) = await store.examples.add("acme", [example("half \ud83d moon")])
    assert kept.text == "half ? moon"
    assert await store.examples.get("acme", 1) == kept


@opened
async def test_filters_choose_and_pages_follow_one_another(store: Store) -> None:
    """Each part of a filter narrows; a candidate and a source are those of one label."""
    await store.examples.add(
        "acme",
        [
            example("Straße nach Rom", (CHEAP, 1.0), tag="a", batch="b1", task_id="t1"),
            example("the ROAD to rome", Label(CHEAP, 1.0, "judge"), (DEAR, 1.0), tag="b", batch="b1"),
            example("100% sure_thing", (DEAR, 1.0), tag="a", batch="b2"),
        ],
    )

    async def found(**parts: str) -> list[int]:
        where = Filter(**parts)
        listed = [one.id for one in await store.examples.list("acme", where=where)]
        assert await store.examples.count("acme", where=where) == len(listed)
        return listed

    assert await found() == [1, 2, 3]
    assert await found(text="ROM") == [1, 2]
    assert await found(text="STRASSE") == [1]
    assert await found(text="%") == [3]
    assert await found(text="e_t") == [3]
    assert await found(tag="a") == [1, 3]
    assert await found(tag="") == []
    assert await found(batch="b1", text="road") == [2]
    assert await found(task_id="t1") == [1]
    assert await found(candidate=CHEAP) == [1, 2]
    assert await found(source="human") == [1, 2, 3]
    assert await found(candidate=CHEAP, source="human") == [1]
    assert [one.id for one in await store.examples.list("acme", limit=2)] == [1, 2]
    assert [one.id for one in await store.examples.list("acme", after=2, limit=2)] == [3]
    assert await store.examples.list("acme", limit=0) == []


@opened
async def test_a_change_replaces_and_a_deletion_removes(store: Store) -> None:
    """Both say whether there was anything, and no id is given twice."""
    first, second = await store.examples.add("acme", [example("one"), example("two")])
    assert await store.examples.change("acme", msgspec.structs.replace(first, text="uno", tag="it"))
    assert not await store.examples.change("acme", msgspec.structs.replace(first, id=9))
    assert not await store.examples.change("bees", first)
    assert texts(await store.examples.list("acme")) == ["uno", "two"]
    assert await store.examples.delete("acme", [second.id, second.id, 9]) == 1
    assert await store.examples.delete("bees", [first.id]) == 0
    assert texts(await store.examples.list("acme")) == ["uno"]
    (third,) = await store.examples.add("acme", [example("three")])
    assert third.id == 3


@opened
async def test_changes_can_be_followed_from_any_edition(store: Store) -> None:
    """Every changed row has its own number; each stands once, where its last change was; a deletion is told bare."""
    examples = store.examples
    assert await examples.edition("acme") == 0
    assert await examples.since("acme", 0) == []
    one, two, three = await examples.add("acme", [example("one"), example("two"), example("three")])
    assert await examples.edition("acme") == 3
    await examples.change("acme", one)
    await examples.delete("acme", [two.id])
    assert await examples.edition("acme") == 5
    every = [Change(3, 3, three), Change(4, 1, one), Change(5, 2, None)]
    for edition in range(6):
        assert await examples.since("acme", edition) == [change for change in every if change.edition > edition]
    assert await examples.since("acme", 0, limit=2) == every[:2]
    assert await examples.since("bees", 0) == []
    assert await examples.forgotten("acme") == 0


@opened
async def test_a_memory_has_a_name_of_its_own(store: Store) -> None:
    """It stays; another tenant's or another store's is another."""
    assert await store.examples.origin("acme") == ""
    await store.examples.add("acme", [example("one")])
    await store.examples.add("bees", [example("one")])
    name = await store.examples.origin("acme")
    await store.examples.delete("acme", [1])
    assert await store.examples.origin("acme") == name
    assert len({name, await store.examples.origin("bees"), ""}) == 3


@opened
async def test_who_moved_is_told_once(store: Store) -> None:
    """A mark names a moment; only those who changed later are named after it."""
    examples = store.examples
    moved, start = await examples.moved(0)
    assert (list(moved), start) == ([], 0)
    await examples.add("acme", [example("one")])
    await examples.add("bees", [example("two")])
    moved, mark = await examples.moved(start)
    assert sorted(moved) == ["acme", "bees"]
    await examples.delete("acme", [1])
    moved, later = await examples.moved(mark)
    assert list(moved) == ["acme"]
    moved, mark = await examples.moved(later)
    assert (list(moved), mark) == ([], later)
    assert list(await examples.tenants()) == ["acme", "bees"]


@opened
async def test_vectors_live_and_die_with_what_they_were_made_of(store: Store) -> None:
    """One is kept only while text and setting are the same; new labels leave it, another space is another vector."""
    examples = store.examples
    one, two = await examples.add("acme", [example("one"), example("two")])
    await examples.keep_vectors("acme", "s1", {1: (one, b"v1"), 2: (example("old"), b"v2"), 7: (one, b"v7")})
    await examples.keep_vectors("acme", "s2", {2: (two, b"w2")})
    assert await examples.vectors("acme", "s1", [1, 2, 7]) == {1: b"v1"}
    assert await examples.vectors("bees", "s1", [1]) == {}
    await examples.change("acme", msgspec.structs.replace(one, labels=(Label(CHEAP, 1.0),)))
    assert await examples.vectors("acme", "s1", [1]) == {1: b"v1"}
    await examples.change("acme", msgspec.structs.replace(one, setting=Setting(tools=1)))
    assert await examples.vectors("acme", "s1", [1]) == {}
    await examples.keep_vectors("acme", "s1", {2: (two, b"v2")})
    await examples.drop_vectors(["s1"])
    assert await examples.vectors("acme", "s2", [2]) == {}
    assert await examples.vectors("acme", "s1", [2]) == {2: b"v2"}
    await examples.delete("acme", [2])
    assert await examples.vectors("acme", "s1", [2]) == {}


async def _as_plain(examples: Examples, tenant: str, rows: dict[int, Example]) -> None:
    assert {one.id: one for one in await examples.list(tenant, limit=1000)} == rows
    assert await examples.count(tenant) == len(rows)
    followed: dict[int, Example] = {}
    edition = 0
    while changes := await examples.since(tenant, edition, limit=7):
        assert [change.edition for change in changes] == sorted({change.edition for change in changes})
        for change in changes:
            if change.example is None:
                followed.pop(change.id, None)
            else:
                followed[change.id] = change.example
        edition = changes[-1].edition
    assert edition == await examples.edition(tenant)
    assert followed == rows


@opened
async def test_tenants_share_nothing_whatever_is_done(store: Store) -> None:
    """After any sequence of verbs each tenant has the rows that were taught to it, and can follow them from nothing."""
    rng = random.Random(5)
    rows: dict[str, dict[int, Example]] = {"acme": {}, "bees": {}}
    for _ in range(120):
        tenant = rng.choice(list(rows))
        known = rows[tenant]
        some = rng.randrange(1, 60)
        action = rng.random()
        if action < 0.5:
            many = [example(f"{tenant} {rng.random()}", (CHEAP, rng.random())) for _ in range(rng.randrange(4))]
            known.update({one.id: one for one in await store.examples.add(tenant, many)})
        elif action < 0.8:
            new = example(f"{tenant} {rng.random()}", id=some)
            assert await store.examples.change(tenant, new) is (some in known)
            if some in known:
                known[some] = new
        else:
            assert await store.examples.delete(tenant, [some, some + 1]) == (some in known) + (some + 1 in known)
            known.pop(some, None)
            known.pop(some + 1, None)
    for tenant, known in rows.items():
        assert known
        await _as_plain(store.examples, tenant, known)


@opened
async def test_what_is_taught_first_is_taught_once(store: Store) -> None:
    """Also to who has deleted it since, and also if two want to at the same time."""
    both = await asyncio.gather(*(store.examples.add("acme", [example("a primer")], first=True) for _ in range(2)))
    assert sorted(len(added) for added in both) == [0, 1]
    (kept,) = await store.examples.list("acme")
    assert await store.examples.delete("acme", [kept.id]) == 1
    assert await store.examples.add("acme", [example("again")], first=True) == []
    assert len(await store.examples.add("bees", [example("a primer")], first=True)) == 1


def test_examples_outlive_a_restart(tmp_path: Path) -> None:
    """And go on counting where they were."""
    path = tmp_path / "store.db"

    async def play() -> None:
        for at in (1, 2):
            async with started(path) as store:
                (added,) = await store.examples.add("acme", [example(f"number {at}")])
                assert added.id == at

    run(play())
