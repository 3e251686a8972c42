"""Failures, both ways: what a provider's error means, and how a caller of this format is told of ours.

Owns: the mapping from status, error code and error type to a kind, and from a kind to OpenAI's error object and the
headers its clients obey.
Refuses: to show a provider's words, except where they are about the caller's own request; those lose whatever looks
like a key. The rest goes into `detail`, for the record.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

import msgspec

from laneway.dialects import Headers, Written
from laneway.failure import Failure, Kind

_read_any: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode

_SHOWN_CHARS = 400
_KEPT_CHARS = 2000

_KEY = re.compile(
    r"(?i:bearer|api[-_ ]?key[\"']?\s*[:=]|key provided:)\s*\S+"
    r"|\b(?:sk|pk|rk|gsk|xai|hf|key|tok)[-_][\w*.-]{6,}"
    r"|\b(?:AIza|AKIA|ASIA)[\w-]{8,}"
    r"|\b(?=\w*\d)(?=\w*[A-Za-z])\w{32,}\b"
)


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

_STATUSES: dict[int, Kind] = {
    401: Kind.CREDENTIALS,
    402: Kind.CREDENTIALS,
    403: Kind.CREDENTIALS,
    # Nothing at that place: the gateway's model id or url is wrong, not the caller's request.
    404: Kind.MODEL_MISSING,
    405: Kind.MODEL_MISSING,
    410: Kind.MODEL_MISSING,
    408: Kind.TIMEOUT,
    413: Kind.CONTEXT_TOO_LONG,
    429: Kind.RATE_LIMITED,
    503: Kind.OVERLOADED,
    504: Kind.TIMEOUT,
    # Not registered anywhere; Anthropic and some aggregators say it for "overloaded".
    529: Kind.OVERLOADED,
}


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
    if status in _STATUSES:
        return _STATUSES[status]
    return Kind.BAD_REQUEST if 400 <= status < 500 else Kind.UPSTREAM_ERROR


_WORDS: dict[Kind, str] = {
    Kind.CREDENTIALS: "The provider turned the gateway's own credentials away",
    Kind.MODEL_MISSING: "The provider does not have this model, or nothing answers at its url",
    Kind.RATE_LIMITED: "The provider's rate limit is reached",
    Kind.OVERLOADED: "The provider is overloaded",
    Kind.TIMEOUT: "The provider ran into its own time limit",
    Kind.UPSTREAM_ERROR: "The provider failed",
    Kind.CONTEXT_TOO_LONG: "The request is longer than the model's context window",
    Kind.REFUSED: "The provider's content policy refused the request",
    Kind.BAD_REQUEST: "The provider refused the request",
    Kind.UNSUPPORTED: "The model does not take one of the request's fields",
}

# Failures that are about the caller's own words, so that the provider's explanation belongs to the caller.
_EXPLAINED = frozenset({Kind.BAD_REQUEST, Kind.CONTEXT_TOO_LONG, Kind.UNSUPPORTED, Kind.REFUSED})


def build_failure(error: object, status: int, headers: Headers = ()) -> Failure:
    """The failure an error object means; `status` 0 where there is none of its own (inside a stream, or in a 200)."""
    said = read_said(error)
    kind = classify(status or said.status or 500, said)
    told = status or said.status
    message = f"{_WORDS[kind]} (status {told})." if told else f"{_WORDS[kind]}."
    if kind in _EXPLAINED and said.message:
        message = f"{_WORDS[kind]}: {redact(said.message, _SHOWN_CHARS)}"
    return Failure(
        kind=kind,
        message=message,
        field=said.param if kind in _EXPLAINED else None,
        retry_after_s=read_retry_after(headers),
        provider_status=told or None,
        detail=redact(" ".join(filter(None, (said.code, said.type, said.message))), _KEPT_CHARS) or None,
    )


def redact(text: str, limit: int) -> str:
    """Without anything that looks like a key, on one line, of bounded length."""
    clean = " ".join(_KEY.sub("[removed]", text[: 4 * limit]).split())
    return clean if len(clean) <= limit else clean[:limit] + "..."


def read_failure(status: int, headers: Headers, body: bytes) -> Failure:
    """Any status that is no success, with a body of any shape or none."""
    try:
        error: Any = _read_any(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # HTML from a proxy is no explanation for anybody; a plain line may be one for the record.
        text = body[: 4 * _KEPT_CHARS].decode("utf-8", "replace").lstrip()
        error = None if text.startswith("<") else {"message": text}
    return build_failure(error, status, headers)


def read_retry_after(headers: Headers) -> float | None:
    """Only forms in seconds: RFC 9110 section 10.2.3 also allows a date, which needs a clock."""
    said = {name.lower(): value for name, value in headers}
    wait_ms = _number_of(said.get(b"retry-after-ms"))
    return _number_of(said.get(b"retry-after")) if wait_ms is None else wait_ms / 1000


def _number_of(value: bytes | None) -> float | None:
    try:
        number = float(value or b"")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


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

# Where the same request may do better a little later. Everything else the gateway has either tried already, or it
# will end the same way again; OpenAI's client would repeat any 409 or 5xx twice on its own.
_REPEATABLE = frozenset(
    {Kind.BODY_TIMEOUT, Kind.RATE_LIMITED, Kind.QUEUE_FULL, Kind.OVERLOADED, Kind.NO_TARGET, Kind.STOPPING}
)


def write_error(failure: Failure) -> bytes:
    """The error object, as a body and as a frame inside a stream."""
    status = failure.status
    return _encode(
        {
            "error": {
                "message": failure.message,
                "type": _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
                "param": failure.field,
                "code": _OPENAI_CODES.get(failure.kind, failure.kind.value),
            }
        }
    )


def write_failure(failure: Failure, request_id: str) -> Written:
    headers: list[tuple[bytes, bytes]] = []
    if request_id:
        # Where OpenAI's client looks for the id that its exceptions carry.
        headers.append((b"x-request-id", request_id.encode()))
    if failure.retry_after_s is not None:
        headers.append((b"retry-after", str(math.ceil(failure.retry_after_s)).encode()))
    if failure.kind not in _REPEATABLE:
        headers.append((b"x-should-retry", b"false"))
    return Written(status=failure.status, body=write_error(failure), headers=tuple(headers))
