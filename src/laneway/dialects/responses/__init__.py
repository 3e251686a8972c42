"""OpenAI's Responses API, as OpenAI and compatible servers (vLLM, Ollama, LM Studio, OpenRouter) speak it.

Owns: /v1/responses in both directions, by handing each verb to the module that knows it: `view` and `request` (from
callers), `outgoing` (to the provider), `answer`, `stream`, `events`. What the API would keep is kept by nobody here: a
translated conversation comes whole with each request.
Refuses: embeddings and legacy completions, which this format does not have.
"""

from __future__ import annotations

from collections.abc import Sequence

from laneway.chat import Answer, Card, ChatRequest, Embedding, EmbedRequest, Glance, Op
from laneway.dialects import Asked, Dialect, Headers, Outgoing, Stamp, StreamReader, StreamWriter, View, Written
from laneway.dialects.objects import fault, models
from laneway.dialects.responses import answer as answers
from laneway.dialects.responses import outgoing
from laneway.dialects.responses import request as requests
from laneway.dialects.responses import view as views
from laneway.dialects.responses.events import Writer
from laneway.dialects.responses.stream import Reader
from laneway.failure import Failure, FailureError, Kind, fail


class Responses:
    name = "responses"
    stream_type = b"text/event-stream"
    models_path = "/models"

    def view(self, op: Op, body: bytes) -> View:
        _known(op)
        return views.read_view(body)

    def asked(self, op: Op, body: bytes) -> Asked:
        _known(op)
        return views.read_asked(body)

    def patch(self, op: Op, body: bytes, model: str | None, *, ask_usage: bool) -> bytes:
        return views.patch_body(body, model)

    def read_request(self, op: Op, body: bytes) -> ChatRequest:
        _known(op)
        return requests.read_request(body)

    def write_request(self, request: ChatRequest, model: str) -> Outgoing:
        return outgoing.write_request(request, model)

    def read_answer(self, op: Op, body: bytes) -> Answer:
        return answers.read_answer(body)

    def write_answer(self, op: Op, answer: Answer, stamp: Stamp) -> Written:
        return answers.write_answer(answer, stamp)

    def reader(self, op: Op) -> StreamReader:
        return Reader()

    def writer(self, op: Op, stamp: Stamp, *, usage: bool) -> StreamWriter:
        return Writer(stamp)

    def read_embed_request(self, op: Op, body: bytes) -> EmbedRequest:
        raise _no_embeddings()

    def write_embed_request(self, request: EmbedRequest, model: str) -> Outgoing:
        raise _no_embeddings()

    def read_embedding(self, body: bytes) -> Embedding:
        raise _no_embeddings()

    def write_embedding(self, embedding: Embedding, stamp: Stamp) -> Written:
        raise _no_embeddings()

    def glance(self, op: Op, body: bytes) -> Glance:
        return answers.glance(body)

    def local(self, op: Op, body: bytes, view: View, stamp: Stamp) -> Written | None:
        return None

    def read_failure(self, status: int, headers: Headers, body: bytes) -> Failure:
        return fault.read_failure(status, headers, body)

    def write_failure(self, failure: Failure, request_id: str) -> Written:
        return fault.write_failure(failure, request_id)

    def read_models(self, body: bytes) -> list[Card]:
        return models.read_models(body)

    def write_models(self, cards: Sequence[Card]) -> Written:
        return models.write_models(cards)

    def path(self, op: Op, model: str, *, stream: bool) -> str:
        return "/responses" if op is Op.CHAT else ""

    def credentials(self, key: str) -> tuple[tuple[bytes, bytes], ...]:
        return ((b"authorization", b"Bearer " + key.encode()),) if key else ()


def make() -> Dialect:
    return Responses()


def _known(op: Op) -> None:
    if op is not Op.CHAT:
        raise views.no_operation(op)


def _no_embeddings() -> FailureError:
    return fail(
        Kind.UNSUPPORTED,
        "The Responses format makes no embeddings; choose an embedding model at a provider of another dialect.",
        field="model",
    )
