"""What an operator may order about money, read from text and checked.

Owns: what a correction of a settlement must say. Refuses: carrying anything out: the ledger does, and an order that is
not in the audit first.
"""

from __future__ import annotations

import re

import msgspec

from laneway.failure import Kind, fail
from laneway.policy.price import NANOS_PER_USD, usd_to_nanos

MOST_USD = 1_000_000_000
MOST_CHARS = 300
_USD = re.compile(r"[+-]?\d{1,10}(\.\d{1,9})?")


class Correction(msgspec.Struct, forbid_unknown_fields=True):
    """An order to change what an account has spent. `id` makes it safe to repeat."""

    account: str
    usd: str
    reason: str
    id: str = ""
    request_id: str = ""
    """The request that was settled wrongly: the reports are corrected where it was added up."""


def read_reason(text: str) -> str:
    """Who looks at it in a year wants to know why."""
    reason = " ".join(text.split())
    if not reason or len(reason) > MOST_CHARS or not reason.isprintable():
        raise fail(Kind.BAD_REQUEST, f"reason: say in 1 to {MOST_CHARS} characters why.", field="reason")
    return reason


def read_nanos(text: str) -> int:
    """An amount to add, or with a minus to take away, exact to the nano."""
    nanos = usd_to_nanos(text) if _USD.fullmatch(text) else 0
    if not nanos or abs(nanos) > MOST_USD * NANOS_PER_USD:
        raise fail(Kind.BAD_REQUEST, "usd: expected an amount other than 0 as text, like '-0.25'.", field="usd")
    return nanos
