"""Shelves: what was taught is found, by whoever taught it, as soon as it is ready."""

from __future__ import annotations

import asyncio
import json
import math
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from laneway import _core
from laneway.config import ConfigError, read
from laneway.embed import HashedEmbedder, RemoteEmbedder, StaticEmbedder
from laneway.failure import Kind, fail
from laneway.gateway import build
from laneway.layout import Layout
from laneway.loaded import catalog
from laneway.ports import Call, Clocks, Example, Label, Reply, Setting
from laneway.route import Provider, Target
from laneway.store import Store, open_store
from laneway.stores.examples import MemoryExamples
from laneway.stores.schema.teaching import FORGET_S
from laneway.stores.sqlite.examples import SqliteExamples
from laneway.upstream.simulated import Simulated
from laneway.vectors import FarSpace, Form, LocalShelves, NearSpace, TenantShelf, faiss_rows
from laneway.vectors.form import Placed
from laneway.vectors.shelf import made_index
from laneway.vectors.weights import weighed
from tests.fakes.replies import Given, Scripted
from tests.harness.loop import run


def example(text: str, tag: str = "", **scores: float) -> Example:
    return Example(text=text, tag=tag, labels=tuple([Label(name, score) for name, score in scores.items()]))


def test_what_was_taught_is_found_at_once() -> None:
    async def scene() -> None:
        examples = MemoryExamples()
        shelves = LocalShelves(examples)
        assert await shelves.ready("acme") is None
        await examples.add("acme", [example("add 2 and 2", a=1.0), example("prove the lemma", b=0.5)])
        shelf = await shelves.ready("acme")
        assert shelf is not None
        assert shelves.get("acme") is shelf
        vector = shelves.embed("add 2 and 3")
        assert vector is not None
        assert (shelf.tenant, shelf.space, len(shelf)) == ("acme", "static-1-152", 2)
        assert shelf.search(vector, 5).ids.tolist() == [1, 2]
        assert shelf.columns == {"a": 0, "b": 1}
        np.testing.assert_array_equal(shelf.search(vector, 5).labels, [[1, np.nan], [np.nan, 0.5]])
        await examples.delete("acme", [1])
        shelf = await shelves.ready("acme")
        assert shelf is not None
        assert shelf.search(vector, 5).ids.tolist() == [2]
        assert shelf.columns == {"b": 1}

    run(scene())


def test_names_follow_the_rows() -> None:
    """A tag or a candidate that nobody has any more is unknown, and its place is another's."""

    async def scene() -> None:
        examples = MemoryExamples()
        shelves = LocalShelves(examples)
        one, two = await examples.add("acme", [example("one", "x", a=1.0), example("two", "y", a=0.0)])
        shelf = await shelves.ready("acme")
        assert shelf is not None
        assert [shelf.tag(name) for name in ("x", "y", "z", "")] == [1, 2, 0, 0]
        await examples.change("acme", msgspec.structs.replace(one, tag="y", labels=(Label("b", 0.5),)))
        await examples.change("acme", msgspec.structs.replace(two, tag="z", labels=(Label("c", 0.5),)))
        shelf = await shelves.ready("acme")
        assert shelf is not None
        assert shelf.tag("x") == 0
        assert {shelf.tag("y"), shelf.tag("z")} == {2, 3}
        assert set(shelf.columns) == {"b", "c"}
        assert shelf.totals()[1][shelf.columns["c"]] == 1

    run(scene())


def test_labels_of_several_sources_become_one_score() -> None:
    labels = [Label("a", 1.0), Label("a", 0.0, "judge"), Label("b", 0.3, "judge"), Label("c", 1.0, "noise")]
    assert weighed(labels, {}) == {"a": pytest.approx(1 / 1.7), "b": 0.3, "c": 1.0}
    assert weighed(labels, {"judge": 0.25, "noise": 0.0}) == {"a": 0.8, "b": pytest.approx(0.3)}
    thirds = [Label("a", 1.0, source) for source in ("x", "y", "z")]
    assert weighed(thirds, {"x": 0.1, "y": 0.7, "z": 0.3}) == {"a": 1.0}


# --- memory, processes, restarts --------------------------------------------------------------------------


def many(count: int, start: int = 0) -> list[Example]:
    return [example(f"question {start + at} about {at % 7}", a=at % 2, b=0.5) for at in range(count)]


async def until(condition: Callable[[], bool]) -> None:
    """The test's own time limit ends the patience."""
    while not condition():  # noqa: ASYNC110 - what happens in the background sets no event
        await asyncio.sleep(0.005)


