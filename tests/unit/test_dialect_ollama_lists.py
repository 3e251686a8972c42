"""Ollama beside the conversation: embeddings, failures, lists of models, and what the api writes by itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from laneway.chat import (
    Card,
    Embedding,
    EmbedRequest,
    Op,
    Timings,
    Usage,
)
from laneway.dialects import Stamp, dialect
from laneway.dialects.ollama import full_name, read_show, write_load, write_ps, write_show, write_version
from laneway.failure import Failure, FailureError, Kind

OLLAMA = dialect("ollama")
STAMP = Stamp(id="req_1", model="gemma3", now_s=1_700_000_000)


def body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "gemma3", **fields})


# --- embeddings --------------------------------------------------------------------------------------------


def test_embed_requests_in_both_forms() -> None:
    newer = OLLAMA.read_embed_request(Op.EMBED, body(input=["a", "b"], truncate=False, dimensions=8, keep_alive="1m"))
    assert newer == EmbedRequest(
        model="gemma3", texts=("a", "b"), truncate=False, dimensions=8, hints={"keep_alive": "1m"}
    )
    assert OLLAMA.read_embed_request(Op.EMBED, body(input="a")).texts == ("a",)
    older = OLLAMA.read_embed_request(Op.EMBED, body(prompt="a", options={"num_ctx": 8}, mood=1))
    assert older == EmbedRequest(
        model="gemma3", texts=("a",), one=True, hints={"options.num_ctx": 8}, unknown=("mood",)
    )


def test_embed_requests_go_out_in_the_newer_form() -> None:
    older = EmbedRequest(model="m", texts=("a",), one=True, hints={"options.num_ctx": 8, "x": 1}, user="u")
    outgoing = OLLAMA.write_embed_request(older, "nomic")
    assert outgoing.path == "/api/embed"
    assert outgoing.omitted == ("x", "user")
    assert msgspec.json.decode(outgoing.body) == {"model": "nomic", "input": ["a"], "options": {"num_ctx": 8}}


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (EmbedRequest(model="m", tokens=((1, 2),)), "tokens"),
        (EmbedRequest(model="m", texts=("a",), unknown=("mood",)), "mood"),
    ],
)
def test_embeddings_ollama_cannot_make(request_: EmbedRequest, field: str) -> None:
    with pytest.raises(FailureError) as caught:
        OLLAMA.write_embed_request(request_, "m")
    assert (caught.value.failure.kind, caught.value.failure.field) == (Kind.UNSUPPORTED, field)


def test_embeddings_are_read_and_written_in_both_forms() -> None:
    newer = b'{"model":"m","embeddings":[[0.5,-1],[1,0]],"total_duration":9,"load_duration":1,"prompt_eval_count":8}'
    embedding = OLLAMA.read_embedding(newer)
    assert embedding == Embedding(
        model="m",
        vectors=((0.5, -1.0), (1.0, 0.0)),
        usage=Usage(input=8),
        timings=Timings(total_ns=9, load_ns=1),
    )
    assert OLLAMA.read_embedding(b'{"embedding":[0.5]}').vectors == ((0.5,),)
    written = msgspec.json.decode(OLLAMA.write_embedding(embedding, STAMP).body)
    assert written == msgspec.json.decode(newer)
    one = msgspec.structs.replace(STAMP, request=EmbedRequest(model="m", texts=("a",), one=True))
    assert msgspec.json.decode(OLLAMA.write_embedding(embedding, one).body) == {"embedding": [0.5, -1]}


def test_a_glance_at_embeddings() -> None:
    assert OLLAMA.glance(Op.EMBED, b'{"embeddings":[[1]],"prompt_eval_count":8}').usage == Usage(input=8)
    assert OLLAMA.glance(Op.EMBED, b'{"embedding":[1]}').failure is None
    for raw, kind in ((b'{"data":[]}', Kind.MALFORMED_ANSWER), (b'{"error":"x"}', Kind.UPSTREAM_ERROR)):
        failure = OLLAMA.glance(Op.EMBED, raw).failure
        assert failure is not None
        assert failure.kind is kind
        with pytest.raises(FailureError) as caught:
            OLLAMA.read_embedding(raw)
        assert caught.value.failure.kind is kind


# --- failures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (404, "model 'llama9' not found", Kind.MODEL_MISSING),
        (404, 'model "llama9" not found, try pulling it first', Kind.MODEL_MISSING),
        (404, "", Kind.MODEL_MISSING),
        (429, "too many requests", Kind.RATE_LIMITED),
        (503, "server busy, please try again.  maximum pending requests exceeded", Kind.OVERLOADED),
        (400, "invalid options: temperature", Kind.BAD_REQUEST),
        (400, '"llama9" does not support tools', Kind.UNSUPPORTED),
        (400, "the input length exceeds the context length", Kind.CONTEXT_TOO_LONG),
        (500, "the input length exceeds the context length", Kind.CONTEXT_TOO_LONG),
        (400, "prompt too long; exceeded max context length by 3 tokens", Kind.CONTEXT_TOO_LONG),
        (500, "llama runner process has terminated: exit status 2", Kind.UPSTREAM_ERROR),
        (502, "cloud model cannot be reached", Kind.UPSTREAM_ERROR),
        (401, "unauthorized", Kind.CREDENTIALS),
    ],
)
def test_what_a_provider_means(status: int, text: str, kind: Kind) -> None:
    failure = OLLAMA.read_failure(status, [], msgspec.json.encode({"error": text}))
    assert (failure.kind, failure.provider_status) == (kind, status)


def test_a_provider_s_words_reach_the_caller_only_where_they_explain_the_request() -> None:
    told = OLLAMA.read_failure(400, [], b'{"error":"invalid options: warmth"}')
    assert "invalid options: warmth" in told.message
    kept = OLLAMA.read_failure(500, [], b'{"error":"open /srv/models/blob: no such file"}')
    assert "/srv" not in kept.message
    assert kept.detail is not None
    assert "/srv" in kept.detail
    hidden = OLLAMA.read_failure(400, [], b'{"error":"bad api_key=abcdefghijkl"}')
    assert "abcdefghijkl" not in hidden.message + (hidden.detail or "")


@pytest.mark.parametrize("raw", [b"", b"<html>busy</html>", b"upstream says no", b"[1]", b'{"error":{"message":"x"}}'])
def test_error_bodies_of_any_shape(raw: bytes) -> None:
    failure = OLLAMA.read_failure(503, [(b"Retry-After", b"2")], raw)
    assert (failure.kind, failure.retry_after_s) == (Kind.OVERLOADED, 2.0)
    assert "<html>" not in (failure.detail or "")


@pytest.mark.parametrize("value", [b"Wed, 21 Oct 2026 07:28:00 GMT", b"-1", b"nan", b""])
def test_a_wait_that_is_no_number_of_seconds_is_not_said(value: bytes) -> None:
    assert OLLAMA.read_failure(429, [(b"retry-after", value)], b"").retry_after_s is None


def test_failures_are_told_in_ollama_s_shape() -> None:
    written = OLLAMA.write_failure(Failure(kind=Kind.RATE_LIMITED, message="Slowly.", retry_after_s=1.2), "req_1")
    assert written.status == 429
    assert msgspec.json.decode(written.body) == {"error": "Slowly."}
    assert written.headers == ((b"retry-after", b"2"),)


# --- lists -------------------------------------------------------------------------------------------------


def test_a_model_list_is_read_and_written() -> None:
    raw = msgspec.json.encode(
        {
            "models": [
                {
                    "name": "gemma3:latest",
                    "model": "gemma3:latest",
                    "modified_at": "2023-11-04T14:56:49.277302595-07:00",
                    "size": 7365960935,
                    "digest": "9f43",
                    "details": {
                        "format": "gguf",
                        "family": "gemma",
                        "families": None,
                        "parameter_size": "4B",
                        "quantization_level": "Q4_0",
                    },
                    "capabilities": ["completion", "tools", "vision"],
                },
                {"name": "nomic:latest", "capabilities": ["embedding"]},
            ]
        }
    )
    cards = OLLAMA.read_models(raw)
    assert cards == [
        Card(
            id="gemma3:latest",
            created_s=1_699_135_009,
            modified="2023-11-04T14:56:49.277302595-07:00",
            size_bytes=7365960935,
            digest="9f43",
            family="gemma",
            parameters="4B",
            quantization="Q4_0",
            abilities=("tools", "vision"),
        ),
        Card(id="nomic:latest", kind="embed"),
    ]
    again = OLLAMA.read_models(OLLAMA.write_models(cards).body)
    assert again[0] == msgspec.structs.replace(cards[0], abilities=())


def test_an_empty_list_is_a_list_and_other_things_are_not() -> None:
    assert OLLAMA.read_models(b'{"models":null}') == []
    for raw in (b"<html>", b'{"data":[]}', b'{"models":[1]}'):
        with pytest.raises(FailureError) as caught:
            OLLAMA.read_models(raw)
        assert caught.value.failure.kind is Kind.MALFORMED_ANSWER


def test_the_shapes_beside_the_protocol() -> None:
    card = Card(id="gemma3:4b", provider="studio", family="gemma", window=8192, abilities=("tools",))
    shown = msgspec.json.decode(write_show(card).body)
    assert shown["capabilities"] == ["completion", "tools"]
    assert shown["model_info"]["gemma.context_length"] == 8192
    assert msgspec.json.decode(write_show(Card(id="n", kind="embed")).body)["capabilities"] == ["embedding"]
    loaded = msgspec.json.decode(write_ps([card], expires_at="2026-01-01T00:00:00Z").body)["models"]
    assert (loaded[0]["name"], loaded[0]["expires_at"]) == ("gemma3:4b", "2026-01-01T00:00:00Z")
    assert OLLAMA.read_models(write_ps([card]).body)[0].window == 8192
    assert write_version("1.2").body == b'{"version":"1.2"}'
    assert read_show(b'{"model":"a"}') == "a"
    assert read_show(b'{"name":"b"}') == "b"
    with pytest.raises(FailureError):
        read_show(b"{}")


@pytest.mark.parametrize(
    ("op", "fields", "reason"),
    [
        (Op.CHAT, {"messages": []}, "load"),
        (Op.CHAT, {"messages": [], "keep_alive": 0}, "unload"),
        (Op.COMPLETE, {}, "load"),
        (Op.COMPLETE, {"keep_alive": "0s"}, "unload"),
        (Op.COMPLETE, {"keep_alive": "5m"}, "load"),
    ],
)
def test_loading_is_answered_as_ollama_does(op: Op, fields: dict[str, Any], reason: str) -> None:
    told = msgspec.json.decode(write_load(op, body(**fields), STAMP).body)
    assert (told["done"], told["done_reason"], told["model"]) == (True, reason, "gemma3")
    assert ("message" in told) is (op is Op.CHAT)


def test_a_name_without_a_tag_means_latest() -> None:
    assert full_name("gemma3") == "gemma3:latest"
    assert full_name("gemma3:4b") == "gemma3:4b"
    assert full_name("host:5000/me/gemma3") == "host:5000/me/gemma3:latest"


def test_a_key_is_a_bearer_token_and_no_key_is_none() -> None:
    assert OLLAMA.credentials("k") == ((b"authorization", b"Bearer k"),)
    assert OLLAMA.credentials("") == ()


def test_paths() -> None:
    paths = {op: OLLAMA.path(op, "m", stream=True) for op in Op}
    assert paths == {Op.CHAT: "/api/chat", Op.COMPLETE: "/api/generate", Op.EMBED: "/api/embed", Op.COUNT: ""}
