"""The compiled core (native/): text to vector, vector to neighbours, neighbours to a vote, in microseconds.

Owns: everything that is arithmetic over a whole prompt or a whole shelf, and reading the bytes of plain messages.
Knows no tenant, no model and no price.
Refuses: arrays of a wrong type or dimension with TypeError, values that cannot be right with ValueError; in either case
nothing has changed. Long work lets other threads run.
"""

from collections.abc import Iterator, Sequence
from typing import Never, TypeAlias, overload

import numpy as np
import numpy.typing as npt

Placed: TypeAlias = tuple[str, float, float, float, float | None, float, float, float]

SHAPE_DIMS: int
"""How many numbers of a vector, its last, are the prompt's shape."""

def kernels() -> list[str]:
    """The instruction sets that this machine can scan with, best first."""

def embed_hashed(
    text: str,
    places: int,
    tools: int = 0,
    earlier_turns: int = 0,
    system_characters: int = 0,
    structured: bool = False,
    max_tokens: int = 0,
) -> npt.NDArray[np.float32]:
    """A vector of length 1 and `places + SHAPE_DIMS` numbers, from hashed words and n-grams."""

def shape(
    text: str,
    tools: int = 0,
    earlier_turns: int = 0,
    system_characters: int = 0,
    structured: bool = False,
    max_tokens: int = 0,
) -> list[float]:
    """The numbers of a prompt's shape as they are counted, before they are scaled."""

def read_request(data: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], bytes] | None:
    """Target, headers (their names in lower case) and body, if these bytes are exactly one plain POST over HTTP/1.1.

    None for anything else, and for all that might be read in two ways or says more than how long the body is: a part of
    a request, two of them, chunks, an offer of another protocol, a body that waits for leave, the wish to close.
    """

def read_target(data: bytes, without: bytes) -> bytes | None:
    """The target alone, of bytes that `read_request` reads; None also where there is a header of that name."""

def read_answer(data: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes] | None:
    """Status, headers (their names in lower case) and body, if these bytes are exactly one plain final answer.

    None for anything else, as above; also for answers that have no body whatever they say of its length.
    """

def vote(similarities: npt.NDArray[np.float32], labels: npt.NDArray[np.float32], means: Sequence[float]) -> Ballot:
    """What neighbours say about all candidates: one row of `labels` for each neighbour, one column for each candidate.

    Neighbours come nearest first. A label is from 0 to 1, or NaN where there is none. `means` is what each candidate
    scores without neighbours.
    """

class Ballot:
    """The result of a vote, one number for each candidate."""

    @property
    def quality(self) -> list[float]:
        """The expected score."""

    @property
    def error(self) -> list[float]:
        """The standard error of the quality."""

    @property
    def effective(self) -> list[float]:
        """How many equally near labels the neighbours' labels are worth."""

    @property
    def covariance(self) -> list[list[float]]:
        """How two qualities err together; on the diagonal, the squares of `error`.

        The variance of a lead of a over b is covariance[a][a] + covariance[b][b] - 2 * covariance[a][b].
        """

    def stand(
        self,
        names: list[str],
        lines: Sequence[float],
        costs: list[float | None],
        units: tuple[float, float],
        penalties: Sequence[float],
        terms: tuple[float, float],
    ) -> tuple[list[Placed], float, float | None, float | None]:
        """The candidates by quality - weight x cost - penalty, best first, each with its quality, error, effective
        labels, cost as it was given and in units, penalty and score; how likely the first is no worse than whoever
        comes closest; from which weight on a cheaper one would win, and up to which a dearer, if any would.

        `units`: what costs are counted in, and how many of them it is taken to cost who has no cost. `lines` is what
        else is expected of each, NaN where nothing is. `terms`: the share that a line has in a quality, and the weight.
        Those that score and cost the same stand in the order of their names.
        """

class Table:
    """A packed token table. It never changes, and any thread may use it."""

    def __init__(self, data: bytes) -> None: ...
    @property
    def dims(self) -> int:
        """How many numbers a token's row has."""

    def __len__(self) -> int: ...
    def tokens(self, text: str) -> list[str]:
        """The pieces that the text is read as."""

    def embed(
        self,
        text: str,
        tools: int = 0,
        earlier_turns: int = 0,
        system_characters: int = 0,
        structured: bool = False,
        max_tokens: int = 0,
    ) -> npt.NDArray[np.float32]:
        """A vector of length 1 and `dims + SHAPE_DIMS` numbers: what the text says, beside what kind of text it is.

        The first and the last 512 characters are read.
        """

