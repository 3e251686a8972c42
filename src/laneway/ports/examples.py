"""What tenants have taught, and what can be asked of it.

Owns: an example with its labels, the rows that are the truth, and the shelf: the searchable cache of one tenant's rows.
Refuses: any implementation (`stores/` keeps rows, `vectors` keeps shelves), and choosing, which is `policy.knn`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

HUMAN = "human"
"""The source of labels that people gave; others name themselves: a judge, a feedback, an import."""


class Setting(msgspec.Struct, frozen=True, gc=False):
    """What surrounds a prompt in its request, as far as it says which model will do. Zeros say nothing."""

    tools: int = 0
    earlier_turns: int = 0
    system_characters: int = 0
    structured: bool = False
    """An answer in a prescribed format is asked for."""
    max_tokens: int = 0


PLAIN = Setting()


class Label(NamedTuple):
    """How well a candidate did, from 0 to 1. A candidate is `provider/id`, with `@version` where it has one."""

    candidate: str
    score: float
    source: str = HUMAN


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt (its last user turn) with a score per model, in one tenant's memory.

    Stored, it has its labels in the order of candidates and sources, one for each pair: of several, the last.
    """

    id: int = 0
    """0 until it is stored."""
    text: str
    tag: str = ""
    setting: Setting = PLAIN
    labels: tuple[Label, ...] = ()
    task_id: str = ""
    """The caller's own name for it, if he has one."""
    batch: str = ""
    """What was taught in one go can be undone in one go."""
    taught_by: str = ""
    """The key's id, or the rule that taught it."""
    at_s: float = 0.0


class Change(NamedTuple):
    """One row as a change left it; without an example it was deleted."""

    edition: int
    id: int
    example: Example | None


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which examples are meant; what is unset stands for anything."""

    text: str | None = None
    """Part of the prompt, without regard to case."""
    tag: str | None = None
    candidate: str | None = None
    source: str | None = None
    batch: str | None = None
    task_id: str | None = None


EVERY = Filter()


class Examples(Protocol):
    """The rows. Every verb is for one tenant, atomic, and durable when it returns.

    Ids count from 1 in each tenant, and none is given twice.
    """

    async def add(self, tenant: str, examples: Sequence[Example], *, first: bool = False) -> Sequence[Example]:
        """Stored, with their ids. All of them, or none. Raises ValueError for a score that is not from 0 to 1.
        `first`: none of them where this tenant was ever taught anything, by whichever process."""

    async def get(self, tenant: str, example_id: int) -> Example | None: ...

    async def list(self, tenant: str, *, where: Filter = EVERY, after: int = 0, limit: int = 100) -> Sequence[Example]:
        """By id, those above `after`."""

    async def count(self, tenant: str, *, where: Filter = EVERY) -> int: ...

    async def change(self, tenant: str, example: Example) -> bool:
        """Replaces the row of its id. False when there is none. Raises ValueError as `add` does."""

    async def delete(self, tenant: str, ids: Sequence[int]) -> int:
        """How many there were. Nothing of them is kept."""

    async def edition(self, tenant: str) -> int:
        """Grows with every change, whichever process made it; 0: nothing was ever taught."""

    async def origin(self, tenant: str) -> str:
        """Tells this memory from one of another store, whose editions mean nothing here; empty: nothing was taught."""

    async def since(self, tenant: str, edition: int, *, limit: int = 1000) -> Sequence[Change]:
        """What changed after an edition, oldest first, so that another process's shelf can follow.

        Every changed row has an edition of its own, and stands here once, as its last change left it.
        """

    async def forgotten(self, tenant: str) -> int:
        """Deletions up to this edition are not told any more: whoever is as of an earlier one begins anew."""

    async def tenants(self) -> Sequence[str]:
        """Those who have taught anything."""

    async def moved(self, mark: int) -> tuple[Sequence[str], int]:
        """Whose rows any process changed after a mark, and the mark of now. The first mark is 0."""

    async def vectors(self, tenant: str, space: str, ids: Sequence[int]) -> Mapping[int, bytes]:
        """Those vectors of a space that are kept, by example."""

    async def keep_vectors(self, tenant: str, space: str, vectors: Mapping[int, tuple[Example, bytes]]) -> None:
        """For spaces whose vectors are dear. Each comes with the example it was made of, and is not kept if that has
        another text or setting by now. It goes when its example goes."""

    async def drop_vectors(self, spaces: Sequence[str]) -> None:
        """All tenants' vectors of every space but these go: nobody searches there any more."""


