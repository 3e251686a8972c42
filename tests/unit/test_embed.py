"""What embedders promise: spaces with names, vectors that can be kept, and refusals that say what was wrong."""

from __future__ import annotations

import math
import subprocess
import sys
import threading

import numpy as np
import numpy.typing as npt
import pytest

from laneway import _core
from laneway.embed import PLAIN, Embedder, HashedEmbedder, Setting, StaticEmbedder, with_tag
from laneway.vectors.faiss_rows import FaissFound

EMBEDDERS: list[Embedder] = [StaticEmbedder(), HashedEmbedder()]
each = pytest.mark.parametrize("embedder", EMBEDDERS, ids=lambda embedder: embedder.space)

MATHS = "Find the derivative of f(x) = x^2 + 3x and evaluate it at x = 2."
MORE_MATHS = "What is the derivative of g(x) = 2x^3 at x = 1?"
LETTER = "Please write a friendly letter to my landlord about the broken heating."

# Where the content is strongest, how strong it is there, and how the shape begins. If these change, vectors that people
# have stored no longer fit: raise the embedder's version in laneway/embed.py, then write the new numbers here.
KNOWN = {
    "static-1-152": [1, 2, 0, 0.4553, -0.2574, 0.2037, -0.2056, -0.1515, -0.0443],
    "hashed-1-536": [97, 74, 131, 0.1743, 0.1423, 0.1423, -0.2056, -0.1515, -0.0443],
}


def _floats(rows: int, dims: int) -> npt.NDArray[np.float32]:
    return np.eye(rows, dims, dtype=np.float32)


@each
def test_a_space_keeps_its_vectors(embedder: Embedder) -> None:
    vector = embedder.embed(MATHS)
    strongest = np.argsort(-np.abs(vector[: -_core.SHAPE_DIMS]).round(4), kind="stable")[:3]
    numbers = [*strongest.tolist(), *np.round(vector[strongest], 4).tolist(), *np.round(vector[-24:-21], 4).tolist()]
    assert numbers == pytest.approx(KNOWN[embedder.space], abs=2e-4)


@each
def test_vectors_have_the_dimensions_that_the_space_names(embedder: Embedder) -> None:
    vector = embedder.embed(MATHS)
    assert vector.dtype == np.float32
    assert vector.shape == (embedder.dims,)
    assert embedder.space.endswith(f"-{embedder.dims}")
    assert float(vector @ vector) == pytest.approx(1, abs=1e-5)


def test_no_two_embedders_share_a_space() -> None:
    assert len({embedder.space for embedder in EMBEDDERS}) == len(EMBEDDERS)


@each
def test_like_prompts_are_nearer_than_unlike_ones(embedder: Embedder) -> None:
    maths, more, letter = (embedder.embed(text) for text in (MATHS, MORE_MATHS, LETTER))
    assert maths @ more > maths @ letter + 0.2


@each
@pytest.mark.parametrize("text", ["", " ", "\ud800", "\x00", "\ufffd" * 2000, "a" * 100_000, "🙂"])
def test_any_text_has_a_vector_of_length_one(embedder: Embedder, text: str) -> None:
    vector = embedder.embed(text)
    assert float(vector @ vector) == pytest.approx(1, abs=1e-5)


@each
def test_the_middle_of_a_long_prompt_is_not_read_but_its_length_is_known(embedder: Embedder) -> None:
    start, end = "a" * 512, "b" * 512
    one, same = (embedder.embed(start + middle * 1000 + end) for middle in "xy")
    longer = embedder.embed(start + "x" * 5000 + end)
    assert (one == same).all()
    assert (one != longer).any()


@each
def test_the_request_moves_the_vector_and_a_bare_one_does_not(embedder: Embedder) -> None:
    bare = embedder.embed(MATHS)
    assert (embedder.embed(MATHS, PLAIN) == bare).all()
    for setting in (
        Setting(tools=3),
        Setting(earlier_turns=2),
        Setting(system_characters=900),
        Setting(structured=True),
        Setting(max_tokens=4096),
    ):
        moved = embedder.embed(MATHS, setting)
        assert 0.5 < float(moved @ bare) < 0.9999


