"""Patience: how long one caller's connection is waited for.

Owns: its two clocks, one for what has begun to come and one for the rest between two requests. Neither is made anew
with each request, which would cost more than all that is written for it.
Refuses: to know what is being waited for, and what one who was too slow is told (the doorway does).
"""

from __future__ import annotations

import asyncio

from laneway.hatch import Hatch

IDLE_S = 75
"""How long a connection is kept for a next request at least: longer than clients keep theirs, so that they end it."""


class Patience(Hatch):
    """What the doorway is made on. Limits are in seconds of a clock that tests make run faster."""

    __slots__ = ("_alive", "_clock", "_rest", "_scale")

    def __init__(self, loop: asyncio.AbstractEventLoop, scale: float) -> None:
        super().__init__(loop)
        self._scale = scale
        self._clock: asyncio.TimerHandle | None = None
        self._rest: asyncio.TimerHandle | None = None
        self._alive = False

    def is_busy(self) -> bool:
        """Whether anything is under way, or coming in."""
        raise NotImplementedError

    def too_slow(self) -> None:
        """What was to come in time did not."""
        raise NotImplementedError

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_clock()
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _start_clock(self, limit_s: float) -> None:
        self._stop_clock()
        self._clock = self.loop.call_later(limit_s * self._scale, self._ring)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _ring(self) -> None:
        self._clock = None
        self.too_slow()

    def _rest_now(self) -> None:
        """Nothing is under way. The timer of an earlier rest is left where it is."""
        if self._rest is None:
            self._rest = self.loop.call_later(IDLE_S * self._scale, self._rested)
        self._alive = True

    def _rested(self) -> None:
        self._rest = None
        if self.is_busy():
            # There are other clocks for that, and whoever is answered rests again.
            return
        if self._alive:
            self._alive = False
            self._rest = self.loop.call_later(IDLE_S * self._scale, self._rested)
        else:
            self.close()
