"""The dialect of AWS Bedrock's runtime.

Owns: Converse and ConverseStream, and InvokeModel for embeddings, in both directions, by handing each verb to the
module that knows it: `request` (from callers), `outgoing` and `family` (to the provider), `answer`, `stream`, `embed`,
`fault`.
Refuses: signing, which belongs to the upstream room; counting tokens; and putting the model anywhere but in the path,
so that `patch` has nothing to do and whoever serves this format takes model and streaming from the path.
"""

from __future__ import annotations

from collections.abc import Sequence

from laneway.chat import Answer, Card, ChatRequest, Embedding, EmbedRequest, Glance, Op
from laneway.dialects import Asked, Headers, Outgoing, Stamp, StreamReader, StreamWriter, View, Written, asked_of
from laneway.dialects.converse import answer, embed, fault, outgoing, request, stream
from laneway.failure import Failure, FailureError, Kind, fail


class Converse:
    name = "converse"
    stream_type = b"application/vnd.amazon.eventstream"
    models_path = ""

    def view(self, op: Op, body: bytes) -> View:
        if op is Op.EMBED:
            return embed.view(body)
        _chat(op)
        return request.view(body)

    def asked(self, op: Op, body: bytes) -> Asked:
        return asked_of(request.read_request(body)) if op is Op.CHAT else Asked()

    def patch(self, op: Op, body: bytes, model: str | None, *, ask_usage: bool) -> bytes:
        return body

    def read_request(self, op: Op, body: bytes) -> ChatRequest:
        _chat(op)
        return request.read_request(body)

    def write_request(self, request: ChatRequest, model: str) -> Outgoing:
        return outgoing.write_request(request, model)

    def read_answer(self, op: Op, body: bytes) -> Answer:
        return answer.read_answer(body)

    def write_answer(self, op: Op, given: Answer, stamp: Stamp) -> Written:
        return answer.write_answer(given, stamp)

    def reader(self, op: Op) -> StreamReader:
        return stream.Reader()

    def writer(self, op: Op, stamp: Stamp, *, usage: bool) -> StreamWriter:
        return stream.Writer(stamp)

    def read_embed_request(self, op: Op, body: bytes) -> EmbedRequest:
        return embed.read_request(body)

    def write_embed_request(self, request: EmbedRequest, model: str) -> Outgoing:
        return embed.write_request(request, model)

    def read_embedding(self, body: bytes) -> Embedding:
        return embed.read_embedding(body)

    def write_embedding(self, embedding: Embedding, stamp: Stamp) -> Written:
        return embed.write_embedding(embedding, stamp)

    def glance(self, op: Op, body: bytes) -> Glance:
        if op is not Op.EMBED:
            return answer.glance(body)
        try:
            return Glance(usage=embed.glance_usage(body))
        except FailureError as error:
            return Glance(failure=error.failure)

    def local(self, op: Op, body: bytes, view: View, stamp: Stamp) -> Written | None:
        return None

    def read_failure(self, status: int, headers: Headers, body: bytes) -> Failure:
        return fault.read_failure(status, headers, body)

    def write_failure(self, failure: Failure, request_id: str) -> Written:
        return fault.write_failure(failure, request_id)

    def read_models(self, body: bytes) -> list[Card]:
        return answer.read_models(body)

    def write_models(self, cards: Sequence[Card]) -> Written:
        return answer.write_models(cards)

    def path(self, op: Op, model: str, *, stream: bool) -> str:
        if op is Op.CHAT:
            return outgoing.path(model, "converse-stream" if stream else "converse")
        return outgoing.path(model, "invoke") if op is Op.EMBED else ""

    def credentials(self, key: str) -> tuple[tuple[bytes, bytes], ...]:
        """A Bedrock API key; requests without one are signed instead
        (https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html)."""
        return ((b"authorization", b"Bearer " + key.encode()),)


def make() -> Converse:
    return Converse()


def _chat(op: Op) -> None:
    if op is not Op.CHAT:
        raise fail(Kind.UNSUPPORTED, f"Bedrock's format has no {op.value} requests.", field="model")
