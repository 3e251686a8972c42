"""OpenAI's format: what a caller's body is read as at a glance, and how it is patched where bytes pass."""

from __future__ import annotations

import json

import pytest

from laneway.chat import Op
from laneway.dialects import Dialect, View, dialect
from laneway.failure import Failure, FailureError, Kind
from tests.harness.failures import failure_of

OPENAI: Dialect = dialect("openai")


def body_of(**fields: object) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]} | fields).encode()


def view(**fields: object) -> View:
    return OPENAI.view(Op.CHAT, body_of(**fields))


def refusal(op: Op, body: bytes) -> Failure:
    return failure_of(OPENAI.view, op, body)


# --- view --------------------------------------------------------------------------------------------------


def test_a_plain_chat_needs_nothing() -> None:
    assert view() == View(Op.CHAT, "m", False, text_chars=2)


def test_the_view_counts_the_words_of_all_turns() -> None:
    messages = [
        {"role": "system", "content": "abc"},
        {"role": "user", "content": [{"type": "text", "text": "de"}, {"type": "text", "text": "f"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "ghi"},
    ]
    seen = view(messages=messages)
    assert (seen.text_chars, seen.turns) == (11, 4)


def test_pictures_and_files_are_counted_and_needed() -> None:
    parts = [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
    ]
    seen = view(messages=[{"role": "user", "content": parts}])
    assert (seen.images, seen.needs) == (2, frozenset({"vision", "documents"}))


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, {"tools"}),
        ({"tools": []}, set()),
        ({"response_format": {"type": "json_object"}}, {"json"}),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}, {"schema"}),
        ({"response_format": {"type": "text"}}, set()),
        ({"logprobs": True}, {"logprobs"}),
        ({"reasoning_effort": "low"}, {"thinking"}),
        ({"reasoning_effort": "none"}, set()),
    ],
)
def test_abilities_that_a_request_asks_for(fields: dict[str, object], needs: set[str]) -> None:
    assert view(**fields).needs == needs


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 7, "max_completion_tokens": 5}, 7),
        ({"max_tokens": -1, "max_completion_tokens": 5}, None),
        ({"max_tokens": 5, "max_completion_tokens": -1}, None),
        ({"max_tokens": None}, None),
        ({"max_tokens": -1}, None),
    ],
)
def test_the_limit_under_both_its_names(fields: dict[str, object], limit: int | None) -> None:
    assert view(**fields).max_tokens == limit


@pytest.mark.parametrize("count", [0, -1, -5, None])
def test_fewer_than_one_answer_is_one(count: int | None) -> None:
    """Servers take it so, and a count below nothing would take money out of a hold."""
    assert view(n=count).choices == 1
    body = json.dumps({"model": "m", "prompt": ["a", "b"], "n": count, "best_of": count}).encode()
    assert OPENAI.view(Op.COMPLETE, body).choices == 2


def test_stream_and_the_wish_for_usage() -> None:
    assert not view(stream=None).stream
    seen = view(stream=True, stream_options={"include_usage": True})
    assert seen.stream
    assert seen.wants_usage


def test_unknown_fields_and_roles_of_the_legacy_form_pass_the_view() -> None:
    legacy = [{"role": "assistant", "function_call": {"name": "f", "arguments": ""}}, {"role": "function", "name": "f"}]
    assert view(guided_json={"a": [1]}, messages=legacy).turns == 2


@pytest.mark.parametrize(
    ("prompt", "chars", "prompts"),
    [("abcd", 4, 1), (["ab", "c"], 3, 2), ([1, 2, 3], 12, 1), ([[1, 2], [3]], 12, 2), ("", 0, 1)],
)
def test_completions_and_embeddings_are_measured_alike(prompt: object, chars: int, prompts: int) -> None:
    """Four characters stand for a token where a caller sends tokens; each prompt has an answer of its own."""
    body = json.dumps({"model": "m", "prompt": prompt, "logprobs": 0}).encode()
    assert OPENAI.view(Op.COMPLETE, body) == View(
        Op.COMPLETE, "m", False, text_chars=chars, needs=frozenset({"logprobs"}), choices=prompts
    )
    if prompt:
        body = json.dumps({"model": "m", "input": prompt}).encode()
        assert OPENAI.view(Op.EMBED, body) == View(Op.EMBED, "m", False, text_chars=chars)