Placed: TypeAlias = tuple[str, float, float, float, float | None, float, float, float]
"""Name, quality, error, effective labels, cost, cost in units, penalty and score."""


class Ballot(Protocol):
    """What neighbours say about all candidates, one number for each."""

    @property
    def quality(self) -> Sequence[float]: ...
    def stand(
        self,
        names: list[str],
        lines: Sequence[float],
        costs: list[float | None],
        units: tuple[float, float],
        penalties: Sequence[float],
        terms: tuple[float, float],
    ) -> tuple[Sequence[Placed], float, float | None, float | None]:
        """Best first; how sure the first is; from which weight on a cheaper one would win, and up to which a dearer.
        `units`: what costs are counted in, and how many it is taken to cost who has none; `terms`: the share that a
        line has in a quality, and the weight of costs."""


class Found(Protocol):
    """Neighbours, nearest first, that can vote: those of the compiled core, or any others."""

    def __len__(self) -> int: ...
    @property
    def ids(self) -> npt.NDArray[np.int64]: ...
    @property
    def similarities(self) -> npt.NDArray[np.float32]: ...
    @property
    def labels(self) -> npt.NDArray[np.float32]: ...
    def vote(self, candidates: Sequence[int], means: Sequence[float]) -> Ballot: ...
    def likeness(self, count: int) -> float:
        """The mean similarity of the nearest so many; 0 where there are none."""

    def shown(
        self, count: int, names: list[str], columns: Sequence[int]
    ) -> Sequence[tuple[int, float, Mapping[str, float]]]:
        """Id, similarity and labels of the nearest so many: those of these columns, by name, where there are any."""


class Rows(NamedTuple):
    """A shelf's rows as arrays, at one instant: one row for each example, one column of labels for each candidate."""

    ids: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]
    tags: npt.NDArray[np.uint16]
    labels: npt.NDArray[np.float32]


class Shelf(Protocol):
    """One tenant's searchable examples, as of its last change. Asked on the loop, so every verb takes microseconds,
    but for `rows`, which is for work in the background."""

    tenant: str
    space: str
    """The embedder's space: a vector of another one must not be sought here."""
    edition: int
    """Grows whenever a row changes."""

    def __len__(self) -> int: ...

    @property
    def columns(self) -> Mapping[str, int]:
        """Where each candidate's labels stand. Another mapping whenever a row has changed."""

    @property
    def tags(self) -> Mapping[str, int]:
        """The numbers of all tags that examples have."""

    def tag(self, name: str) -> int:
        """The number of a tag, 0 for one that no example has."""

    def search(self, vector: npt.NDArray[np.float32], count: int, tag: int = 0) -> Found: ...

    def totals(self) -> tuple[Sequence[float], Sequence[int]]:
        """Sum and number of the labels in each column."""

    def rows(self) -> Rows: ...


class Shelves(Protocol):
    """All tenants' shelves, as many as fit into memory."""

    def get(self, tenant: str) -> Shelf | None:
        """At once. None while a shelf is being loaded (asking for it begins that), and for who taught nothing."""

    async def ready(self, tenant: str) -> Shelf | None:
        """As `get`, waiting until it is loaded and holds everything that was taught before the call; what there is,
        where vectors come from a provider that does not answer."""

    def embed(self, text: str, setting: Setting = PLAIN) -> npt.NDArray[np.float32] | None:
        """A vector of the space that shelves are searched in now; None where that takes a call to a provider."""

    async def vector(self, text: str, setting: Setting = PLAIN) -> npt.NDArray[np.float32] | None:
        """As `embed`, waiting for a provider where there is one, but not beyond its deadline: then None.

        It is of the space of the shelf that `get` returns, if nothing is awaited in between.
        """
