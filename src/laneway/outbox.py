"""The outbox: what many connections write in one pass of the event loop, written together at its end.

Each write to a peer that sleeps wakes it, which costs more than the write; a peer that finds many requests at once
sleeps less and is woken less often.

Owns: whose bytes wait, and for how long: never for another event, and only while enough others write as well.
Refuses: to hold the bytes (whoever wrote them does, and keeps their order), and to wait where waiting saves nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol
from weakref import WeakKeyDictionary

FEW = 4
"""With fewer writes in a pass, the pass that is added costs as much as is saved."""
MOST = 32
"""So many leave at once before the pass is over: whoever answers them can begin."""
APART = 32
"""So many writes go out by themselves before it is tried again whether there are enough for one pass."""


class Sender(Protocol):
    """Whoever has bytes that wait."""

    def flush(self) -> None:
        """Writes them, if they still wait."""


class Outbox:
    """One for each event loop, which it does not keep alive."""

    def __init__(self) -> None:
        self._senders: deque[Sender] = deque()
        self._apart = 0
        self._posted = 0

    def takes(self, sender: Sender, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether its bytes may wait: it is asked for them before this returns, or in the loop's next pass."""
        if self._apart:
            self._apart -= 1
            return False
        if not self._posted:
            loop.call_soon(self._passed, loop)
        self._posted += 1
        self._senders.append(sender)
        if len(self._senders) >= MOST:
            self._flush(loop)
        return True

    def _passed(self, loop: asyncio.AbstractEventLoop) -> None:
        posted, self._posted = self._posted, 0
        if posted < FEW:
            self._apart = APART
        self._flush(loop)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        senders = self._senders
        try:
            while senders:
                senders.popleft().flush()
        finally:
            if senders:
                # One of them failed; the others are not to wait for ever.
                loop.call_soon(self._flush, loop)


_outboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, Outbox] = WeakKeyDictionary()


def outbox_of(loop: asyncio.AbstractEventLoop) -> Outbox:
    found = _outboxes.get(loop)
    if found is None:
        found = _outboxes[loop] = Outbox()
    return found
