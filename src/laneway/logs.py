"""The log: one line per event on the standard error, for people or for programs.

Owns: both forms, and which voices of the libraries are heard. A line tells of a failed request by its id, front,
status, lane, tenant, attempts and kind of failure; of one that went well there is none.
Refuses: prompts, answers, keys and a provider's words, which no room hands over.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import UTC, datetime

import msgspec

_encode = msgspec.json.Encoder().encode
_TEXT = logging.Formatter("%(asctime)s %(levelname)s %(message)s")


class _Json(logging.Formatter):
    """What `extra={"facts": ...}` brought stands beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= getattr(record, "facts", {})
        if record.exc_info is not None:
            told["trace"] = self.formatException(record.exc_info)
        return _encode(told).decode()


def start_logging(form: str = "text") -> None:
    """Again with another form, once the configuration is known."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _TEXT)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    errors = logging.getLogger("uvicorn.error")
    if _is_news not in errors.filters:
        errors.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Not the trace of a request that was cancelled on purpose, when the time for stopping had run out."""
    return record.exc_info is None or not isinstance(record.exc_info[1], asyncio.CancelledError)
