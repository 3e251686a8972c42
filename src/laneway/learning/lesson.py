"""What one tenant's examples teach about one pool, worked out once for many decisions.

Owns: the lesson (a ridge, the dial and what each of its positions does, how far floors let costs count, what is
novel, go or no-go) and how it is made of a shelf's rows, with the parts that `evaluate` measures.
Refuses: knowing when to learn again (`lessons`), and choosing (`policy.knn`). Large memories are sampled, and numpy is
loaded by the first lesson.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from laneway.policy.dial import FEWEST_POSITIONS, Dial, Effect, Outlook, Position, foresee, preview, spread, walk
from laneway.policy.expected import Habit
from laneway.policy.floor import FLOORS, keep_floors
from laneway.policy.ridge import Ridge
from laneway.policy.rules import Clusters
from laneway.policy.verdict import Verdict
from laneway.ports import Setting

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from laneway.evaluate import dataset, taught
    from laneway.ports import Rows

    Indices = npt.NDArray[np.intp]

FEWEST_JUDGED = 40
"""With fewer examples that have a label of every candidate nobody can say whether routing is worth it."""
QUICK_ROWS, MOST_ROWS = 250, 1000
"""Examples that estimates are cross-fitted on: at once, and when there is time."""
QUICKLY_FITTED, MOST_FITTED = 2_000, 10_000
LIKE_ROWS = 300
SEED = 5
BREATH = 16
"""After so many examples of quick work, others are let in."""

Rest = Callable[[], None]


class Floor(msgspec.Struct, frozen=True):
    """What it takes to keep a share of the strong's quality, and what that does where no dial is stricter."""

    target: float
    level: float
    """Up to which weight costs may count; negative: not even quality alone is enough."""
    effect: Effect


class Lesson(msgspec.Struct, frozen=True, kw_only=True):
    """Labels are candidates' labels; `order` is that of the columns of everything below."""

    edition: int
    space: str
    examples: int
    labels: dict[str, int]
    """How many labels each candidate has."""
    by_tag: dict[str, dict[str, int]] = {}
    """The same for each tag, "" for examples without one."""
    tags: dict[str, int] = {}
    """The tags' numbers in what was fitted: a shelf that was built anew may have others."""
    complete: int = 0
    """Examples that have a label of every warm candidate."""
    order: tuple[str, ...] = ()
    """The warm candidates."""
    strong: str = ""
    """The best of them, on the average of all labels."""
    line: Ridge | None = None
    clusters: Clusters | None = None
    dial: Dial = Dial()
    positions: tuple[Position, ...] = ()
    floors: tuple[Floor, ...] = ()
    """All that may be asked for, the laxest first."""
    familiar: float = -1.0
    familiar_untagged: float = -1.0
    """The likeness below which a prompt is novel; and where nobody knows its tag."""
    verdict: Verdict | None = None
    unit_nanos: float | None = None
    """What a request is taken to cost at the default; None where nobody knows, or where it is free."""
    usual_nanos: float | None = None
    """The same, where the tenant's own requests say so."""
    habits: dict[tuple[str, str], Habit] = {}
    """How long answers were, by provider and model."""
    plain: bool = False
    """No example tells what surrounded it: then what surrounds a request must not make it look unlike all of them."""
    quick: bool = False
    at_s: float = 0.0

    def floor(self, target: float | None) -> Floor | None:
        """The floor of this target, or the next stricter one; None where none is asked for, or nothing is learned."""
        if target is None:
            return None
        return next((floor for floor in self.floors if floor.target >= target), None)

    def level(self, target: float | None) -> float | None:
        floor = self.floor(target)
        return None if floor is None else floor.level


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be learned from."""

    rows: Rows
    columns: Mapping[str, int]
    tags: Mapping[str, int]
    candidates: Sequence[str]
    """Labels of the pool's candidates."""
    ratios: Sequence[float]
    """What each of them usually costs, as a ratio to what the default usually does."""
    warm: int
    blend_from: int
    floor: float | None
    clusters: bool
    edition: int
    space: str


class Paced(list[Outlook]):
    """Outlooks between which others are let in, whoever walks along them."""

    def __init__(self, outlooks: Iterable[Outlook], rest: Rest) -> None:
        super().__init__(outlooks)
        self._rest = rest

    def __iter__(self) -> Iterator[Outlook]:
        for at, outlook in enumerate(super().__iter__()):
            if at % BREATH == 0:
                self._rest()
            yield outlook


