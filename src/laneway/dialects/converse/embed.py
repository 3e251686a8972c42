"""Embeddings by InvokeModel, both ways: the bodies are each model family's own.

Owns: Titan Text Embeddings (https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html),
one text a call, and Cohere Embed (.../model-parameters-embed.html), up to 96.
Refuses: several texts at once for Titan, because one request must stay one call. Cohere's body has no token count; it
is in the header x-amzn-bedrock-input-token-count, which whoever reads a body alone cannot see: usage is then unknown.
"""

from __future__ import annotations

import re

import msgspec

from laneway.chat import Embedding, EmbedRequest, Json, Op, Usage
from laneway.dialects import Outgoing, Stamp, View, Written
from laneway.dialects.converse.outgoing import path
from laneway.failure import Failure, FailureError, Kind, fail
from laneway.unsayable import unsayable
from laneway.wire.fault import misfit
from laneway.wire.json import UNREADABLE, decode, encode, read_tree
from laneway.wire.malformed import missing

COHERE_TEXTS = 96
"""The most texts Cohere takes in one call."""

_TITAN = re.compile(r"titan-embed")
_TITAN_1 = re.compile(r"titan-embed-text-v1|titan-embed-g1")
_COHERE = re.compile(r"cohere\.embed")
_COHERE_4 = re.compile(r"cohere\.embed-v4")
# Cohere must be told what the vectors are for; storing texts is what most calls without a word about it do.
_COHERE_PURPOSE = "search_document"


class Invoke(msgspec.Struct, gc=False):
    """Both families' bodies: `inputText` is Titan's one text, `texts` are Cohere's."""

    one: str | None = msgspec.field(default=None, name="inputText")
    texts: list[str] | None = None
    dimensions: int | None = None
    output_dimension: int | None = None
    truncate: str | None = None


_invoke = msgspec.json.Decoder(Invoke)
_KNOWN = frozenset(Invoke.__struct_encode_fields__)
# `normalize` scales vectors and `input_type` tilts them; both are hints, because no other format has a word for them.
_HINTS = frozenset(("normalize", "input_type"))
_FLOATS: tuple[object, ...] = (None, ["float"], [])


def _decode(body: bytes) -> tuple[Invoke, tuple[str, ...]]:
    said = decode(_invoke, body)
    texts = (said.one,) if said.one is not None else tuple(said.texts or ())
    if not texts:
        raise missing("inputText")
    return said, texts


def view(body: bytes) -> View:
    _, texts = _decode(body)
    return View(op=Op.EMBED, model="", stream=False, text_chars=sum(map(len, texts)), turns=len(texts))


def read_request(body: bytes) -> EmbedRequest:
    said, texts = _decode(body)
    fields = read_tree(body)
    kinds = {name: fields.pop(name, None) for name in ("embedding_types", "embeddingTypes")}
    hints: dict[str, Json] = {name: value for name, value in fields.items() if name in _HINTS}
    unknown = [name for name, value in kinds.items() if value not in _FLOATS]
    unknown += [name for name in fields if name not in _KNOWN and name not in _HINTS]
    return EmbedRequest(
        model="",
        texts=texts,
        dimensions=said.dimensions if said.dimensions is not None else said.output_dimension,
        truncate=None if said.truncate is None else said.truncate != "NONE",
        one=said.one is not None,
        hints=hints,
        unknown=tuple(unknown),
    )


def write_request(request: EmbedRequest, model: str) -> Outgoing:
    if request.unknown:
        raise unsayable(request.unknown[0])
    if request.tokens:
        raise fail(Kind.UNSUPPORTED, "This provider embeds texts, not token ids.", field="input")
    omitted = [name for name in request.hints if name not in _HINTS]
    if request.user is not None:
        omitted.append("user")
    if _TITAN.search(model):
        said = _write_titan(request, model, omitted)
    elif _COHERE.search(model):
        said = _write_cohere(request, model)
    else:
        raise fail(Kind.UNSUPPORTED, "How this model is asked for embeddings is not known.", field="model")
    return Outgoing(path(model, "invoke"), encode(said), omitted=tuple(omitted))


def _write_titan(request: EmbedRequest, model: str, omitted: list[str]) -> dict[str, object]:
    if len(request.texts) != 1:
        raise fail(Kind.UNSUPPORTED, "Titan embeds one text a call; send the texts one by one.", field="input")
    said: dict[str, object] = {"inputText": request.texts[0]}
    if _TITAN_1.search(model):
        if request.dimensions is not None:
            raise unsayable("dimensions")
    elif request.dimensions is not None:
        said["dimensions"] = request.dimensions
    if (normalize := request.hints.get("normalize")) is not None:
        said["normalize"] = normalize
    # Titan refuses a text that is too long, which is what saying False asks for.
    if request.truncate:
        omitted.append("truncate")
    return said


def _write_cohere(request: EmbedRequest, model: str) -> dict[str, object]:
    if len(request.texts) > COHERE_TEXTS:
        raise fail(Kind.UNSUPPORTED, f"Cohere embeds up to {COHERE_TEXTS} texts a call.", field="input")
    said: dict[str, object] = {
        "texts": request.texts,
        "input_type": request.hints.get("input_type") or _COHERE_PURPOSE,
        "embedding_types": ["float"],
    }
    newer = _COHERE_4.search(model) is not None
    if request.truncate is not None:
        said["truncate"] = "NONE" if not request.truncate else "RIGHT" if newer else "END"
    if request.dimensions is not None:
        if not newer:
            raise unsayable("dimensions")
        said["output_dimension"] = request.dimensions
    return said


# --- answers -----------------------------------------------------------------------------------------------


class _Vectors(msgspec.Struct, gc=False):
    embedding: tuple[float, ...] | None = None
    embeddings: list[tuple[float, ...]] | dict[str, list[tuple[float, ...]]] | None = None
    tokens: int | None = msgspec.field(default=None, name="inputTextTokenCount")


_vectors = msgspec.json.Decoder(_Vectors)


def read_embedding(body: bytes) -> Embedding:
    try:
        said = _vectors.decode(body)
    except UNREADABLE as error:
        raise FailureError(_no_vectors(str(error))) from None
    found = said.embeddings
    if isinstance(found, dict):
        found = found.get("float")
    vectors = (said.embedding,) if said.embedding is not None else tuple(found or ())
    if not vectors:
        raise FailureError(_no_vectors("no vectors"))
    return Embedding(model="", vectors=vectors, usage=Usage(input=said.tokens))


def glance_usage(body: bytes) -> Usage:
    """Raises FailureError where the body has no vectors."""
    return read_embedding(body).usage


def _no_vectors(detail: str) -> Failure:
    return misfit("embeddings", detail)


def write_embedding(embedding: Embedding, stamp: Stamp) -> Written:
    """In the form of the request: Titan's for its one text, else Cohere's."""
    asked = stamp.request
    tokens = embedding.usage.input or 0
    if isinstance(asked, EmbedRequest) and asked.one and len(embedding.vectors) == 1:
        said: dict[str, object] = {"embedding": embedding.vectors[0], "inputTextTokenCount": tokens}
    else:
        said = {
            "id": stamp.id,
            "texts": asked.texts if isinstance(asked, EmbedRequest) else (),
            "embeddings": {"float": embedding.vectors},
            "response_type": "embeddings_by_type",
        }
    headers = ((b"x-amzn-bedrock-input-token-count", str(tokens).encode()),)
    return Written(200, encode(said), headers=headers)
