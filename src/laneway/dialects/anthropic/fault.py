"""Failures in Anthropic's format, both ways.

Owns: what an error object or a status means, and how a caller of this format is told of a failure so that Anthropic's
client raises the right class and repeats only what may help (https://docs.claude.com/en/api/errors).
Refuses: to show a provider's words, except where they are about the caller's own request; those lose whatever looks
like a key. The rest goes into `detail`, for the record.
"""

from __future__ import annotations

import math
import re

import msgspec

from laneway.dialects import Headers, Written
from laneway.failure import Failure, Kind

_encode = msgspec.json.Encoder().encode

_SHOWN_CHARS = 400
_READ_CHARS = 4000


class Said(msgspec.Struct, gc=False):
    type: str | None = None
    message: str | None = None


class _Body(msgspec.Struct, gc=False):
    error: Said | None = None


_body = msgspec.json.Decoder(_Body)

_SECRET = re.compile(
    r"(?i:bearer|api[-_ ]?key[\"']?\s*[:=])\s*\S+"
    r"|\b(?:sk|pk|rk|key)[-_][\w*.-]{6,}"
    r"|\b(?:AIza|AKIA|ASIA)[\w-]{8,}"
    r"|\b(?=\w*\d)(?=\w*[A-Za-z])\w{32,}\b"
)

# --- from a provider ---------------------------------------------------------------------------------------

_BY_TYPE = {
    "authentication_error": Kind.CREDENTIALS,
    "permission_error": Kind.CREDENTIALS,
    "billing_error": Kind.CREDENTIALS,
    "not_found_error": Kind.MODEL_MISSING,
    "request_too_large": Kind.TOO_LARGE,
    "rate_limit_error": Kind.RATE_LIMITED,
    "overloaded_error": Kind.OVERLOADED,
    "timeout_error": Kind.TIMEOUT,
    "invalid_request_error": Kind.BAD_REQUEST,
    "api_error": Kind.UPSTREAM_ERROR,
}
_BY_STATUS = {
    401: Kind.CREDENTIALS,
    402: Kind.CREDENTIALS,
    403: Kind.CREDENTIALS,
    404: Kind.MODEL_MISSING,
    408: Kind.TIMEOUT,
    413: Kind.TOO_LARGE,
    429: Kind.RATE_LIMITED,
    503: Kind.OVERLOADED,
    504: Kind.TIMEOUT,
    529: Kind.OVERLOADED,
}

_TOO_LONG = re.compile(r"prompt is too long|exceeds? (?:the )?context (?:limit|window)", re.IGNORECASE)
# The account the gateway pays with is empty: another provider may help, repeating will not.
_UNPAID = re.compile(r"credit balance is too low", re.IGNORECASE)

_WORDS = {
    Kind.CREDENTIALS: "The provider turned the gateway's own credentials away",
    Kind.MODEL_MISSING: "The provider does not have this model, or nothing answers at its url",
    Kind.TOO_LARGE: "The request is larger than the provider takes",
    Kind.RATE_LIMITED: "The provider's rate limit is reached",
    Kind.OVERLOADED: "The provider is overloaded",
    Kind.TIMEOUT: "The provider ran into its own time limit",
    Kind.UPSTREAM_ERROR: "The provider failed",
    Kind.CONTEXT_TOO_LONG: "The prompt is longer than the model's context window",
    Kind.BAD_REQUEST: "The provider refused the request",
}
# About the caller's own request, so that the provider's explanation belongs to the caller.
_EXPLAINED = frozenset((Kind.BAD_REQUEST, Kind.CONTEXT_TOO_LONG))


def classify(status: int, said: Said) -> Kind:
    """By status where there is one that says enough, else by type; `status` 0 is an error inside a 200."""
    kind = _BY_STATUS.get(status)
    if kind is None:
        kind = _BY_TYPE.get(said.type or "")
    if kind is None or (kind is Kind.BAD_REQUEST and status >= 500):
        kind = Kind.BAD_REQUEST if 400 <= status < 500 else Kind.UPSTREAM_ERROR
    if kind is Kind.BAD_REQUEST and said.message:
        if _TOO_LONG.search(said.message):
            return Kind.CONTEXT_TOO_LONG
        if _UNPAID.search(said.message):
            return Kind.CREDENTIALS
    return kind