def test_a_tag_beyond_the_number_of_tags_is_refused() -> None:
    vector = StaticEmbedder().embed(MATHS)
    assert with_tag(vector, 0, 2).tolist() == [*vector.tolist(), 0, 0]
    with pytest.raises(ValueError, match="from 0 to 2, not 3"):
        with_tag(vector, 3, 2)


def test_nothing_heavy_is_loaded_before_the_first_vector() -> None:
    code = (
        "import sys; from laneway.embed import StaticEmbedder; embedder = StaticEmbedder(); "
        "assert 'numpy' not in sys.modules and 'faiss' not in sys.modules; embedder.embed('x'); "
        "assert 'numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize(
    ("vectors", "tags", "labels", "why"),
    [
        (_floats(3, 8), None, None, r"vectors: expected shape \(2, 8\), got \(3, 8\)"),
        (_floats(2, 7), None, None, r"vectors: expected shape \(2, 8\), got \(2, 7\)"),
        (_floats(2, 8), np.zeros(0, np.uint16), None, r"tags: expected shape \(2\), got \(0\)"),
        (_floats(2, 8), None, np.zeros((4, 1), np.float32), r"labels: expected shape \(2, 2\), got \(4, 1\)"),
        (_floats(2, 8), None, np.full((2, 2), 2, np.float32), "labels must be from 0 to 1"),
        (_floats(2, 8) * 2, None, None, "vectors must have length 1"),
        (_floats(2, 8) * np.float32(np.nan), None, None, "vectors must have length 1"),
    ],
)
def test_rows_refuse_what_does_not_fit_and_stay_as_they_were(
    vectors: npt.NDArray[np.float32],
    tags: npt.NDArray[np.uint16] | None,
    labels: npt.NDArray[np.float32] | None,
    why: str,
) -> None:
    rows = _core.Rows(8, columns=2)
    with pytest.raises(ValueError, match=why):
        rows.insert(np.arange(2), vectors, tags, labels)
    assert len(rows) == 0


def test_arrays_of_a_wrong_kind_are_a_type_error() -> None:
    rows = _core.Rows(8)
    with pytest.raises(TypeError):
        rows.insert(np.arange(1), _floats(1, 8)[0])
    with pytest.raises(TypeError):
        rows.search(["x"] * 8, 1)  # type: ignore[arg-type] # a wrong type is the test


def test_a_search_refuses_a_query_of_another_space() -> None:
    rows = _core.Rows(8)
    with pytest.raises(ValueError, match="query: expected 8 values, got 7"):
        rows.search(_floats(1, 7)[0], 1)


def test_a_vote_refuses_columns_that_are_not_there() -> None:
    rows = _core.Rows(8, columns=2)
    rows.insert(np.arange(2), _floats(2, 8))
    found = rows.search(_floats(1, 8)[0], 2)
    with pytest.raises(ValueError, match="only 2 columns"):
        found.vote([2], [0.5])
    with pytest.raises(ValueError, match="expected one for each of 1 candidates, got 2"):
        found.vote([1], [0.5, 0.5])


def test_neighbours_are_shown_with_the_labels_that_they_have() -> None:
    rows, vectors = _core.Rows(8, columns=3), _floats(3, 8)
    rows.insert(np.arange(3) + 7, vectors, None, np.array([[0, 1, 0.5], [np.nan, 1, 0], [0, 0, 0]], np.float32))
    near = rows.search(vectors[1], 3)
    for found in (near, FaissFound(near.ids, near.similarities, near.labels)):
        (example, likeness, scores), *others = found.shown(2, ["small", "large"], [0, 2])
        assert (example, scores) == (8, {"large": 0.0})
        assert likeness == pytest.approx(1, abs=1e-6)
        assert len(others) == 1
        assert set(others[0][2]) == {"small", "large"}
        assert found.likeness(2) == pytest.approx((likeness + others[0][1]) / 2)
        assert [(number, scores) for number, _, scores in found.shown(9, [], [])] == [(8, {}), (7, {}), (9, {})]
    assert _core.Rows(8).search(vectors[1], 3).likeness(2) == 0
    with pytest.raises(ValueError, match="only 3 columns"):
        near.shown(1, ["none"], [3])
    with pytest.raises(ValueError, match="one for each column"):
        near.shown(1, ["small", "large"], [0])