async def opened(path: Path) -> Store:
    store = open_store(f"sqlite:///{path}")
    await store.start()
    return store


def test_asking_begins_to_load_and_never_waits() -> None:
    async def scene() -> None:
        examples = MemoryExamples()
        await examples.add("acme", many(20))
        shelves = LocalShelves(examples)
        assert shelves.get("acme") is None
        assert shelves.get("acme") is None
        await until(lambda: shelves.get("acme") is not None)
        shelf = shelves.get("acme")
        assert shelf is not None
        assert len(shelf) == 20
        assert shelves.get("nobody") is None
        await shelves.close()

    run(scene())


def test_those_asked_for_longest_ago_make_room() -> None:
    async def scene() -> None:
        examples = MemoryExamples()
        for tenant in ("a", "b", "c"):
            await examples.add(tenant, many(40))
        shelves = LocalShelves(examples)
        assert await shelves.ready("a") is not None
        one = shelves.held_bytes
        shelves = LocalShelves(examples, memory_bytes=2 * one + one // 2)
        for tenant in ("a", "b", "a", "c"):
            assert await shelves.ready(tenant) is not None
            assert shelves.held_bytes <= 2 * one + one // 2
        assert {tenant for tenant in "abc" if shelves.get(tenant) is not None} == {"a", "c"}
        # However small the bound, the one that is asked for is there.
        shelves.use(Form(NearSpace(StaticEmbedder())), memory_bytes=1)
        shelf = await shelves.ready("b")
        assert shelf is not None
        assert shelves.get("b") is shelf
        assert shelves.held_bytes == shelf.held_bytes
        await shelves.close()

    run(scene())


def test_what_another_process_teaches_is_seen_soon(tmp_path: Path) -> None:
    """Both have the file open; one teaches, changes and deletes, and the other follows by itself."""

    async def scene() -> None:
        ours, theirs = await opened(tmp_path / "store.db"), await opened(tmp_path / "store.db")
        shelves = LocalShelves(ours.examples, follow_s=0.01)
        shelves.start()
        assert await shelves.ready("acme") is None
        one, _ = await theirs.examples.add("acme", many(2))
        await until(lambda: len(shelves.get("acme") or ()) == 2)
        await theirs.examples.change("acme", msgspec.structs.replace(one, tag="new"))
        await until(lambda: (shelf := shelves.get("acme")) is not None and shelf.tag("new") == 1)
        await theirs.examples.delete("acme", [1, 2])
        await until(lambda: len(shelves.get("acme") or ()) == 0)
        await shelves.close()
        for store in (ours, theirs):
            await store.close()

    run(scene())


def test_whoever_was_away_while_deletions_were_forgotten_begins_anew(tmp_path: Path) -> None:
    async def scene() -> None:
        store = await opened(tmp_path / "store.db")
        shelves = LocalShelves(store.examples)
        await store.examples.add("acme", many(3))
        assert len(await shelves.ready("acme") or ()) == 3
        await store.examples.delete("acme", [2])
        assert isinstance(store.examples, SqliteExamples)
        forget = partial(store.examples.prune, now_s=time.time() + 2 * FORGET_S)
        await store.examples._database.write(forget)
        assert await store.examples.since("acme", 3) == []
        shelf = await shelves.ready("acme")
        assert shelf is not None
        assert shelf.rows().ids.tolist() == [1, 3]
        await store.close()

    run(scene())


class Counting:
    """An embedder that says how often it was asked."""

    dims = StaticEmbedder.dims
    space = StaticEmbedder.space

    def __init__(self) -> None:
        self.asked = 0

    def embed(self, text: str, setting: Setting = Setting()) -> npt.NDArray[np.float32]:  # noqa: B008 - it is frozen
        self.asked += 1
        return StaticEmbedder().embed(text, setting)


async def restarted(store: Store, folder: Path, trust: Mapping[str, float] | None = None) -> tuple[int, TenantShelf]:
    """A new process's shelf, and how many examples it had to embed."""
    embedder = Counting()
    shelves = LocalShelves(store.examples, Form(NearSpace(embedder), trust or {}), folder=folder)
    shelf = await shelves.ready("acme")
    assert shelf is not None
    await shelves.close()
    return embedder.asked, shelf


def test_a_restart_needs_only_what_changed_since(tmp_path: Path) -> None:
    """Nothing of the text rests in the snapshot, and nobody else may read it."""

    async def scene() -> None:
        store, folder = await opened(tmp_path / "store.db"), tmp_path / "shelves"
        await store.examples.add("acme", many(1200))
        assert (await restarted(store, folder))[0] == 1200
        (file,) = folder.iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
        assert b"question" not in file.read_bytes()
        await store.examples.add("acme", many(3, 1200))
        asked, shelf = await restarted(store, folder)
        assert (asked, len(shelf)) == (3, 1203)
        # A deletion takes the snapshot away at once; a new one is written without what was deleted.
        await store.examples.delete("acme", [7])
        assert (await restarted(store, folder))[0] == 0
        asked, shelf = await restarted(store, folder)
        assert (asked, 7 in shelf.rows().ids) == (0, False)
        await store.close()

    run(scene())


def test_a_snapshot_that_is_damaged_or_anothers_is_no_snapshot(tmp_path: Path) -> None:
    """Cut, changed anywhere, of another store, or of an older state of it: built anew."""

    async def scene() -> None:
        store, folder = await opened(tmp_path / "store.db"), tmp_path / "shelves"
        await store.examples.add("acme", many(1000))
        await restarted(store, folder)
        (file,) = folder.iterdir()
        whole = file.read_bytes()
        places = random.Random(1).sample(range(len(whole)), 12)
        flipped = [whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :] for at in (*places, 0, 9, 30, 60)]
        for damaged in (b"", whole[:30], whole[:-1], whole + b"x", *flipped):
            file.write_bytes(damaged)
            asked, shelf = await restarted(store, folder)
            assert asked == 1000
            assert shelf.rows().ids.tolist() == list(range(1, 1001))
        assert (await restarted(store, folder))[0] == 0
        other = await opened(tmp_path / "other.db")
        await other.examples.add("acme", many(1100))
        assert (await restarted(other, folder))[0] == 1100
        file.write_bytes(whole)
        await store.close()
        await other.close()

    run(scene())


