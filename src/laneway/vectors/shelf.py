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
    def load(self, data: bytes | memoryview) -> None: ...
    def everything(self) -> tuple[npt.NDArray[np.int64], Floats, npt.NDArray[np.uint16], Floats]: ...


def made_index(searcher: str, dims: int) -> Index:
    """FAISS is loaded here, and only if it is what searches."""
    if searcher == "core":
        return _core.Rows(dims, 0, TAG_PULL)
    from laneway.vectors.faiss_rows import FaissRows

    return FaissRows(dims)


class TenantShelf:
    """As of `edition`. Written to by one at a time, searched by anybody meanwhile."""

    def __init__(self, tenant: str, dims: int, form: Form) -> None:
        self.tenant = tenant
        self.space = form.space.name
        self.dims = dims
        self.form = form
        self.trust = form.trust
        """What its labels were weighed with."""
        self.edition = 0
        self.saved = 0
        """The edition that its snapshot has."""
        self.columns: Mapping[str, int] = {}
        self.index = made_index(form.searcher, dims)
        self.search = self.index.search
        self._named: dict[str, int] = {}
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.index)

    @property
    def held_bytes(self) -> int:
        return self.index.held_bytes

    def tag(self, name: str) -> int:
        return self._numbers.get(name, 0)

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

    def unpack(self, rows: memoryview, columns: Mapping[str, int], tags: Mapping[str, int]) -> None:
        """Replaces all rows. For a thread. Raises ValueError for bytes that are damaged or do not fit the names."""
        self.index.load(rows)
        if not all(0 <= at < self.index.columns for at in columns.values()) or len(self.index.tags()) > MOST_TAGS + 1:
            raise ValueError("its rows and its names do not fit together")
        self._named, self._numbers = dict(columns), dict(tags)
        self._recount()

    def put(self, placed: Sequence[Placed], gone: Sequence[int] = ()) -> None:
        """Adds examples or replaces those of the same id, and removes others."""
        import numpy as np

        if gone:
            self.index.delete(np.array(gone, np.int64))
            self._recount()
        if not placed:
            return
        scores = [weighed(one.example.labels, self.trust) for one in placed]
        candidates = list(dict.fromkeys(name for row in scores for name in row))
        labels = np.array([[row.get(name, np.nan) for name in candidates] for row in scores], np.float32)
        self.lay(
            Rows(
                ids=np.fromiter((one.example.id for one in placed), np.int64, len(placed)),
                vectors=np.stack([one.vector for one in placed]),
                tags=self._numbered([one.example.tag for one in placed]),
                labels=labels.reshape(len(placed), len(candidates)),
            ),
            candidates,
        )

    def lay(self, rows: Rows, candidates: Sequence[str]) -> None:
        """Adds rows or replaces those of the same id; there is one column of labels for each of the candidates."""
        import numpy as np

        self._name([name for name in candidates if name not in self._named])
        known = [at for at, name in enumerate(candidates) if name in self._named]
        labels = np.full((len(rows.ids), self.index.columns), np.nan, np.float32)
        labels[:, [self._named[candidates[at]] for at in known]] = rows.labels[:, known]
        self.index.insert(rows.ids, rows.vectors, rows.tags, labels)
        self._recount()

    def _numbered(self, tags: Sequence[str]) -> npt.NDArray[np.uint16]:
        """Numbers for tags, new ones for those that are new."""
        import numpy as np

        for tag in dict.fromkeys(tags):
            if tag and tag not in self._numbers and len(self._numbers) < MOST_TAGS:
                taken = set(self._numbers.values())
                self._numbers[tag] = next(at for at in range(1, MOST_TAGS + 1) if at not in taken)
        return np.fromiter((self._numbers.get(tag, 0) for tag in tags), np.uint16, len(tags))

    def _name(self, names: Sequence[str]) -> None:
        """Gives candidates columns: those that nobody has any more, then new ones."""
        if not names:
            return
        columns = self.index.columns
        free = sorted(set(range(columns)) - set(self._named.values()))
        wanted = min(len(names) - len(free), MOST_COLUMNS - columns)
        if wanted > 0:
            self.index.widen(columns + wanted)
            free += range(columns, columns + wanted)
        # Another dict: the loop may be going through this one.
        self._named = {**self._named, **dict(zip(names, free, strict=False))}

    def _recount(self) -> None:
        """Names stand for what has rows: a candidate without a label and a tag without an example are unknown."""
        counts, tagged = self.index.totals()[1], self.index.tags()
        self.columns = self._named = {name: at for name, at in self._named.items() if counts[at]}
        self._numbers = {name: at for name, at in self._numbers.items() if at < len(tagged) and tagged[at]}
