"""What a learned decision costs: embed a prompt of 500 tokens, search 5,000 examples, vote, make the receipt.

Owns: the whole decision as the router makes it, its parts, and the same decision with other searches: FAISS flat, and
the scan in Python over plain lists that a known relative does (on a twentieth of the examples; multiply by 20).
Refuses: to judge. The median and the 99th percentile stand in `extra_info`, in microseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import faiss
import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from laneway import _core
from laneway.embed import TAG_PULL, StaticEmbedder
from laneway.policy import knn, ridge
from laneway.policy.knn import NEIGHBOURS, Candidate, Choice, Knobs, Question

EXAMPLES = 5_000
TAG = 3
SHOWN = 10
WORDS = (
    "router", "explain", "theorem", "because", "ordinary", "request", "budget", "python", "integral", "kitchen",
    "vector", "history", "answer", "please", "number", "harbour", "compile", "market", "poem", "translate",
)  # fmt: skip
NAMES = ["small", "middle", "large"]
COLUMNS = [0, 1, 2]
EMBEDDER = StaticEmbedder()
KNOBS = Knobs(weight=0.05, familiar=0.1)


def _prompt(rng: np.random.Generator, words: int) -> str:
    return " ".join(rng.choice(WORDS, words).tolist())


@cache
def _examples() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.uint16]]:
    rng = np.random.default_rng(1)
    vectors = np.stack([EMBEDDER.embed(_prompt(rng, int(rng.integers(5, 200)))) for _ in range(EXAMPLES)])
    labels = (rng.random((EXAMPLES, 3)) < (0.5, 0.7, 0.9)).astype(np.float32)
    return vectors, labels, (np.arange(EXAMPLES) % 8).astype(np.uint16)


@cache
def _taught() -> tuple[_core.Rows, ridge.Ridge]:
    vectors, labels, tags = _examples()
    shelf = _core.Rows(EMBEDDER.dims, 3, TAG_PULL)
    shelf.insert(np.arange(EXAMPLES, dtype=np.int64), vectors, tags, labels)
    line = ridge.fit(vectors, labels, tags)
    assert line is not None
    return shelf, line


@cache
def _prompts() -> tuple[str, ...]:
    rng = np.random.default_rng(2)
    return tuple(_prompt(rng, 500) for _ in range(64))


def _ask(line: Sequence[float] | None) -> Question:
    candidates = tuple(
        Candidate(name=name, column=at, cost_nanos=cost, mean=mean, labels=EXAMPLES)
        for at, (name, cost, mean) in enumerate((("small", 90.0, 0.5), ("middle", 400.0, 0.7), ("large", 2e3, 0.9)))
    )
    return Question(candidates=candidates, default="large", examples=EXAMPLES, ridge=line)


def _decide(prompt: str) -> Choice:
    shelf, line = _taught()
    vector = EMBEDDER.embed(prompt)
    found = shelf.search(vector, NEIGHBOURS, TAG)
    choice = knn.choose(_ask(line.expect(vector, TAG)), found, KNOBS)
    found.shown(SHOWN, NAMES, COLUMNS)
    return choice


def _measure(benchmark: BenchmarkFixture, once: Callable[[str], object]) -> None:
    prompts = _prompts()
    _taught()
    turn = iter(range(1 << 30))
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: once(prompts[next(turn) % len(prompts)]), rounds=2_000, warmup_rounds=50
    )
    if benchmark.stats:
        taken_us = sorted(seconds * 1e6 for seconds in benchmark.stats.stats.data)
        benchmark.extra_info["p50_us"] = round(taken_us[len(taken_us) // 2], 1)
        benchmark.extra_info["p99_us"] = round(taken_us[len(taken_us) * 99 // 100], 1)


@pytest.mark.benchmark(group="decision")
def test_decision(benchmark: BenchmarkFixture) -> None:
    _measure(benchmark, _decide)


@pytest.mark.benchmark(group="decision")
def test_decision_with_faiss_flat(benchmark: BenchmarkFixture) -> None:
    """FAISS finds the neighbours; labels are gathered and voted on as ours are."""
    vectors, labels, _ = _examples()
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(EMBEDDER.dims)
    index.add(vectors)

    def decide(prompt: str) -> None:
        similarities, places = index.search(EMBEDDER.embed(prompt)[None], NEIGHBOURS)
        _core.vote(similarities[0], labels[places[0]], [0.5, 0.7, 0.9])

    _measure(benchmark, decide)


@pytest.mark.benchmark(group="decision")
def test_decision_with_a_python_scan(benchmark: BenchmarkFixture) -> None:
    """A twentieth of the examples: multiply by 20."""
    vectors, labels, _ = _examples()
    rows = vectors[: EXAMPLES // 20].tolist()
    scores = labels.tolist()

    def decide(prompt: str) -> list[float]:
        query = EMBEDDER.embed(prompt).tolist()
        cosines = [(math.sumprod(query, row) if hasattr(math, "sumprod") else _dot(query, row)) for row in rows]
        nearest = sorted(range(len(rows)), key=cosines.__getitem__, reverse=True)[:5]
        return [sum(scores[row][model] for row in nearest) / 5 for model in range(3)]

    _measure(benchmark, decide)


def _dot(one: list[float], other: list[float]) -> float:
    return sum(map(float.__mul__, one, other))


@pytest.mark.benchmark(group="decision parts")
@pytest.mark.parametrize("part", ["embed", "search", "ridge", "vote", "choose", "receipt"])
def test_part(benchmark: BenchmarkFixture, part: str) -> None:
    shelf, line = _taught()
    vector = EMBEDDER.embed(_prompts()[0])
    found = shelf.search(vector, NEIGHBOURS, TAG)
    question = _ask(line.expect(vector, TAG))
    parts: dict[str, Callable[[str], object]] = {
        "embed": EMBEDDER.embed,
        "search": lambda _: shelf.search(vector, NEIGHBOURS, TAG),
        "ridge": lambda _: line.expect(vector, TAG),
        "vote": lambda _: found.vote([0, 1, 2], [0.5, 0.7, 0.9]),
        "choose": lambda _: knn.choose(question, found, KNOBS),
        "receipt": lambda _: found.shown(SHOWN, NAMES, COLUMNS),
    }
    _measure(benchmark, parts[part])