def test_a_snapshot_serves_while_sources_are_weighed_again(tmp_path: Path) -> None:
    """No example is embedded for it: neither after a restart, nor when the trust in a source changes."""

    async def scene() -> None:
        store, folder, embedder = await opened(tmp_path / "store.db"), tmp_path / "shelves", Counting()
        both = (Label("a", 1.0), Label("a", 0.0, "judge"))
        await store.examples.add("acme", [Example(text=f"{at}", labels=both) for at in range(1000)])
        await restarted(store, folder)
        space = NearSpace(embedder)
        shelves = LocalShelves(store.examples, Form(space, {"judge": 1.0}), folder=folder)

        def mean() -> float:
            shelf = shelves.get("acme")
            assert shelf is not None
            assert len(shelf) == 1000
            return shelf.totals()[0][0] / 1000

        await shelves.ready("acme")
        assert mean() == pytest.approx(1 / 1.7)
        await shelves._save()
        assert mean() == pytest.approx(0.5)
        shelves.start()
        shelves.use(Form(space, {"judge": 0.25}), folder=folder)
        await until(lambda: mean() == pytest.approx(0.8))
        await shelves.close()
        assert embedder.asked == 0
        await store.close()

    run(scene())


# --- providers' vectors ------------------------------------------------------------------------------------


class Line:
    """Carries calls to the simulated provider, unless it is told to fail or to hang."""

    def __init__(self) -> None:
        self.simulated = Simulated()
        self.calls = 0
        self.broken = False
        self.hangs = False

    async def open(self, call: Call, clocks: Clocks) -> Reply:
        self.calls += 1
        if self.hangs:
            await asyncio.sleep(60)
        if self.broken:
            raise fail(Kind.CONNECT, "nobody is there")
        return await self.simulated.open(call, clocks)

    async def close(self) -> None:
        pass


def remote(line: Line, deadline_s: float = 5.0, speaks: str = "openai", path: str = "/v1") -> RemoteEmbedder:
    provider = Provider(name="far", dialect=speaks, origin="simulated://models", path=path)
    return RemoteEmbedder(
        line, Target(provider=provider, model="sim-embed", upstream="sim-embed"), deadline_s=deadline_s
    )


def test_a_providers_vector_stands_beside_the_shape_and_is_remembered() -> None:
    async def scene() -> None:
        line = Line()
        embedder = remote(line)
        assert embedder.embed("add 2 and 2") is None
        vector = await embedder.vector("add 2 and 2")
        assert vector is not None
        assert vector.shape == (64 + _core.SHAPE_DIMS,)
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-6)
        assert np.linalg.norm(vector[:64]) == pytest.approx(math.sqrt(0.8), abs=1e-5)
        assert embedder.embed("add 2 and 2") is vector
        assert await embedder.vector("add 2 and 2") is vector
        assert line.calls == 1
        with_tools = await embedder.vector("add 2 and 2", Setting(tools=4))
        assert with_tools is not None
        assert not np.array_equal(with_tools[64:], vector[64:])
        for text in ("", "x" * 10_000):
            assert await embedder.vector(text) is not None

    run(scene())


