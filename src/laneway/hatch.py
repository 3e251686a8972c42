"""The hatch: the bytes of one caller's connection, and the pace of either side.

Owns: the order in which bytes leave, those that leave together with other connections', and pausing whoever is faster
than the other side.
Refuses: to know what the bytes are (doorway and turn do), and when a connection has lasted long enough.
"""

from __future__ import annotations

import asyncio

from laneway.outbox import outbox_of

MOST_WAITING = 32 * 1024
"""Longer pieces leave at once."""


class Hatch(asyncio.Protocol):
    """What patience and the doorway are made on."""

    __slots__ = ("_lost", "_outbox", "_reading", "_unsent", "_writable", "loop", "transport", "write_paused")

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.write_paused = False
        self._outbox = outbox_of(loop)
        self._unsent = b""
        self._lost = False
        self._reading = True
        self._writable: asyncio.Event | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._unsent = b""
        self.resume_writing()

    def write(self, data: bytes) -> None:
        """Now, or with what others write in this pass of the loop; in order."""
        if self._unsent:
            # Of what waits there is one piece at most, so that the other side's pace is felt.
            self.flush()
            self.transport.write(data)
            return
        self._unsent = data
        if len(data) > MOST_WAITING or not self._outbox.takes(self, self.loop):
            self.flush()

    def write_now(self, data: bytes) -> None:
        """By itself, as those are told who are turned away: looking after so many short answers would cost more."""
        if self._unsent:
            self.flush()
        self.transport.write(data)

    def flush(self) -> None:
        unsent, self._unsent = self._unsent, b""
        if unsent:
            self.transport.write(unsent)

    def close(self) -> None:
        """Behind all that was written."""
        self.flush()
        self.transport.close()

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        self.write_paused = True
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    async def writable(self) -> None:
        if self._writable is not None:
            await self._writable.wait()
