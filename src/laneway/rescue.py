"""Rescue: one stream to its caller, however many attempts it takes.

Owns: what the caller has been told so far, whether another target may go on from that, and the ears of the attempt
that does: what repeats the beginning is not told again, and what differs from it is a fault.
Refuses: reading and sending (relay does), choosing who goes on (Fallback does), and what a target is asked (policy).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from laneway.chat import (
    Event,
    Faulted,
    Finished,
    Repeated,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolBegan,
    ToolDelta,
    Used,
)
from laneway.dialects import Frame, StreamReader, StreamWriter
from laneway.failure import Failure, Kind
from laneway.policy.rescue import HOLD, told_usage

RESCUE = "laneway.rescue"
"""The scope key under which Fallback gives its attempts the stream they are about."""


class Rescue:
    """Made per request by Fallback, for a stream that is to be saved; all attempts share it."""

    __slots__ = ("_said", "_sealed", "fault", "holds", "writer")

    def __init__(self, mode: str) -> None:
        self.holds = mode == HOLD
        self._said: list[tuple[type[Event], list[str]]] = []
        """Text and thinking as they were told, in turns."""
        self._sealed = self.holds
        """Something was told from which nobody else can go on."""
        self.writer: StreamWriter | None = None
        self.fault: Failure | None = None
        """Why the stream stands open: an attempt told a part of the answer and then failed of this."""

    @property
    def open(self) -> bool:
        return self.fault is not None

    def ears(self, reader: StreamReader, model: str, resumed: str) -> StreamReader:
        """The ears of an attempt: of one that goes on (`resumed` says how), or of one that begins."""
        if self.holds:
            return reader
        if self.open:
            return _Resumed(reader, self, model, prefilled=resumed == "prefill")
        self._sealed = False
        self._said.clear()
        return _Noting(reader, self)

    def said(self) -> str | None:
        """The text so far; None where there is more than text."""
        if any(kind is not TextDelta for kind, _ in self._said):
            return None
        return "".join(piece for _, pieces in self._said for piece in pieces)

    def turns(self) -> list[tuple[type[Event], str]]:
        return [(kind, "".join(pieces)) for kind, pieces in self._said]

    def note(self, event: Event) -> None:
        kind = type(event)
        if kind is TextDelta or kind is ThinkingDelta:
            text: str = event.text  # type: ignore[union-attr]
            if kind is ThinkingDelta and (event.signature or event.redacted):  # type: ignore[union-attr]
                # It vouches for the words of one model alone.
                self._sealed = True
            if text:
                if self._said and self._said[-1][0] is kind:
                    self._said[-1][1].append(text)
                else:
                    self._said.append((kind, [text]))
        elif kind is ToolBegan or kind is ToolDelta or kind is Finished:
            self._sealed = True

    def leave(self, fault: Failure | None, writer: StreamWriter, followed: StreamReader | None) -> bool:
        """Whether the stream stays open for another target; `followed` is who read the bytes that passed unwritten."""
        if fault is None or self._sealed or (followed is not None and not writer.follow(followed)):
            self.fault = None
            return False
        if fault.kind is not Kind.DIVERGED or self.fault is None:
            self.fault = fault
        if self.writer is None:
            self.writer = writer
        return True


class _Noting:
    """A reader that remembers what it read."""

    __slots__ = ("_reader", "_rescue")

    def __init__(self, reader: StreamReader, rescue: Rescue) -> None:
        self._reader = reader
        self._rescue = rescue

    def feed(self, data: bytes) -> list[Frame]:
        return self._noted(self._reader.feed(data))

    def end(self) -> list[Frame]:
        return self._noted(self._reader.end())

    def _noted(self, frames: list[Frame]) -> list[Frame]:
        note = self._rescue.note
        for frame in frames:
            for event in frame.events:
                note(event)
        return frames


class _Resumed:
    """A reader of the rest of an answer. Until it comes to what is new, it only counts."""

    __slots__ = ("_at", "_expected", "_model", "_over", "_prefilled", "_reader", "_rescue")

    def __init__(self, reader: StreamReader, rescue: Rescue, model: str, *, prefilled: bool) -> None:
        self._reader = reader
        self._rescue = rescue
        self._model = model
        self._prefilled = prefilled
        expected = rescue.turns()
        if prefilled:
            # Providers take no beginning that ends in white space, so that what follows may bring it once more.
            text = expected[-1][1]
            blank = text[len(text.rstrip()) :]
            expected = [(TextDelta, blank)] if blank else []
        self._expected = expected
        self._at = 0
        """How much of the first that is expected has come."""
        self._over = False

    def feed(self, data: bytes) -> list[Frame]:
        return [Frame(frame.raw, tuple(self._told(frame))) for frame in self._reader.feed(data)]

    def end(self) -> list[Frame]:
        return [Frame(frame.raw, tuple(self._told(frame))) for frame in self._reader.end()]

    def _told(self, frame: Frame) -> Iterator[Event]:
        for event in frame.events:
            for told in self._heard(event):
                if self._over:
                    return
                self._over = type(told) is Faulted
                self._rescue.note(told)
                yield told

    def _heard(self, event: Event) -> Iterator[Event]:
        kind = type(event)
        if kind is Started:
            # Who speaks now is told where a format can, whether or not he says so himself.
            yield event if event.model else msgspec.structs.replace(event, model=self._model)  # type: ignore[union-attr]
        elif self._prefilled and kind is ThinkingDelta:
            # It does not go on with the words: it thinks about something that the caller has half of already.
            yield from _diverged(event.text)  # type: ignore[union-attr]
        elif not self._expected or kind not in _CONTENT:
            yield event
        elif kind is TextDelta or kind is ThinkingDelta:
            yield from self._compared(event)  # type: ignore[arg-type]
        elif self._prefilled:
            yield event
        else:
            yield Faulted(DIVERGED)

    def _compared(self, event: TextDelta | ThinkingDelta) -> Iterator[Event]:
        kind, text, repeated = type(event), event.text, 0
        while text and self._expected:
            wanted, words = self._expected[0]
            ahead = words[self._at : self._at + len(text)]
            if kind is not wanted or not text.startswith(ahead):
                break
            text = text[len(ahead) :]
            repeated += len(ahead)
            self._at += len(ahead)
            if self._at == len(words):
                del self._expected[0]
                self._at = 0
        if repeated:
            yield Repeated(repeated)
        if self._expected and not self._prefilled and (text or (kind is ThinkingDelta and not repeated)):
            yield from _diverged(text)
            return
        if not text:
            return
        if self._expected:
            # It goes on without the white space, or with another: the caller has some in any case.
            self._expected = []
        yield msgspec.structs.replace(event, text=text)


def _diverged(text: str) -> Iterator[Event]:
    """What is told of it to nobody was said all the same, and is paid for."""
    yield Repeated(len(text))
    yield Faulted(DIVERGED)


class Rest:
    """The writer of an answer for the target that was given its beginning."""

    __slots__ = ("_chars", "_writer")

    def __init__(self, writer: StreamWriter, begun_chars: int) -> None:
        self._writer = writer
        self._chars = begun_chars

    def write(self, event: Event) -> bytes:
        if type(event) is Used:
            event = Used(told_usage(event.usage, self._chars))
        return self._writer.write(event)

    def fault(self, failure: Failure) -> bytes:
        return self._writer.fault(failure)

    def end(self) -> bytes:
        return self._writer.end()

    def follow(self, reader: StreamReader) -> bool:
        return self._writer.follow(reader)


_CONTENT = frozenset({TextDelta, ThinkingDelta, ToolBegan, ToolDelta, Finished})
DIVERGED = Failure(
    kind=Kind.DIVERGED, message="The target that was to go on with the answer did not repeat what had been sent of it."
)
