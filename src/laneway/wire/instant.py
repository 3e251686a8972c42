"""Points in time as wire formats spell them (RFC 3339).

Owns: reading one into seconds since the epoch.
Refuses: to fail over one: what cannot be read was not said.
"""

from __future__ import annotations

from datetime import datetime


def read_instant(text: str | None) -> int | None:
    try:
        return int(datetime.fromisoformat(text).timestamp()) if text else None
    except (ValueError, OverflowError):
        return None
