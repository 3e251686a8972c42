"""Failures in Ollama's words, both ways.

Owns: `{"error": "..."}` as a body and as a line of a stream, and what a provider's status and words mean.
docs/api/errors.mdx: the status says the kind, the text is free, and an error inside a stream is a last line.
Refuses: to show a provider's words, except where they explain the caller's own request; the rest is for the record.
"""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from laneway.dialects import Headers, Written
from laneway.dialects.ollama.schema import BROKEN, encode
from laneway.failure import Failure, Kind

_STATUSES = {
    401: Kind.CREDENTIALS,
    # ollama.com's own models are paid for; it is the gateway's account that is empty.
    402: Kind.CREDENTIALS,
    403: Kind.CREDENTIALS,
    # Either the model is not pulled or no Ollama answers there: the gateway's settings are wrong, not the request.
    404: Kind.MODEL_MISSING,
    405: Kind.MODEL_MISSING,
    408: Kind.TIMEOUT,
    413: Kind.CONTEXT_TOO_LONG,
    429: Kind.RATE_LIMITED,
    503: Kind.OVERLOADED,
    504: Kind.TIMEOUT,
}
# The server's own sentences: llm/server.go, server/sched.go and server/routes.go say these.
_TOO_LONG = re.compile(
    r"exceed\w* (?:the |max |maximum |available |model's )*context"
    r"|context (?:length|size|window) (?:was |is )?exceeded|\b(?:prompt|input) (?:is )?too long",
    re.IGNORECASE,
)
_BUSY = re.compile(r"server busy|maximum pending requests", re.IGNORECASE)
_NO_MODEL = re.compile(r"model\b.*\bnot found", re.IGNORECASE | re.DOTALL)
_LACKS = re.compile(
    r"does not support (tools|thinking|chat|generate|insert|vision|embed\w*)|think value .* is not supported",
    re.IGNORECASE,
)
_FIELDS = {"tools": "tools", "thinking": "reasoning", "insert": "suffix", "vision": "messages"}

_WORDS = {
    Kind.CREDENTIALS: "The provider turned the gateway's own credentials away",
    Kind.MODEL_MISSING: "The provider does not have this model, or no Ollama server answers at its url",
    Kind.TIMEOUT: "The provider ran into its own time limit",
    Kind.CONTEXT_TOO_LONG: "The request is longer than the model's context window",
    Kind.RATE_LIMITED: "The provider's rate limit is reached",
    Kind.OVERLOADED: "The provider is busy",
    Kind.UNSUPPORTED: "The model cannot do what the request asks",
    Kind.BAD_REQUEST: "The provider refused the request",
    Kind.UPSTREAM_ERROR: "The provider failed",
}
_EXPLAINED = frozenset((Kind.CONTEXT_TOO_LONG, Kind.UNSUPPORTED, Kind.BAD_REQUEST))
# What looks like a key: named as one, begun like one, or long and mixed.
_KEY = re.compile(
    r"(?i:bearer|api[-_ ]?key[\"']?\s*[:=]|token[\"']?\s*[:=])\s*\S+"
    r"|\b(?:sk|pk|rk|gsk|hf|xai|AKIA|ASIA|AIza)[-_]?[\w.*-]{8,}"
    r"|\b(?=\w*\d)(?=\w*[A-Za-z])\w{32,}\b"
)
_SHOWN_CHARS = 300
_KEPT_CHARS = 2000


# --- from a provider ---------------------------------------------------------------------------------------


def read_failure(status: int, headers: Headers, body: bytes) -> Failure:
    """Any status that is no success, with a body of any shape or none."""
    try:
        told: Any = msgspec.json.decode(body)
    except BROKEN:
        text = body[: 4 * _KEPT_CHARS].decode("utf-8", "replace").strip()
        # HTML from a proxy explains nothing to anybody.
        told = "" if text.startswith("<") else text
    return build_failure(told, status, _retry_after_s(headers))


def build_failure(told: object, status: int, retry_after_s: float | None = None) -> Failure:
    """What an error means; `status` 500 where it has none of its own (inside a stream, or in a 200)."""
    text = _text(told)
    kind = _kind(status, text)
    message = f"{_WORDS[kind]} (status {status})."
    if kind in _EXPLAINED and text:
        message = f"{_WORDS[kind]}: {_redact(text, _SHOWN_CHARS)}"
    lacks = _LACKS.search(text) if kind is Kind.UNSUPPORTED else None
    return Failure(
        kind=kind,
        message=message,
        field=_FIELDS.get((lacks[1] or "thinking").lower()) if lacks else None,
        retry_after_s=retry_after_s,
        provider_status=status,
        detail=_redact(text, _KEPT_CHARS) or None,
    )


def _text(told: object) -> str:
    # Proxies in front of a server write {"error": {"message": ...}} or {"message": ...}.
    if isinstance(told, dict):
        for name in ("error", "message", "detail"):
            if told.get(name):
                return _text(told[name])
        return ""
    return told if isinstance(told, str) else ""


def _kind(status: int, text: str) -> Kind:
    if status not in (401, 402, 403, 429):
        # Older servers answer 500 to a prompt that is too long and to a full queue.
        if _TOO_LONG.search(text):
            return Kind.CONTEXT_TOO_LONG
        if _BUSY.search(text):
            return Kind.OVERLOADED
        if _NO_MODEL.search(text):
            return Kind.MODEL_MISSING
        if status < 500 and _LACKS.search(text):
            return Kind.UNSUPPORTED
    if status in _STATUSES:
        return _STATUSES[status]
    return Kind.BAD_REQUEST if 400 <= status < 500 else Kind.UPSTREAM_ERROR


def _redact(text: str, limit: int) -> str:
    clean = " ".join(_KEY.sub("[removed]", text[: 4 * limit]).split())
    return clean if len(clean) <= limit else clean[:limit] + "..."


def _retry_after_s(headers: Headers) -> float | None:
    """Seconds only: RFC 9110 section 10.2.3 also allows a date, which needs a clock."""
    for name, value in headers:
        if name.lower() == b"retry-after":
            try:
                wait_s = float(value)
            except ValueError:
                return None
            return wait_s if math.isfinite(wait_s) and wait_s >= 0 else None
    return None


# --- to the caller -----------------------------------------------------------------------------------------


def write_error(failure: Failure) -> bytes:
    """The error object, as a body and as a line inside a stream (without its line end)."""
    return encode({"error": failure.message})


def write_failure(failure: Failure) -> Written:
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if failure.retry_after_s is not None:
        headers = ((b"retry-after", str(math.ceil(failure.retry_after_s)).encode()),)
    return Written(failure.status, write_error(failure), headers=headers)
