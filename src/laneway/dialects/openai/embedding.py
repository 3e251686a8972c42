"""Vectors, both ways.

Owns: the embeddings answer, with vectors as numbers or, where the caller asked for it, as base64 of little-endian
32-bit floats (OpenAI's clients ask for that on their own).
Refuses: mixing up the order: vectors come in the order of the texts, whatever order the provider listed them in.
"""

from __future__ import annotations

import binascii
import sys
from array import array
from typing import Any, Final

import msgspec

from laneway.chat import Embedding, EmbedRequest, Usage
from laneway.dialects import Stamp, Written
from laneway.dialects.objects.fault import build_failure
from laneway.dialects.openai.answer import NO_ANSWER, NO_JSON
from laneway.dialects.openai.usage import UsageBody, read_usage
from laneway.failure import FailureError
from laneway.wire.json import UNREADABLE, encode

_SWAPS = sys.byteorder == "big"


class Entry(msgspec.Struct, gc=False):
    embedding: tuple[float, ...] | str
    index: int | None = None


class EmbeddingAnswer(msgspec.Struct):
    model: str | None = None
    data: list[Entry] | None = None
    usage: UsageBody | None = None
    error: Any = None


_decode: Final = msgspec.json.Decoder(EmbeddingAnswer).decode


def read_embedding(body: bytes) -> Embedding:
    try:
        read = _decode(body)
        entries = read.data or []
        vectors = [_unpack(entry.embedding) for entry in entries]
    except (*UNREADABLE, binascii.Error, ValueError):
        raise FailureError(NO_JSON) from None
    if read.error:
        raise FailureError(build_failure(read.error, 0))
    if not entries:
        raise FailureError(NO_ANSWER)
    places = [place if entry.index is None else entry.index for place, entry in enumerate(entries)]
    return Embedding(
        model=read.model or "",
        vectors=tuple(vector for _, vector in sorted(zip(places, vectors, strict=True), key=lambda pair: pair[0])),
        usage=Usage() if read.usage is None else read_usage(read.usage),
    )


def _unpack(packed: tuple[float, ...] | str) -> tuple[float, ...]:
    if not isinstance(packed, str):
        return packed
    values = array("f", binascii.a2b_base64(packed, strict_mode=True))
    if _SWAPS:
        values.byteswap()
    return tuple(values)


def _pack(vector: tuple[float, ...]) -> str:
    values = array("f", vector)
    if _SWAPS:
        values.byteswap()
    return binascii.b2a_base64(values.tobytes(), newline=False).decode()


def write_embedding(embedding: Embedding, stamp: Stamp) -> Written:
    request = stamp.request
    packs = isinstance(request, EmbedRequest) and request.encoding == "base64"
    entries = [
        {"object": "embedding", "index": index, "embedding": _pack(vector) if packs else vector}
        for index, vector in enumerate(embedding.vectors)
    ]
    tokens = embedding.usage.input or 0
    body = {
        "object": "list",
        "data": entries,
        "model": embedding.model or stamp.model,
        # Clients demand the object even where nothing was reported.
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return Written(200, encode(body))