def build_failure(said: Said, status: int, headers: Headers = ()) -> Failure:
    kind = classify(status, said)
    words = _WORDS[kind]
    if kind in _EXPLAINED and said.message:
        message = f"{words}: {redact(said.message)}"
    else:
        message = f"{words} (status {status})." if status else f"{words}."
    return Failure(
        kind=kind,
        message=message,
        retry_after_s=_read_retry_after(headers),
        provider_status=status or None,
        detail=redact(f"{said.type or ''} {said.message or ''}".strip()) or None,
    )


def read_failure(status: int, headers: Headers, body: bytes) -> Failure:
    try:
        said = _body.decode(body).error or Said()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # A page of some proxy explains nothing to anybody; a plain line may help whoever reads the record.
        text = body[:_READ_CHARS].decode("utf-8", "replace").lstrip()
        return build_failure(Said("" if text.startswith("<") else text), status, headers)
    return build_failure(said, status, headers)


def redact(text: str) -> str:
    """Without anything that looks like a key, on one line, of bounded length."""
    clean = " ".join(_SECRET.sub("[removed]", text[:_READ_CHARS]).split())
    return clean if len(clean) <= _SHOWN_CHARS else clean[:_SHOWN_CHARS] + "..."


def _read_retry_after(headers: Headers) -> float | None:
    """Seconds only: RFC 9110 section 10.2.3 also allows a date, which needs a clock."""
    for name, value in headers:
        if name.lower() == b"retry-after":
            try:
                wait_s = float(value)
            except ValueError:
                return None
            return wait_s if math.isfinite(wait_s) and wait_s >= 0 else None
    return None


# --- to a caller -------------------------------------------------------------------------------------------

_TYPES = {
    Kind.UNAUTHENTICATED: "authentication_error",
    Kind.OVER_BUDGET: "billing_error",
    Kind.FORBIDDEN: "permission_error",
    Kind.UNKNOWN_MODEL: "not_found_error",
    Kind.UNKNOWN_PATH: "not_found_error",
    Kind.TOO_LARGE: "request_too_large",
    Kind.RATE_LIMITED: "rate_limit_error",
    Kind.QUEUE_FULL: "overloaded_error",
    Kind.OVERLOADED: "overloaded_error",
    Kind.BODY_TIMEOUT: "timeout_error",
    Kind.TIMEOUT: "timeout_error",
}
# Anthropic's own status for "overloaded", registered nowhere else; its client has a class for it.
_STATUSES = {Kind.QUEUE_FULL: 529, Kind.OVERLOADED: 529}

# Where the same request may do better a little later. Everything else the gateway has either tried already, or it
# will end the same way again; Anthropic's client would repeat any 408, 409 and 5xx twice on its own.
_REPEATABLE = frozenset(
    (Kind.BODY_TIMEOUT, Kind.RATE_LIMITED, Kind.QUEUE_FULL, Kind.OVERLOADED, Kind.NO_TARGET, Kind.STOPPING)
)


def write_error(failure: Failure, request_id: str = "") -> bytes:
    """The error object, as a body and as the data of an `error` event."""
    kind = _TYPES.get(failure.kind) or ("api_error" if failure.status >= 500 else "invalid_request_error")
    said: dict[str, object] = {"type": "error", "error": {"type": kind, "message": failure.message}}
    if request_id:
        said["request_id"] = request_id
    return _encode(said)


def write_failure(failure: Failure, request_id: str) -> Written:
    headers: list[tuple[bytes, bytes]] = []
    if request_id:
        # Where Anthropic's client looks for the id that its exceptions carry.
        headers.append((b"request-id", request_id.encode()))
    if failure.retry_after_s is not None:
        headers.append((b"retry-after", str(math.ceil(failure.retry_after_s)).encode()))
    if failure.kind not in _REPEATABLE:
        headers.append((b"x-should-retry", b"false"))
    status = _STATUSES.get(failure.kind, failure.status)
    return Written(status=status, body=write_error(failure, request_id), headers=tuple(headers))
