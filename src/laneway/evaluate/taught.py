"""A shelf as it would be after teaching it a set of examples, and what it says about a prompt.

Owns: putting the shipped parts together: the embedder, a shelf, the ridge, and `policy.knn`, which decides; and
cross-fitted estimates, each made without the example it is about.
Refuses: arithmetic of its own. Whatever is measured here is measured of the parts that serve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from laneway import _core
from laneway.embed import StaticEmbedder
from laneway.evaluate.dataset import Pool
from laneway.policy import knn, ridge
from laneway.policy.knn import Candidate, Choice, Knobs, Question
from laneway.ports.examples import Rows
from laneway.vectors import Form, NearSpace, TenantShelf
from laneway.vectors.shelf import MOST_TAGS

FORM = Form(NearSpace(StaticEmbedder()))

Indices = npt.NDArray[np.intp]
Rest = Callable[[], None]
"""Called after each prompt, by who has something else to do meanwhile."""


def _without_rest() -> None:
    pass


class Prompts(msgspec.Struct, frozen=True):
    """Every prompt of a pool as the router sees it."""

    vectors: npt.NDArray[np.float32]
    texts: npt.NDArray[np.float32]
    """The part that says what the text means, for rules that see nothing else."""
    tags: npt.NDArray[np.uint16]


def embed(pool: Pool) -> Prompts:
    embedder = StaticEmbedder()
    vectors = np.stack([embedder.embed(prompt) for prompt in pool.prompts])
    texts = vectors[:, : -_core.SHAPE_DIMS].copy()
    lengths = np.linalg.norm(texts, axis=1, keepdims=True)
    texts /= np.maximum(lengths, 1e-9)
    texts[lengths[:, 0] < 1e-6, 0] = 1.0  # a prompt without a known word is like its own kind only
    numbers: dict[str, int] = {}
    for tag in pool.tags:
        if tag and len(numbers) < MOST_TAGS:
            numbers.setdefault(tag, len(numbers) + 1)
    return Prompts(vectors, texts, np.array([numbers.get(tag, 0) for tag in pool.tags], np.uint16))


class Taught:
    """What was learned from some rows of a pool. `examples` is how many a tenant has, where fewer are shown."""

    def __init__(
        self, pool: Pool, prompts: Prompts, rows: Indices, knobs: Knobs, *, examples: int | None = None
    ) -> None:
        self.prompts = prompts
        self.knobs = knobs
        vectors, labels, tags = prompts.vectors[rows], pool.scores[rows], prompts.tags[rows]
        self.shelf = TenantShelf("", vectors.shape[1], FORM)
        self.shelf.lay(Rows(rows.astype(np.int64), vectors, tags, labels.astype(np.float32)), pool.models)
        self.examples = len(rows) if examples is None else examples
        self.line = ridge.fit(vectors, labels, tags) if self.examples >= knobs.blend_from else None
        sums, counts = self.shelf.totals()
        self.candidates = tuple(
            Candidate(name=name, column=at, mean=knn.expected_mean(sums[at], counts[at]), labels=counts[at])
            for at, name in enumerate(pool.models)
        )
        self.default = pool.models[pool.strong]
        self.panel = knn.panel_of(self.candidates, knobs, self.default, examples=self.examples)
        """For choices by quality alone, of which a lesson makes thousands."""

    def choose(
        self, row: int, *, costs_nanos: Sequence[float] | None = None, usual_nanos: float | None = None
    ) -> Choice:
        """What would be decided for this row; without costs, by quality alone."""
        vector, tag = self.prompts.vectors[row], int(self.prompts.tags[row])
        found = self.shelf.search(vector, knn.NEIGHBOURS, tag)
        line = None if self.line is None else self.line.expect(vector, tag)
        if costs_nanos is None:
            return self.panel.choose(found, [None] * len(self.candidates), line)
        candidates = tuple(
            [
                Candidate(name=who.name, column=who.column, cost_nanos=cost, mean=who.mean, labels=who.labels)
                for who, cost in zip(self.candidates, costs_nanos, strict=True)
            ]
        )
        question = Question(
            candidates=candidates,
            default=self.default,
            usual_nanos=usual_nanos,
            examples=self.examples,
            ridge=line,
        )
        return knn.choose(question, found, self.knobs)

    def expect(self, rows: Indices, rest: Rest = _without_rest) -> npt.NDArray[np.float64]:
        """The expected quality of each model on each of these rows, as the choices say it."""
        columns = {who.name: who.column for who in self.candidates}
        expected = np.tile([who.mean for who in self.candidates], (len(rows), 1))
        for at, row in enumerate(rows.tolist()):
            for standing in self.choose(row).ranked:
                expected[at, columns[standing.name]] = standing.quality
            rest()
        return expected

    def likeness_bound(self, rows: Indices, rest: Rest = _without_rest, *, tagged: bool = True) -> float:
        """Below which a prompt is of no known kind: by the examples themselves, each beside the others. For prompts
        whose tag nobody knows, the examples are asked without theirs."""
        means = []
        for row in rows.tolist():
            tag = int(self.prompts.tags[row]) if tagged else 0
            near = self.shelf.search(self.prompts.vectors[row], knn.LIKE + 1, tag)
            others = near.similarities[near.ids != row][: knn.LIKE]
            means.append(float(others.mean()) if len(others) else 0.0)
            rest()
        return knn.novelty_bound(means)


def cross_fit(
    pool: Pool,
    prompts: Prompts,
    rows: Indices,
    knobs: Knobs,
    chance: np.random.Generator,
    folds: int = 5,
    rest: Rest = _without_rest,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Expected qualities of these rows, each learned from the other folds, and the fold of each."""
    fold_of = _with_twins(chance.permutation(np.arange(len(rows)) % folds), prompts.vectors[rows])
    expected = np.empty((len(rows), len(pool.models)))
    for fold in range(folds):
        inside = fold_of == fold
        taught = Taught(pool, prompts, rows[~inside], knobs, examples=len(rows))
        expected[inside] = taught.expect(rows[inside], rest)
    return expected, fold_of


def _with_twins(fold_of: npt.NDArray[np.intp], vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """Folds that part no prompts which look the same: one would tell of the other what nobody could know of a new one.
    Where most of them look the same they are parted all the same, for want of folds."""
    first: dict[bytes, int] = {}
    together = fold_of[[first.setdefault(vector.tobytes(), at) for at, vector in enumerate(vectors)]]
    sizes = np.bincount(together, minlength=int(fold_of.max(initial=0)) + 1)
    return together if sizes.all() and 2 * sizes.max() <= len(fold_of) else fold_of