@pytest.mark.parametrize(("speaks", "path"), [("openai", "/v1"), ("ollama", "")])
def test_either_dialect_embeds_many_in_order(speaks: str, path: str) -> None:

    async def scene() -> None:
        prompts = [("add 2 and 2", Setting()), ("prove it", Setting()), ("add 2 and 2", Setting())]
        made = await remote(Line(), speaks=speaks, path=path).embed_many(prompts)
        plain = await remote(Line()).embed_many(prompts)
        np.testing.assert_allclose(made, plain, atol=1e-6)
        np.testing.assert_array_equal(made[0], made[2])
        assert not np.allclose(made[0], made[1])

    run(scene())


def test_texts_are_sent_one_by_one_where_a_format_takes_no_more() -> None:
    async def scene() -> None:
        given = [Given([b'{"embedding":[%d,1,0],"inputTextTokenCount":1}' % at]) for at in range(3)]
        upstream = Scripted(*given)
        provider = Provider(name="br", dialect="converse", origin="http://127.0.0.1:9")
        titan = "amazon.titan-embed-text-v2:0"
        embedder = RemoteEmbedder(upstream, Target(provider=provider, model=titan, upstream=titan))
        made = await embedder.embed_many([(text, Setting()) for text in ("a", "b", "c")])
        assert [json.loads(call.body)["inputText"] for call in upstream.calls] == ["a", "b", "c"]
        assert [round(float(vector[0] / vector[1]), 3) for vector in made] == [0, 1, 2]

    run(scene())


def test_vectors_of_another_size_are_left_out() -> None:
    """As when a provider serves another model under the old name; what fits is found."""

    class Odd(NearSpace):
        async def place(self, tenant: str, examples: Sequence[Example]) -> Sequence[Placed]:
            placed = await super().place(tenant, examples)
            return [Placed(one, vector[:7] if one.id == 2 else vector) for one, vector in placed]

    async def scene() -> None:
        examples = MemoryExamples()
        await examples.add("acme", many(3))
        shelf = await LocalShelves(examples, Form(Odd(StaticEmbedder()))).ready("acme")
        assert shelf is not None
        assert shelf.rows().ids.tolist() == [1, 3]

    run(scene())


def test_a_provider_that_is_late_or_fails_gives_no_vector() -> None:
    async def scene() -> None:
        line = Line()
        line.hangs = True
        embedder = remote(line, deadline_s=0.01)
        assert await embedder.vector("one") is None
        line.hangs, line.broken = False, True
        assert await embedder.vector("one") is None
        assert embedder.late == 2

    run(scene())


def test_the_old_space_serves_until_the_new_one_is_whole() -> None:
    """Changing the embedder never mixes two spaces, and what a provider embedded once it is not asked again."""

    async def scene() -> None:
        examples, line = MemoryExamples(), Line()
        await examples.add("acme", many(150))
        shelves = LocalShelves(examples, follow_s=0.01)
        shelves.start()
        assert await shelves.ready("acme") is not None
        line.broken = True
        far = Form(FarSpace(remote(line), examples))
        shelves.use(far)
        await until(lambda: line.calls > 0)
        shelf, vector = await shelves.ready("acme"), shelves.embed("question 3")
        assert shelf is not None
        assert vector is not None
        assert shelf.space == StaticEmbedder.space
        assert len(shelf.search(vector, 5)) == 5
        line.broken = False
        shelves.use(far)
        await until(lambda: (there := shelves.get("acme")) is not None and there.space == far.space.name)
        asked = await shelves.vector("question 3")
        shelf = shelves.get("acme")
        assert shelf is not None
        assert asked is not None
        assert shelf.rows().ids.tolist() == list(range(1, 151))
        assert len(shelf.search(asked, 5)) == 5
        assert len(await examples.vectors("acme", far.space.name, range(1, 151))) == 150
        await shelves.close()
        line.broken = True
        again = LocalShelves(examples, Form(FarSpace(remote(line), examples)))
        assert len(await again.ready("acme") or ()) == 150
        await again.close()

    run(scene())