class Neighbours:
    """What a search found, nearest first; equally near rows in the order they lie, which a snapshot keeps."""

    def __len__(self) -> int: ...
    @property
    def ids(self) -> npt.NDArray[np.int64]: ...
    @property
    def similarities(self) -> npt.NDArray[np.float32]:
        """Cosines, exact in float32."""

    @property
    def labels(self) -> npt.NDArray[np.float32]:
        """One row for each neighbour, one column for each column of the table; NaN where there is no label."""

    def likeness(self, count: int) -> float:
        """The mean similarity of the nearest so many; 0 where there are none."""

    def shown(self, count: int, names: list[str], columns: Sequence[int]) -> Shown:
        """The nearest so many with their labels in these columns, whose names are given."""

    def vote(self, candidates: Sequence[int], means: Sequence[float]) -> Ballot:
        """The vote for these columns; `means` has one number for each of them."""

class Shown(Sequence[tuple[int, float, dict[str, float]]]):
    """Id, similarity and labels by name, where there are any, of some neighbours; items are made when they are read."""

    def __init__(self, packed: bytes, names: list[str]) -> None:
        """Of `packed` bytes, each row of which has a label for each of the names."""

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, at: int, /) -> tuple[int, float, dict[str, float]]: ...
    @overload
    def __getitem__(self, at: slice, /) -> Never:
        """It cannot be sliced."""

    def __iter__(self) -> Iterator[tuple[int, float, dict[str, float]]]: ...
    @property
    def ids(self) -> str:
        """Each between commas, as a text is searched for one."""

    @property
    def names(self) -> list[str]: ...
    @property
    def packed(self) -> bytes:
        """Everything but the names, in a way that stays the same."""

class Ridge:
    """A straight line per model, read alike on every machine. It never changes, and any thread may use it."""

    def __init__(
        self,
        coefficients: npt.NDArray[np.float32],
        of_tags: npt.NDArray[np.float32],
        intercepts: npt.NDArray[np.float32],
        tagged: float,
    ) -> None:
        """A row of coefficients for each model; a row for each tag, the first for none, with a number for each model.

        An intercept is NaN where nothing was fitted. `tagged` scales what is read where a tag stands beside the vector.
        """

    def expect(self, vector: npt.NDArray[np.float32], tag: int = 0) -> list[float]:
        """Each model's expected score from 0 to 1, or NaN. A tag that nothing was fitted for is none."""

class Rows:
    """One tenant's vectors with their tags and labels, searchable by cosine. Any thread may use it at any time."""

    def __init__(self, dims: int, columns: int = 0, tag_pull: float = 0.2, kernel: str | None = None) -> None:
        """`tag_pull` is the squared length of the part that a tag adds to a vector of length 1.

        `kernel` is one of `kernels()`, the best by default.
        """

    @property
    def dims(self) -> int: ...
    @property
    def columns(self) -> int: ...
    @property
    def tag_pull(self) -> float: ...
    @property
    def kernel(self) -> str: ...
    @property
    def held_bytes(self) -> int:
        """The memory that is held."""

    def __len__(self) -> int: ...
    def __contains__(self, row_id: int, /) -> bool: ...
    def insert(
        self,
        ids: npt.NDArray[np.int64],
        vectors: npt.NDArray[np.float32],
        tags: npt.NDArray[np.uint16] | None = None,
        labels: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Adds rows, or replaces those whose id is known. The next search sees them.

        Vectors have length 1. Tag 0 is no tag. Labels are from 0 to 1, or NaN where there is none.
        """

    def delete(self, ids: npt.NDArray[np.int64]) -> int:
        """Overwrites these rows, and says how many of them were there."""

    def widen(self, columns: int) -> None:
        """Adds columns without labels, up to this number."""

    def reserve(self, rows: int) -> None:
        """Makes room, so that inserting up to this number of rows moves none."""

    def search(self, query: npt.NDArray[np.float32], count: int, tag: int = 0) -> Neighbours:
        """The nearest rows, `count` of them or all there are."""

    def totals(self) -> tuple[list[float], list[int]]:
        """Sum and number of the labels in each column."""

    def tags(self) -> list[int]:
        """How many rows have each tag, the first number for none; as long as the greatest tag there ever was."""

    def everything(
        self,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
        """All rows: ids, vectors, tags and labels, in the order they lie."""

    def save(self) -> bytes:
        """Everything, as bytes that `load` takes on a table of the same `dims` and `tag_pull`."""

    def load(self, data: bytes | memoryview) -> None:
        """Replaces everything. Bytes that are damaged or of another space are refused."""
