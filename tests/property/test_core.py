"""The laws of the compiled core: it agrees with its slow reference, in every instruction set this machine has.

Texts are drawn from characters that Unicode 3.2 knew already, so that the Python at hand and the core's tables agree on
what they are; marks that a whole text's normalisation would reorder are left out, because no word depends on them.
"""

from __future__ import annotations

import math
import sys
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from laneway import _core
from laneway.embed import TAG_PULL, with_tag
from tests.reference import core as reference

Floats = npt.NDArray[np.float32]

DIMS = 48
COLUMNS = 3


def _is_settled(char: str) -> bool:
    known = unicodedata.ucd_3_2_0.category(char) not in ("Cn", "Co", "Cs")
    return known and (unicodedata.category(char) == "Mn" or not unicodedata.combining(char))


@cache
def _alphabet() -> str:
    return "".join(filter(_is_settled, map(chr, range(sys.maxunicode + 1))))


@cache
def _file() -> bytes:
    return (files("laneway") / "data" / "static.table").read_bytes()


@cache
def _tables() -> tuple[_core.Table, reference.Table]:
    return _core.Table(_file()), reference.Table(_file())


PHRASES = (
    *(
        "What is ",
        "the derivative of ",
        "unaffable ",
        "naïve ",
        "Ångström",
        "def f(x):\n    return x\n",
        "```\n",
        "__ ",
    ),
    *(
        "A. ",
        "\n(B) ",
        "\\frac{1}{2}",
        "$x$",
        "12,345.6 ",
        "你好",
        "한국어",
        "ﬁ",
        "İ",
        "Σς",
        "\u200b",
        "\r\n",
        "\t",
        "##a",
    ),
    *("SELECT * FROM t", "Why?", "x" * 101, "\ufffd", "e\u0301", "…", "\x00", "\v", "\f", "\x85", "\u2028", "[UNK]"),
)
texts = st.one_of(
    st.lists(st.sampled_from(PHRASES), max_size=12).map("".join),
    st.text(st.sampled_from(_alphabet()), max_size=40),
    st.text(st.characters(max_codepoint=0x7F), max_size=200),
)
settings_of_requests = st.tuples(
    st.integers(0, 200), st.integers(0, 2**32), st.integers(0, 2**40), st.booleans(), st.integers(0, 2**40)
)


def _shown(ids: Sequence[int]) -> list[str]:
    spelled = list(_tables()[1].tokens)
    return [spelled[at] for at in ids]


@given(texts)
def test_a_text_is_read_as_the_same_pieces(text: str) -> None:
    fast, slow = _tables()
    assert fast.tokens(text) == _shown(slow.tokenise(reference.excerpt(text)))


