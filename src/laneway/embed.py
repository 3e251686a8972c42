"""Text becomes a vector: the embedders that need no network, and the one that asks a provider.

Owns: the table that ships inside the package and when it is read, the names of the spaces that vectors live in, and
what of a request counts beside its prompt. Refuses: to compare vectors of two spaces (whoever keeps vectors keeps their
`space` with them), and to compute: that is the compiled core's.
An embedder is cheap to make and cheap to ask (some 20 microseconds for a long prompt), so it may be asked on the loop;
the remote one is asked with `vector`, which waits no longer than its deadline.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Protocol

import msgspec

from laneway import _core
from laneway.chat import EmbedRequest
from laneway.dialects import dialect
from laneway.failure import FailureError, Kind, fail
from laneway.ports import Call, Clocks, Upstream
from laneway.ports.examples import PLAIN as PLAIN
from laneway.ports.examples import Setting as Setting

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from laneway.route import Target

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
        if setting is PLAIN:
            return _table().embed(text)
        return _table().embed(text, *msgspec.structs.astuple(setting))


class HashedEmbedder:
    """The floor that needs no table: hashed words and n-grams, beside the prompt's shape."""

    dims = HASHED_PLACES + _core.SHAPE_DIMS
    space = f"hashed-{HASHED_VERSION}-{dims}"

    def embed(self, text: str, setting: Setting = PLAIN) -> npt.NDArray[np.float32]:
        return _core.embed_hashed(text, HASHED_PLACES, *msgspec.structs.astuple(setting))


REMOTE_VERSION = 1
SIDE_CHARS = 1000
"""Of a longer prompt a provider sees this much of either end."""
DEADLINE_S = 0.3
"""A request waits for its vector no longer than this; then it is decided without one."""
BATCH_CLOCKS = Clocks(connect_s=5.0, headers_s=60.0, first_content_s=60.0, between_chunks_s=30.0)
MOST_ANSWER = 64 << 20
MOST_REMEMBERED = 4096
log = logging.getLogger("laneway")

Sign = Callable[[Call], Awaitable[Call]]


class RemoteEmbedder:
    """A provider's embeddings beside the prompt's shape. What it costs is the operator's, on nobody's budget."""

    def __init__(
        self, upstream: Upstream, target: Target, *, sign: Sign | None = None, deadline_s: float = DEADLINE_S
    ) -> None:
        self.space = f"remote-{REMOTE_VERSION}-{target.provider.name}/{target.upstream}"
        self.late = 0
        """Prompts whose vector did not come in time."""
        self._upstream = upstream
        self._target = target
        self._sign = sign
        self._deadline_s = deadline_s
        self._clocks = Clocks(
            connect_s=deadline_s, headers_s=deadline_s, first_content_s=deadline_s, between_chunks_s=deadline_s
        )
        self._remembered: OrderedDict[tuple[str, Setting], npt.NDArray[np.float32]] = OrderedDict()

    def embed(self, text: str, setting: Setting = PLAIN) -> npt.NDArray[np.float32] | None:
        """A vector that was asked for not long ago."""
        known = self._remembered.get((text, setting))
        if known is not None:
            self._remembered.move_to_end((text, setting))
        return known

    async def vector(self, text: str, setting: Setting = PLAIN) -> npt.NDArray[np.float32] | None:
        """None where the provider is late, or fails."""
        if (known := self.embed(text, setting)) is not None:
            return known
        try:
            async with asyncio.timeout(self._deadline_s):
                (vector,) = await self._ask([(text, setting)], self._clocks)
        except (TimeoutError, FailureError) as error:
            self.late += 1
            log.debug("no vector for a prompt: %s", error)
            return None
        self._remembered[text, setting] = vector
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return vector

    async def embed_many(self, prompts: Sequence[tuple[str, Setting]]) -> Sequence[npt.NDArray[np.float32]]:
        """In one call where the provider takes many, without haste. Raises FailureError."""
        try:
            return await self._ask(prompts, BATCH_CLOCKS)
        except FailureError as error:
            if error.failure.kind is not Kind.UNSUPPORTED or len(prompts) == 1:
                raise
        return [(await self._ask([prompt], BATCH_CLOCKS))[0] for prompt in prompts]

    async def _ask(self, prompts: Sequence[tuple[str, Setting]], clocks: Clocks) -> Sequence[npt.NDArray[np.float32]]:
        provider = self._target.provider
        speaks = dialect(provider.dialect)
        texts = tuple([_ends(text) for text, _ in prompts])
        asked = speaks.write_embed_request(
            EmbedRequest(model=self._target.upstream, texts=texts), self._target.upstream
        )
        headers = ((b"content-type", b"application/json"), *provider.headers, *asked.headers)
        call = Call("POST", provider.origin, provider.path + asked.path, headers, asked.body)
        reply = await self._upstream.open(await self._sign(call) if self._sign is not None else call, clocks)
        try:
            body = b""
            while len(body) <= MOST_ANSWER and (piece := await reply.read(clocks.between_chunks_s)):
                body += piece
        finally:
            await reply.close()
        if not 200 <= reply.status < 300:
            raise FailureError(speaks.read_failure(reply.status, reply.headers, body))
        vectors = speaks.read_embedding(body).vectors
        if len(vectors) != len(prompts):
            raise fail(
                Kind.MALFORMED_ANSWER, f"The provider {provider.name} sent {len(vectors)} vectors for {len(prompts)}."
            )
        return [_beside_shape(vector, text, setting) for vector, (text, setting) in zip(vectors, prompts, strict=True)]


def _ends(text: str) -> str:
    """What is looked at; some providers refuse a text without words."""
    return (text if len(text) <= 2 * SIDE_CHARS else f"{text[:SIDE_CHARS]} {text[-SIDE_CHARS:]}").strip() or "-"


def _beside_shape(content: Sequence[float], text: str, setting: Setting) -> npt.NDArray[np.float32]:
    """A content of length 1 and half the shape, with length 1 together, as the core puts its own vectors together."""
    import numpy as np

    said = np.array(content, np.float32)
    length = float(np.linalg.norm(said))
    if not 0 < length < np.inf:
        raise fail(Kind.MALFORMED_ANSWER, "A provider sent a vector without a length.")
    # The last places of any local vector are the shape's.
    shape = HashedEmbedder().embed(text, setting)[-_core.SHAPE_DIMS :]
    out = np.concatenate([said / length, shape * (0.5 / max(float(np.linalg.norm(shape)), 1e-9))])
    vector: npt.NDArray[np.float32] = (out / np.linalg.norm(out)).astype(np.float32)
    return vector


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
