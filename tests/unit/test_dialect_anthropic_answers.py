"""What Anthropic's answers, counts and model lists become, what callers are given, and what failures mean both ways."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from laneway.chat import Answer, Card, Finish, Op, Text, Thinking, ToolCall, Usage
from laneway.dialects import Stamp, dialect
from laneway.failure import Failure, FailureError, Kind

ANTHROPIC = dialect("anthropic")
STAMP = Stamp(id="req_1", model="claude-sonnet-4-6", now_s=1_700_000_000)

# --- answers, counts, models -------------------------------------------------------------------------------


def message(**fields: Any) -> bytes:
    said = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-6",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 3},
        **fields,
    }
    return msgspec.json.encode(said)


@pytest.mark.parametrize(
    ("wire", "usage"),
    [
        ({"input_tokens": 10, "output_tokens": 3}, Usage(input=10, output=3)),
        (
            {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 3},
            Usage(input=17, output=3, cache_read=5, cache_write_5m=2),
        ),
        (
            {
                "input_tokens": 10,
                "cache_creation_input_tokens": 7,
                "cache_read_input_tokens": 0,
                "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 3},
                "output_tokens": 30,
                "output_tokens_details": {"thinking_tokens": 20},
            },
            Usage(input=17, output=30, cache_read=0, cache_write_5m=4, cache_write_1h=3, reasoning=20),
        ),
    ],
)
def test_cached_tokens_are_input_here_and_beside_it_there(wire: dict[str, Any], usage: Usage) -> None:
    raw = message(usage=wire)
    answer = ANTHROPIC.read_answer(Op.CHAT, raw)
    assert answer.usage == usage
    assert ANTHROPIC.glance(Op.CHAT, raw).usage == usage
    assert msgspec.json.decode(ANTHROPIC.write_answer(Op.CHAT, answer, STAMP).body)["usage"] == wire


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", Finish.STOP),
        ("stop_sequence", Finish.STOP_SEQUENCE),
        ("max_tokens", Finish.LENGTH),
        ("model_context_window_exceeded", Finish.LENGTH),
        ("tool_use", Finish.TOOLS),
        ("pause_turn", Finish.PAUSED),
        ("refusal", Finish.REFUSED),
        ("of_tomorrow", Finish.STOP),
    ],
)
def test_stop_reasons(reason: str, finish: Finish) -> None:
    assert ANTHROPIC.read_answer(Op.CHAT, message(stop_reason=reason)).finish is finish
    assert ANTHROPIC.glance(Op.CHAT, message(stop_reason=reason)).finish is finish


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (message(stop_reason=None), Kind.CUT),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', Kind.OVERLOADED),
        (b'{"choices":[]}', Kind.MALFORMED_ANSWER),
        (b"<html>", Kind.MALFORMED_ANSWER),
        (message(content=[{"text": 1}]), Kind.MALFORMED_ANSWER),
        (b"", Kind.MALFORMED_ANSWER),
    ],
)
def test_a_200_that_is_no_answer(raw: bytes, kind: Kind) -> None:
    with pytest.raises(FailureError) as caught:
        ANTHROPIC.read_answer(Op.CHAT, raw)
    assert caught.value.failure.kind is kind
    if b'"text":1' not in raw:  # a glance does not look into the words
        seen = ANTHROPIC.glance(Op.CHAT, raw).failure
        assert seen is not None
        assert seen.kind is kind


def test_an_answer_keeps_its_parts_and_names() -> None:
    parts = (Thinking("hm", "sig"), Thinking(redacted="xyz"), Text("Hi"), ToolCall("t", "f", '{"a":1}'))
    given = Answer(model="", parts=parts, finish=Finish.STOP, stop_sequence=None)
    written = ANTHROPIC.write_answer(Op.CHAT, given, STAMP)
    said = msgspec.json.decode(written.body)
    assert (said["id"], said["model"], written.status) == ("msg_req_1", "claude-sonnet-4-6", 200)
    # Some providers stop with "stop" after a call; callers of this format loop on `tool_use` alone.
    assert said["stop_reason"] == "tool_use"
    assert ANTHROPIC.read_answer(Op.CHAT, written.body).parts == parts
    broken = Answer(model="", parts=(ToolCall("t", "f", "{"),), finish=Finish.TOOLS)
    with pytest.raises(FailureError) as caught:
        ANTHROPIC.write_answer(Op.CHAT, broken, STAMP)
    assert caught.value.failure.kind is Kind.MALFORMED_ANSWER


def test_a_count() -> None:
    assert ANTHROPIC.read_answer(Op.COUNT, b'{"input_tokens":14}').usage == Usage(input=14)
    assert ANTHROPIC.glance(Op.COUNT, b'{"input_tokens":14}').usage == Usage(input=14)
    given = Answer(model="", parts=(), finish=Finish.STOP, usage=Usage(input=14, cache_read=4))
    assert ANTHROPIC.write_answer(Op.COUNT, given, STAMP).body == b'{"input_tokens":14}'
    assert ANTHROPIC.glance(Op.COUNT, b"{}").failure is not None
    for raw in (b"{}", b"x", b'{"error":{"type":"api_error","message":"x"}}'):
        with pytest.raises(FailureError):
            ANTHROPIC.read_answer(Op.COUNT, raw)


def test_model_lists() -> None:
    raw = msgspec.json.encode(
        {
            "data": [
                {
                    "type": "model",
                    "id": "claude-sonnet-4-6",
                    "display_name": "Claude Sonnet 4.6",
                    "created_at": "2026-02-04T00:00:00Z",
                    "max_input_tokens": 200_000,
                    "max_tokens": 64_000,
                    "capabilities": {"image_input": {"supported": True}, "thinking": {"supported": False}},
                },
                {"id": "odd", "created_at": "some day"},
            ],
            "has_more": False,
        }
    )
    first, second = ANTHROPIC.read_models(raw)
    assert (first.id, first.display, first.created_s) == ("claude-sonnet-4-6", "Claude Sonnet 4.6", 1_770_163_200)
    assert (first.window, first.output, first.abilities) == (200_000, 64_000, ("tools", "vision"))
    assert (second.id, second.created_s) == ("odd", None)
    said = msgspec.json.decode(ANTHROPIC.write_models([first, Card(id="z", provider="studio")]).body)
    assert (said["first_id"], said["last_id"], said["has_more"]) == ("claude-sonnet-4-6", "z", False)
    assert said["data"][0]["created_at"] == "2026-02-04T00:00:00Z"
    assert (said["data"][1]["display_name"], said["data"][1]["provider"]) == ("z", "studio")
    assert msgspec.json.decode(ANTHROPIC.write_models([]).body)["first_id"] is None
    with pytest.raises(FailureError):
        ANTHROPIC.read_models(b"{}")


# --- failures ----------------------------------------------------------------------------------------------


def error(kind: str, words: str) -> bytes:
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": words}, "request_id": "req_x"})


@pytest.mark.parametrize(
    ("status", "raw", "kind"),
    [
        (401, error("authentication_error", "invalid x-api-key"), Kind.CREDENTIALS),
        (402, error("billing_error", "pay"), Kind.CREDENTIALS),
        (403, error("permission_error", "no"), Kind.CREDENTIALS),
        (404, error("not_found_error", "model: claude-x"), Kind.MODEL_MISSING),
        (413, error("request_too_large", "big"), Kind.TOO_LARGE),
        (429, error("rate_limit_error", "slow"), Kind.RATE_LIMITED),
        (500, error("api_error", "oops"), Kind.UPSTREAM_ERROR),
        (500, error("overloaded_error", "Overloaded"), Kind.OVERLOADED),
        (529, error("overloaded_error", "Overloaded"), Kind.OVERLOADED),
        (529, b"", Kind.OVERLOADED),
        (504, error("timeout_error", "late"), Kind.TIMEOUT),
        (503, b"<html>nginx</html>", Kind.OVERLOADED),
        (502, b"bad gateway", Kind.UPSTREAM_ERROR),
        (422, b'{"error":"text"}', Kind.BAD_REQUEST),
        (
            400,
            error("invalid_request_error", "prompt is too long: 215000 tokens > 200000 maximum"),
            Kind.CONTEXT_TOO_LONG,
        ),
        (
            400,
            error("invalid_request_error", "input length and `max_tokens` exceed context limit: 1 + 2 > 3"),
            Kind.CONTEXT_TOO_LONG,
        ),
        (400, error("invalid_request_error", "Your credit balance is too low to access the API"), Kind.CREDENTIALS),
        (400, error("invalid_request_error", "messages: at least one message is required"), Kind.BAD_REQUEST),
    ],
)
def test_what_a_provider_says_went_wrong(status: int, raw: bytes, kind: Kind) -> None:
    failure = ANTHROPIC.read_failure(status, (), raw)
    assert (failure.kind, failure.provider_status) == (kind, status)


def test_the_callers_mistake_is_explained_and_keys_are_not() -> None:
    words = "bad field x near sk-ant-api03-abcdefghijklmnop and Bearer abc.def " + "y" * 1000
    failure = ANTHROPIC.read_failure(400, (), error("invalid_request_error", words))
    assert "bad field x" in failure.message
    assert len(failure.message) < 500
    for text in (failure.message, failure.detail or ""):
        assert "abcdefghijklmnop" not in text
        assert "abc.def" not in text
    hidden = ANTHROPIC.read_failure(500, (), error("api_error", "stack trace of theirs"))
    assert "stack trace" not in hidden.message
    assert "stack trace" in (hidden.detail or "")


@pytest.mark.parametrize(
    ("value", "wait_s"), [(b"7", 7.0), (b"0.5", 0.5), (b"-1", None), (b"nan", None), (b"Wed, 1", None)]
)
def test_how_long_to_wait(value: bytes, wait_s: float | None) -> None:
    failure = ANTHROPIC.read_failure(429, [(b"Retry-After", value)], b"")
    assert failure.retry_after_s == wait_s


def test_a_failure_names_its_request() -> None:
    failure = Failure(kind=Kind.RATE_LIMITED, message="Slow down.", retry_after_s=1.2)
    written = ANTHROPIC.write_failure(failure, "req_9")
    assert written.status == 429
    assert written.headers == ((b"request-id", b"req_9"), (b"retry-after", b"2"))
    assert written.body == (
        b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down."},"request_id":"req_9"}'
    )


def test_a_key_travels_in_anthropics_own_header() -> None:
    assert ANTHROPIC.credentials("k") == ((b"x-api-key", b"k"), (b"anthropic-version", b"2023-06-01"))
    assert ANTHROPIC.path(Op.CHAT, "m", stream=True) == "/v1/messages"
    assert ANTHROPIC.path(Op.COUNT, "m", stream=False) == "/v1/messages/count_tokens"
