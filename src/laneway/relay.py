"""Relay: one stream from a provider to a caller, in three states.

Holding: nothing has reached the caller, and whatever goes wrong is raised. Committed, from the first event that
bears content: every upstream read is followed by one awaited send, so back-pressure is TCP's. Ended: finished,
faulted or caller gone, exactly one of them.
Refuses: choosing targets, and ever writing a success terminator after a fault.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from laneway.allowance import Reach
from laneway.attempt import Running
from laneway.chat import (
    Event,
    Faulted,
    Finish,
    Finished,
    Repeated,
    Skipped,
    TextDelta,
    ThinkingDelta,
    Timings,
    ToolBegan,
    ToolDelta,
    Used,
)
from laneway.dialects import Frame, StreamReader, StreamWriter
from laneway.edge import Send
from laneway.failure import Failure, FailureError, Kind
from laneway.ports import Reply

MOST_HELD = 1 << 20
"""So much may come before the first content: comments and lifecycle frames, never megabytes."""
MOST_KEPT = 4 << 20
"""So much of an answer is held to its end; of a longer one the caller gets what there is, and then the rest."""


class Relay:
    """Made per attempt. Call `hold` until it returns, then send the response head, then `run`."""

    __slots__ = (
        "_clock",
        "_committed",
        "_fault",
        "_hides_usage",
        "_over",
        "_passing",
        "_raw",
        "_reader",
        "_reply",
        "_rescue",
        "_running",
        "_writer",
        "reach",
    )

    def __init__(
        self,
        *,
        running: Running,
        reply: Reply,
        reader: StreamReader,
        writer: StreamWriter,
        passing: bool,
        hides_usage: bool,
        clock: Callable[[], float],
    ) -> None:
        self._running = running
        self._reply = reply
        self._rescue = rescue = running.rescue
        self._raw = reader
        self._reader = reader if rescue is None else rescue.ears(reader, running.target.model, running.resumed)
        self._writer = writer
        self._passing = passing
        self._hides_usage = hides_usage
        self._clock = clock
        self.reach: Reach | None = None
        """Set where a stream may run out of money."""
        self._committed = False
        self._over = False
        self._fault: Failure | None = None

    async def hold(self, first_by_s: float, first_content_s: float) -> bytes:
        """Reads until there is content, and returns what is to be sent first. Raises any fault before that."""
        held: list[bytes] = []
        size = 0
        while not self._over:
            left_s = first_by_s - self._clock()
            try:
                if left_s <= 0:
                    raise FailureError(_too_late(first_content_s))
                data = await self._reply.read(left_s)
            except FailureError as error:
                if error.failure.kind is Kind.TIMEOUT:
                    raise FailureError(_too_late(first_content_s)) from None
                raise
            size += len(data)
            held.append(self._take(data))
            if self._committed:
                break
            if self._fault is not None:
                raise FailureError(self._fault)
            if size > MOST_HELD:
                raise FailureError(_NO_CONTENT)
        self._running.first_content_at_s = self._clock()
        return b"".join(held)

    async def keep(self, held: bytes, between_chunks_s: float) -> bytes:
        """Goes on holding, to the end of the answer or until it is too much to keep. Raises any fault."""
        pieces, size = [held], len(held)
        reach, running = self.reach, self._running
        while not self._over and self._fault is None and size <= MOST_KEPT:
            if (
                reach is not None
                and running.chars >= reach.chars
                and running.finish is None
                and not await reach.goes_on(running)
            ):
                pieces.append(self._cut(reach))
                self._over = True
                break
            pieces.append(self._take(await self._reply.read(between_chunks_s)))
            size += len(pieces[-1])
        if self._fault is not None:
            raise FailureError(self._fault)
        return b"".join(pieces)

    async def run(self, held: bytes, send: Send, between_chunks_s: float) -> Failure | None:
        """Sends what was held and then everything else; returns the fault that ended the stream, if one did.

        A stream that another target may go on with is left as it stands.
        """
        out = held
        reach, running = self.reach, self._running
        while not self._over and self._fault is None:
            if (
                reach is not None
                and running.chars >= reach.chars
                and running.finish is None
                and not await reach.goes_on(running)
            ):
                out += self._cut(reach)
                break
            if out:
                await send({"type": "http.response.body", "body": out, "more_body": True})
            try:
                out = self._take(await self._reply.read(between_chunks_s))
            except FailureError as error:
                self._fault = error.failure
                out = b""
        open_ = self._left_open()
        if self._fault is not None and not open_:
            out += self._writer.fault(self._fault)
        if out or not open_:
            await send({"type": "http.response.body", "body": out, "more_body": open_})
        return self._fault

    def _left_open(self) -> bool:
        if self._rescue is None:
            return False
        return self._rescue.leave(self._fault, self._writer, self._raw if self._passing else None)

    def _cut(self, reach: Reach) -> bytes:
        """The end of a stream whose money has run out: as if the answer had come to its length."""
        running = self._running
        if self._passing:
            self._writer.follow(self._raw)
        reach.end(running)
        out = self._writer.write(Used(reach.used(running))) + self._written(Finished(Finish.LENGTH))
        return out + self._writer.end()

    def _take(self, data: bytes) -> bytes:
        """One upstream read, as bytes for the caller."""
        if data:
            frames = self._reader.feed(data)
        else:
            frames = self._reader.end()
            self._over = True
        out: list[bytes] = []
        for frame in frames:
            if self._passing:
                if self._look(frame):
                    out.append(frame.raw)
            else:
                out += [self._written(event) for event in frame.events if self._note(event)]
            if self._fault is not None:
                break
        if self._over and self._fault is None and not self._passing:
            out.append(self._writer.end())
        self._running.chunks += 1
        return b"".join(out)

    def _written(self, event: Event) -> bytes:
        return self._writer.write(self._timed(event) if type(event) is Finished else event)

    def _timed(self, finished: Finished) -> Finished:
        """The end of a stream with the time it took, for formats that tell it where the provider's did not."""
        timings = finished.timings or Timings()
        if timings.total_ns is not None:
            return finished
        total_ns = int((self._clock() - self._running.started_s) * 1_000_000_000)
        return Finished(finished.finish, finished.stop_sequence, msgspec.structs.replace(timings, total_ns=total_ns))

    def _look(self, frame: Frame) -> bool:
        """Notes a frame that passes as it came; False where it must not reach the caller."""
        keep = True
        only_usage = self._hides_usage
        for event in frame.events:
            keep = self._note(event) and keep
            only_usage = only_usage and type(event) is Used
        return keep and not (only_usage and frame.events)

    def _note(self, event: Event) -> bool:
        """What the gateway itself learns from an event; False for events that are not passed on."""
        kind = type(event)
        running = self._running
        if kind is TextDelta or kind is ThinkingDelta:
            size = len(event.text)  # type: ignore[union-attr]
            running.chars += size
            if size:
                self._committed = True
        elif kind is ToolDelta:
            running.chars += len(event.arguments)  # type: ignore[union-attr]
            self._committed = True
        elif kind is ToolBegan:
            self._committed = True
        elif kind is Used:
            running.usage = running.usage.merged(event.usage)  # type: ignore[union-attr]
            if self.reach is not None:
                self.reach.chars = 0
        elif kind is Finished:
            running.finish = event.finish  # type: ignore[union-attr]
            self._committed = True
        elif kind is Faulted:
            self._fault = event.failure  # type: ignore[union-attr]
            return False
        elif kind is Repeated:
            running.chars += event.chars  # type: ignore[union-attr]
            self._committed = True
            return False
        elif kind is Skipped:
            running.skipped += 1
            return False
        return True


_NO_CONTENT = Failure(
    kind=Kind.MALFORMED_ANSWER, message=f"The provider sent more than {MOST_HELD} bytes and no content among them."
)


def _too_late(first_content_s: float) -> Failure:
    return Failure(
        kind=Kind.TIMEOUT,
        clock="first_content",
        message=f"The provider sent no content within {first_content_s:g} seconds.",
    )
