"""OpenAI's format: embeddings both ways, and the model list."""

from __future__ import annotations

import json
from array import array
from base64 import b64encode
from typing import Any

import httpx2
import openai
import pytest

from laneway.chat import Card, Embedding, EmbedRequest, Op, Usage
from laneway.dialects import Dialect, Stamp, dialect
from laneway.failure import FailureError, Kind

OPENAI: Dialect = dialect("openai")


def error(message: str = "m", **more: object) -> dict[str, object]:
    return {"error": {"message": message, **more}}


def embed_request(**fields: object) -> EmbedRequest:
    return OPENAI.read_embed_request(Op.EMBED, json.dumps({"model": "m"} | fields).encode())


def test_the_forms_of_an_embeddings_input() -> None:
    assert embed_request(input="a").texts == ("a",)
    assert embed_request(input=["a", "b"]).texts == ("a", "b")
    assert embed_request(input=[1, 2]).tokens == ((1, 2),)
    assert embed_request(input=[[1], [2]]).tokens == ((1,), (2,))
    for wrong in (["a", 1], [[1], 2], []):
        with pytest.raises(FailureError) as caught:
            embed_request(input=wrong)
        assert caught.value.failure.field == "input"


def test_embedding_requests_that_cannot_be_said() -> None:
    request = embed_request(input="a", input_type="query", store=True)
    assert (request.unknown, request.hints) == (("input_type",), {"store": True})
    with pytest.raises(FailureError) as caught:
        OPENAI.write_embed_request(request, "m")
    assert caught.value.failure.field == "input_type"
    written = OPENAI.write_embed_request(EmbedRequest(model="", texts=("a",), truncate=True, hints={"keep": 1}), "m2")
    assert (json.loads(written.body), written.omitted) == ({"model": "m2", "input": ["a"]}, ("truncate", "keep"))
    assert written.path == OPENAI.path(Op.EMBED, "m2", stream=False) == "/embeddings"


def test_vectors_come_in_the_order_of_the_texts() -> None:
    packed = b64encode(array("f", [0.5, -2.0]).tobytes()).decode()
    data = [{"index": 1, "embedding": [1, 2.5]}, {"index": 0, "embedding": packed}]
    body = {"object": "list", "model": "m", "data": data, "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    read = OPENAI.read_embedding(json.dumps(body).encode())
    assert read == Embedding(model="m", vectors=((0.5, -2.0), (1.0, 2.5)), usage=Usage(input=3))


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"data":[]}', b'{"data":[{"embedding":"?"}]}'])
def test_what_is_no_embedding(body: bytes) -> None:
    with pytest.raises(FailureError) as caught:
        OPENAI.read_embedding(body)
    assert caught.value.failure.kind is Kind.MALFORMED_ANSWER


def test_an_error_in_place_of_an_embedding() -> None:
    with pytest.raises(FailureError) as caught:
        OPENAI.read_embedding(json.dumps(error(code=429)).encode())
    assert caught.value.failure.kind is Kind.RATE_LIMITED


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_the_real_client_reads_our_vectors(encoding: Any) -> None:
    """Left to itself it asks for base64 and unpacks it."""
    answer = Embedding(model="", vectors=((0.5, -2.0),), usage=Usage(input=3))

    def respond(request: httpx2.Request) -> httpx2.Response:
        stamp = Stamp("r", "m", 1, OPENAI.read_embed_request(Op.EMBED, request.content))
        return httpx2.Response(200, content=OPENAI.write_embedding(answer, stamp).body)

    http = httpx2.Client(transport=httpx2.MockTransport(respond))
    client = openai.OpenAI(api_key="k", base_url="http://gateway.invalid/v1", http_client=http)
    plain = client.embeddings.create(model="m", input="a")
    assert (plain.data[0].embedding, plain.model, plain.usage.total_tokens) == ([0.5, -2.0], "m", 3)
    asked: Any = client.embeddings.create(model="m", input="a", encoding_format=encoding).data[0].embedding
    assert asked == ([0.5, -2.0] if encoding == "float" else b64encode(array("f", [0.5, -2.0]).tobytes()).decode())


def test_model_lists_of_many_servers() -> None:
    """vLLM, OpenRouter, Groq and Together each say the window in their own way; Ollama says null for no models."""
    entries = [
        {"id": "a/b:c", "object": "model", "created": 5, "owned_by": "x"},
        {"id": "v", "max_model_len": 10, "created": 0},
        {"id": "r", "context_length": 20, "name": "R"},
        {"id": "g", "context_window": 30, "max_completion_tokens": 4},
    ]
    cards = [
        Card(id="a/b:c", provider="x", created_s=5),
        Card(id="v", window=10),
        Card(id="r", window=20, display="R"),
        Card(id="g", window=30, output=4),
    ]
    assert OPENAI.read_models(json.dumps({"data": entries}).encode()) == cards
    assert OPENAI.read_models(json.dumps(entries).encode()) == cards
    assert OPENAI.read_models(b'{"object":"list","data":null}') == []
    for wrong in (b"<html>", b'{"data":[{}]}'):
        with pytest.raises(FailureError) as caught:
            OPENAI.read_models(wrong)
        assert caught.value.failure.kind is Kind.MALFORMED_ANSWER
    with pytest.raises(FailureError) as caught:
        OPENAI.read_models(json.dumps(error(type="authentication_error")).encode())
    assert caught.value.failure.kind is Kind.CREDENTIALS


def test_a_model_list_for_a_caller() -> None:
    cards = [Card(id="a/b", provider="p"), Card(id="c", created_s=7, window=9, output=8, display="C")]
    assert json.loads(OPENAI.write_models(cards).body) == {
        "object": "list",
        "data": [
            {"id": "a/b", "object": "model", "created": 0, "owned_by": "p"},
            {
                "id": "c",
                "object": "model",
                "created": 7,
                "owned_by": "",
                "name": "C",
                "context_window": 9,
                "max_completion_tokens": 8,
            },
        ],
    }


def test_keys_travel_as_bearer_tokens() -> None:
    assert OPENAI.credentials("k") == ((b"authorization", b"Bearer k"),)
    assert OPENAI.credentials("") == ()
