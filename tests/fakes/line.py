"""A connection's two neighbours without a network: the transport below it and the owner above.

Owns: delivering bytes exactly as a test cuts them, and writing down what the connection asks of both. Refuses: any
behaviour of a real socket beyond that; `tests.fakes.upstream` has those.
"""

from __future__ import annotations

import asyncio

from laneway.upstream.connection import Connection


class Line(asyncio.Transport):
    """A transport that keeps what is written; it takes no more than `room` bytes until the test calls `empty`."""

    def __init__(self, connection: Connection, room: int | None = None) -> None:
        super().__init__()
        self.written = bytearray()
        self.reading = asyncio.Event()
        self.reading.set()
        self.aborted = False
        self.lost = False
        self._room = room
        self._taken = 0
        self._connection = connection
        connection.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data
        if self._room is not None and len(self.written) - self._taken > self._room:
            self._connection.pause_writing()

    def empty(self) -> None:
        """The other side takes all that was written."""
        self._taken = len(self.written)
        self._connection.resume_writing()

    def pause_reading(self) -> None:
        self.reading.clear()

    def resume_reading(self) -> None:
        self.reading.set()

    def abort(self) -> None:
        self.aborted = True
        asyncio.get_running_loop().call_soon(self.lose, None)

    def lose(self, error: Exception | None) -> None:
        """The connection ends, whoever ended it."""
        if not self.lost:
            self.lost = True
            self.reading.set()
            self._connection.connection_lost(error)


class Keeper:
    """The `Owner` of a single connection."""

    def __init__(self) -> None:
        self.given_back = 0
        self.reusable = False

    def take_back(self, connection: Connection) -> None:
        self.given_back += 1
        self.reusable = connection.rest()

    def forget(self, connection: Connection) -> None:
        """It was the only one."""
