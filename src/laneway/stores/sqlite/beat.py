"""The beat: one instant at which all who have waited put their jobs, so that they share a transaction.

Owns: when that is. Whoever joins waits no longer than they said, and less where somebody else is waiting already.
Refuses: to know what is written, and to call anybody who left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Due:
    """Somebody's next call."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self._call = None

    def take(self) -> None:
        if self._call is not None:
            self._call()


class Beat:
    """On the loop that runs when somebody joins."""

    def __init__(self) -> None:
        self._due: list[Due] = []
        self._timer: asyncio.TimerHandle | None = None

    def join(self, call: Callable[[], None], wait_s: float) -> Due:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + wait_s
        if self._timer is not None and self._timer.when() > until_s:
            self.stop()
        if self._timer is None:
            self._timer = loop.call_at(until_s, self._strike, loop)
        due = Due(call)
        self._due.append(due)
        return due

    def stop(self) -> None:
        """Until somebody joins."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _strike(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        all_due, self._due = self._due, []
        for due in all_due:
            # In one go of the loop, but so that an error of one does not take the others along. Between two timers the
            # loop may give the interpreter away, and the writing thread would begin with the first job alone.
            loop.call_soon(due.take)
