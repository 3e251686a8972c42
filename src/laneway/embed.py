"""Text becomes a vector: the embedders that need no network.

Owns: the table that ships inside the package and when it is read, the names of the spaces that vectors live in, and
what of a request counts beside its prompt. Refuses: to compare vectors of two spaces (whoever keeps vectors keeps their
`space` with them), and to compute: that is the compiled core's.
An embedder is cheap to make and cheap to ask (some 20 microseconds for a long prompt), so it may be asked on the loop.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Protocol

import msgspec

from laneway import _core
from laneway.ports.examples import PLAIN as PLAIN
from laneway.ports.examples import Setting as Setting

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

TAG_PULL = 0.2
"""The squared length of a tag's part of a vector, where all the rest has length 1.

Content has length 1, shape 0.5 and tag 0.5 before they are put together: 0.25 beside 1.25.
"""

STATIC_VERSION = 1
"""Raised whenever the table or the scales of the shape change: both make another space."""

HASHED_VERSION = 1
HASHED_PLACES = 512
"""Measured on three sets: 1024 is not better beyond the noise and takes twice the memory; 256 is a little worse."""


class Embedder(Protocol):
    """Text to vector, the same vector for the same text for as long as `space` stays the same."""

    @property
    def space(self) -> str:
        """Names embedder, version and dimensions: vectors with different names must not meet."""

    @property
    def dims(self) -> int: ...

    def embed(self, text: str, setting: Setting = PLAIN) -> npt.NDArray[np.float32]:
        """A vector of length 1. Any text will do; of a long one, both ends are read."""


@cache
def _table() -> _core.Table:
    """Four megabytes and ten milliseconds, once per process and not before somebody embeds."""
    return _core.Table((files("laneway") / "data" / "static.table").read_bytes())


class StaticEmbedder:
    """The default: a mean of token vectors distilled from a sentence model, beside the prompt's shape."""

    dims = 128 + _core.SHAPE_DIMS
    space = f"static-{STATIC_VERSION}-{dims}"

    def embed(self, text: str, setting: Setting = PLAIN) -> npt.NDArray[np.float32]:
        return _table().embed(text, *msgspec.structs.astuple(setting))


class HashedEmbedder:
    """The floor that needs no table: hashed words and n-grams, beside the prompt's shape."""

    dims = HASHED_PLACES + _core.SHAPE_DIMS
    space = f"hashed-{HASHED_VERSION}-{dims}"

    def embed(self, text: str, setting: Setting = PLAIN) -> npt.NDArray[np.float32]:
        return _core.embed_hashed(text, HASHED_PLACES, *msgspec.structs.astuple(setting))


def with_tag(vector: npt.NDArray[np.float32], tag: int, tags: int) -> npt.NDArray[np.float32]:
    """The vector with a place for each of `tags` tags, for an index that knows nothing of tags.

    Dot products of such vectors are the similarities that the core finds for vector and tag apart. Tag 0 is no tag.
    """
    import numpy as np

    if not 0 <= tag <= tags:
        raise ValueError(f"tag must be from 0 to {tags}, not {tag}")
    out = np.zeros(vector.size + tags, np.float32)
    out[: vector.size] = vector
    if tag:
        out[vector.size + tag - 1] = TAG_PULL**0.5
        out /= (1 + TAG_PULL) ** 0.5
    return out
