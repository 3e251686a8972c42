"""Server-sent events, as WHATWG HTML section 9.2.6 defines their parsing.

Owns: cutting a byte stream into frames (a frame is everything up to and including its blank line), reading `event`
and `data` of each, and writing frames and comments. Works on bytes and cuts lines at CR, LF and CRLF only, so a
U+2028 inside a JSON string stays where it is.
Refuses: to act on `id` and `retry` (nothing here reconnects; they stay in `raw`), and to drop anything.
"""

from __future__ import annotations

import re

import msgspec

from laneway.wire import LIMIT_BYTES, endless

_BOM = b"\xef\xbb\xbf"
_LF, _CR = 0x0A, 0x0D

# Two line ends in a row. The possessive `+` keeps one CRLF from being read as a CR and a blank line ended by LF.
_BLANK = re.compile(rb"(?:\r\n?+|\n)(?:\r\n?+|\n)")
_LINE_END = re.compile(rb"\r\n|\r|\n")


class SseFrame(msgspec.Struct, gc=False):
    """One frame: an event, or comments and unknown fields only, in which case `data` is None.

    `event` is "" when the frame names none. `data` joins several data lines with LF.
    """

    raw: bytes
    event: str
    data: bytes | None


class SseFrames:
    """Cuts one stream into frames.

    A frame longer than `limit` bytes raises FailureError MALFORMED_ANSWER; the stream cannot be read on after that.
    """

    __slots__ = ("_begun", "_cr", "_held", "_lead", "_limit", "_most", "_steady")

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self._limit = limit
        # The fast way compares the length without the terminator.
        self._most = limit - 1
        # The beginning of a frame whose end has not come; a bytearray, so that many small pieces cost their sum only.
        self._held = bytearray()
        self._begun = False
        self._cr = False
        self._lead = 0
        self._steady = False

    def feed(self, data: bytes) -> list[SseFrame]:
        """The frames that `data` completes.

        A frame whose blank line ends in a CR as the last byte waits for the next piece, because an LF may belong to it.
        """
        if not self._steady:
            return self._join(data)
        # What OpenAI-shaped providers send: one whole frame of one data line in one piece. Its only two LFs are its
        # last two bytes, so that one search proves it.
        end = len(data) - 2
        if data.find(10) == end and data[-1] == _LF and data[:6] == b"data: " and _CR not in data and end < self._most:
            return [SseFrame(data, "", data[6:end])]
        return self._split(data)

    def end(self) -> list[SseFrame]:
        """At the end of the stream: the frame that waited for an LF after its last CR, if there is one."""
        if not self._held.endswith(b"\r"):
            return []
        held = bytes(self._held)
        if _end_of_frame(held + b"\0", self._lead, self._lead, cr=True) != len(held):
            return []
        self._held.clear()
        return [_read(held, self._lead)]

    def rest(self) -> bytes:
        """What has come since the last frame: at the end of a stream, an event that was cut off."""
        return bytes(self._held)

    def _join(self, data: bytes) -> list[SseFrame]:
        """The slower way in: something is held, or the stream is at its beginning."""
        held = self._held
        # A terminator has at most four bytes, so three of the old ones may be the beginning of one.
        resume = max(len(held) - 3, 0)
        held += data
        self._cr = self._cr or _CR in data
        if not self._begun and not self._begin():
            return []
        if resume and _end_of_frame(held, self._lead, resume, cr=self._cr) < 0:
            self._check(len(held))
            return []
        whole = bytes(held)
        held.clear()
        return self._split(whole)

    def _begin(self) -> bool:
        """Whether the first bytes are known to be a byte order mark or not; it precedes the first line, once."""
        if len(self._held) < len(_BOM) and _BOM.startswith(self._held):
            return False
        self._begun = True
        self._lead = len(_BOM) if self._held.startswith(_BOM) else 0
        return True

    def _split(self, data: bytes) -> list[SseFrame]:
        frames: list[SseFrame] = []
        at, lead, cr = 0, self._lead, _CR in data
        while (end := _end_of_frame(data, at + lead, at + lead, cr=cr)) >= 0:
            self._check(end - at)
            frames.append(_read(data[at:end], lead))
            at, lead = end, 0
        self._lead = lead
        if at < len(data):
            self._held += data[at:]
            self._cr = cr and _CR in self._held
            self._steady = False
            self._check(len(self._held))
        else:
            self._cr, self._steady = False, True
        return frames

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise endless("server-sent event", self._limit)


def encode(data: bytes, event: str = "") -> bytes:
    """One frame. A line end of any kind inside `data` begins a new data line, and is read back as LF."""
    if "\n" in event or "\r" in event:
        raise ValueError("an event name is one line")
    head = b"event: " + event.encode() + b"\n" if event else b""
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_LINE_END.split(data))
    return head + b"data: " + data + b"\n\n"


def comment(text: str) -> bytes:
    """A frame that every client ignores: it keeps connections alive and never ends up in an answer."""
    return b": " + b"\n: ".join(_LINE_END.split(text.encode())) + b"\n\n"


def _end_of_frame(data: bytes | bytearray, first: int, resume: int, *, cr: bool) -> int:
    """Where the frame whose first line begins at `first` ends, or -1; `resume` is where to search from."""
    if first >= len(data):
        return -1
    lead = data[first]
    if lead == _LF:
        return first + 1
    if lead == _CR:
        end = first + 2 if data[first + 1 : first + 2] == b"\n" else first + 1
    elif not cr:
        found = data.find(b"\n\n", resume)
        return found + 2 if found >= 0 else -1
    else:
        match = _BLANK.search(data, max(first, resume))
        if match is None:
            return -1
        end = match.end()
    # A CR as the last byte may be half of a CRLF.
    return -1 if end == len(data) and data[-1] == _CR else end


def _read(raw: bytes, lead: int) -> SseFrame:
    """The fields of a whole frame; `lead` bytes before its first line are a byte order mark."""
    event = ""
    data: bytes | None = None
    more: list[bytes] = []
    # For bytes, unlike for str, splitlines cuts at CR, LF and CRLF only.
    for line in (raw[lead:] if lead else raw).splitlines():
        if line[:5] == b"data:":
            value = line[6:] if line[5:6] == b" " else line[5:]
        elif line[:6] == b"event:":
            event = line[6:].removeprefix(b" ").decode("utf-8", "replace")
            continue
        elif line == b"data":
            value = b""
        else:
            # A field without a colon has an empty value, and the last `event` counts.
            event = "" if line == b"event" else event
            continue
        if data is None:
            data = value
        else:
            more.append(value)
    if data is not None and more:
        data = b"\n".join((data, *more))
    return SseFrame(raw, event, data)
