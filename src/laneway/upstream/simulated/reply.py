"""A response that was never on a wire, and behaves as if it had been.

Owns: `ports.Reply` over prepared steps: bytes, pauses and failures, with the clocks the caller asks for.
Refuses: to know what the bytes mean. A pause sleeps in real time, and only because a model's name asked for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from laneway.failure import Failure, FailureError, Kind

Step: TypeAlias = bytes | float | Failure
"""Bytes of the body, seconds in which nothing comes (FOREVER: nothing comes any more), or how it breaks off."""
FOREVER = float("inf")

_CLOSED = Failure(kind=Kind.CUT, message="the response was closed before its body had ended")


class SimulatedReply:
    """`on_close` is told once whether the body had been read to its end."""

    def __init__(
        self,
        status: int,
        headers: list[tuple[bytes, bytes]],
        steps: Iterable[Step],
        *,
        piece_bytes: int | None = None,
        on_close: Callable[[bool], None] | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self._steps: Iterator[Step] = iter(steps)
        self._piece_bytes = piece_bytes
        self._on_close = on_close
        self._held = b""
        self._ended = False
        self._failure: Failure | None = None

    async def read(self, limit_s: float) -> bytes:
        if self._failure is not None:
            raise FailureError(self._failure)
        while not self._held and not self._ended:
            try:
                await self._step(limit_s)
            except BaseException:
                await self.close()
                raise
        if self._ended and not self._held:
            await self.close()
            return b""
        size = self._piece_bytes or len(self._held)
        piece, self._held = self._held[:size], self._held[size:]
        return piece

    async def _step(self, limit_s: float) -> None:
        step = next(self._steps, None)
        if step is None:
            self._ended = True
        elif isinstance(step, bytes):
            self._held = step
        elif isinstance(step, Failure):
            self._failure = step
            raise FailureError(step)
        elif step > limit_s:
            await asyncio.sleep(limit_s)
            self._failure = Failure(
                kind=Kind.TIMEOUT,
                message=f"the provider's stream was silent for between_chunks={limit_s:g} s",
                clock="between_chunks",
            )
            raise FailureError(self._failure)
        else:
            await asyncio.sleep(step)

    async def close(self) -> None:
        told, self._on_close = self._on_close, None
        whole = self._ended and not self._held
        if told is not None:
            told(whole)
        if not whole and self._failure is None:
            self._failure = _CLOSED
        self._held = b""