def test_teaching_does_not_fail_with_a_provider() -> None:
    """The rows are kept; the shelf has what it had, and catches up once the provider is back."""

    async def scene() -> None:
        examples, line = MemoryExamples(), Line()
        shelves = LocalShelves(examples, Form(FarSpace(remote(line), examples)))
        await examples.add("acme", many(2))
        assert len(await shelves.ready("acme") or ()) == 2
        line.broken = True
        await examples.add("acme", many(1))
        assert len(await shelves.ready("acme") or ()) == 2
        line.broken = False
        assert len(await shelves.ready("acme") or ()) == 3

    run(scene())


# --- what searches -----------------------------------------------------------------------------------------


def test_faiss_is_loaded_by_who_asks_for_it_only() -> None:
    code = """
import asyncio, sys
from laneway.ports import Example
from laneway.stores.examples import MemoryExamples
from laneway.vectors import Form, LocalShelves, NearSpace
from laneway.embed import StaticEmbedder

async def main(searcher):
    examples = MemoryExamples()
    await examples.add("acme", [Example(text="one")])
    shelf = await LocalShelves(examples, Form(NearSpace(StaticEmbedder()), {}, searcher)).ready("acme")
    return "faiss" in sys.modules

print(asyncio.run(main("core")), asyncio.run(main("faiss")))
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.split() == ["False", "True"]


def test_lists_of_faiss_find_what_the_core_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all lists are looked through; rows come and go before and after the lists are made, tags too."""
    monkeypatch.setattr(faiss_rows, "INVERTED_FROM", 300)
    rng = np.random.default_rng(3)
    core, lists = made_index("core", 24), made_index("faiss", 24)
    for start in range(0, 1000, 100):
        ids = np.arange(start, start + 130)
        vectors = rng.standard_normal((130, 24)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        tags = rng.integers(0, 4 + start // 50, 130).astype(np.uint16)
        scores = rng.random((130, start // 300), np.float32)
        gone = rng.integers(0, start + 130, 20)
        for index in (core, lists):
            index.widen(max(start // 300, index.columns))
            index.insert(ids, vectors, tags, scores)
            index.delete(gone)
        assert len(core) == len(lists)
        for tag in (0, 1, 20, 99):
            ours, theirs = core.search(vectors[7], 50, tag), lists.search(vectors[7], 50, tag)
            np.testing.assert_allclose(ours.similarities, theirs.similarities, atol=1e-6)
            np.testing.assert_array_equal(ours.labels[0], theirs.labels[0])
        assert core.totals()[1] == lists.totals()[1]
        assert [count for count in core.tags() if count] == [count for count in lists.tags() if count]
    kept = {number: at for at, number in enumerate(core.everything()[0].tolist())}
    mine, yours = core.everything(), lists.everything()
    order = [kept[number] for number in yours[0].tolist()]
    for at in range(4):
        np.testing.assert_array_equal(mine[at][order], yours[at])
    fresh = made_index("core", 24)
    fresh.load(lists.save())
    assert len(fresh) == len(core)


# --- in the gateway ----------------------------------------------------------------------------------------


def test_a_reload_keeps_shelves_and_a_change_of_embedder_moves_them(tmp_path: Path) -> None:
    """The file is read again; what was on the shelves stays there until the settings say another space."""
    path = tmp_path / "laneway.toml"
    path.write_text(f'[server]\nstore = "sqlite:///{tmp_path}/store.db"\n')

    async def scene() -> None:
        gateway = build(path, variables={})
        await gateway.start()
        shelves = gateway.desk.shelves
        await gateway.store.examples.add("acme", many(30))
        shelf = await shelves.ready("acme")
        assert shelf is not None
        await gateway.reload()
        assert gateway.desk.shelves is shelves
        assert shelves.get("acme") is shelf
        path.write_text(path.read_text() + '\n[learning]\nembedder = "hashed"\n')
        await gateway.reload()
        await until(lambda: (moved := shelves.get("acme")) is not None and moved.space == HashedEmbedder.space)
        assert len(await shelves.ready("acme") or ()) == 30
        await gateway.stop()

    run(scene())


def test_an_embedder_that_does_not_exist_is_told() -> None:
    def problems(learning: str) -> list[str]:
        text = f'[providers.far]\nurl = "simulated://models/v1"\n[learning]\n{learning}\n'
        source = read(text, {})
        try:
            assert not source.problems, source.problems
            Layout(source.settings, catalog())
        except ConfigError as error:
            return [problem.path for problem in error.problems]
        return []

    assert problems('embedder = "statick"') == ["learning.embedder"]
    assert problems('embedder = "near/sim-embed"') == ["learning.embedder"]
    assert problems('embedder = "far/sim-embed"') == []
