"""Rows that FAISS searches, for who wants it, and to compare with.

Owns: the index (flat while rows are few, then inverted lists), tags as further dimensions, and labels beside both.
Refuses: nothing that the compiled core does, but it is slower at most sizes (bench/bench_shelves.py) and takes more
memory. From `INVERTED_FROM` rows on it finds most of the nearest, not all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import faiss
import numpy as np

from laneway import _core
from laneway.embed import TAG_PULL

if TYPE_CHECKING:
    import numpy.typing as npt

    from laneway.ports.examples import Ballot

    Floats = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]
    Tags = npt.NDArray[np.uint16]

INVERTED_FROM = 20_000
PROBES = 128
"""Lists that are looked through, of about four times the root of the number of rows: 99.8 % of the nearest of real
prompts were found so, 95 % with 32."""
_TAG = TAG_PULL**0.5
_TAGGED = (1 + TAG_PULL) ** 0.5


class FaissFound(NamedTuple):
    """What a search found."""

    ids: Ids
    similarities: Floats
    labels: Floats

    def __len__(self) -> int:
        return len(self.ids)

    def vote(self, candidates: Sequence[int], means: Sequence[float]) -> Ballot:
        chosen = np.ascontiguousarray(self.labels[:, list(candidates)])
        return _core.vote(self.similarities, chosen, means)

    def likeness(self, count: int) -> float:
        near: list[float] = self.similarities[:count].tolist()
        return sum(near) / len(near) if near else 0.0

    def shown(
        self, count: int, names: list[str], columns: Sequence[int]
    ) -> tuple[tuple[int, float, dict[str, float]], ...]:
        rows = self.labels[:count].tolist()
        named = list(zip(names, columns, strict=True))
        return tuple(
            (example, like, {name: row[column] for name, column in named if row[column] == row[column]})
            for example, like, row in zip(
                self.ids[:count].tolist(), self.similarities[:count].tolist(), rows, strict=True
            )
        )


class FaissRows:
    """As the core's Rows. A row has a place in the arrays for as long as it lives; the index knows its id."""

    def __init__(self, dims: int) -> None:
        self.dims = dims
        self._places: dict[int, int] = {}
        self._free: list[int] = []
        self._ids = np.zeros(0, np.int64)
        self._vectors = np.zeros((0, dims), np.float32)
        self._tags = np.zeros(0, np.uint16)
        self._labels = np.zeros((0, 0), np.float32)
        self._slots = 0
        """Dimensions for tags."""
        self._index = self._made(0)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def columns(self) -> int:
        return self._labels.shape[1]

    @property
    def held_bytes(self) -> int:
        arrays = (self._ids, self._vectors, self._tags, self._labels)
        return sum(array.nbytes for array in arrays) + len(self) * (4 * (self.dims + self._slots) + 100)

    def insert(self, ids: Ids, vectors: Floats, tags: Tags, labels: Floats) -> None:
        self._forget([number for number in ids.tolist() if number in self._places])
        places = np.array([self._place(number) for number in ids.tolist()], np.intp)
        self._ids[places], self._vectors[places], self._tags[places], self._labels[places] = ids, vectors, tags, labels
        if int(tags.max(initial=0)) > self._slots or self._outgrown():
            self._build()
        else:
            last = np.array([self._places[number] for number in dict.fromkeys(ids.tolist())], np.intp)
            self._index.add_with_ids(self._beside_tags(last), self._ids[last])

    def delete(self, ids: Ids) -> int:
        known = [number for number in dict.fromkeys(ids.tolist()) if number in self._places]
        self._forget(known)
        for number in known:
            place = self._places.pop(number)
            self._ids[place], self._vectors[place], self._tags[place], self._labels[place] = 0, 0, 0, np.nan
            self._free.append(place)
        return len(known)

    def widen(self, columns: int) -> None:
        wider = np.full((len(self._labels), columns), np.nan, np.float32)
        wider[:, : self.columns] = self._labels
        self._labels = wider

    def search(self, query: Floats, count: int, tag: int = 0) -> FaissFound:
        count = min(count, len(self))
        if not count:
            return FaissFound(self._ids[:0], self._vectors[:0, 0], self._labels[:0])
        asked = np.zeros((1, self.dims + self._slots), np.float32)
        asked[0, : self.dims] = query
        if 0 < tag <= self._slots:
            asked[0, self.dims - 1 + tag] = _TAG
        if tag:
            asked /= _TAGGED
        similarities, ids = self._index.search(asked, count)
        found = ids[0][ids[0] >= 0]
        places = np.array([self._places[number] for number in found.tolist()], np.intp)
        return FaissFound(found, similarities[0][: len(found)], self._labels[places])

    def totals(self) -> tuple[list[float], list[int]]:
        present = ~np.isnan(self._labels)
        sums = np.where(present, self._labels, 0.0).sum(axis=0, dtype=np.float64)
        return [float(value) for value in sums], [int(value) for value in present.sum(axis=0)]

    def tags(self) -> list[int]:
        return [int(count) for count in np.bincount(self._tags[self._living()])]

    def everything(self) -> tuple[Ids, Floats, Tags, Floats]:
        living = self._living()
        return self._ids[living], self._vectors[living], self._tags[living], self._labels[living]

    def save(self) -> bytes:
        rows = _core.Rows(self.dims, self.columns, TAG_PULL)
        rows.insert(*self.everything())
        return rows.save()

    def load(self, data: bytes | memoryview) -> None:
        rows = _core.Rows(self.dims, 0, TAG_PULL)
        rows.load(data)
        self._ids, self._vectors, self._tags, self._labels = rows.everything()
        self._places = {number: at for at, number in enumerate(self._ids.tolist())}
        self._free = []
        self._build()

    # --- the arrays ----------------------------------------------------------------------------------------

    def _living(self) -> npt.NDArray[np.intp]:
        return np.fromiter(self._places.values(), np.intp, len(self._places))

    def _place(self, number: int) -> int:
        if number not in self._places:
            if not self._free:
                self._grow()
            self._places[number] = self._free.pop()
        return self._places[number]

    def _grow(self) -> None:
        rows = len(self._ids)
        more = max(64, rows // 4)
        self._ids = np.concatenate([self._ids, np.zeros(more, np.int64)])
        self._vectors = np.concatenate([self._vectors, np.zeros((more, self.dims), np.float32)])
        self._tags = np.concatenate([self._tags, np.zeros(more, np.uint16)])
        self._labels = np.concatenate([self._labels, np.full((more, self.columns), np.nan, np.float32)])
        self._free = list(range(rows + more - 1, rows - 1, -1))

    # --- the index -----------------------------------------------------------------------------------------

    def _made(self, rows: int) -> Any:
        dims = self.dims + self._slots
        flat = faiss.IndexFlatIP(dims)
        if rows < INVERTED_FROM:
            return faiss.IndexIDMap2(flat)
        inverted = faiss.IndexIVFFlat(flat, dims, int(4 * rows**0.5), faiss.METRIC_INNER_PRODUCT)
        inverted.nprobe = PROBES
        return inverted

    def _outgrown(self) -> bool:
        """Whether another index would be better: the first inverted one, or one with more lists."""
        if not isinstance(self._index, faiss.IndexIVFFlat):
            return len(self) >= INVERTED_FROM
        return len(self) > self._index.nlist**2 / 4

    def _build(self) -> None:
        living = self._living()
        greatest = int(self._tags[living].max(initial=0))
        while self._slots < greatest:
            self._slots = max(8, 2 * self._slots)
        index = self._made(len(living))
        vectors = self._beside_tags(living)
        if not index.is_trained:
            index.train(vectors[:: max(len(living) // INVERTED_FROM, 1)])
        index.add_with_ids(vectors, self._ids[living])
        self._index = index

    def _forget(self, ids: Sequence[int]) -> None:
        if ids:
            self._index.remove_ids(np.array(ids, np.int64))

    def _beside_tags(self, places: npt.NDArray[np.intp]) -> Floats:
        """As `embed.with_tag`, for the rows at these places."""
        tags = self._tags[places]
        out = np.zeros((len(places), self.dims + self._slots), np.float32)
        out[:, : self.dims] = self._vectors[places]
        tagged = np.flatnonzero(tags)
        out[tagged, self.dims - 1 + tags[tagged].astype(np.intp)] = _TAG
        out[tagged] /= _TAGGED
        return out
