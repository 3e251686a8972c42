"""Ollama's own API as a dialect: /api/chat, /api/generate, /api/embed, /api/embeddings and the model lists.

Owns: the `Dialect` made of the rooms beside this file: `request` (in), `outgoing` (to a provider), `answer`, `stream`,
`models`, `fault`. The shapes without a verb in the Protocol (/api/ps, /api/show, /api/version, load requests) are
functions here, for the api.
Refuses: the management verbs (pull, push, create, delete, copy); they are nobody's business but the host's.
"""

from __future__ import annotations

from collections.abc import Sequence

from laneway.chat import Answer, Card, ChatRequest, Embedding, EmbedRequest, Glance, Op
from laneway.dialects import Asked, Dialect, Headers, Outgoing, Stamp, StreamReader, StreamWriter, View, Written
from laneway.dialects.ollama import answer, fault, models, outgoing, request, schema, stream
from laneway.dialects.ollama.models import full_name, read_show, write_load, write_ps, write_show, write_version
from laneway.failure import Failure

__all__ = ["full_name", "make", "read_show", "write_load", "write_ps", "write_show", "write_version"]


class Ollama:
    """Stateless; one instance serves a process."""

    name = schema.NAME
    stream_type = b"application/x-ndjson"
    models_path = "/api/tags"

    def view(self, op: Op, body: bytes) -> View:
        return request.view(op, body)

    def asked(self, op: Op, body: bytes) -> Asked:
        return request.asked(op, body)

    def patch(self, op: Op, body: bytes, model: str | None, *, ask_usage: bool) -> bytes:
        del op, ask_usage  # one shape of `model` on every path, and usage comes unasked
        return request.patch(body, model)

    def read_request(self, op: Op, body: bytes) -> ChatRequest:
        return request.read_request(op, body)

    def write_request(self, request: ChatRequest, model: str) -> Outgoing:
        return outgoing.write_request(request, model)

    def read_answer(self, op: Op, body: bytes) -> Answer:
        del op  # the body says which path's shape it is
        return answer.read_answer(body)

    def write_answer(self, op: Op, answer_: Answer, stamp: Stamp) -> Written:
        return answer.write_answer(op, answer_, stamp)

    def reader(self, op: Op) -> StreamReader:
        del op
        return stream.Reader()

    def writer(self, op: Op, stamp: Stamp, *, usage: bool) -> StreamWriter:
        del usage  # the last line always tells it
        return stream.Writer(op, stamp)

    def read_embed_request(self, op: Op, body: bytes) -> EmbedRequest:
        del op
        return request.read_embed_request(body)

    def write_embed_request(self, request: EmbedRequest, model: str) -> Outgoing:
        return outgoing.write_embed_request(request, model)

    def read_embedding(self, body: bytes) -> Embedding:
        return answer.read_embedding(body)

    def write_embedding(self, embedding: Embedding, stamp: Stamp) -> Written:
        return answer.write_embedding(embedding, stamp)

    def glance(self, op: Op, body: bytes) -> Glance:
        return answer.glance(op, body)

    def local(self, op: Op, body: bytes, view: View, stamp: Stamp) -> Written | None:
        """A load request, at a provider that loads nothing."""
        if view.turns or op not in (Op.CHAT, Op.COMPLETE):
            return None
        return write_load(op, body, stamp)

    def read_failure(self, status: int, headers: Headers, body: bytes) -> Failure:
        return fault.read_failure(status, headers, body)

    def write_failure(self, failure: Failure, request_id: str) -> Written:
        del request_id  # there is no place for it but a header, which the edge writes
        return fault.write_failure(failure)

    def read_models(self, body: bytes) -> list[Card]:
        return models.read_models(body)

    def write_models(self, cards: Sequence[Card]) -> Written:
        return models.write_models(cards)

    def path(self, op: Op, model: str, *, stream: bool) -> str:
        del model, stream  # both are in the body
        return outgoing.PATHS.get(op, "")

    def credentials(self, key: str) -> tuple[tuple[bytes, bytes], ...]:
        # docs/api/authentication.mdx: a local server asks for none, ollama.com for a bearer token.
        return ((b"authorization", b"Bearer " + key.encode()),) if key else ()


def make() -> Dialect:
    """The dialect, for `laneway.dialects.dialect`."""
    return Ollama()
