"""The right to make one attempt at a host.

Owns: giving back what was taken, once, on every way out.
Refuses: to say who may sit (the board does), and to know what is noted of an attempt.
"""

from __future__ import annotations

from typing import Protocol

from laneway.host import Host
from laneway.route import Attempt, Target


class Notes(Protocol):
    """Whoever gives seats."""

    def note(self, host: Host, target: Target, attempt: Attempt | None, *, probe: bool, trimmed: bool) -> None:
        """What an attempt says of its target."""

    def free(self, host: Host, target: Target, lane: str) -> None:
        """Gives back what a seat that counts had taken."""


class Seat:
    """The right to make one attempt. Leave it exactly when the response is over; leaving again does nothing."""

    __slots__ = ("_board", "_host", "_lane", "_left", "_target", "counted", "keep_s", "probe")

    def __init__(self, board: Notes, host: Host, target: Target, lane: str) -> None:
        self._board = board
        self._host = host
        self._target = target
        self._lane = lane
        self._left = False
        self.counted = False
        self.probe = False
        self.keep_s: float | None = None
        """Where the host's memory is protected: how long the model is kept after the call, whoever wishes what."""

    def leave(self, attempt: Attempt | None, *, trimmed: bool = False) -> None:
        """Gives the slot back and notes what the attempt says of the host (`trimmed`: its clocks were cut short)."""
        if self._left:
            return
        self._left = True
        if attempt is not None or self.probe:
            self._board.note(self._host, self._target, attempt, probe=self.probe, trimmed=trimmed)
        if self.counted:
            self._board.free(self._host, self._target, self._lane)
