"""Failures, both ways: what a provider's error means, and how a caller of this format is told of ours.

Owns: the mapping from status, error code and error type to a kind, and from a kind to OpenAI's error object and the
headers its clients obey.
Refuses: to say who sees a provider's words: that rule is every format's (`wire.fault`).
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from laneway.dialects import Headers, Written
from laneway.failure import Failure, Kind
from laneway.wire.fault import describe, misfit, read_status
from laneway.wire.json import UNREADABLE, decode_any, encode
from laneway.wire.redact import read_words
from laneway.wire.retry import read_retry_after, write_retry_after, write_should_retry


class Said(msgspec.Struct, frozen=True):
    """What an error object says, whichever shape it has; `status` is a number some servers put into `code`."""

    message: str = ""
    type: str = ""
    code: str = ""
    param: str | None = None
    status: int = 0


def read_said(error: object) -> Said:
    """OpenAI's `{"message", "type", "code", "param"}`, or as near to it as compatible servers come."""
    if isinstance(error, str):
        return Said(message=error)
    if isinstance(error, list):
        return read_said(error[0]) if error else Said()
    if not isinstance(error, dict):
        return Said()
    for inner in ("error", "detail"):
        if isinstance(error.get(inner), dict | list | str) and error[inner]:
            return read_said(error[inner])
    code, param = error.get("code"), error.get("param")
    # FastAPI's own validation errors call the message `msg`.
    message = error.get("message") or error.get("msg")
    return Said(
        message=message if isinstance(message, str) else "",
        type=_word(error.get("type")),
        code=_word(code),
        param=param if isinstance(param, str) else None,
        status=_number(code),
    )


def _word(value: object) -> str:
    return value.lower() if isinstance(value, str) else ""


def _number(code: object) -> int:
    if isinstance(code, str) and code.isascii() and code.isdigit():
        code = int(code[:4])
    return code if isinstance(code, int) and not isinstance(code, bool) and 400 <= code <= 599 else 0


# Words of `code` or `type` that settle the kind whatever the status is.
_CODES: dict[str, Kind] = {
    "context_length_exceeded": Kind.CONTEXT_TOO_LONG,
    "exceed_context_size_error": Kind.CONTEXT_TOO_LONG,
    "string_above_max_length": Kind.CONTEXT_TOO_LONG,
    "content_filter": Kind.REFUSED,
    "content_policy_violation": Kind.REFUSED,
    "model_not_found": Kind.MODEL_MISSING,
    "deploymentnotfound": Kind.MODEL_MISSING,
    # The gateway's account is empty: trying again is of no use, another provider is.
    "insufficient_quota": Kind.CREDENTIALS,
    "billing_hard_limit_reached": Kind.CREDENTIALS,
    "invalid_api_key": Kind.CREDENTIALS,
    "authentication_error": Kind.CREDENTIALS,
    "rate_limit_exceeded": Kind.RATE_LIMITED,
    "rate_limit_error": Kind.RATE_LIMITED,
    "overloaded": Kind.OVERLOADED,
    "overloaded_error": Kind.OVERLOADED,
    "server_overloaded": Kind.OVERLOADED,
    # A model that does not take a field is no verdict about the next one.
    "unsupported_parameter": Kind.UNSUPPORTED,
    "unsupported_value": Kind.UNSUPPORTED,
}

_TOO_LONG = re.compile(
    r"context (?:length|size|window)|(?:prompt|input) (?:is )?too long|too many (?:input |prompt )?tokens",
    re.IGNORECASE,
)
_FLAGGED = re.compile(r"content[ _](?:policy|management)|was flagged", re.IGNORECASE)
_NO_MODEL = re.compile(r"model\b[^.]{0,90}(?:not found|not exist)|not a valid model|invalid model", re.IGNORECASE)


def classify(status: int, said: Said) -> Kind:
    for word in (said.code, said.type):
        if word in _CODES:
            return _CODES[word]
    if 400 <= status < 500 and status not in (401, 402, 429):
        if _FLAGGED.search(said.message):
            return Kind.REFUSED
        if _TOO_LONG.search(said.message):
            return Kind.CONTEXT_TOO_LONG
        if _NO_MODEL.search(said.message):
            return Kind.MODEL_MISSING
    # Servers of this format say 413 where the prompt is too long for the model.
    return Kind.CONTEXT_TOO_LONG if status == 413 else read_status(status)


def build_failure(error: object, status: int, headers: Headers = ()) -> Failure:
    """The failure an error object means; `status` 0 where there is none of its own (inside a stream, or in a 200)."""
    said = read_said(error)
    kind = classify(status or said.status or 500, said)
    return describe(
        kind,
        said.message,
        status or said.status,
        named=f"{said.code} {said.type}",
        field=said.param,
        retry_after_s=read_retry_after(headers),
    )


def read_failure(status: int, headers: Headers, body: bytes) -> Failure:
    """Any status that is no success, with a body of any shape or none."""
    try:
        error: Any = decode_any(body)
    except UNREADABLE:
        error = read_words(body)
    return build_failure(error, status, headers)


def judge_stream(body: bytes) -> Failure:
    """What came instead of events: a mapped error if it is one, else an answer of the wrong form."""
    try:
        found = decode_any(body)
    except UNREADABLE:
        found = None
    if isinstance(found, dict) and found.get("error"):
        return build_failure(found["error"], 0)
    what = "a whole JSON body" if found is not None else "something else" if body.strip() else "nothing of an answer"
    return misfit(f"the stream it was asked for: it sent {what}")


# --- to the caller -----------------------------------------------------------------------------------------

# The codes OpenAI's own API uses; every other kind goes by its own name.
_OPENAI_CODES: dict[Kind, str] = {
    Kind.UNAUTHENTICATED: "invalid_api_key",
    Kind.OVER_BUDGET: "insufficient_quota",
    Kind.UNKNOWN_MODEL: "model_not_found",
    Kind.UNKNOWN_PATH: "unknown_url",
    Kind.WRONG_METHOD: "method_not_supported",
    Kind.CONTEXT_TOO_LONG: "context_length_exceeded",
    Kind.REFUSED: "content_policy_violation",
    Kind.RATE_LIMITED: "rate_limit_exceeded",
    Kind.UNSUPPORTED: "unsupported_parameter",
}

_TYPES: dict[int, str] = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    408: "timeout_error",
    429: "rate_limit_error",
}


def make_error(failure: Failure) -> dict[str, str | None]:
    """The error object."""
    status = failure.status
    return {
        "message": failure.message,
        "type": _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
        "param": failure.field,
        "code": _OPENAI_CODES.get(failure.kind, failure.kind.value),
    }


def write_error(failure: Failure) -> bytes:
    """The error object, as a body and as a frame inside a stream."""
    return encode({"error": make_error(failure)})


def write_failure(failure: Failure, request_id: str) -> Written:
    # Where OpenAI's client looks for the id that its exceptions carry.
    named = ((b"x-request-id", request_id.encode()),) if request_id else ()
    headers = (*named, *write_retry_after(failure), *write_should_retry(failure))
    return Written(status=failure.status, body=write_error(failure), headers=headers)
