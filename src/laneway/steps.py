"""Steps: something awaited, begun at once, so that what need not wait needs no timer, no task and no shield.

Owns: making the first step of an awaitable, and waiting for the rest as if it had been awaited from the start.
Refuses: time limits and cancelling: whoever waits for the rest brings them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Begun(Generic[T]):
    """Made inside a task. Where it is `done` already, `value` is what came of it; else await it."""

    __slots__ = ("_steps", "_waits_for", "done", "value")

    value: T

    def __init__(self, awaited: Awaitable[T]) -> None:
        self._steps: Any = awaited.__await__()
        try:
            self._waits_for = next(self._steps)
            self.done = False
        except StopIteration as end:
            self.value = end.value
            self.done = True

    def __await__(self) -> Generator[Any, Any, T]:
        if self.done:
            return self.value
        # What the first step waits for is waited for again, and so on.
        waits_for = self._waits_for
        while True:
            try:
                got = yield waits_for
            except BaseException as error:  # noqa: BLE001 - it is for what is awaited
                step = partial(self._steps.throw, error)
            else:
                step = partial(self._steps.send, got)
            try:
                waits_for = step()
            except StopIteration as end:
                self.value = end.value
                self.done = True
                return self.value
