"""The model list, both ways.

Owns: OpenAI's four fields, and what compatible servers add to an entry: the window under each of the names it goes by,
the longest answer, a display name.
Refuses: guessing what a model can do from what it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from laneway.chat import Card
from laneway.dialects import Written
from laneway.dialects.objects.fault import build_failure
from laneway.failure import FailureError
from laneway.wire.fault import misfit
from laneway.wire.json import UNREADABLE, encode


class Entry(msgspec.Struct):
    """`context_window` is Groq's word, `context_length` OpenRouter's, `max_model_len` vLLM's."""

    id: str
    owned_by: str | None = None
    created: int | float | None = None
    name: str | None = None
    context_window: int | None = None
    context_length: int | None = None
    max_model_len: int | None = None
    max_completion_tokens: int | None = None


class Listed(msgspec.Struct):
    data: list[Entry] | None = None
    error: Any = None


_NO_LIST: Final = misfit("JSON of OpenAI's form")
_decode: Final = msgspec.json.Decoder(Listed | list[Entry]).decode


def read_models(body: bytes) -> list[Card]:
    """OpenAI's object, or the bare list that Together sends."""
    try:
        read = _decode(body)
    except UNREADABLE:
        raise FailureError(_NO_LIST) from None
    if isinstance(read, Listed):
        if read.error:
            raise FailureError(build_failure(read.error, 0))
        # Ollama says null where it has no model.
        read = read.data or []
    return [
        Card(
            id=entry.id,
            provider=entry.owned_by or "",
            # Some servers write 0 for "unknown".
            created_s=int(entry.created) if entry.created else None,
            display=entry.name,
            window=entry.context_window or entry.context_length or entry.max_model_len,
            output=entry.max_completion_tokens,
        )
        for entry in read
    ]


def write_models(cards: Sequence[Card]) -> Written:
    return Written(200, encode({"object": "list", "data": [_write_card(card) for card in cards]}))


def write_model(card: Card) -> Written:
    """One entry alone, as /models/{id} answers."""
    return Written(200, encode(_write_card(card)))


def _write_card(card: Card) -> dict[str, object]:
    more = (("name", card.display), ("context_window", card.window), ("max_completion_tokens", card.output))
    return {
        "id": card.id,
        "object": "model",
        "created": card.created_s or 0,
        "owned_by": card.provider,
        **{name: value for name, value in more if value is not None},
    }
