"""What a shelf is made in and of: a space, a trust in sources, an index; and an example with its place.

Owns: the values that the parts of this room hand one another. Refuses: doing anything with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from laneway.ports.examples import PLAIN, Example, Setting

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]


class Placed(NamedTuple):
    """An example and where it lies."""

    example: Example
    vector: Floats


class Space(Protocol):
    """Where an embedder's vectors live."""

    @property
    def name(self) -> str: ...
    @property
    def near(self) -> bool:
        """Vectors are computed here, and cost nothing."""

    def embed(self, text: str, setting: Setting = PLAIN) -> Floats | None: ...
    async def vector(self, text: str, setting: Setting = PLAIN) -> Floats | None: ...
    async def place(self, tenant: str, examples: Sequence[Example]) -> Sequence[Placed]:
        """The examples with their vectors. Raises FailureError where a provider does not answer."""


class Form(NamedTuple):
    """What a shelf is built with: another form makes another shelf of the same rows."""

    space: Space
    trust: Mapping[str, float] = {}
    searcher: Literal["core", "faiss"] = "core"

    @property
    def place(self) -> str:
        """Shelves of one place have the same vectors, whatever their labels are worth."""
        return f"{self.space.name} {self.searcher}"

    @property
    def key(self) -> str:
        return f"{self.place} {sorted(self.trust.items())}"
