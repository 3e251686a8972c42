"""Somebody who waits for money.

Owns: what is wanted, and how it is told. Refuses: finding it, which is the ledger's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from laneway.ports import Share, Short


class Waiter(NamedTuple):
    """Somebody who found too little leased. `done` brings None once the shares are set aside for them."""

    shares: Sequence[Share]
    now_s: float
    done: asyncio.Future[tuple[Short, bool] | None]
