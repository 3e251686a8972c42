"""What people are told, once each: the door to who was told what.

Owns: an alert, a notice of it for one channel, and the verbs of sending. Refuses: any implementation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something that people are told: once for each kind, subject, period and mark, whoever notices it again."""

    kind: str
    subject: str
    period: str
    facts: Mapping[str, str] = {}
    mark: str = ""
    """What tells two of the same kind in one period apart: a threshold, say."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """An alert for one channel, until it is sent or given up."""

    id: str
    """The same for every try, so that a receiver can tell a repetition."""
    channel: str
    kind: str
    subject: str
    period: str
    facts: Mapping[str, str]
    at_s: float
    tries: int = 0
    state: str = "waiting"
    """"waiting", "sent" or "given up"."""
    reason: str = ""


class Notices(Protocol):
    """Who was told what. Shared by all processes of a store, so that each notice is sent by one of them."""

    async def put(self, notices: Sequence[Notice]) -> int:
        """Takes in those whose id was never seen, and answers how many."""

    async def take(self, channel: str, now_s: float, until_s: float) -> Notice | None:
        """The oldest that is due, with this try counted; nobody else is given it before `until_s`."""

    async def ended(self, notice_id: str, now_s: float, *, reason: str = "") -> None:
        """It was sent; with a reason, it was given up."""

    async def failed(self, notice_id: str, reason: str, again_s: float) -> None:
        """It is due again at `again_s`."""

    async def recent(self, limit: int) -> Sequence[Notice]:
        """The newest first."""
