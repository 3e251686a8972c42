"""Shelves: what was taught is found, by whoever taught it, as soon as it is ready."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from laneway.ports import Example, Label
from laneway.stores.examples import MemoryExamples
from laneway.vectors import LocalShelves
from laneway.vectors.weights import weighed
from tests.harness.loop import run

SMALL, LARGE = "near/small", "far/large"


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
