"""Laws of shelves: whatever happened to the rows, a shelf is what a fresh one would be, and what the plain sums say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laneway.embed import HashedEmbedder, StaticEmbedder
from laneway.ports import Example, Examples, Label, Setting
from laneway.store import open_store
from laneway.vectors import Form, LocalShelves, NearSpace, TenantShelf, binding
from tests.harness.loop import run
from tests.reference import core as reference

TRUST = {"judge": 0.5, "noise": 0.0}
WORDS = ("add", "prove", "the sum of squares", "write a poem", "def f(x): return x", "42 + 1 = ?", "", "grüße")

labels = st.builds(
    Label, st.sampled_from(("a/1", "b/2", "c/3")), st.floats(0, 1), st.sampled_from(("human", "judge", "noise"))
)
examples = st.builds(
    Example,
    text=st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join),
    tag=st.sampled_from(("", "x", "y", "z")),
    setting=st.sampled_from((Setting(), Setting(tools=3, structured=True))),
    labels=st.lists(labels, max_size=4).map(tuple),
)
tenants = st.sampled_from(("acme", "bees"))
numbers = st.integers(1, 14)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), tenants, st.lists(examples, min_size=1, max_size=12)),
        st.tuples(st.just("change"), tenants, st.tuples(numbers, examples)),
        st.tuples(st.just("delete"), tenants, st.lists(numbers, min_size=1, max_size=9)),
        st.tuples(st.sampled_from(("ready", "peer", "follow", "restart", "hashed", "static")), tenants, st.none()),
    ),
    min_size=1,
    max_size=14,
)


def form(embedder: StaticEmbedder | HashedEmbedder, searcher: str) -> Form:
    return Form(NearSpace(embedder), TRUST, "faiss" if searcher == "faiss" else "core")


def merged(example: Example) -> dict[str, float]:
    """As the weights are described, by the plainest means."""
    found = {}
    for candidate in {label.candidate for label in example.labels}:
        said = [(TRUST.get(one.source, 1.0), one.score) for one in example.labels if one.candidate == candidate]
        if (total := sum(weight for weight, _ in said)) > 0:
            found[candidate] = sum(weight * score for weight, score in said) / total
    return found


async def check(
    shelf: TenantShelf | None, rows: Mapping[int, Example], embedder: StaticEmbedder | HashedEmbedder
) -> None:
    assert (len(shelf) if shelf is not None else 0) == len(rows)
    if shelf is None:
        return
    held = shelf.rows()
    assert set(held.ids.tolist()) == set(rows)
    known = {name for example in rows.values() for name in merged(example)}
    assert set(shelf.columns) == known
    assert set(shelf.tags) == {example.tag for example in rows.values()} - {""}
    for at, number in enumerate(held.ids.tolist()):
        example = rows[number]
        np.testing.assert_array_equal(held.vectors[at], embedder.embed(example.text, example.setting))
        assert held.tags[at] == shelf.tag(example.tag)
        said = {name: float(held.labels[at, column]) for name, column in shelf.columns.items()}
        assert {name: score for name, score in said.items() if not math.isnan(score)} == pytest.approx(merged(example))
    plain = [
        reference.Row(number, embedder.embed(one.text, one.setting).tolist(), len(one.tag) and ord(one.tag))
        for number, one in rows.items()
    ]
    for text, tag in (("add 42", "x"), ("prove", ""), ("poem", "unseen")):
        asked = embedder.embed(text)
        found = shelf.search(asked, 100, shelf.tag(tag))
        expected = reference.similarities(plain, asked.tolist(), ord(tag) if shelf.tag(tag) else 0)
        assert dict(zip(found.ids.tolist(), found.similarities.tolist(), strict=True)) == pytest.approx(
            expected, abs=2e-6
        )
        np.testing.assert_array_equal(found.similarities, np.sort(found.similarities)[::-1])


class World:
    """One store, shelves that come and go, and the rows as they must be."""

    def __init__(self, store: Examples, folder: Path, searcher: str) -> None:
        self.store = store
        self.folder = folder
        self.searcher = searcher
        self.embedder: StaticEmbedder | HashedEmbedder = StaticEmbedder()
        self.rows: dict[str, dict[int, Example]] = {"acme": {}, "bees": {}}
        self.shelves = self.opened()
        self.peer = self.opened()

    def opened(self) -> LocalShelves:
        return LocalShelves(self.store, form(self.embedder, self.searcher), folder=self.folder)

    async def play(self, action: str, tenant: str, given: object) -> None:
        rows = self.rows[tenant]
        if action == "add":
            assert isinstance(given, list)
            rows.update({one.id: one for one in await self.store.add(tenant, given)})
        elif action == "change":
            assert isinstance(given, tuple)
            number, example = given
            changed = msgspec.structs.replace(example, id=number)
            if await self.store.change(tenant, changed):
                kept = await self.store.get(tenant, number)
                assert kept is not None
                rows[number] = kept
        elif action == "delete":
            assert isinstance(given, list)
            await self.store.delete(tenant, given)
            for number in given:
                rows.pop(number, None)
        elif action == "peer":
            await check(await self.peer.ready(tenant), rows, StaticEmbedder())
        elif action == "follow":
            await self.shelves._follow()
        elif action == "restart":
            await self.shelves.close()
            self.shelves = self.opened()
        else:
            if action in ("hashed", "static"):
                self.embedder = HashedEmbedder() if action == "hashed" else StaticEmbedder()
                wanted = form(self.embedder, self.searcher)
                self.shelves.use(wanted, folder=self.folder)
                if self.shelves._wanted is not None:
                    await self.shelves._move_to(wanted)
            await check(await self.shelves.ready(tenant), rows, self.embedder)


@pytest.mark.parametrize("searcher", ["core", "faiss"])
@given(steps)
@settings(max_examples=60, deadline=None)
def test_a_shelf_is_its_rows_whatever_happened(searcher: str, played: list[tuple[str, str, object]]) -> None:
    """Two tenants, two processes, restarts with snapshots, other embedders: nobody sees what is not his."""

    async def scene(folder: Path) -> None:
        store = open_store("memory:")
        world = World(store.examples, folder, searcher)
        for action, tenant, what in played:
            await world.play(action, tenant, what)
        for tenant, rows in world.rows.items():
            shelf = await world.shelves.ready(tenant)
            await check(shelf, rows, world.embedder)
            if shelf is not None:
                assert shelf.edition == await store.examples.edition(tenant)
            fresh = LocalShelves(store.examples, form(world.embedder, searcher))
            await check(await fresh.ready(tenant), rows, world.embedder)
        await world.shelves.close()

    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(binding, "WORTH_SAVING", 1)
        run(scene(Path(folder)))
