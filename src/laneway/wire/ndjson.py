"""Newline-delimited JSON, the framing of Ollama's streams.

Owns: cutting a byte stream into lines at LF (a CR before it belongs to the line end). A line without anything but
white space is a frame of its own with `data` None, so that a provider's keep-alive passes on at once.
Refuses: to parse the JSON, and to call a last line without LF whole: it is in `rest()`, for the reader to judge.
"""

from __future__ import annotations

import msgspec

from laneway.wire import LIMIT_BYTES, endless


class NdjsonFrame(msgspec.Struct, gc=False):
    """One line: `raw` with its line end, `data` without, None where the line is blank."""

    raw: bytes
    data: bytes | None


class NdjsonFrames:
    """Cuts one stream into lines.

    A line longer than `limit` bytes raises FailureError MALFORMED_ANSWER; the stream cannot be read on after that.
    """

    __slots__ = ("_held", "_limit")

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self._limit = limit
        # The beginning of a line whose end has not come; a bytearray, so that many small pieces cost their sum only.
        self._held = bytearray()

    def feed(self, data: bytes) -> list[NdjsonFrame]:
        """The lines that `data` completes."""
        held = self._held
        if not held and data.endswith(b"\n") and data.find(b"\n") == len(data) - 1:
            # The usual piece is one whole line.
            return [self._read(data)]
        if b"\n" not in data:
            held += data
            self._check(len(held))
            return []
        if held:
            data = bytes(held) + data
            held.clear()
        frames: list[NdjsonFrame] = []
        at = 0
        while (end := data.find(b"\n", at) + 1) > 0:
            frames.append(self._read(data[at:end]))
            at = end
        held += data[at:]
        self._check(len(held))
        return frames

    def rest(self) -> bytes:
        """What has come since the last line end: at the end of a stream, a line that may have been cut off."""
        return bytes(self._held)

    def _read(self, raw: bytes) -> NdjsonFrame:
        self._check(len(raw))
        data = raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]
        return NdjsonFrame(raw, None if not data or data.isspace() else data)

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise endless("line", self._limit)


def encode(data: bytes) -> bytes:
    """One line. JSON has no raw line end, so `data` holding one is a mistake of the caller."""
    if b"\n" in data:
        raise ValueError("a line of NDJSON has no line end inside")
    return data + b"\n"
