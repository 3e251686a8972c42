"""One answer of a provider as it comes off a connection, for whoever reads it.

Owns: what has come and was not read yet, how the answer ended, and letting the connection go with the last byte that
is read, and not a moment earlier.
Refuses: framing and clocks, which are the connection's; it fills in what came.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import msgspec

from laneway.failure import Failure, FailureError, Kind


class Source(Protocol):
    """The connection that an answer comes by."""

    def wait(self, limit_s: float) -> asyncio.Future[bool]:
        """Until there is something worth looking at; False when it was silent for `limit_s`."""

    def drained(self) -> None:
        """The reader took what was buffered."""

    def abort(self) -> None:
        """Closes at once."""

    def let_go(self) -> None:
        """Whoever held it has all that there was."""


class EngineReply(msgspec.Struct, eq=False):
    """A `ports.Reply`. Any failure of `read`, a time-out and a cancellation included, ends the connection."""

    _source: Source | None
    status: int = 0
    headers: list[tuple[bytes, bytes]] = []
    pieces: list[bytes] = []
    size: int = 0
    whole: bool = False
    failure: Failure | None = None

    async def read(self, limit_s: float) -> bytes:
        expired = False
        while True:
            if self.pieces:
                return self._take()
            if self.whole:
                self._let_go()
                return b""
            source = self._source
            if expired and self.failure is None:
                self.failure = Failure(
                    kind=Kind.TIMEOUT,
                    message=f"the provider's stream was silent for between_chunks={limit_s:g} s",
                    clock="between_chunks",
                )
            if self.failure is not None or source is None:
                await self.close()
                raise FailureError(self.failure or _CLOSED)
            try:
                expired = not await source.wait(limit_s)
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        if self._source is None:
            return
        if not self.whole:
            self._source.abort()
            self.failure = self.failure or _CLOSED
        elif self.pieces:
            # All of it came, so the provider has nothing to notice; but what is thrown away must not read as an end.
            self.pieces.clear()
            self.whole, self.failure = False, _CLOSED
        self._let_go()

    def _take(self) -> bytes:
        pieces = self.pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.size = 0
        if self.whole:
            # Not a moment earlier: a connection lent out again while its last answer still lies here unread would
            # write the next answer over it.
            self._let_go()
        elif self._source is not None:
            self._source.drained()
        return body

    def _let_go(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.let_go()


_CLOSED: Final = Failure(kind=Kind.CUT, message="the answer was closed before its end was read")
