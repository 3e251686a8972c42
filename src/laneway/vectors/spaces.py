"""Spaces: where an embedder's vectors live, and how a page of examples gets there.

Owns: embedding many examples without keeping the loop waiting, and keeping vectors that are dear in the store.
Refuses: embedding itself (`embed` does), and vectors of two spaces side by side.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from laneway.embed import Embedder, RemoteEmbedder
from laneway.ports.examples import PLAIN, Example, Examples, Setting
from laneway.vectors.form import Placed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

AT_ONCE = 8
"""Examples that are embedded on the loop: a fraction of a millisecond. More go to a thread."""
TURN = 16
TURN_S = 0.0001
"""After so many examples a thread rests for so long: whoever computes without a pause keeps the loop from going on for
five milliseconds at a time (sys.getswitchinterval)."""
CALL = 64
"""Texts in one call to a provider."""
log = logging.getLogger("laneway")


class NearSpace:
    """Of an embedder that computes in this process."""

    near = True

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.name = embedder.space
        self.embed = embedder.embed

    async def vector(self, text: str, setting: Setting = PLAIN) -> Floats | None:
        return self.embed(text, setting)

    async def place(self, tenant: str, examples: Sequence[Example]) -> Sequence[Placed]:
        if len(examples) <= AT_ONCE:
            return [Placed(one, self.embed(one.text, one.setting)) for one in examples]
        return await asyncio.to_thread(self._place, examples)

    def _place(self, examples: Sequence[Example]) -> Sequence[Placed]:
        placed: list[Placed] = []
        for at in range(0, len(examples), TURN):
            placed += [Placed(one, self.embed(one.text, one.setting)) for one in examples[at : at + TURN]]
            time.sleep(TURN_S)
        return placed


class FarSpace:
    """Of a provider: vectors are kept in the store, because each is a call and costs money."""

    near = False

    def __init__(self, embedder: RemoteEmbedder, examples: Examples) -> None:
        self._embedder = embedder
        self._examples = examples
        self.name = embedder.space
        self.embed = embedder.embed
        self.vector = embedder.vector

    async def place(self, tenant: str, examples: Sequence[Example]) -> Sequence[Placed]:
        import numpy as np

        kept = await self._examples.vectors(tenant, self.name, [one.id for one in examples])
        vectors = {number: np.frombuffer(packed, np.float32) for number, packed in kept.items()}
        missing = [one for one in examples if one.id not in vectors]
        for at in range(0, len(missing), CALL):
            some = missing[at : at + CALL]
            made = await self._embedder.embed_many([(one.text, one.setting) for one in some])
            await self._examples.keep_vectors(
                tenant, self.name, {one.id: (one, vector.tobytes()) for one, vector in zip(some, made, strict=True)}
            )
            vectors.update({one.id: vector for one, vector in zip(some, made, strict=True)})
        return [Placed(one, vectors[one.id]) for one in examples]
