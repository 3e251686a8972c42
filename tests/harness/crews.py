"""Several workers in one process: a board each, on one slate, that can die without a word.

Owns: making them, and their deaths as the system sees them: locks let go, nothing tidied up.
Refuses: processes; tests/property/test_crew.py starts its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from laneway.board import Board
from laneway.crew import CrewBoard
from laneway.policy.breaker import BreakerRules
from laneway.route import HostRules
from laneway.slate import Slate


class Crew:
    """Boards beside each other."""

    def __init__(self, store: Path, rules: Mapping[str, HostRules], count: int, **knobs: Any) -> None:
        self._store = store
        self._rules = rules
        self._knobs = knobs
        self.boards: list[CrewBoard] = []
        self._slates: list[Slate] = []
        for _ in range(count):
            self.hire()

    def hire(self) -> CrewBoard:
        slate = Slate(self._store)
        board = CrewBoard(slate, rules=self._rules, **self._knobs)
        self._slates.append(slate)
        self.boards.append(board)
        return board

    def kill(self, number: int) -> None:
        """As the system does it."""
        slate = self._slates.pop(number)
        self.boards.pop(number)
        slate.closed = True
        os.close(slate._life)
        os.close(slate._file)

    def bury(self) -> int:
        """What a living worker does ever so often."""
        slate = self._slates[0]
        with slate:
            return slate.bury()

    def close(self) -> None:
        for slate in self._slates:
            slate.close()


@contextmanager
def crew(
    store: Path, rules: Mapping[str, HostRules], count: int = 2, *, breaker: BreakerRules | None = None, **knobs: Any
) -> Iterator[Crew]:
    """So many workers, gone at the end."""
    made = Crew(store, rules, count, breaker=breaker or BreakerRules(), **knobs)
    try:
        yield made
    finally:
        made.close()


def totals(board: Board, name: str) -> dict[str, int]:
    """Calls under way by lane, all workers' together."""
    board.refresh()
    return dict(board.host(name).admission.in_use)
