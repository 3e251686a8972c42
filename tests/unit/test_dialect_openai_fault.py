"""OpenAI's format: what a provider's errors mean, and how failures reach a caller and the real client."""

from __future__ import annotations

import json

import httpx2
import openai
import pytest

from laneway.dialects import Dialect, dialect
from laneway.failure import RULES, Failure, Kind

OPENAI: Dialect = dialect("openai")

# --- failures from a provider ------------------------------------------------------------------------------


def failed(status: int, body: object, *headers: tuple[bytes, bytes]) -> Failure:
    return OPENAI.read_failure(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def error(message: str = "m", **more: object) -> dict[str, object]:
    return {"error": {"message": message, **more}}


LONG = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, error("Incorrect API key provided", code="invalid_api_key"), Kind.CREDENTIALS),
        (403, error(), Kind.CREDENTIALS),
        (402, error("Insufficient Balance"), Kind.CREDENTIALS),
        (429, error(code="insufficient_quota", type="insufficient_quota"), Kind.CREDENTIALS),
        (429, error(code="rate_limit_exceeded", type="tokens"), Kind.RATE_LIMITED),
        (429, b"slow down", Kind.RATE_LIMITED),
        (404, error(code="model_not_found"), Kind.MODEL_MISSING),
        (403, error(code="model_not_found"), Kind.MODEL_MISSING),
        (404, b"<html>nginx</html>", Kind.MODEL_MISSING),
        (400, error("typo/model is not a valid model ID", code=400), Kind.MODEL_MISSING),
        (400, error(LONG, code="context_length_exceeded"), Kind.CONTEXT_TOO_LONG),
        (400, {"object": "error", "message": LONG, "type": "BadRequestError", "code": 400}, Kind.CONTEXT_TOO_LONG),
        (400, error("the request exceeds the available context size", code=400), Kind.CONTEXT_TOO_LONG),
        (400, error("x", type="exceed_context_size_error"), Kind.CONTEXT_TOO_LONG),
        (400, {"error": "the input length exceeds the context length"}, Kind.CONTEXT_TOO_LONG),
        (413, b"", Kind.CONTEXT_TOO_LONG),
        (400, error(code="content_filter"), Kind.REFUSED),
        (400, error(code="content_policy_violation"), Kind.REFUSED),
        (403, error("Your input was flagged", code=403), Kind.REFUSED),
        (400, error(code="unsupported_parameter", param="top_k"), Kind.UNSUPPORTED),
        (400, error(type="invalid_request_error"), Kind.BAD_REQUEST),
        (400, error("Unknown parameter: 'moderation'."), Kind.BAD_REQUEST),
        (400, error("For this model, 'x' is not a valid value of 'tool_choice'."), Kind.BAD_REQUEST),
        (400, error("The model `m` does not exist."), Kind.MODEL_MISSING),
        (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, Kind.BAD_REQUEST),
        (400, b"", Kind.BAD_REQUEST),
        (408, b"", Kind.TIMEOUT),
        (504, b"<html>gateway timeout</html>", Kind.TIMEOUT),
        (503, error(), Kind.OVERLOADED),
        (529, error(), Kind.OVERLOADED),
        (500, error(type="server_error"), Kind.UPSTREAM_ERROR),
        (502, b"\xff\x00", Kind.UPSTREAM_ERROR),
        (302, b"", Kind.UPSTREAM_ERROR),
        (500, [], Kind.UPSTREAM_ERROR),
        (500, [{"error": {"message": "x"}}], Kind.UPSTREAM_ERROR),
        (500, 7, Kind.UPSTREAM_ERROR),
    ],
)
def test_what_a_providers_error_means(status: int, body: object, kind: Kind) -> None:
    failure = failed(status, body)
    assert (failure.kind, failure.provider_status) == (kind, status)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ([(b"retry-after", b"7")], 7.0),
        ([(b"Retry-After", b"0.5")], 0.5),
        ([(b"retry-after", b"7"), (b"retry-after-ms", b"250")], 0.25),
        ([(b"retry-after-ms", b"x"), (b"retry-after", b"7")], 7.0),
        ([(b"retry-after", b"Wed, 21 Oct 2026 07:28:00 GMT")], None),
        ([(b"retry-after", b"-1")], None),
        ([(b"retry-after", b"inf")], None),
        ([], None),
    ],
)
def test_how_long_a_provider_asks_to_wait(headers: list[tuple[bytes, bytes]], wait_s: float | None) -> None:
    assert failed(429, b"", *headers).retry_after_s == wait_s


def test_the_callers_own_mistake_is_explained_without_keys() -> None:
    failure = failed(400, error("Bad `x`: \n key sk-proj-abcDEF123456 and Bearer abc.def", param="x"))
    assert failure.message == "The provider refused the request: Bad `x`: key [removed] and [removed]"
    assert failure.field == "x"


@pytest.mark.parametrize("status", [401, 429, 500])
def test_other_failures_show_none_of_the_providers_words(status: int) -> None:
    failure = failed(status, error("secret words sk-abcdefghijkl", param="p"))
    assert "secret" not in failure.message
    assert failure.field is None
    assert failure.detail == "secret words [removed]"


def test_html_is_no_explanation() -> None:
    failure = failed(400, b"  <!DOCTYPE html><p>hello</p>")
    assert failure.message == "The provider refused the request (status 400)."
    assert failure.detail is None


def test_long_explanations_are_cut() -> None:
    assert len(failed(400, error("word " * 10_000)).message) < 500


# --- failures to a caller ----------------------------------------------------------------------------------

CLASSES: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    429: openai.RateLimitError,
}


@pytest.mark.parametrize("kind", Kind)
def test_the_real_client_raises_the_class_of_the_status(kind: Kind) -> None:
    """It finds the code, the field and the id where it looks for them, and repeats only what may do better later."""
    calls = 0

    def answer(request: httpx2.Request) -> httpx2.Response:
        nonlocal calls
        calls += 1
        written = OPENAI.write_failure(Failure(kind=kind, message="what", field="f", retry_after_s=0.001), "r-1")
        headers = [(name.decode(), value.decode()) for name, value in written.headers if name != b"retry-after"]
        return httpx2.Response(written.status, headers=[*headers, ("retry-after-ms", "1")], content=written.body)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = openai.OpenAI(api_key="k", base_url="http://gateway.invalid/v1", max_retries=1, http_client=http)
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    status = RULES[kind].status
    assert type(caught.value) is CLASSES.get(
        status, openai.InternalServerError if status >= 500 else openai.APIStatusError
    )
    assert (caught.value.param, caught.value.request_id) == ("f", "r-1")
    assert caught.value.code
    assert caught.value.type
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["message"] == "what"
    again = {Kind.BODY_TIMEOUT, Kind.RATE_LIMITED, Kind.QUEUE_FULL, Kind.OVERLOADED, Kind.NO_TARGET, Kind.STOPPING}
    assert calls == (2 if kind in again else 1)


def test_the_wait_is_whole_seconds_rounded_up() -> None:
    written = OPENAI.write_failure(Failure(kind=Kind.RATE_LIMITED, message="m", retry_after_s=1.2), "")
    assert written.headers == ((b"retry-after", b"2"),)
    assert json.loads(written.body) == {
        "error": {"message": "m", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"}
    }
