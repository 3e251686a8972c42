"""Counsel: everything that a process knows about choosing, as one thing that starts and ends.

Owns: the tenants' dials, their lessons and the adviser who asks both. Refuses: the examples themselves (shelves), and
any configuration: which pool it is comes with each request.
"""

from __future__ import annotations

from laneway.board import Board
from laneway.learning.adviser import PoolAdviser
from laneway.learning.dials import TurnedDials
from laneway.learning.lessons import Lessons
from laneway.ports import Shelves
from laneway.route import Target
from laneway.store import Store


class Counsel:
    """Of one process; it outlives every configuration."""

    def __init__(self, store: Store, shelves: Shelves, board: Board) -> None:
        self.dials = TurnedDials(store.dials)
        self.lessons = Lessons(shelves, store.reports)
        self.adviser = PoolAdviser(
            shelves=shelves,
            lessons=self.lessons,
            dials=self.dials,
            receipts=store.receipts,
            busy=lambda target: taken(board, target),
        )

    def start(self) -> None:
        self.dials.start()
        self.lessons.start()

    async def close(self) -> None:
        await self.lessons.close()
        await self.dials.close()


def taken(board: Board, target: Target) -> int:
    """Slots of the target's provider that are in use."""
    return sum(board.host(target.provider.name).admission.in_use.values())
