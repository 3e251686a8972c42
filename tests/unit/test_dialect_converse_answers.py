"""What Bedrock's answers, embeddings and model lists become, what its callers get, and what failures mean both ways."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from laneway.chat import (
    Answer,
    Card,
    Embedding,
    EmbedRequest,
    Finish,
    Op,
    Text,
    Thinking,
    Timings,
    ToolCall,
    Usage,
)
from laneway.dialects import Stamp, dialect
from laneway.failure import Failure, Kind
from tests.harness.failures import failure_of

CONVERSE = dialect("converse")
STAMP = Stamp(id="req_1", model="m", now_s=1_700_000_000, elapsed_ns=5_000_000)
TITAN, TITAN_1 = "amazon.titan-embed-text-v2:0", "amazon.titan-embed-text-v1"
COHERE_3, COHERE_4 = "cohere.embed-english-v3", "us.cohere.embed-v4:0"


def answer(*blocks: dict[str, Any], **fields: Any) -> bytes:
    said = {
        "output": {"message": {"role": "assistant", "content": blocks or [{"text": "Hello"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 10, "outputTokens": 3, "totalTokens": 13},
        "metrics": {"latencyMs": 250},
        **fields,
    }
    return msgspec.json.encode({name: value for name, value in said.items() if value is not ...})


# --- answers -----------------------------------------------------------------------------------------------


def test_an_answer_and_its_parts() -> None:
    raw = answer(
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": "eHl6"}},
        {"text": "Hi"},
        {"citationsContent": {"content": [{"text": "a"}, {"text": "b"}], "citations": []}},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
        stopReason="tool_use",
        trace={"guardrail": {}},
    )
    read = CONVERSE.read_answer(Op.CHAT, raw)
    assert read == Answer(
        model="",
        parts=(Thinking("hm", "sig"), Thinking(redacted="eHl6"), Text("Hi"), Text("ab"), ToolCall("t", "f", '{"a":1}')),
        finish=Finish.TOOLS,
        usage=Usage(input=10, output=3),
        timings=Timings(total_ns=250_000_000),
    )
    written = CONVERSE.write_answer(Op.CHAT, read, STAMP)
    assert CONVERSE.read_answer(Op.CHAT, written.body) == read
    assert written.headers == ((b"x-amzn-requestid", b"req_1"),)


def test_an_answer_of_another_provider_byte_for_byte() -> None:
    given = Answer(model="gpt", parts=(ToolCall("t", "f", ""),), finish=Finish.STOP, usage=Usage(input=5, output=1))
    assert CONVERSE.write_answer(Op.CHAT, given, STAMP).body == (
        b'{"output":{"message":{"role":"assistant","content":[{"toolUse":{"toolUseId":"t","name":"f","input":{}}}]}},'
        b'"stopReason":"tool_use","usage":{"inputTokens":5,"outputTokens":1,"totalTokens":6},"metrics":{"latencyMs":5}}'
    )
    broken = Answer(model="", parts=(ToolCall("t", "f", "{"),), finish=Finish.TOOLS)
    assert failure_of(CONVERSE.write_answer, Op.CHAT, broken, STAMP).kind is Kind.MALFORMED_ANSWER


@pytest.mark.parametrize(
    ("wire", "usage"),
    [
        (
            {"inputTokens": 10, "outputTokens": 3, "totalTokens": 18, "cacheReadInputTokens": 5},
            Usage(input=15, output=3, cache_read=5),
        ),
        (
            {
                "inputTokens": 10,
                "outputTokens": 3,
                "totalTokens": 20,
                "cacheReadInputTokens": 0,
                "cacheWriteInputTokens": 7,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 3}, {"ttl": "5m", "inputTokens": 4}],
            },
            Usage(input=17, output=3, cache_read=0, cache_write_5m=4, cache_write_1h=3),
        ),
        (
            {"inputTokens": 1, "outputTokens": 2, "totalTokens": 10, "cacheWriteInputTokens": 7},
            Usage(input=8, output=2, cache_write_5m=7),
        ),
    ],
)
def test_cached_tokens_are_input_here_and_beside_it_there(wire: dict[str, Any], usage: Usage) -> None:
    read = CONVERSE.read_answer(Op.CHAT, answer(usage=wire))
    assert read.usage == usage
    assert CONVERSE.glance(Op.CHAT, answer(usage=wire)).usage == usage
    assert msgspec.json.decode(CONVERSE.write_answer(Op.CHAT, read, STAMP).body)["usage"] == wire


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", Finish.STOP),
        ("stop_sequence", Finish.STOP_SEQUENCE),
        ("max_tokens", Finish.LENGTH),
        ("model_context_window_exceeded", Finish.LENGTH),
        ("tool_use", Finish.TOOLS),
        ("guardrail_intervened", Finish.FILTERED),
        ("content_filtered", Finish.FILTERED),
        ("of_tomorrow", Finish.STOP),
    ],
)
def test_stop_reasons(reason: str, finish: Finish) -> None:
    raw = answer(stopReason=reason)
    assert CONVERSE.read_answer(Op.CHAT, raw).finish is finish
    glance = CONVERSE.glance(Op.CHAT, raw)
    assert (glance.finish, glance.failure) == (finish, None)


@pytest.mark.parametrize(
    "raw",
    [
        answer(stopReason="malformed_model_output"),
        answer(stopReason="malformed_tool_use"),
        answer(stopReason=...),
        answer(output={}),
        b'{"message":"no"}',
        b"<html>",
        b"",
    ],
)
def test_a_200_that_is_no_answer(raw: bytes) -> None:
    assert failure_of(CONVERSE.read_answer, Op.CHAT, raw).kind is Kind.MALFORMED_ANSWER
    seen = CONVERSE.glance(Op.CHAT, raw).failure
    assert seen is not None
    assert seen.kind is Kind.MALFORMED_ANSWER


def test_model_lists() -> None:
    raw = msgspec.json.encode(
        {
            "modelSummaries": [
                {
                    "modelId": "anthropic.claude-sonnet-4-6",
                    "modelName": "Claude Sonnet 4.6",
                    "inputModalities": ["TEXT", "IMAGE"],
                    "outputModalities": ["TEXT"],
                },
                {"modelId": TITAN, "outputModalities": ["EMBEDDING"]},
            ]
        }
    )
    cards = CONVERSE.read_models(raw)
    assert cards == [
        Card(id="anthropic.claude-sonnet-4-6", display="Claude Sonnet 4.6", abilities=("vision",)),
        Card(id=TITAN, kind="embed"),
    ]
    again = CONVERSE.read_models(CONVERSE.write_models(cards).body)
    assert [(card.id, card.kind, card.abilities) for card in again] == [
        (card.id, card.kind, card.abilities) for card in cards
    ]
    assert failure_of(CONVERSE.read_models, b"[]").kind is Kind.MALFORMED_ANSWER


# --- embeddings --------------------------------------------------------------------------------------------


def embeds(model: str, *texts: str, **fields: Any) -> dict[str, Any]:
    written = CONVERSE.write_embed_request(EmbedRequest(model="m", texts=texts or ("a",), **fields), model)
    assert written.path == CONVERSE.path(Op.EMBED, model, stream=False)
    said: dict[str, Any] = msgspec.json.decode(written.body)
    return said


def test_asking_for_embeddings() -> None:
    assert embeds(TITAN) == {"inputText": "a"}
    assert embeds(TITAN, dimensions=256, hints={"normalize": False}) == {
        "inputText": "a",
        "dimensions": 256,
        "normalize": False,
    }
    assert embeds(COHERE_3, "a", "b", truncate=True) == {
        "texts": ["a", "b"],
        "input_type": "search_document",
        "embedding_types": ["float"],
        "truncate": "END",
    }
    newer = embeds(COHERE_4, dimensions=512, truncate=True, hints={"input_type": "search_query"})
    assert (newer["output_dimension"], newer["truncate"], newer["input_type"]) == (512, "RIGHT", "search_query")
    assert embeds(COHERE_4, truncate=False)["truncate"] == "NONE"


@pytest.mark.parametrize(
    ("model", "fields", "field"),
    [
        (TITAN, {"texts": ("a", "b")}, "input"),
        (TITAN, {"tokens": ((1, 2),)}, "input"),
        (TITAN_1, {"texts": ("a",), "dimensions": 256}, "dimensions"),
        (COHERE_3, {"texts": ("a",), "dimensions": 256}, "dimensions"),
        (COHERE_3, {"texts": ("a",) * 97}, "input"),
        ("amazon.nova-embed", {"texts": ("a",)}, "model"),
        (TITAN, {"texts": ("a",), "unknown": ("x",)}, "x"),
    ],
)
def test_embeddings_it_cannot_ask_for(model: str, fields: dict[str, Any], field: str) -> None:
    failure = failure_of(CONVERSE.write_embed_request, EmbedRequest(model="m", **fields), model)
    assert (failure.kind, failure.field) == (Kind.UNSUPPORTED, field)


def test_harmless_omissions_of_embeddings_are_listed() -> None:
    request = EmbedRequest(model="m", texts=("a",), user="u", truncate=True, hints={"keep_alive": "5m"})
    assert set(CONVERSE.write_embed_request(request, TITAN).omitted) == {"user", "truncate", "keep_alive"}


def test_reading_a_request_for_embeddings() -> None:
    one = CONVERSE.read_embed_request(Op.EMBED, b'{"inputText":"a","dimensions":256,"normalize":true}')
    assert one == EmbedRequest(model="", texts=("a",), dimensions=256, one=True, hints={"normalize": True})
    many = CONVERSE.read_embed_request(
        Op.EMBED,
        b'{"texts":["a","b"],"input_type":"clustering","embedding_types":["float"],"truncate":"NONE"}',
    )
    assert many == EmbedRequest(model="", texts=("a", "b"), truncate=False, hints={"input_type": "clustering"})
    odd = CONVERSE.read_embed_request(Op.EMBED, b'{"texts":["a"],"images":["x"],"embedding_types":["int8"]}')
    assert set(odd.unknown) == {"images", "embedding_types"}
    view = CONVERSE.view(Op.EMBED, b'{"texts":["abc","d"]}')
    assert (view.op, view.text_chars, view.turns) == (Op.EMBED, 4, 2)
    for raw in (b"{}", b'{"texts":[]}', b'{"inputText":5}'):
        assert failure_of(CONVERSE.view, Op.EMBED, raw).kind is Kind.MALFORMED_REQUEST


@pytest.mark.parametrize(
    ("raw", "vectors", "tokens"),
    [
        (b'{"embedding":[0.5,1],"inputTextTokenCount":3}', ((0.5, 1.0),), 3),
        (
            b'{"embeddings":[[0.5],[1.0]],"id":"x","texts":["a","b"],"response_type":"embeddings_floats"}',
            ((0.5,), (1.0,)),
            None,
        ),
        (b'{"embeddings":{"float":[[0.5]]},"response_type":"embeddings_by_type"}', ((0.5,),), None),
    ],
)
def test_reading_embeddings(raw: bytes, vectors: tuple[tuple[float, ...], ...], tokens: int | None) -> None:
    read = CONVERSE.read_embedding(raw)
    assert (read.vectors, read.usage) == (vectors, Usage(input=tokens))
    assert CONVERSE.glance(Op.EMBED, raw).usage == Usage(input=tokens)


@pytest.mark.parametrize("raw", [b"{}", b'{"embeddings":{"int8":[[1]]}}', b"x", b'{"embedding":["a"]}'])
def test_what_is_no_embedding(raw: bytes) -> None:
    assert failure_of(CONVERSE.read_embedding, raw).kind is Kind.MALFORMED_ANSWER
    assert CONVERSE.glance(Op.EMBED, raw).failure is not None


def test_embeddings_are_given_in_the_form_they_were_asked_for() -> None:
    one = EmbedRequest(model="m", texts=("a",), one=True)
    many = EmbedRequest(model="m", texts=("a", "b"))
    given = Embedding(model="m", vectors=((0.5,),), usage=Usage(input=3))
    stamp = msgspec.structs.replace(STAMP, request=one)
    written = CONVERSE.write_embedding(given, stamp)
    assert written.body == b'{"embedding":[0.5],"inputTextTokenCount":3}'
    assert written.headers == ((b"x-amzn-bedrock-input-token-count", b"3"),)
    two = Embedding(model="m", vectors=((0.5,), (1.0,)))
    assert CONVERSE.write_embedding(two, msgspec.structs.replace(STAMP, request=many)).body == (
        b'{"id":"req_1","texts":["a","b"],"embeddings":{"float":[[0.5],[1.0]]},"response_type":"embeddings_by_type"}'
    )


# --- failures ----------------------------------------------------------------------------------------------


def words(text: str) -> bytes:
    return msgspec.json.encode({"message": text})


@pytest.mark.parametrize(
    ("status", "name", "raw", "kind"),
    [
        (429, "ThrottlingException", words("Too many requests"), Kind.RATE_LIMITED),
        (400, "ServiceQuotaExceededException", words("quota"), Kind.RATE_LIMITED),
        (429, "ModelNotReadyException", words("not ready"), Kind.OVERLOADED),
        (403, "AccessDeniedException", words("You don't have access to the model"), Kind.CREDENTIALS),
        (403, "UnrecognizedClientException", words("The security token is invalid."), Kind.CREDENTIALS),
        (403, "ExpiredTokenException", words("expired"), Kind.CREDENTIALS),
        (403, "InvalidSignatureException", words("mismatch"), Kind.CREDENTIALS),
        (403, "", b'{"Message":"Bearer Token has expired"}', Kind.CREDENTIALS),
        (400, "ValidationException", words("Input is too long for requested model."), Kind.CONTEXT_TOO_LONG),
        (400, "ValidationException", words("The provided model identifier is invalid."), Kind.MODEL_MISSING),
        (
            400,
            "ValidationException",
            words("Invocation of model ID x with on-demand throughput isn’t supported."),
            Kind.MODEL_MISSING,
        ),
        (400, "ValidationException", words("This model doesn't support tool use."), Kind.UNSUPPORTED),
        (400, "ValidationException", words("The text field is blank"), Kind.BAD_REQUEST),
        (404, "ResourceNotFoundException", words("gone"), Kind.MODEL_MISSING),
        (408, "ModelTimeoutException", words("late"), Kind.TIMEOUT),
        (424, "ModelErrorException", words("x"), Kind.UPSTREAM_ERROR),
        (500, "InternalServerException", words("x"), Kind.UPSTREAM_ERROR),
        (503, "ServiceUnavailableException:http://internal.amazon.com/", words("x"), Kind.OVERLOADED),
        (400, "", b'{"__type":"com.amazon.coral.availability#ThrottlingException"}', Kind.RATE_LIMITED),
        (413, "", b"<html>", Kind.TOO_LARGE),
        (502, "", b"bad gateway", Kind.UPSTREAM_ERROR),
        (418, "", b"", Kind.BAD_REQUEST),
    ],
)
def test_what_a_provider_says_went_wrong(status: int, name: str, raw: bytes, kind: Kind) -> None:
    headers = [(b"X-Amzn-ErrorType", name.encode())] if name else []
    failure = CONVERSE.read_failure(status, headers, raw)
    assert (failure.kind, failure.provider_status) == (kind, status)


def test_neither_keys_nor_accounts_are_shown() -> None:
    secret = "arn:aws:iam::123456789012:user/ann and AKIAIOSFODNN7EXAMPLE"
    refused = CONVERSE.read_failure(400, [(b"x-amzn-errortype", b"ValidationException")], words(f"bad x by {secret}"))
    denied = CONVERSE.read_failure(403, [(b"x-amzn-errortype", b"AccessDeniedException")], words(f"no {secret}"))
    assert "bad x" in refused.message
    for text in (refused.message, refused.detail or "", denied.message, denied.detail or ""):
        assert "123456789012" not in text
        assert "AKIA" not in text
    assert "no [removed]" in (denied.detail or "")


@pytest.mark.parametrize(("value", "wait_s"), [(b"7", 7.0), (b"inf", None), (b"soon", None)])
def test_how_long_to_wait(value: bytes, wait_s: float | None) -> None:
    assert CONVERSE.read_failure(429, [(b"retry-after", value)], b"{}").retry_after_s == wait_s


@pytest.mark.parametrize("kind", list(Kind))
def test_a_failure_is_one_of_bedrocks_own(kind: Kind) -> None:
    written = CONVERSE.write_failure(Failure(kind=kind, message="No.", retry_after_s=0.5), "req_9")
    headers = dict(written.headers)
    assert written.body == b'{"message":"No."}'
    assert headers[b"x-amzn-errortype"].endswith(b"Exception")
    assert (headers[b"x-amzn-requestid"], headers[b"retry-after"]) == (b"req_9", b"1")
    assert 400 <= written.status < 600
