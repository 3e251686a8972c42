"""What the compiled core costs: a prompt to a vector, a vector to its neighbours, neighbours to a vote.

Owns: the sizes, the same random vectors for every kind of index, and FAISS flat with one thread and a scan in numpy to
compare with; one group for each size, so that ratios can be read from one run. Recall stands in the extra info.
Refuses: to judge; the numbers hold for the machine that ran it. Random vectors are the hardest case for codes.

    PYTHONPATH=src python -m pytest bench/bench_core.py --benchmark-only --benchmark-columns=min,median,rounds
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import cycle
from typing import NamedTuple

import faiss
import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from laneway import _core
from laneway.embed import HashedEmbedder, StaticEmbedder

Floats = npt.NDArray[np.float32]
Search = Callable[[Floats, int], object]

DIMS = 128
QUERIES = 500
SIZES = (100, 1_000, 5_000, 10_000, 50_000, 200_000)
COUNTS = (20, 150)

SENTENCES = (
    "A train leaves the station at 9:40 and travels at 80 km/h; a second one follows twenty minutes later. ",
    "Explain why the derivative of the area of a circle is its circumference, and whether that holds for a sphere. ",
    "def total(rows): return sum(row['price'] * row['count'] for row in rows if row['count'] > 0)\n",
    "Summarise the minutes for somebody who was not there, in three sentences, without any of the names. ",
)
PROMPTS = {"short": "What is the capital of France?", "500 tokens": "".join(SENTENCES) * 5}


def _units(seed: int, count: int) -> Floats:
    drawn = np.random.default_rng(seed).standard_normal((count, DIMS), np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn


class Shelf(NamedTuple):
    """One set of vectors, searchable in three ways, and what they should find."""

    searches: dict[str, Search]
    truth: list[set[int]]


@cache
def _queries() -> Floats:
    return _units(1, QUERIES)


def _shelf(size: int) -> Shelf:
    vectors = _units(size, size)
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatIP(DIMS)
    flat.add(vectors)
    rows = _core.Rows(DIMS, columns=5)
    rows.insert(np.arange(size), vectors)

    def scan(query: Floats, count: int) -> object:
        similarities = vectors @ query
        nearest = np.argpartition(-similarities, min(count, size) - 1)[:count]
        return nearest[np.argsort(-similarities[nearest])]

    found = flat.search(_queries(), min(max(COUNTS), size))[1]
    return Shelf(
        {"core": rows.search, "faiss": lambda query, count: flat.search(query[None], count), "numpy": scan},
        [set(row) for row in found.tolist()],
    )


@pytest.fixture(scope="module")
def shelf() -> Callable[[int], Shelf]:
    """Shelves by size, each made once and only the last one kept."""
    kept: dict[int, Shelf] = {}

    def get(size: int) -> Shelf:
        if size not in kept:
            kept.clear()
            kept[size] = _shelf(size)
        return kept[size]

    return get


def _recall(shelf: Shelf, count: int) -> float:
    """The share of the true nearest that the core finds."""
    hits = total = 0
    for query, truth in zip(_queries(), shelf.truth, strict=True):
        found = shelf.searches["core"](query, count)
        assert isinstance(found, _core.Neighbours)
        hits += len(truth & set(found.ids.tolist()))
        total += len(found)
    return hits / total


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("index", ["core", "faiss", "numpy"])
@pytest.mark.parametrize("size", SIZES)
def test_search(benchmark: BenchmarkFixture, shelf: Callable[[int], Shelf], size: int, index: str, count: int) -> None:
    made = shelf(size)
    search, queries = made.searches[index], cycle(_queries())
    number = min(count, size)
    benchmark.group = f"{number} nearest of {size:,}"
    if index == "core":
        benchmark.extra_info["recall"] = round(_recall(made, number), 4)
    rounds = min(5_000, 10_000_000 // size)

    def once() -> object:
        return search(next(queries), number)

    benchmark.pedantic(once, rounds=rounds, warmup_rounds=20)  # type: ignore[no-untyped-call] # the fixture has no types


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("embedder", [StaticEmbedder(), HashedEmbedder()], ids=lambda embedder: embedder.space)
def test_embed(benchmark: BenchmarkFixture, embedder: StaticEmbedder | HashedEmbedder, prompt: str) -> None:
    benchmark.group = "embed"
    benchmark(embedder.embed, PROMPTS[prompt])


@pytest.mark.parametrize("neighbours", [100, 200])
def test_vote(benchmark: BenchmarkFixture, neighbours: int) -> None:
    rng = np.random.default_rng(2)
    similarities = np.sort(rng.random(neighbours, np.float32))[::-1].copy()
    labels = rng.random((neighbours, 5), np.float32)
    labels[rng.random(labels.shape) < 0.2] = np.nan
    benchmark.group = "vote for 5 candidates"
    benchmark(_core.vote, similarities, labels, [0.5] * 5)


def test_embed_search_and_vote(benchmark: BenchmarkFixture) -> None:
    """The three together, over 5,000 examples: what a decision asks of the core."""
    embedder = StaticEmbedder()
    rows = _core.Rows(embedder.dims, columns=5)
    words = np.array(" ".join(SENTENCES).split())
    rng = np.random.default_rng(3)
    prompts = [" ".join(rng.choice(words, 60)) for _ in range(5_000)]
    vectors = np.stack([embedder.embed(prompt) for prompt in prompts])
    rows.insert(np.arange(5_000), vectors, None, rng.random((5_000, 5), np.float32))
    prompt, candidates, means = PROMPTS["500 tokens"], [0, 1, 2, 3, 4], [0.5] * 5

    def decide() -> list[float]:
        return rows.search(embedder.embed(prompt), 150).vote(candidates, means).quality

    benchmark.group = "embed, search 5,000 and vote"
    benchmark(decide)
