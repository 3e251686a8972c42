"""Reading and writing whole streams through a dialect, in whatever pieces.

Owns: the loop around `feed` and `end`, and the one around `write` and `end`. Refuses: to judge what came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from laneway.chat import Event, Faulted, Op, TextDelta
from laneway.dialects import Frame, StreamReader, StreamWriter, dialect
from laneway.failure import Failure


def cut_at(raw: bytes, places: Sequence[int] = ()) -> list[bytes]:
    """The bytes in pieces, cut at those places."""
    return [raw[start:end] for start, end in pairwise([0, *sorted(places), len(raw)])]


def read_frames(reader: StreamReader, pieces: Iterable[bytes]) -> list[Frame]:
    return [frame for piece in pieces for frame in reader.feed(piece)] + reader.end()


def read_events(reader: StreamReader, pieces: Iterable[bytes]) -> list[Event]:
    return [event for frame in read_frames(reader, pieces) for event in frame.events]


def heard(front: str, body: bytes, op: Op = Op.CHAT) -> list[Event]:
    """An answer's body, as a caller of that front reads it."""
    return read_events(dialect(front).reader(op), [body])


def words(events: Iterable[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def write_events(writer: StreamWriter, events: Iterable[Event]) -> bytes:
    return b"".join(map(writer.write, events)) + writer.end()


def only_fault(events: Iterable[Event]) -> Failure:
    """The failure of a stream that says exactly one."""
    (fault,) = [event.failure for event in events if isinstance(event, Faulted)]
    return fault
