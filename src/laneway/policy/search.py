"""A search for records, read from what a person or a program typed.

Owns: the words `limit`, `cursor`, `from` and `to` (an instant, Unix seconds, or a day of UTC, which counts whole), what
is wrong with them, and that every other word is an attribute's name.
Refuses: searching (the journal does), and knowing which attributes there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from laneway.failure import FailureError, Kind, fail
from laneway.ports import Search

MOST_RECORDS = 1000
"""On one page."""
WORDS = ("limit", "cursor", "from", "to")


def read_search(asked: Mapping[str, str], *, usual: int = 100, most: int | None = MOST_RECORDS) -> Search:
    """Raises FailureError naming the field."""
    return Search(
        _number(asked, "limit", 1, most) or usual,
        {name: value for name, value in asked.items() if name not in WORDS},
        first_s=_instant(asked, "from", whole_day_s=0),
        until_s=_instant(asked, "to", whole_day_s=86_400),
        below=_number(asked, "cursor", 1, None),
    )


def _number(asked: Mapping[str, str], name: str, least: int, most: int | None) -> int | None:
    text = asked.get(name)
    if text is None:
        return None
    # Python refuses to read thousands of digits.
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else -1
    if number < least or (most is not None and number > most):
        bounds = f"from {least} to {most}" if most is not None else f"from {least} on"
        raise fail(Kind.BAD_REQUEST, f"{name}: expected a whole number {bounds}.", field=name)
    return number


def _instant(asked: Mapping[str, str], name: str, *, whole_day_s: float) -> float | None:
    text = asked.get(name)
    if not text:
        return None
    try:
        if len(text) == len("2026-01-31") and "-" in text:
            day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
            return (day + timedelta(seconds=whole_day_s)).timestamp()
        at = datetime.fromisoformat(text) if "-" in text[1:] else datetime.fromtimestamp(float(text), UTC)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise _no_instant(name, text) from None


def _no_instant(name: str, text: str) -> FailureError:
    return fail(
        Kind.BAD_REQUEST,
        f"{name}: expected an instant as 2026-01-31T12:00:00Z, a day as 2026-01-31, or Unix seconds, "
        f"got '{text[:40]}'.",
        field=name,
    )
