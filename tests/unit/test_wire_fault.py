"""What is made of a provider's failure: who sees its words, what is taken out of them, and when to try again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.failure import Failure, Kind
from laneway.wire.fault import STATUSES, describe, misfit, read_status
from laneway.wire.redact import KEPT_CHARS, SHOWN_CHARS, read_words, redact
from laneway.wire.retry import REPEATABLE, read_retry_after, write_retry_after, write_should_retry

KEYS = [
    "sk-live-abcdefgh",
    "sk-abcd",
    "sk-proj-abcDEF123456",
    "sk-ant-api03-abcdefghijklmnop",
    "sk_test_1234",
    "sk-ab***************yz",
    "pk-abcdef12",
    "gsk_abc12345",
    "xai-abcdef123",
    "hf_abcdefgh",
    "nvapi-abcdefgh1",
    "lw-abcdefgh",
    "AKIAIOSFODNN7EXAMPLE",
    "AKIAABCDEFGH",
    "ASIAXYZ12345",
    "ABSKQmVkcm9ja0FQSUtleQ==",
    "AIzaSyA-abc_123",
    "ya29.a0AfH6SMB",
    "ghp_abcdefghij12",
    "eyJhbGciOi.eyJzdWIi.sig-1",
    "arn:aws:iam::123456789012:user/ann",
    "0123456789abcdef0123456789abcdef",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_taken_out_wherever_it_stands(key: str) -> None:
    assert redact(f"near {key} here") == "near [removed] here"
    for text in (f'{{"k":"{key}"}}', f"({key})", f"key={key},", key):
        assert key not in redact(text)


@pytest.mark.parametrize(
    "words",
    [
        "Bearer abc.def",
        "bearer abcdef",
        "Authorization: Bearer abc.def",
        "authorization=Basic dXNlcjpwYXNz",
        'api_key="abc.def"',
        "x-api-key: abc.def",
        "apikey=abc.def",
        "token: abc.def",
        '"password":"abc.def"',
        "Incorrect API key provided: abc.def",
        "Credential=abc.def/20260101/us-east-1",
        "Signature=abc.def",
        "AWS_SECRET_ACCESS_KEY=abc.def",
        "https://user:abc.def@example.org/v1",
        "Basic dXNlcjpwYXNz",
    ],
)
def test_what_is_called_a_secret_is_taken_out(words: str) -> None:
    clean = redact(f"it was {words} that failed")
    assert clean.startswith("it was ")
    assert clean.endswith("that failed")
    for secret in ("abc.def", "abcdef", "dXNlcjpwYXNz"):
        assert secret not in clean


@pytest.mark.parametrize(
    "words",
    [
        "prompt is too long: 215000 tokens > 200000 maximum",
        "This model's maximum context length is 8192 tokens. You requested 9000 tokens (1000 in the messages).",
        "messages.0.content: Input should be a valid string",
        "Unknown parameter: 'risk-free'.",
        "model 'meta-llama/Llama-3.1-70B-Instruct' not found, try pulling it first",
        "claude-sonnet-4-5-20250929 does not support this task-specific field",
        "basic authentication is needed",
    ],
)
def test_words_that_only_explain_stay(words: str) -> None:
    assert redact(words) == words


@given(st.text(max_size=300), st.integers(1, 50))
def test_words_are_one_line_of_bounded_length(text: str, limit: int) -> None:
    clean = redact(text, limit)
    assert len(clean) <= limit + 3
    assert clean == " ".join(clean.split()) or len(clean) > limit


def test_a_page_of_a_proxy_explains_nothing() -> None:
    assert read_words(b" \n <html>busy</html>") == ""
    assert read_words(b" upstream \xff says no ") == "upstream \ufffd says no"
    assert len(read_words(b"x" * 1_000_000)) < 10_000


# --- who sees what -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.BAD_REQUEST, Kind.CONTEXT_TOO_LONG, Kind.UNSUPPORTED, Kind.REFUSED])
def test_words_about_the_callers_request_are_the_callers(kind: Kind) -> None:
    failure = describe(kind, "field x is sk-live-abcdefgh", 400, named="their_code", field="x")
    assert failure.message.endswith(": field x is [removed]")
    assert (failure.field, failure.provider_status) == ("x", 400)
    assert failure.detail == "their_code field x is [removed]"
    inside_a_stream = describe(kind, "field x", 0)
    assert inside_a_stream.message.endswith(": field x")
    assert inside_a_stream.provider_status is None
    not_its_fault = describe(kind, "open /srv/blob", 500, field="srv")
    assert "/srv" not in not_its_fault.message
    assert not_its_fault.field is None
    assert not_its_fault.detail == "open /srv/blob"


@pytest.mark.parametrize("kind", sorted({*STATUSES.values(), Kind.UPSTREAM_ERROR}))
@pytest.mark.parametrize("status", [0, 400, 401, 429, 500, 503])
def test_all_other_words_are_for_the_record(kind: Kind, status: int) -> None:
    failure = describe(kind, "account acme", status, field="acme", retry_after_s=2.5)
    assert "acme" not in failure.message
    assert failure.field is None
    assert (failure.detail, failure.retry_after_s) == ("account acme", 2.5)


def test_without_words_the_status_is_said() -> None:
    assert describe(Kind.BAD_REQUEST, "", 418).message == "The provider refused the request (status 418)."
    assert describe(Kind.OVERLOADED, "", 0).message == "The provider is overloaded."
    assert describe(Kind.OVERLOADED, "", 0).detail is None


def test_words_are_shown_in_part_and_kept_in_more() -> None:
    failure = describe(Kind.BAD_REQUEST, "word " * 10_000, 400)
    assert len(failure.message) < SHOWN_CHARS + 60
    assert SHOWN_CHARS < len(failure.detail or "") <= KEPT_CHARS + 3


def test_a_success_that_is_no_answer_says_what_was_expected() -> None:
    failure = misfit("a model list", "near sk-live-abcdefgh")
    assert failure.kind is Kind.MALFORMED_ANSWER
    assert "a model list" in failure.message
    assert failure.detail == "near [removed]"
    assert misfit("x").detail is None


@given(st.integers(100, 599))
def test_every_status_has_a_kind(status: int) -> None:
    kind = read_status(status)
    if status not in STATUSES:
        assert kind is (Kind.BAD_REQUEST if 400 <= status < 500 else Kind.UPSTREAM_ERROR)
    assert describe(kind, "", status).provider_status == status


# --- when to try again -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ([(b"Retry-After", b"7")], 7.0),
        ([(b"retry-after", b" 0.5 ")], 0.5),
        ([(b"retry-after", b"7"), (b"Retry-After-Ms", b"250")], 0.25),
        ([(b"retry-after-ms", b"x"), (b"retry-after", b"7")], 7.0),
        ([(b"retry-after", b"Wed, 21 Oct 2026 07:28:00 GMT")], None),
        ([(b"retry-after", b"-1")], None),
        ([(b"retry-after", b"inf")], None),
        ([(b"retry-after", b"nan")], None),
        ([(b"retry-after", b"")], None),
        ([(b"retry-after", b"\xff")], None),
        ([], None),
    ],
)
def test_how_long_a_provider_asks_to_wait(headers: list[tuple[bytes, bytes]], wait_s: float | None) -> None:
    assert read_retry_after(headers) == wait_s


def test_a_caller_is_told_whole_seconds_and_never_too_few() -> None:
    failure = Failure(kind=Kind.RATE_LIMITED, message="m", retry_after_s=1.2)
    assert write_retry_after(failure) == ((b"retry-after", b"2"),)
    assert write_retry_after(Failure(kind=Kind.RATE_LIMITED, message="m")) == ()


@pytest.mark.parametrize("kind", list(Kind))
def test_clients_repeat_only_what_may_help(kind: Kind) -> None:
    told = write_should_retry(Failure(kind=kind, message="m"))
    assert told == (() if kind in REPEATABLE else ((b"x-should-retry", b"false"),))
