"""When to try again, both ways: what a provider asked for, and what a caller is told.

Owns: `Retry-After` (RFC 9110 section 10.2.3) and its cousin in milliseconds, and which failures are worth repeating.
Refuses: the form with a date, which needs a clock, and any number that is no wait.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from laneway.failure import Failure, Kind

REPEATABLE = frozenset(
    (Kind.BODY_TIMEOUT, Kind.RATE_LIMITED, Kind.QUEUE_FULL, Kind.OVERLOADED, Kind.NO_TARGET, Kind.STOPPING)
)
"""Where the same request may do better a little later. Everything else the gateway has either tried already, or it will
end the same way again."""


def read_retry_after(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    """Seconds; None where no number of them was said."""
    said = {name.lower(): value for name, value in headers}
    wait_ms = _read_number(said.get(b"retry-after-ms"))
    return _read_number(said.get(b"retry-after")) if wait_ms is None else wait_ms / 1000


def _read_number(value: bytes | None) -> float | None:
    try:
        number = float(value or b"")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def write_retry_after(failure: Failure) -> tuple[tuple[bytes, bytes], ...]:
    """In whole seconds, which is all the header can say; no header where nothing is known."""
    if failure.retry_after_s is None:
        return ()
    return ((b"retry-after", str(math.ceil(failure.retry_after_s)).encode()),)


def write_should_retry(failure: Failure) -> tuple[tuple[bytes, bytes], ...]:
    """What the clients of OpenAI and Anthropic obey; without it they repeat any 408, 409 and 5xx twice on their own."""
    return () if failure.kind in REPEATABLE else ((b"x-should-retry", b"false"),)
