"""Who is asked which of several able targets should serve a request.

Owns: what such a question holds, and the answer with its receipt. Refuses: any implementation, and failing: where there
is no opinion the answer says why, and the default is ranked first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from laneway.dialects import Asked, View
from laneway.ports.callers import Pin
from laneway.ports.receipts import Receipt
from laneway.route import Attempt, Decision, Pool


class Case(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request of a pool, as far as its choice is concerned."""

    id: str
    at_s: float
    tenant: str
    key_id: str | None = None
    lane: str | None = None
    pool: Pool
    view: View
    asked: Asked
    tag: str = ""
    plan: Decision
    """The targets that are able and allowed, in their plain order, with those that are left out."""
    bias: float | None = None
    pin: Pin | None = None
    """Who served this conversation before."""


class Advice(msgspec.Struct, frozen=True, gc=False):
    decision: Decision
    receipt: Receipt


class Adviser(Protocol):
    """Asked once for each request of a pool."""

    def advise_now(self, case: Case) -> Advice | None:
        """Ranks the plan; None where a provider has to be asked first."""

    async def advise(self, case: Case) -> Advice:
        """The same, waiting for nothing but an embedding that a provider makes, and not long for that."""

    def keep(self, receipt: Receipt) -> None:
        """The request goes where the receipt says."""

    def ended(self, receipt: Receipt, attempts: Sequence[Attempt]) -> None:
        """What came of a request whose receipt was kept."""
