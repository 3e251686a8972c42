"""OpenAI's wire format: chat completions, the legacy completions, embeddings and the model list.

Owns: the format as OpenAI's API reference documents it, and as vLLM, llama.cpp, Ollama's /v1, OpenRouter, DeepSeek,
Mistral, Groq and Azure speak it where they differ. Paths are behind a url that ends in `/v1`, as its clients have it.
A COMPLETE request that is translated is asked as a chat, unless its model serves completions only; readers of answers
take either shape, so that `op` need not follow.
Refuses: the Responses API, which is a dialect of its own, and audio, which has no neutral form yet.
"""

from __future__ import annotations

from collections.abc import Sequence

from laneway.chat import Answer, Card, ChatRequest, Embedding, EmbedRequest, Glance, Op
from laneway.dialects import Asked, Dialect, Headers, Outgoing, Stamp, StreamReader, StreamWriter, View, Written
from laneway.dialects.objects import fault, models
from laneway.dialects.openai import answer as answers
from laneway.dialects.openai import asked as prompts
from laneway.dialects.openai import embedding as embeddings
from laneway.dialects.openai import outgoing
from laneway.dialects.openai import request as requests
from laneway.dialects.openai import view as views
from laneway.dialects.openai.chunks import ChunkWriter
from laneway.dialects.openai.stream import ChunkReader
from laneway.failure import Failure

_PATHS = {Op.CHAT: "/chat/completions", Op.COMPLETE: "/completions", Op.EMBED: "/embeddings"}


class OpenAI:
    """The verbs of `Dialect`, each at home in the module that owns its noun."""

    name = "openai"
    stream_type = b"text/event-stream"
    models_path = "/models"

    def view(self, op: Op, body: bytes) -> View:
        return views.read_view(op, body)

    def asked(self, op: Op, body: bytes) -> Asked:
        return prompts.read_asked(op, body)

    def patch(self, op: Op, body: bytes, model: str | None, *, ask_usage: bool) -> bytes:
        return views.patch_body(body, model, ask_usage=ask_usage and op is not Op.EMBED)

    def read_request(self, op: Op, body: bytes) -> ChatRequest:
        return requests.read_request(op, body)

    def write_request(self, request: ChatRequest, model: str) -> Outgoing:
        return outgoing.write_request(request, model)

    def read_answer(self, op: Op, body: bytes) -> Answer:
        return answers.read_answer(body)

    def write_answer(self, op: Op, answer: Answer, stamp: Stamp) -> Written:
        return answers.write_answer(op, answer, stamp)

    def reader(self, op: Op) -> StreamReader:
        return ChunkReader()

    def writer(self, op: Op, stamp: Stamp, *, usage: bool) -> StreamWriter:
        return ChunkWriter(op, stamp, usage=usage)

    def read_embed_request(self, op: Op, body: bytes) -> EmbedRequest:
        return requests.read_embed_request(op, body)

    def write_embed_request(self, request: EmbedRequest, model: str) -> Outgoing:
        return outgoing.write_embed_request(request, model)

    def read_embedding(self, body: bytes) -> Embedding:
        return embeddings.read_embedding(body)

    def write_embedding(self, embedding: Embedding, stamp: Stamp) -> Written:
        return embeddings.write_embedding(embedding, stamp)

    def glance(self, op: Op, body: bytes) -> Glance:
        return answers.glance(op, body)

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

    def write_model(self, card: Card) -> Written:
        """One entry alone, as /models/{id} answers."""
        return models.write_model(card)

    def path(self, op: Op, model: str, *, stream: bool) -> str:
        return _PATHS.get(op, "")

    def credentials(self, key: str) -> tuple[tuple[bytes, bytes], ...]:
        return ((b"authorization", b"Bearer " + key.encode()),) if key else ()


def make() -> Dialect:
    return OpenAI()
