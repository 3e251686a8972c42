"""Tool calls: the arguments a model wrote, and the ids that calls go by.

Owns: what arguments are as a JSON object, what happens to those that are none (in a history that is the caller's
matter, in an answer the model's), and ids in the pattern of who receives them.
Refuses: to mend arguments, and to change a byte of them.
"""

from __future__ import annotations

import re
from hashlib import blake2s

import msgspec

from laneway.chat import ToolCall
from laneway.failure import Kind, fail
from laneway.wire.json import UNREADABLE, decode_fields

_NO_ARGUMENTS = msgspec.Raw(b"{}")


def read_arguments(text: str) -> msgspec.Raw | None:
    """The arguments with their bytes as the model wrote them; None when they are no JSON object. Nothing is {}."""
    if not text.strip():
        return _NO_ARGUMENTS
    try:
        decode_fields(text)
    except UNREADABLE:
        return None
    return msgspec.Raw(text.encode())


def replay_arguments(call: ToolCall, field: str) -> msgspec.Raw:
    """Of a call in a history, for a provider that takes objects only."""
    found = read_arguments(call.arguments)
    if found is None:
        raise fail(Kind.UNSUPPORTED, f"{field}: this provider takes only a JSON object here.", field=field)
    return found


def answer_arguments(call: ToolCall, field: str | None = None) -> msgspec.Raw:
    """Of a call in an answer, for a caller whose format has objects only."""
    found = read_arguments(call.arguments)
    if found is None:
        raise fail(
            Kind.MALFORMED_ANSWER, "The model called a tool with arguments that are no JSON object.", field=field
        )
    return found


def fit_id(call_id: str, pattern: re.Pattern[str], prefix: str) -> str:
    """The id, or what stands for one without the pattern: the same for a call and for its result."""
    if pattern.fullmatch(call_id):
        return call_id
    return prefix + blake2s(call_id.encode(), digest_size=12).hexdigest()