def learn(subject: Subject, rest: Rest, *, most: int = MOST_ROWS) -> Lesson:
    """Made in a thread. `rest` is called every tenth of a millisecond or so."""
    import numpy as np

    rows = subject.rows
    labels = _columns(subject)
    counts = (~np.isnan(labels)).sum(axis=0)
    told = dict(zip(subject.candidates, counts.tolist(), strict=True))
    bare = Lesson(
        edition=subject.edition,
        space=subject.space,
        examples=len(rows.ids),
        labels=told,
        by_tag=_by_tag(subject, labels),
        tags=dict(subject.tags),
        # What surrounds a prompt stands in the last numbers of its vector.
        plain=not rows.vectors[:, -len(Setting.__struct_fields__) :].any(),
        quick=most < MOST_ROWS,
    )
    warm = np.flatnonzero(counts >= subject.warm)
    if len(warm) < 2:
        return bare
    labels = labels[:, warm]
    ratios = np.array([subject.ratios[at] for at in warm.tolist()])
    strong = int(np.lexsort((ratios, -np.nanmean(labels, axis=0)))[0])
    chance = np.random.default_rng([SEED, len(rows.ids)])
    useful = chance.permutation(np.flatnonzero((~np.isnan(labels)).any(axis=1)))
    lesson = msgspec.structs.replace(
        bare,
        order=tuple([subject.candidates[at] for at in warm.tolist()]),
        strong=subject.candidates[int(warm[strong])],
        complete=int((~np.isnan(labels)).all(axis=1).sum()),
    )
    fitted = useful[: MOST_FITTED if most >= MOST_ROWS else QUICKLY_FITTED]
    if len(rows.ids) >= subject.blend_from:
        from laneway.policy.ridge import fit

        lesson = msgspec.structs.replace(lesson, line=fit(rows.vectors[fitted], labels[fitted], rows.tags[fitted]))
        rest()
    if subject.clusters:
        from laneway.policy.rules import cluster

        lesson = msgspec.structs.replace(lesson, clusters=cluster(rows.vectors[fitted], labels[fitted], chance))
        rest()
    return _with_outlook(lesson, subject, _Sample(subject, labels, ratios, strong, useful[:most]), fitted, rest)


def _columns(subject: Subject) -> npt.NDArray[np.float32]:
    import numpy as np

    labels = np.full((len(subject.rows.ids), len(subject.candidates)), np.nan, np.float32)
    for at, label in enumerate(subject.candidates):
        column = subject.columns.get(label)
        if column is not None and column < subject.rows.labels.shape[1]:
            labels[:, at] = subject.rows.labels[:, column]
    return labels


def _by_tag(subject: Subject, labels: npt.NDArray[np.float32]) -> dict[str, dict[str, int]]:
    import numpy as np

    present = ~np.isnan(labels)
    tags = subject.rows.tags
    return {
        name: dict(zip(subject.candidates, present[tags == number].sum(axis=0).tolist(), strict=True))
        for name, number in {"": 0, **subject.tags}.items()
        if (tags == number).any()
    }


class _Sample:
    """Some of the examples, as the parts that `evaluate` measures take them."""

    def __init__(
        self,
        subject: Subject,
        labels: npt.NDArray[np.float32],
        ratios: npt.NDArray[np.float64],
        strong: int,
        chosen: Indices,
    ) -> None:
        self.ratios = ratios
        self.strong = strong
        self.labels = labels
        self.rows = subject.rows
        self.chosen = chosen

    def parts(self, chosen: Indices) -> tuple[dataset.Pool, taught.Prompts]:
        import numpy as np

        from laneway.evaluate.dataset import Pool
        from laneway.evaluate.taught import Prompts

        empty = ("",) * len(chosen)
        scores = self.labels[chosen]
        pool = Pool(
            models=tuple(map(str, range(scores.shape[1]))),
            prompts=empty,
            tasks=empty,
            tags=empty,
            scores=scores,
            costs_usd=np.tile(self.ratios, (len(chosen), 1)),
            strong=self.strong,
            cheap=int(self.ratios.argmin()),
        )
        vectors = self.rows.vectors[chosen]
        return pool, Prompts(vectors, vectors, self.rows.tags[chosen])


def _with_outlook(lesson: Lesson, subject: Subject, sample: _Sample, fitted: Indices, rest: Rest) -> Lesson:
    import numpy as np

    from laneway.evaluate.contenders import MEASURED
    from laneway.evaluate.taught import Taught, cross_fit

    pool, prompts = sample.parts(sample.chosen)
    everyone = np.arange(len(sample.chosen))
    expected, _ = cross_fit(pool, prompts, everyone, MEASURED, np.random.default_rng(SEED), rest=rest)
    costs = sample.ratios.tolist()
    outlooks = Paced([Outlook(row, costs) for row in expected.tolist()], rest)
    dial = spread(step.level for outlook in outlooks for step in walk(outlook, sample.strong)[1])
    scores = pool.scores.astype(np.float64).tolist()
    whole, their_prompts = sample.parts(fitted)
    some = np.arange(min(len(fitted), LIKE_ROWS))
    likes = Taught(whole, their_prompts, np.arange(len(fitted)), MEASURED, examples=0)
    return msgspec.structs.replace(
        lesson,
        dial=dial,
        positions=tuple(preview(dial, outlooks, FEWEST_POSITIONS)),
        floors=_floors(subject, outlooks, scores, sample.strong),
        familiar=likes.likeness_bound(some, rest),
        familiar_untagged=likes.likeness_bound(some, rest, tagged=False),
        # A judgement on a few of many examples would be another one a moment later.
        verdict=_verdict(pool, prompts, rest) if not lesson.quick else None,
    )


def _floors(subject: Subject, outlooks: Sequence[Outlook], scores: list[list[float]], strong: int) -> tuple[Floor, ...]:
    """Each that a tenant may choose, and the one that the configuration says."""
    targets = sorted({*FLOORS, *([subject.floor] if subject.floor is not None else [])})
    return tuple(
        Floor(target, stance.weight if stance.weight > 0 else -stance.handicap, foresee(outlooks, stance, strong))
        for target, stance in zip(targets, keep_floors(outlooks, scores, strong, targets), strict=True)
    )


def _verdict(pool: dataset.Pool, prompts: taught.Prompts, rest: Rest) -> Verdict | None:
    import numpy as np

    from laneway.evaluate.checks import reach_verdict

    if (~np.isnan(pool.scores)).all(axis=1).sum() < FEWEST_JUDGED:
        return None
    return reach_verdict(pool, prompts, SEED, lambda: None, rest)
