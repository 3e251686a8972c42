"""The dialect of Anthropic's Messages API.

Owns: /v1/messages and /v1/messages/count_tokens in both directions, by handing each verb to the module that knows it:
`request` (from callers), `outgoing` (to the provider), `answer`, `stream`, `blocks`, `fault`.
Refuses: embeddings, which this format does not have, and bodies of the older /v1/complete.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from laneway.chat import Answer, Card, ChatRequest, Embedding, EmbedRequest, Finish, Glance, Op, Usage
from laneway.dialects import Asked, Headers, Outgoing, Stamp, StreamReader, StreamWriter, View, Written
from laneway.dialects.anthropic import answer, blocks, fault, outgoing, request, stream
from laneway.failure import Failure, FailureError, Kind, fail

VERSION = b"2023-06-01"
"""The only version of the API there is (https://docs.claude.com/en/api/versioning)."""

# A picture of the usual size, by https://platform.claude.com/docs/en/build-with-claude/vision
_PICTURE_TOKENS = 1_600
_PATHS = {Op.CHAT: "/v1/messages", Op.COUNT: "/v1/messages/count_tokens"}


class Anthropic:
    name = "anthropic"
    stream_type = b"text/event-stream; charset=utf-8"
    models_path = "/v1/models"

    def view(self, op: Op, body: bytes) -> View:
        _known(op)
        return request.view(op, body)

    def asked(self, op: Op, body: bytes) -> Asked:
        _known(op)
        return request.asked(op, body)

    def patch(self, op: Op, body: bytes, model: str | None, *, ask_usage: bool) -> bytes:
        return request.patch(body, model)

    def read_request(self, op: Op, body: bytes) -> ChatRequest:
        _known(op)
        return request.read_request(op, body)

    def write_request(self, request: ChatRequest, model: str) -> Outgoing:
        return outgoing.write_request(request, model)

    def read_answer(self, op: Op, body: bytes) -> Answer:
        return answer.read_answer(op, body)

    def write_answer(self, op: Op, given: Answer, stamp: Stamp) -> Written:
        return answer.write_answer(op, given, stamp)

    def reader(self, op: Op) -> StreamReader:
        return stream.Reader()

    def writer(self, op: Op, stamp: Stamp, *, usage: bool) -> StreamWriter:
        return blocks.Writer(stamp)

    def read_embed_request(self, op: Op, body: bytes) -> EmbedRequest:
        raise _no_embeddings()

    def write_embed_request(self, request: EmbedRequest, model: str) -> Outgoing:
        raise _no_embeddings()

    def read_embedding(self, body: bytes) -> Embedding:
        raise _no_embeddings()

    def write_embedding(self, embedding: Embedding, stamp: Stamp) -> Written:
        raise _no_embeddings()

    def glance(self, op: Op, body: bytes) -> Glance:
        return answer.glance(op, body)

    def local(self, op: Op, body: bytes, view: View, stamp: Stamp) -> Written | None:
        """A token count where the provider has no counter: about four characters a token, and said to be a guess."""
        if op is not Op.COUNT:
            return None
        counted = answer.write_answer(op, Answer(model="", parts=(), finish=Finish.STOP, usage=_guess(view)), stamp)
        return msgspec.structs.replace(counted, headers=((b"x-laneway-estimated", b"input_tokens"),))

    def read_failure(self, status: int, headers: Headers, body: bytes) -> Failure:
        return fault.read_failure(status, headers, body)

    def write_failure(self, failure: Failure, request_id: str) -> Written:
        return fault.write_failure(failure, request_id)

    def read_models(self, body: bytes) -> list[Card]:
        return answer.read_models(body)

    def write_models(self, cards: Sequence[Card]) -> Written:
        return answer.write_models(cards)

    def path(self, op: Op, model: str, *, stream: bool) -> str:
        return _PATHS.get(op, "")

    def credentials(self, key: str) -> tuple[tuple[bytes, bytes], ...]:
        return ((b"x-api-key", key.encode()), (b"anthropic-version", VERSION))


def make() -> Anthropic:
    return Anthropic()


def _guess(view: View) -> Usage:
    return Usage(input=-(-view.text_chars // 4) + view.images * _PICTURE_TOKENS)


def _known(op: Op) -> None:
    if op not in _PATHS:
        raise fail(Kind.UNSUPPORTED, f"Anthropic's format has no {op.value} requests.", field="model")


def _no_embeddings() -> FailureError:
    return fail(
        Kind.UNSUPPORTED,
        "Anthropic's format has no embeddings; choose an embedding model of another provider.",
        field="model",
    )
