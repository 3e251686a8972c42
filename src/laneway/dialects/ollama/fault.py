"""Failures in Ollama's words, both ways.

Owns: `{"error": "..."}` as a body and as a line of a stream, and what a provider's status and words mean.
docs/api/errors.mdx: the status says the kind, the text is free, and an error inside a stream is a last line.
Refuses: to say who sees a provider's words: that rule is every format's (`wire.fault`).
"""

from __future__ import annotations

import re
from typing import Any

from laneway.dialects import Headers, Written
from laneway.failure import Failure, Kind
from laneway.wire.fault import describe, read_status
from laneway.wire.json import UNREADABLE, decode_any, encode
from laneway.wire.redact import read_words
from laneway.wire.retry import read_retry_after, write_retry_after

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


# --- from a provider ---------------------------------------------------------------------------------------


def read_failure(status: int, headers: Headers, body: bytes) -> Failure:
    """Any status that is no success, with a body of any shape or none."""
    try:
        told: Any = decode_any(body)
    except UNREADABLE:
        told = read_words(body)
    return build_failure(told, status, read_retry_after(headers))


def build_failure(told: object, status: int, retry_after_s: float | None = None) -> Failure:
    """What an error means; `status` 0 where it has none of its own (inside a stream, or in a 200)."""
    text = _text(told)
    kind = _kind(status, text)
    lacks = _LACKS.search(text) if kind is Kind.UNSUPPORTED else None
    field = _FIELDS.get((lacks[1] or "thinking").lower()) if lacks else None
    return describe(kind, text, status, field=field, retry_after_s=retry_after_s)


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
    # Servers of this format say 413 where the prompt is too long for the model.
    return Kind.CONTEXT_TOO_LONG if status == 413 else read_status(status)


# --- to the caller -----------------------------------------------------------------------------------------


def write_error(failure: Failure) -> bytes:
    """The error object, as a body and as a line inside a stream (without its line end)."""
    return encode({"error": failure.message})


def write_failure(failure: Failure) -> Written:
    return Written(failure.status, write_error(failure), headers=write_retry_after(failure))
