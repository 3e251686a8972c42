"""What a reader of server-sent events sees, frame by frame."""

from __future__ import annotations

import pytest

from laneway.failure import FailureError, Kind
from laneway.wire.sse import SseFrame, SseFrames, comment, encode

CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":" hi"}}]}\n\n'


def frames_of(*pieces: bytes) -> list[SseFrame]:
    frames = SseFrames()
    return [frame for piece in pieces for frame in frames.feed(piece)]


def test_the_usual_chunk_is_one_frame() -> None:
    """A data line and a blank line in one piece: the first such piece and every later one read alike."""
    assert frames_of(CHUNK, CHUNK) == [SseFrame(CHUNK, "", CHUNK[6:-2])] * 2


def test_several_frames_in_one_piece_come_out_in_order() -> None:
    piece = CHUNK + b"event: ping\ndata: {}\n\n" + b"data: [DONE]\n\n"
    assert [(f.event, f.data) for f in frames_of(piece)] == [("", CHUNK[6:-2]), ("ping", b"{}"), ("", b"[DONE]")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_of_the_standard_is_understood(end: bytes) -> None:
    raw = b"event: delta" + end + b"data: 1" + end + end
    follower = b"data: 2" + end + end
    frames = SseFrames()
    found = frames.feed(raw + follower) + frames.end()
    assert found == [SseFrame(raw, "delta", b"1"), SseFrame(follower, "", b"2")]
    assert frames.rest() == b""


def test_a_line_feed_after_the_last_carriage_return_belongs_to_the_frame() -> None:
    """The piece ends between CR and LF of the blank line: the frame waits one byte and is passed on whole."""
    frames = SseFrames()
    assert frames.feed(b"data: 1\r\n\r") == []
    assert frames.feed(b"\n") == [SseFrame(b"data: 1\r\n\r\n", "", b"1")]


def test_a_frame_ended_by_a_lone_carriage_return_is_there_at_the_end() -> None:
    frames = SseFrames()
    assert frames.feed(b"data: 1\r\r") == []
    assert frames.end() == [SseFrame(b"data: 1\r\r", "", b"1")]
    assert frames.rest() == b""


def test_a_cut_event_is_not_an_event() -> None:
    """At the end of a stream an event without its blank line was cut off, even when its last line is whole."""
    for cut in (b"data: 1", b"data: 1\n", b"data: 1\r"):
        frames = SseFrames()
        assert frames.feed(CHUNK + cut) == [SseFrame(CHUNK, "", CHUNK[6:-2])]
        assert frames.end() == []
        assert frames.rest() == cut


def test_comments_and_unknown_fields_stay_in_raw() -> None:
    keep_alive = b": OPENROUTER PROCESSING\n\n"
    odd = b"id: 7\nretry: 10\nshade: blue\ndata: 1\n: aside\n\n"
    assert frames_of(keep_alive + odd) == [SseFrame(keep_alive, "", None), SseFrame(odd, "", b"1")]


def test_a_blank_line_alone_is_a_frame_without_data() -> None:
    """A provider's bare keep-alive goes on at once and is never glued to an event."""
    assert frames_of(b"\n", CHUNK, b"\n\n") == [
        SseFrame(b"\n", "", None),
        SseFrame(CHUNK, "", CHUNK[6:-2]),
        SseFrame(b"\n", "", None),
        SseFrame(b"\n", "", None),
    ]


@pytest.mark.parametrize(
    ("raw", "event", "data"),
    [
        (b"data: a\ndata: b\ndata:\ndata: c\n\n", "", b"a\nb\n\nc"),
        (b"data: a\rdata: b\n\n", "", b"a\nb"),
        (b"data:a\n\n", "", b"a"),
        (b"data:  a\n\n", "", b" a"),
        (b"data\n\n", "", b""),
        (b"data:\n\n", "", b""),
        (b"data \n\n", "", None),
        (b"Data: a\n\n", "", None),
        (b"datax: a\n\n", "", None),
        (b"event: ping\n\n", "ping", None),
        (b"event:ping\ndata:x\n\n", "ping", b"x"),
        (b"event: one\nevent: two\ndata: x\n\n", "two", b"x"),
        (b"event: one\nevent\ndata: x\n\n", "", b"x"),
        (b"event: \xff\ndata: x\n\n", "\N{REPLACEMENT CHARACTER}", b"x"),
        (b"data: x\nevent: late\n\n", "late", b"x"),
        (b"data: a: b\n\n", "", b"a: b"),
    ],
)
def test_fields_are_read_as_the_standard_says(raw: bytes, event: str, data: bytes | None) -> None:
    """WHATWG HTML 9.2.6, alone and after a usual chunk (which puts the reader on its faster way)."""
    assert frames_of(raw) == [SseFrame(raw, event, data)]
    assert frames_of(CHUNK, raw)[1:] == [SseFrame(raw, event, data)]


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x85"])
def test_only_cr_and_lf_end_a_line(odd: str) -> None:
    """JSON may hold these characters as they are; a line splitter made for text would tear it."""
    raw = b"data: " + f'"a{odd}b"'.encode() + b"\nevent: x\n\n"
    assert frames_of(raw) == [SseFrame(raw, "x", f'"a{odd}b"'.encode())]


@pytest.mark.parametrize("pieces", [(b"\xef\xbb\xbf" + CHUNK,), (b"\xef", b"\xbb", b"\xbf", CHUNK)])
def test_a_byte_order_mark_at_the_start_is_no_part_of_a_field(pieces: tuple[bytes, ...]) -> None:
    assert frames_of(*pieces) == [SseFrame(b"\xef\xbb\xbf" + CHUNK, "", CHUNK[6:-2])]


def test_a_byte_order_mark_later_is_part_of_the_line() -> None:
    raw = b"\xef\xbb\xbfdata: 1\n\n"
    assert frames_of(CHUNK, raw)[1] == SseFrame(raw, "", None)


@pytest.mark.parametrize("size", [1, 5, 100])
def test_a_frame_that_never_ends_is_refused(size: int) -> None:
    """Memory stays bounded however small the pieces are."""
    frames = SseFrames(limit=64)
    for _ in range(64 // size):
        assert frames.feed(b"x" * size) == []
    with pytest.raises(FailureError) as caught:
        frames.feed(b"x" * size)
    assert caught.value.failure.kind is Kind.MALFORMED_ANSWER
    assert "64 bytes" in caught.value.failure.message


@pytest.mark.parametrize("before", [b"", b"data: 1\n\n"])
def test_the_limit_is_the_longest_frame_that_passes(before: bytes) -> None:
    def feed(size: int) -> int:
        frames = SseFrames(limit=32)
        frames.feed(before)
        return len(frames.feed(b"data: " + b"x" * (size - 8) + b"\n\n"))

    assert feed(32) == 1
    with pytest.raises(FailureError):
        feed(33)


def test_what_is_encoded_is_read_back() -> None:
    assert encode(b"{}") == b"data: {}\n\n"
    assert encode(b"{}", "ping") == b"event: ping\ndata: {}\n\n"
    assert encode(b"a\r\nb\rc\nd") == b"data: a\ndata: b\ndata: c\ndata: d\n\n"
    assert frames_of(encode(b"a\r\nb", "x")) == [SseFrame(b"event: x\ndata: a\ndata: b\n\n", "x", b"a\nb")]


def test_an_event_name_cannot_smuggle_a_line() -> None:
    for name in ("a\nb", "a\rb"):
        with pytest.raises(ValueError, match="one line"):
            encode(b"{}", name)


def test_a_comment_is_ignored_whatever_it_says() -> None:
    assert comment("keep-alive") == b": keep-alive\n\n"
    raw = comment("one\ndata: two\r\rdata: three")
    assert frames_of(raw) == [SseFrame(raw, "", None)]
