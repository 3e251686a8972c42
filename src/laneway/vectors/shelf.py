"""One tenant's shelf: rows with names for their columns and tags, in an index that knows neither.

Owns: which column is whose, which number a tag has, and keeping both in step with the rows.
Refuses: reading rows, embedding, and knowing other tenants. numpy is loaded by the first row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from laneway import _core
from laneway.embed import TAG_PULL
from laneway.ports.examples import Found, Rows
from laneway.vectors.form import Form, Placed
from laneway.vectors.weights import weighed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

MOST_TAGS = 256
MOST_COLUMNS = 1024
"""Candidates of one tenant; the labels of further ones wait until the shelf is built anew."""


class Index(Protocol):
    """What searches rows that are nothing but numbers: the compiled core's rows, or another's."""

    def __len__(self) -> int: ...
    @property
    def columns(self) -> int: ...
    @property
    def held_bytes(self) -> int: ...
    def insert(
        self, ids: npt.NDArray[np.int64], vectors: Floats, tags: npt.NDArray[np.uint16], labels: Floats
    ) -> None: ...
    def delete(self, ids: npt.NDArray[np.int64]) -> int: ...
    def widen(self, columns: int) -> None: ...
    def search(self, query: Floats, count: int, tag: int = 0) -> Found: ...
    def totals(self) -> tuple[list[float], list[int]]: ...
    def tags(self) -> list[int]: ...
    def save(self) -> bytes: ...
    def load(self, data: bytes) -> None: ...
    def everything(self) -> tuple[npt.NDArray[np.int64], Floats, npt.NDArray[np.uint16], Floats]: ...


class TenantShelf:
    """As of `edition`. Written to by one at a time, searched by anybody meanwhile."""

    def __init__(self, tenant: str, dims: int, form: Form) -> None:
        self.tenant = tenant
        self.space = form.space.name
        self.dims = dims
        self.form = form
        self.edition = 0
        self.saved = 0
        """The edition that its snapshot has."""
        self.columns: Mapping[str, int] = {}
        self.index: Index = _core.Rows(dims, 0, TAG_PULL)
        self._named: dict[str, int] = {}
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.index)

    @property
    def held_bytes(self) -> int:
        return self.index.held_bytes

    def tag(self, name: str) -> int:
        return self._numbers.get(name, 0)

    def search(self, vector: Floats, count: int, tag: int = 0) -> Found:
        return self.index.search(vector, count, tag)

    def totals(self) -> tuple[Sequence[float], Sequence[int]]:
        return self.index.totals()

    def rows(self) -> Rows:
        return Rows(*self.index.everything())

    @property
    def tags(self) -> dict[str, int]:
        return dict(self._numbers)

    def packed(self) -> bytes:
        """All rows as bytes that `unpack` takes. For a thread."""
        return self.index.save()

    def unpack(self, rows: bytes, columns: Mapping[str, int], tags: Mapping[str, int]) -> None:
        """Replaces all rows. For a thread. Raises ValueError for bytes that are damaged or do not fit the names."""
        self.index.load(rows)
        if not all(0 <= at < self.index.columns for at in columns.values()) or len(self.index.tags()) > MOST_TAGS + 1:
            raise ValueError("its rows and its names do not fit together")
        self._named, self._numbers = dict(columns), dict(tags)
        self._recount()

    def put(self, placed: Sequence[Placed], gone: Sequence[int] = ()) -> None:
        """Adds or replaces rows, and removes others."""
        import numpy as np

        if gone:
            self.index.delete(np.array(gone, np.int64))
        if placed:
            self._insert(placed)
        self._recount()

    def _insert(self, placed: Sequence[Placed]) -> None:
        import numpy as np

        scores = [weighed(one.example.labels, self.form.trust) for one in placed]
        names = dict.fromkeys(name for row in scores for name in row if name not in self._named)
        if names:
            self._name(names)
        labels = np.full((len(placed), self.index.columns), np.nan, np.float32)
        for at, row in enumerate(scores):
            for name, score in row.items():
                column = self._named.get(name)
                if column is not None:
                    labels[at, column] = score
        tags = np.fromiter((self._number(one.example.tag) for one in placed), np.uint16, len(placed))
        ids = np.fromiter((one.example.id for one in placed), np.int64, len(placed))
        self.index.insert(ids, np.stack([one.vector for one in placed]), tags, labels)

    def _name(self, names: Mapping[str, None]) -> None:
        """Gives candidates columns: those that have no label any more, then new ones."""
        counts = self.index.totals()[1]
        free = sorted(set(range(len(counts))) - {at for at in self._named.values() if counts[at]})
        self._named = {name: at for name, at in self._named.items() if counts[at]}
        wanted = min(len(names) - len(free), MOST_COLUMNS - len(counts))
        if wanted > 0:
            self.index.widen(len(counts) + wanted)
            free += range(len(counts), len(counts) + wanted)
        self._named.update(zip(names, free, strict=False))

    def _number(self, tag: str) -> int:
        number = self._numbers.get(tag, 0)
        if number == 0 and tag and len(self._numbers) < MOST_TAGS:
            taken = set(self._numbers.values())
            number = next(at for at in range(1, MOST_TAGS + 1) if at not in taken)
            self._numbers[tag] = number
        return number

    def _recount(self) -> None:
        """Names stand for what has rows: a candidate without a label and a tag without an example are unknown."""
        counts, tagged = self.index.totals()[1], self.index.tags()
        self.columns = {name: at for name, at in self._named.items() if counts[at]}
        self._numbers = {name: at for name, at in self._numbers.items() if at < len(tagged) and tagged[at]}
