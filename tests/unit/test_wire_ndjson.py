"""What a reader of newline-delimited JSON sees, line by line."""

from __future__ import annotations

import pytest

from laneway.failure import FailureError, Kind
from laneway.wire.ndjson import NdjsonFrame, NdjsonFrames, encode

LINE = b'{"message":{"content":" hi"},"done":false}\n'


def frames_of(*pieces: bytes) -> list[NdjsonFrame]:
    frames = NdjsonFrames()
    return [frame for piece in pieces for frame in frames.feed(piece)]


def test_the_usual_piece_is_one_line() -> None:
    assert frames_of(LINE, LINE) == [NdjsonFrame(LINE, LINE[:-1])] * 2


def test_lines_are_cut_wherever_the_pieces_end() -> None:
    assert frames_of(LINE[:5], LINE[5:] + LINE + LINE[:9], LINE[9:]) == [NdjsonFrame(LINE, LINE[:-1])] * 3


def test_a_carriage_return_before_the_line_feed_is_no_data() -> None:
    raw = b"{}\r\n"
    assert frames_of(raw) == [NdjsonFrame(raw, b"{}")]
    assert frames_of(b"{}\r", b"\n") == [NdjsonFrame(raw, b"{}")]


def test_a_blank_line_is_passed_on_without_data() -> None:
    assert frames_of(b"\n", b" \t\r\n{}\n") == [
        NdjsonFrame(b"\n", None),
        NdjsonFrame(b" \t\r\n", None),
        NdjsonFrame(b"{}\n", b"{}"),
    ]


def test_a_line_separator_inside_a_string_ends_nothing() -> None:
    raw = '{"content":"a\u2028b\x0b\x85"}\n'.encode()
    assert frames_of(raw) == [NdjsonFrame(raw, raw[:-1])]


def test_a_last_line_without_its_end_is_left_to_the_reader() -> None:
    frames = NdjsonFrames()
    assert frames.feed(LINE + b'{"done":tr') == [NdjsonFrame(LINE, LINE[:-1])]
    assert frames.rest() == b'{"done":tr'


@pytest.mark.parametrize("size", [1, 100])
def test_a_line_that_never_ends_is_refused(size: int) -> None:
    frames = NdjsonFrames(limit=64)
    for _ in range(64 // size):
        assert frames.feed(b"x" * size) == []
    with pytest.raises(FailureError) as caught:
        frames.feed(b"x" * size)
    assert caught.value.failure.kind is Kind.MALFORMED_ANSWER


def test_the_limit_is_the_longest_line_that_passes() -> None:
    assert len(NdjsonFrames(limit=8).feed(b"1234567\n")) == 1
    with pytest.raises(FailureError):
        NdjsonFrames(limit=8).feed(b"12345678\n")
    with pytest.raises(FailureError):
        NdjsonFrames(limit=8).feed(b"1\n12345678\n")


def test_encode_writes_one_line_and_refuses_two() -> None:
    assert encode(b"{}") == b"{}\n"
    with pytest.raises(ValueError, match="line end"):
        encode(b"{}\n{}")
