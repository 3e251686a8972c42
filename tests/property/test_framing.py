"""The laws of framing: where the pieces are cut never matters, and nothing is lost.

Each framing is compared with an oracle that is slow and plain: for server-sent events a reader that walks one byte at
a time over the whole input, for the event stream botocore's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar
from zlib import crc32

from botocore.eventstream import EventStreamBuffer
from hypothesis import example, given
from hypothesis import strategies as st

from laneway.failure import Failure, FailureError, Kind
from laneway.wire.eventstream import EventFrame, EventFrames, HeaderValue, encode
from laneway.wire.ndjson import NdjsonFrame, NdjsonFrames
from laneway.wire.sse import SseFrame, SseFrames
from laneway.wire.sse import encode as encode_sse

# Streams made of the parts that matter, so that every short mixture of line ends and fields occurs.
USUAL = b"data: {}\n\n"
SSE_PARTS = (
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n"),
    *(b"data: ", b"data:", b"data", b"event: ", b"event", b": ", b"id: 1", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xff"),
    *(b"{}", b"x", b" ", b":", USUAL, b"event: a\ndata: 1\n\n", b"data: a\rdata: b\n\n"),
)
sse_streams = st.lists(st.sampled_from(SSE_PARTS), max_size=12).map(b"".join)
ndjson_streams = st.lists(st.sampled_from((b"{}", b"\n", b"\r\n", b"\r", b" ", b"\t", b"x")), max_size=12).map(b"".join)
header_values: st.SearchStrategy[HeaderValue] = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=20),
    st.text(max_size=20),
)
messages = st.builds(
    encode,
    st.dictionaries(st.text(max_size=8), header_values, max_size=4),
    st.binary(max_size=40),
)


F_co = TypeVar("F_co", covariant=True)


class Frames(Protocol[F_co]):
    """What the three framings have in common."""

    def feed(self, data: bytes) -> Sequence[F_co]: ...

    def rest(self) -> bytes: ...


@st.composite
def cut(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> list[bytes]:
    """A stream in pieces, some of them empty."""
    data = draw(streams)
    marks = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[start:stop] for start, stop in zip([0, *marks], [*marks, len(data)], strict=True)]


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def feed_until_refused(frames: Frames[F_co], pieces: list[bytes]) -> tuple[list[F_co], Failure | None]:
    found: list[F_co] = []
    try:
        for piece in pieces:
            found += frames.feed(piece)
    except FailureError as error:
        return found, error.failure
    return found, None


def sse_oracle(data: bytes) -> tuple[list[SseFrame], bytes]:
    """WHATWG HTML 9.2.6 for the whole stream at once, one byte after the other."""
    frames: list[SseFrame] = []
    start = 0
    lines: list[bytes] = []
    line = b""
    at = 3 if data[:3] == b"\xef\xbb\xbf" else 0
    while at < len(data):
        byte = data[at : at + 1]
        at += 1
        if byte not in (b"\r", b"\n"):
            line += byte
            continue
        if byte == b"\r" and data[at : at + 1] == b"\n":
            at += 1
        if line:
            lines.append(line)
            line = b""
            continue
        frames.append(sse_fields(data[start:at], lines))
        start, lines = at, []
    return frames, data[start:]


def sse_fields(raw: bytes, lines: list[bytes]) -> SseFrame:
    event, data, seen = "", b"", False
    for line in lines:
        name, value = line, b""
        if b":" in line:
            name, value = line[: line.index(b":")], line[line.index(b":") + 1 :]
        if value[:1] == b" ":
            value = value[1:]
        if name == b"event":
            event = value.decode("utf-8", "replace")
        if name == b"data":
            data, seen = data + value + b"\n", True
    return SseFrame(raw, event, data[:-1] if seen else None)


def read_sse(pieces: list[bytes]) -> tuple[list[SseFrame], bytes]:
    frames = SseFrames()
    found = [frame for piece in pieces for frame in frames.feed(piece)]
    return found + frames.end(), frames.rest()


@given(cut(sse_streams))
@example([b"\xef\xbb\xbf", b"\n"])
@example([b"data: x\r\n\r", b"", b"\n"])
@example([b"\r", b"\n\r", b"\n"])
def test_server_sent_events_are_what_the_standard_says_wherever_they_are_cut(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    expected = sse_oracle(data)
    assert read_sse(pieces) == expected
    assert read_sse(bytewise(data)) == expected
    assert read_sse([data]) == expected
    # A whole frame first puts the reader on its faster way.
    assert read_sse([USUAL, *pieces]) == sse_oracle(USUAL + data)


@given(cut(sse_streams))
def test_no_byte_of_a_server_sent_event_stream_is_lost(pieces: list[bytes]) -> None:
    """At every moment, not at the end only: what came out and what is held is what went in."""
    frames = SseFrames()
    given_in, come_out = b"", b""
    for piece in pieces:
        given_in += piece
        come_out += b"".join(frame.raw for frame in frames.feed(piece))
        assert come_out + frames.rest() == given_in
    come_out += b"".join(frame.raw for frame in frames.end())
    assert come_out + frames.rest() == given_in


@given(cut(sse_streams))
def test_an_event_is_never_held_longer_than_a_doubtful_carriage_return(pieces: list[bytes]) -> None:
    """After each piece everything the standard would dispatch is out, but for a frame whose CRLF may be half there."""
    frames = SseFrames()
    given_in, come_out = b"", 0
    for piece in pieces:
        given_in += piece
        come_out += len(frames.feed(piece))
        due = len(sse_oracle(given_in)[0])
        assert due - come_out in ((0, 1) if given_in.endswith(b"\r") else (0,))


@given(st.binary(max_size=40), st.text("abc_.", max_size=6))
def test_an_encoded_event_is_read_back(data: bytes, event: str) -> None:
    raw = encode_sse(data, event)
    as_read = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert read_sse([raw]) == ([SseFrame(raw, event, as_read)], b"")


def read_ndjson(pieces: list[bytes]) -> tuple[list[NdjsonFrame], bytes]:
    frames = NdjsonFrames()
    return [frame for piece in pieces for frame in frames.feed(piece)], frames.rest()


@given(cut(ndjson_streams))
def test_lines_are_the_same_wherever_they_are_cut(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    *lines, rest = data.split(b"\n")
    expected = [NdjsonFrame(line + b"\n", line.removesuffix(b"\r") if line.strip() else None) for line in lines]
    assert read_ndjson(pieces) == read_ndjson(bytewise(data)) == (expected, rest)
    assert b"".join(frame.raw for frame in expected) + rest == data


def read_events(pieces: list[bytes]) -> tuple[list[EventFrame], bytes]:
    frames = EventFrames()
    return [frame for piece in pieces for frame in frames.feed(piece)], frames.rest()


def botocore_reads(data: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    for event in buffer:
        yield event.headers, event.payload


@given(cut(st.lists(messages, max_size=4).map(b"".join)), st.binary(max_size=11))
def test_event_stream_messages_are_botocores_wherever_they_are_cut(pieces: list[bytes], rest: bytes) -> None:
    """Fewer bytes than a prelude after the last message are held as they came."""
    data = b"".join(pieces)
    frames, left = read_events([*pieces, rest])
    assert [(frame.headers, frame.payload) for frame in frames] == list(botocore_reads(data))
    assert b"".join(frame.raw for frame in frames) == data
    assert left == rest
    assert read_events(bytewise(data + rest)) == (frames, left)


# Header blocks from whole and broken headers, because bytes by chance are hardly ever a header.
HEADER_PARTS = (b"\x01a\x00", b"\x01b\x07\x00\x01x", b"\x00\x01", b"\x01c\x06\x00\x00", b"\x01d\x04\xff\xff\xff\xff")
header_blocks = st.lists(st.one_of(st.sampled_from(HEADER_PARTS), st.binary(max_size=6)), max_size=4).map(b"".join)


@given(header_blocks, st.binary(max_size=20))
def test_headers_made_of_anything_are_read_as_botocore_does_or_refused(headers: bytes, payload: bytes) -> None:
    """With both sums right, what gets through is exactly what botocore reads; the rest is one typed failure."""
    lengths = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    head = lengths + struct.pack("!I", crc32(lengths)) + headers + payload
    raw = head + struct.pack("!I", crc32(head))
    frames, refusal = feed_until_refused(EventFrames(), [raw])
    if refusal is None:
        assert [(frame.headers, frame.payload) for frame in frames] == list(botocore_reads(raw))
    else:
        assert refusal.kind is Kind.MALFORMED_ANSWER


READERS: tuple[Callable[[], Frames[object]], ...] = (
    lambda: SseFrames(limit=64),
    lambda: NdjsonFrames(limit=64),
    lambda: EventFrames(limit=64),
)


@given(st.lists(st.binary(max_size=80), max_size=6))
def test_garbage_is_framed_or_refused_and_never_anything_else(pieces: list[bytes]) -> None:
    """Within bounded memory: what is held never exceeds the limit of a frame."""
    for reader in READERS:
        frames = reader()
        for piece in pieces:
            _, refusal = feed_until_refused(frames, [piece])
            if refusal is not None:
                assert refusal.kind is Kind.MALFORMED_ANSWER
                break
            assert len(frames.rest()) <= 64


@given(st.lists(messages, min_size=1, max_size=3).map(b"".join), st.data())
def test_a_damaged_event_stream_yields_only_whole_messages_before_its_refusal(
    stream: bytes, data: st.DataObject
) -> None:
    """One changed byte: everything handed out is a prefix of what was sent."""
    at = data.draw(st.integers(0, len(stream) - 1))
    damaged = stream[:at] + bytes((stream[at] ^ data.draw(st.integers(1, 255)),)) + stream[at + 1 :]
    sent = read_events([stream])[0]
    found, refusal = feed_until_refused(EventFrames(), bytewise(damaged))
    assert refusal is None or refusal.kind is Kind.MALFORMED_ANSWER
    assert found == sent[: len(found)]
    assert len(found) < len(sent)