@pytest.mark.parametrize(
    ("body", "message", "field"),
    [
        (b"", "The body is empty; send a JSON object.", None),
        (b"{", "The body is not valid JSON: it ends too early, at byte 1.", None),
        (b"{'model': 1}", "The body is not valid JSON: object keys must be strings at byte 1.", None),
        (body_of() + b" x", "The body is not valid JSON: trailing characters at byte 65.", None),
        (b'{"model":"\xff"}', "The body is not valid JSON: invalid UTF-8 at byte 10.", None),
        (b"[]", "Wrong type: expected an object, got a list as the body.", None),
        (b'{"messages":[]}', "Missing `model`.", "model"),
        (b'{"model":"m"}', "Missing `messages`.", "messages"),
        (body_of(model=""), "Missing `model`.", "model"),
        (body_of(messages=[]), "Missing `messages`.", "messages"),
        (body_of(messages="hi"), "Wrong type: expected a list, got text at messages.", "messages"),
        (body_of(model=3), "Wrong type: expected text, got a number at model.", "model"),
        (body_of(messages=[{"content": "x"}]), "Missing `messages[0].role`.", "messages[0].role"),
        (
            body_of(messages=[{"role": 1, "content": "x"}]),
            "Wrong type: expected text, got a number at messages[0].role.",
            "messages[0].role",
        ),
        (
            body_of(messages=[{"role": "boss", "content": "x"}]),
            "Wrong value: unknown value 'boss' at messages[0].role.",
            "messages[0].role",
        ),
        (
            body_of(messages=[{"role": "user", "content": 1.5}]),
            "Wrong type: expected text or a list, got a number at messages[0].content.",
            "messages[0].content",
        ),
        (body_of(messages=[{"role": "user"}]), "Missing `messages[0].content`.", "messages[0].content"),
        (body_of(stream="yes"), "Wrong type: expected true or false, got text at stream.", "stream"),
        (
            body_of(max_tokens=1.5),
            "Wrong type: expected a whole number, got a number with a fraction at max_tokens.",
            "max_tokens",
        ),
        (
            body_of(max_tokens=2**40),
            "Wrong value: expected a whole number up to 2147483647 at max_tokens.",
            "max_tokens",
        ),
        (body_of(stop=[1]), "Wrong type: expected text, got a number at stop[0].", "stop[0]"),
    ],
)
def test_bad_bodies_are_explained_in_plain_words(body: bytes, message: str, field: str | None) -> None:
    failure = refusal(Op.CHAT, body)
    assert (failure.kind, failure.field) == (Kind.MALFORMED_REQUEST, field)
    assert failure.message == message


@pytest.mark.parametrize("deep", [b'{"x":' + b"[" * 100_000, b'{"messages":[{"x":' + b'{"a":' * 100_000])
def test_nesting_without_end_is_refused(deep: bytes) -> None:
    assert "nested too deeply" in refusal(Op.CHAT, deep).message


def test_missing_inputs_of_the_other_operations() -> None:
    assert refusal(Op.COMPLETE, b'{"model":"m"}').field == "prompt"
    assert refusal(Op.EMBED, b'{"model":"m","input":[]}').field == "input"
    assert refusal(Op.EMBED, b'{"input":"x"}').field == "model"
    assert refusal(Op.COMPLETE, b'{"model":"","prompt":"x"}').field == "model"
    assert refusal(Op.EMBED, b'{"model":"","input":"x"}').field == "model"


def test_an_operation_the_format_lacks() -> None:
    assert refusal(Op.COUNT, body_of()).kind is Kind.UNSUPPORTED
    assert OPENAI.path(Op.COUNT, "m", stream=False) == ""


# --- patch -------------------------------------------------------------------------------------------------


def test_a_patch_replaces_the_model_and_nothing_else() -> None:
    """Unknown fields, odd spacing inside values and the order of fields stay as they came."""
    body = b'{"stream" : true, "model":"old", "messages":[ {"role":"user", "content":"\\u00e9 \xc3\xa9"} ], "x":1e2}'
    patched = OPENAI.patch(Op.CHAT, body, "new", ask_usage=False)
    assert patched == (
        b'{"stream":true,"model":"new","messages":[ {"role":"user", "content":"\\u00e9 \xc3\xa9"} ],"x":1e2}'
    )


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (b'{"stream":true}', b'{"stream":true,"stream_options":{"include_usage":true}}'),
        (b'{"stream":true,"stream_options":null}', b'{"stream":true,"stream_options":{"include_usage":true}}'),
        (
            b'{"stream":true,"stream_options":{"include_obfuscation":false,"include_usage":false}}',
            b'{"stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}',
        ),
        (b'{"stream":false}', b'{"stream":false}'),
        (b'{"a":1}', b'{"a":1}'),
    ],
)
def test_usage_is_asked_for_only_in_a_stream(given: bytes, made: bytes) -> None:
    """OpenAI refuses `stream_options` without `stream`."""
    assert OPENAI.patch(Op.CHAT, given, None, ask_usage=True) == made


def test_with_nothing_to_change_the_bytes_are_the_same() -> None:
    body = body_of()
    assert OPENAI.patch(Op.CHAT, body, None, ask_usage=False) is body


def test_a_body_that_cannot_be_patched_is_refused() -> None:
    with pytest.raises(FailureError) as caught:
        OPENAI.patch(Op.CHAT, b"[1]", "new", ask_usage=False)
    assert caught.value.failure.kind is Kind.MALFORMED_REQUEST