@settings(max_examples=20)
@given(st.lists(texts, min_size=1, max_size=3), st.integers(0, 1200))
@example(["ab "], 1024)
@example(["ab "], 1025)
def test_of_a_long_text_both_ends_are_read(parts: list[str], length: int) -> None:
    text = ("".join(parts) or "x") * (length // len("".join(parts) or "x") + 1)
    fast, slow = _tables()
    assert fast.tokens(text) == _shown(slow.tokenise(reference.excerpt(text)))
    assert _core.shape(text) == pytest.approx(reference.measure(reference.excerpt(text), len(text), (0,) * 5), abs=1e-5)


@given(texts, settings_of_requests)
def test_a_shape_counts_what_the_reference_counts(text: str, request: tuple[int, int, int, bool, int]) -> None:
    assert _core.shape(text, *request) == pytest.approx(reference.measure(text, len(text), request), rel=1e-5, abs=1e-6)


@settings(max_examples=50)
@given(texts, settings_of_requests)
def test_a_static_vector_is_the_references(text: str, request: tuple[int, int, int, bool, int]) -> None:
    fast, slow = _tables()
    vector = fast.embed(text, *request)
    assert vector.tolist() == pytest.approx(reference.whole(slow.content(text), text, request), abs=2e-6)
    assert float(vector @ vector) == pytest.approx(1, abs=1e-5)


@settings(max_examples=50)
@given(texts, st.integers(1, 600), settings_of_requests)
def test_a_hashed_vector_is_the_references(text: str, places: int, request: tuple[int, int, int, bool, int]) -> None:
    vector = _core.embed_hashed(text, places, *request)
    assert vector.tolist() == pytest.approx(reference.whole(reference.hashed(text, places), text, request), abs=2e-6)


@given(st.text(max_size=1100))
def test_any_text_has_a_vector(text: str) -> None:
    assert np.isfinite(_tables()[0].embed(text)).all()


@given(st.text(st.characters(categories=["Cs", "Ll"]), max_size=30))
def test_lone_surrogates_are_read_as_question_marks(text: str) -> None:
    assert _tables()[0].tokens(text) == _tables()[0].tokens(text.encode("utf-8", "replace").decode())


def _vectors(seed: int, count: int, spread: float) -> Floats:
    """Vectors of length 1; the smaller `spread`, the nearer they are to each other."""
    rng = np.random.default_rng(seed)
    drawn = np.ones(DIMS) + spread * rng.standard_normal((count, DIMS))
    made: Floats = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return made


def _ids(*ids: int) -> npt.NDArray[np.int64]:
    return np.array(ids, np.int64)


spreads = st.sampled_from((0.05, 1.0, 10.0))
seeds = st.integers(0, 2**32 - 1)
# Rounding in float32, over sums of a few dozen products.
EXACT = 2e-6
# What may be overlooked: a row whose code is wrong by more than eight of its standard deviations.
OVERLOOKED = 8 * math.sqrt(0.01154 / DIMS)


class Shelf(RuleBasedStateMachine):
    """A table of rows beside a list of rows, whatever happens to both."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = _core.kernels()[0]
        self.rows = _core.Rows(DIMS, COLUMNS, kernel=self.kernel)
        self.known: dict[int, reference.Row] = {}
        self.labels: dict[int, list[float]] = {}

    @rule(first=st.integers(-5, 400), count=st.integers(0, 300), seed=seeds, spread=spreads, tags=st.integers(0, 3))
    def insert(self, first: int, count: int, seed: int, spread: float, tags: int) -> None:
        rng = np.random.default_rng(seed)
        vectors = _vectors(seed, count, spread)
        marks = rng.integers(0, tags + 1, count).astype(np.uint16)
        labels = rng.random((count, COLUMNS), np.float32)
        labels[rng.random(labels.shape) < 0.3] = np.nan
        self.rows.insert(np.arange(first, first + count), vectors, marks, labels)
        for at, id_ in enumerate(range(first, first + count)):
            self.known[id_] = reference.Row(id_, vectors[at].tolist(), int(marks[at]))
            self.labels[id_] = labels[at].tolist()

    @rule(first=st.integers(-5, 400), count=st.integers(0, 300))
    def delete(self, first: int, count: int) -> None:
        there = [id_ for id_ in range(first, first + count) if self.known.pop(id_, None)]
        assert self.rows.delete(np.arange(first, first + count)) == len(there)

    @rule()
    def restart(self) -> None:
        saved = self.rows.save()
        self.rows = _core.Rows(DIMS, kernel=self.kernel)
        self.rows.load(saved)
        assert self.rows.save() == saved

    @rule(seed=seeds, spread=spreads, tag=st.integers(0, 4), count=st.integers(0, 50))
    def search(self, seed: int, spread: float, tag: int, count: int) -> None:
        query = _vectors(seed, 1, spread)[0]
        truth = reference.similarities(self.known.values(), query.tolist(), tag)
        found = self.rows.search(query, count, tag)
        ids, similarities = found.ids.tolist(), found.similarities.tolist()
        assert len(set(ids)) == len(ids) == min(count, len(truth))
        assert similarities == sorted(similarities, reverse=True)
        assert similarities == pytest.approx([truth[id_] for id_ in ids], abs=EXACT)
        best = sorted(truth.values(), reverse=True)
        assert all(got >= right - OVERLOOKED for got, right in zip(similarities, best, strict=False))
        np.testing.assert_array_equal(found.labels, np.array([self.labels[id_] for id_ in ids]).reshape(-1, COLUMNS))

    @rule(seed=seeds, spread=spreads, tag=st.integers(0, 4))
    def search_all(self, seed: int, spread: float, tag: int) -> None:
        query = _vectors(seed, 1, spread)[0]
        truth = reference.similarities(self.known.values(), query.tolist(), tag)
        found = self.rows.search(query, len(truth) + 5, tag)
        assert dict(zip(found.ids.tolist(), found.similarities.tolist(), strict=True)) == pytest.approx(
            truth, abs=EXACT
        )

    @invariant()
    def counts(self) -> None:
        assert len(self.rows) == len(self.known)
        labels = np.array([self.labels[id_] for id_ in self.known]).reshape(-1, COLUMNS)
        sums, numbers = self.rows.totals()
        assert numbers == (~np.isnan(labels)).sum(axis=0).tolist()
        assert sums == pytest.approx(np.nansum(labels, axis=0).tolist(), abs=1e-6)


TestShelf = Shelf.TestCase
TestShelf.settings = settings(max_examples=25, stateful_step_count=15)


@settings(max_examples=25)
@given(seeds, spreads, st.integers(1, 1500), st.integers(1, 60), st.integers(0, 3))
def test_every_kernel_finds_the_same(seed: int, spread: float, size: int, count: int, tag: int) -> None:
    vectors = _vectors(seed, size, spread)
    tags = np.random.default_rng(seed).integers(0, 4, size).astype(np.uint16)
    query = _vectors(seed + 1, 1, spread)[0]
    found = []
    for kernel in _core.kernels():
        rows = _core.Rows(DIMS, kernel=kernel)
        rows.insert(np.arange(size), vectors, tags)
        neighbours = rows.search(query, count, tag)
        found.append((neighbours.ids.tolist(), neighbours.similarities.tolist()))
    assert all(other == found[0] for other in found)


@given(seeds, spreads)
def test_a_row_is_its_own_nearest_neighbour(seed: int, spread: float) -> None:
    vectors = _vectors(seed, 200, spread)
    rows = _core.Rows(DIMS)
    rows.insert(np.arange(200), vectors)
    at = seed % 200
    assert rows.search(vectors[at], 1).similarities[0] == pytest.approx(1, abs=EXACT)
    rows.delete(_ids(at))
    assert at not in rows.search(vectors[at], 200).ids


@given(seeds, st.integers(0, 3), st.integers(0, 3))
def test_a_tag_apart_is_a_tag_in_the_vector(seed: int, tag: int, other: int) -> None:
    one, two = _vectors(seed, 2, 1.0)
    rows = _core.Rows(DIMS, tag_pull=TAG_PULL)
    rows.insert(_ids(1), one[None], np.array([tag], np.uint16))
    apart = rows.search(two, 1, other).similarities[0]
    assert float(with_tag(one, tag, 3) @ with_tag(two, other, 3)) == pytest.approx(float(apart), abs=EXACT)


cosines = st.lists(st.floats(-1, 1, width=32), max_size=200).map(lambda found: sorted(found, reverse=True))
label = st.one_of(st.sampled_from((0.0, 1.0, 0.5, math.nan)), st.floats(0, 1, width=32))


@st.composite
def polls(draw: st.DrawFn) -> tuple[Floats, Floats, list[float]]:
    similarities = np.array(draw(cosines), np.float32)
    candidates = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(seeds))
    # Drawing two hundred labels one by one would take hypothesis seconds: a few are drawn, and spread by chance.
    choice = np.array(draw(st.lists(label, min_size=1, max_size=5)), np.float32)
    labels = rng.choice(choice, (len(similarities), candidates)).astype(np.float32)
    means = draw(st.lists(st.floats(0, 1), min_size=candidates, max_size=candidates))
    return similarities, labels, means


@given(polls())
def test_a_vote_is_the_references(poll: tuple[Floats, Floats, list[float]]) -> None:
    similarities, labels, means = poll
    ballot = _core.vote(similarities, labels, means)
    weights = reference.weigh(similarities.tolist())
    expected = [reference.vote(weights, labels[:, at].tolist(), mean) for at, mean in enumerate(means)]
    assert ballot.quality == pytest.approx([vote.quality for vote in expected], abs=1e-9)
    assert ballot.error == pytest.approx([vote.error for vote in expected], abs=1e-7)
    assert ballot.effective == pytest.approx([vote.effective for vote in expected], rel=1e-6, abs=1e-9)


@given(polls())
def test_a_candidate_more_changes_nothing_for_the_others(poll: tuple[Floats, Floats, list[float]]) -> None:
    similarities, labels, means = poll
    whole = _core.vote(similarities, labels, means)
    fewer = _core.vote(similarities, np.ascontiguousarray(labels[:, 1:]), means[1:])
    assert fewer.quality == whole.quality[1:]
    assert fewer.error == whole.error[1:]
    assert fewer.covariance == [row[1:] for row in whole.covariance[1:]]


@given(polls())
def test_votes_stay_between_the_labels_and_errors_are_consistent(poll: tuple[Floats, Floats, list[float]]) -> None:
    similarities, labels, means = poll
    ballot = _core.vote(similarities, labels, means)
    for at, mean in enumerate(means):
        known = [*labels[:, at][~np.isnan(labels[:, at])].tolist(), mean]
        assert min(known) - 1e-9 <= ballot.quality[at] <= max(known) + 1e-9
        assert ballot.covariance[at][at] == pytest.approx(ballot.error[at] ** 2, abs=1e-12)
        assert 0 <= ballot.effective[at] <= len(similarities) + 1e-6
    assert ballot.covariance == [list(column) for column in zip(*ballot.covariance, strict=True)]


@given(seeds, st.integers(1, 60))
def test_neighbours_vote_as_their_labels_do(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random((80, COLUMNS), np.float32)
    rows = _core.Rows(DIMS, COLUMNS)
    rows.insert(np.arange(80), _vectors(seed, 80, 1.0), None, labels)
    found = rows.search(_vectors(seed + 1, 1, 1.0)[0], count)
    apart = _core.vote(found.similarities, np.ascontiguousarray(found.labels[:, [2, 0]]), [0.5, 0.25])
    assert found.vote([2, 0], [0.5, 0.25]).quality == apart.quality


@given(st.binary(max_size=200), st.integers(0, 1000))
def test_damaged_bytes_are_refused(noise: bytes, cut: int) -> None:
    rows = _core.Rows(DIMS)
    rows.insert(np.arange(5), _vectors(1, 5, 1.0))
    saved = rows.save()
    for bad in (noise, saved[: cut % len(saved)], saved + noise + b"x"):
        with pytest.raises(ValueError, match="snapshot"):
            rows.load(bad)
        with pytest.raises(ValueError, match="token table"):
            _core.Table(bad)
    assert rows.save() == saved
