"""Failures in Anthropic's format, both ways.

Owns: what an error object or a status means, and how a caller of this format is told of a failure so that Anthropic's
client raises the right class and repeats only what may help (https://docs.claude.com/en/api/errors).
Refuses: to say who sees a provider's words: that rule is every format's (`wire.fault`).
"""

from __future__ import annotations

import re

import msgspec

from laneway.dialects import Headers, Written
from laneway.failure import Failure, Kind
from laneway.wire.fault import STATUSES, describe, read_status
from laneway.wire.json import UNREADABLE, encode
from laneway.wire.redact import read_words
from laneway.wire.retry import read_retry_after, write_retry_after, write_should_retry


class Said(msgspec.Struct, gc=False):
    type: str | None = None
    message: str | None = None


class _Body(msgspec.Struct, gc=False):
    error: Said | None = None


_body = msgspec.json.Decoder(_Body)

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

_TOO_LONG = re.compile(r"prompt is too long|exceeds? (?:the )?context (?:limit|window)", re.IGNORECASE)
# The account the gateway pays with is empty: another provider may help, repeating will not.
_UNPAID = re.compile(r"credit balance is too low", re.IGNORECASE)


def classify(status: int, said: Said) -> Kind:
    """By status where there is one that says enough, else by type; `status` 0 is an error inside a 200."""
    kind = STATUSES.get(status) or _BY_TYPE.get(said.type or "")
    if kind is None or (kind is Kind.BAD_REQUEST and status >= 500):
        kind = read_status(status)
    if kind is Kind.BAD_REQUEST and said.message:
        if _TOO_LONG.search(said.message):
            return Kind.CONTEXT_TOO_LONG
        if _UNPAID.search(said.message):
            return Kind.CREDENTIALS
    return kind


def build_failure(said: Said, status: int, headers: Headers = ()) -> Failure:
    return describe(
        classify(status, said),
        said.message or "",
        status,
        named=said.type or "",
        retry_after_s=read_retry_after(headers),
    )


def read_failure(status: int, headers: Headers, body: bytes) -> Failure:
    try:
        said = _body.decode(body).error or Said()
    except UNREADABLE:
        said = Said(message=read_words(body))
    return build_failure(said, status, headers)


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


def write_error(failure: Failure, request_id: str = "") -> bytes:
    """The error object, as a body and as the data of an `error` event."""
    kind = _TYPES.get(failure.kind) or ("api_error" if failure.status >= 500 else "invalid_request_error")
    said: dict[str, object] = {"type": "error", "error": {"type": kind, "message": failure.message}}
    if request_id:
        said["request_id"] = request_id
    return encode(said)


def write_failure(failure: Failure, request_id: str) -> Written:
    # Where Anthropic's client looks for the id that its exceptions carry.
    named = ((b"request-id", request_id.encode()),) if request_id else ()
    headers = (*named, *write_retry_after(failure), *write_should_retry(failure))
    status = _STATUSES.get(failure.kind, failure.status)
    return Written(status=status, body=write_error(failure, request_id), headers=headers)
