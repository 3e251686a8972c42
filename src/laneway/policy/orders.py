"""What an operator may order about money: kills and corrections, read from text and checked.

Owns: which scopes a kill may have and how they are written, and what a correction of a settlement must say.
Refuses: carrying anything out, and deciding what a kill covers (budgets does).
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

import msgspec

from laneway.failure import Kind, fail
from laneway.policy.budgets import EVERYTHING
from laneway.policy.price import NANOS_PER_USD, usd_to_nanos

SCOPES = ("key", "tenant", "project", "lane", "tier", "provider")
MOST_USD = 1_000_000_000
MOST_CHARS = 300
_USD = re.compile(r"[+-]?\d{1,10}(\.\d{1,9})?")


class Killing(msgspec.Struct, forbid_unknown_fields=True):
    """An order to stop paid calls, or to take that back."""

    scope: str = EVERYTHING
    reason: str = ""


class Correction(msgspec.Struct, forbid_unknown_fields=True):
    """An order to change what an account has spent. `id` makes it safe to repeat."""

    account: str
    usd: str
    reason: str
    id: str = ""
    request_id: str = ""
    """The request that was settled wrongly: the reports are corrected where it was added up."""


def read_scope(text: str) -> str:
    """A scope as the ledger keeps it: `all`, or `tenant:acme` and the like, several apart by spaces."""
    if text == EVERYTHING:
        return text
    parts: list[str] = []
    for part in text.split():
        name, _, value = part.partition(":")
        if name not in SCOPES or not value:
            known = ", ".join(f"{each}:NAME" for each in SCOPES)
            raise fail(Kind.BAD_REQUEST, f"scope: '{part[:60]}' is none; write all, or some of {known}.", field="scope")
        parts.append(f"{name}:{quote(unquote(value), safe='')}")
    if not parts or len(text) > MOST_CHARS:
        raise fail(Kind.BAD_REQUEST, f"scope: expected 1 to {MOST_CHARS} characters.", field="scope")
    return " ".join(sorted(parts))


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