def test_what_was_shown_is_the_same_out_of_its_packed_bytes() -> None:
    rows, vectors = _core.Rows(8, columns=3), _floats(3, 8)
    rows.insert(np.arange(3) + 7, vectors, None, np.array([[0, 1, 0.3], [np.nan, 1, 0], [0, 0, 0]], np.float32))
    found = rows.search(vectors[1], 3)
    shown = found.shown(2, ["small", "large"], [0, 2])
    plain = tuple(FaissFound(found.ids, found.similarities, found.labels).shown(2, ["small", "large"], [0, 2]))
    again = _core.Shown(shown.packed, shown.names)
    assert (tuple(shown), tuple(again), again[1]) == (plain, plain, plain[1])
    assert (again == shown, tuple(again) == plain[:1], again.ids, len(again)) == (True, False, f",8,{plain[1][0]},", 2)
    assert _core.Shown(b"", []).ids == ","
    with pytest.raises(IndexError):
        again[2]
    with pytest.raises(ValueError, match="40 bytes are no neighbours with 1 labels each"):
        _core.Shown(shown.packed, ["small"])
    with pytest.raises(ValueError, match="one for each column"):
        found.shown(2, ["small"], [0, 2])


def test_a_ridge_reads_lines_of_its_own_space_only() -> None:
    ridge = _core.Ridge(_floats(2, 8), np.zeros((1, 2), np.float32), np.array([0.5, np.nan], np.float32), 1.0)
    told = ridge.expect(np.zeros(8, np.float32))
    assert told[0] == 0.5
    assert math.isnan(told[1])
    with pytest.raises(ValueError, match="vector: expected 8 values, got 7"):
        ridge.expect(np.zeros(7, np.float32))
    with pytest.raises(ValueError, match="of_tags: expected shape"):
        _core.Ridge(_floats(2, 8), np.zeros((1, 3), np.float32), np.zeros(2, np.float32), 1.0)


def test_a_kernel_that_the_machine_lacks_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no kernel named abacus"):
        _core.Rows(8, kernel="abacus")
    assert _core.Rows(8).kernel == _core.kernels()[0]
    assert _core.Rows(8, kernel="portable").kernel == _core.kernels()[-1]


def test_what_was_found_outlives_the_rows() -> None:
    rows = _core.Rows(8, columns=1)
    rows.insert(np.arange(3), _floats(3, 8), None, np.ones((3, 1), np.float32))
    found = rows.search(_floats(1, 8)[0], 3)
    ids, labels = found.ids, found.labels
    rows.delete(ids.copy())
    del rows, found
    assert sorted(ids.tolist()) == [0, 1, 2]
    assert labels.tolist() == [[1.0]] * 3


def test_a_long_insertion_lets_other_threads_search() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((4000, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = _core.Rows(64)
    rows.insert(np.arange(100), vectors[:100])
    done = threading.Event()
    wrong: list[int] = []

    def look() -> None:
        while not done.is_set():
            found = rows.search(vectors[0], 10)
            if len(found) != 10 or found.ids[0] != 0:
                wrong.append(len(found))

    looking = [threading.Thread(target=look) for _ in range(2)]
    for thread in looking:
        thread.start()
    for first in range(100, 4000, 300):
        rows.insert(np.arange(first, min(first + 300, 4000)), vectors[first : first + 300])
    done.set()
    for thread in looking:
        thread.join()
    assert not wrong
    assert len(rows) == 4000


def test_a_thousand_examples_take_less_than_a_megabyte() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((1000, StaticEmbedder.dims)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    one_by_one = _core.Rows(StaticEmbedder.dims, columns=8)
    for at in range(1000):
        one_by_one.insert(np.array([at]), vectors[at : at + 1])
    loaded = _core.Rows(StaticEmbedder.dims)
    loaded.load(one_by_one.save())
    assert loaded.held_bytes <= one_by_one.held_bytes < 1_100_000
    assert loaded.held_bytes < 1_000_000
