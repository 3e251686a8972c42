"""What a reader of the AWS binary event stream sees, message by message."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest

from laneway.failure import FailureError, Kind
from laneway.wire.eventstream import EventFrame, EventFrames, HeaderValue, encode

DELTA = {":event-type": "contentBlockDelta", ":content-type": "application/json", ":message-type": "event"}
PAYLOAD = b'{"contentBlockIndex":0,"delta":{"text":" hi"},"p":"abc"}'

# The vectors that AWS's own libraries are tested with: an empty message and one with a JSON payload.
EMPTY = bytes.fromhex("000000100000000005c248eb7d98c8ff")
JSON = bytes.fromhex("0000003d00000020") + bytes.fromhex("07fd8396") + b"\x0ccontent-type\x07\x00\x10application/json"
JSON += b"{'foo':'bar'}" + bytes.fromhex("8d9c08b1")


def message(headers: bytes, payload: bytes = b"", total: int | None = None, headers_size: int | None = None) -> bytes:
    """A message with the headers as given and both sums right, whatever the lengths claim."""
    lengths = struct.pack(
        "!II",
        16 + len(headers) + len(payload) if total is None else total,
        len(headers) if headers_size is None else headers_size,
    )
    head = lengths + struct.pack("!I", crc32(lengths)) + headers + payload
    return head + struct.pack("!I", crc32(head))


def refusal_of(data: bytes, limit: int = 1 << 20) -> str:
    with pytest.raises(FailureError) as caught:
        EventFrames(limit).feed(data)
    assert caught.value.failure.kind is Kind.MALFORMED_ANSWER
    return caught.value.failure.message


def test_the_published_vectors_are_read_and_written() -> None:
    assert EventFrames().feed(EMPTY + JSON) == [
        EventFrame(EMPTY, {}, b""),
        EventFrame(JSON, {"content-type": "application/json"}, b"{'foo':'bar'}"),
    ]
    assert encode({}, b"") == EMPTY
    assert encode({"content-type": "application/json"}, b"{'foo':'bar'}") == JSON


def test_an_event_is_read_wherever_the_pieces_end() -> None:
    raw = encode(DELTA, PAYLOAD)
    frames = EventFrames()
    assert frames.feed(raw[:3]) == []
    assert frames.feed(raw[3:20]) == []
    assert frames.feed(raw[20:] + raw + raw[:7]) == [EventFrame(raw, DELTA, PAYLOAD)] * 2
    assert frames.rest() == raw[:7]


def test_every_header_type_is_read() -> None:
    block = (
        b"\x01a\x00"
        b"\x01b\x01"
        b"\x01c\x02\xff"
        b"\x01d\x03\xff\xfe"
        b"\x01e\x04\xff\xff\xff\xfd"
        b"\x01f\x05\xff\xff\xff\xff\xff\xff\xff\xfc"
        b"\x01g\x06\x00\x02\xff\x00"
        b"\x01h\x07\x00\x03\xe2\x82\xac"
        b"\x01i\x08\x00\x00\x01\x99\x00\x00\x00\x00"
        b"\x01j\x09" + bytes(range(16))
    )
    assert EventFrames().feed(message(block, b"x"))[0].headers == {
        "a": True,
        "b": False,
        "c": -1,
        "d": -2,
        "e": -3,
        "f": -4,
        "g": b"\xff\x00",
        "h": "\N{EURO SIGN}",
        "i": 0x19900000000,
        "j": bytes(range(16)),
    }


def test_what_is_encoded_is_read_back_with_its_types() -> None:
    headers: dict[str, HeaderValue] = {
        "yes": True,
        "no": False,
        "int": -(2**31),
        "long": 2**31,
        "bytes": b"\x00",
        "text": "\N{EURO SIGN}",
    }
    [frame] = EventFrames().feed(encode(headers, b"payload"))
    assert frame.headers == headers
    assert [type(value) for value in frame.headers.values()] == [bool, bool, int, int, bytes, str]


def test_every_damaged_byte_is_noticed() -> None:
    """No single wrong byte, wherever it is, passes as a message."""
    raw = encode(DELTA, PAYLOAD)
    for at in range(len(raw)):
        damaged = raw[:at] + bytes((raw[at] ^ 0x20,)) + raw[at + 1 :]
        assert "damaged in the message at byte 0" in refusal_of(damaged)


def test_a_refusal_says_where_the_damage_is_and_not_what_was_said() -> None:
    raw = encode(DELTA, PAYLOAD)
    said = refusal_of(raw + raw[:-1] + bytes((raw[-1] ^ 1,)))
    assert said == f"The provider's event stream is damaged in the message at byte {len(raw)}: its checksum is wrong."


@pytest.mark.parametrize(
    "block",
    [
        b"\x05abc",
        b"\x03abc",
        b"\x03abc\x0a",
        b"\x03abc\x02",
        b"\x03abc\x05\x00\x00",
        b"\x03abc\x07\x00",
        b"\x03abc\x07\x00\x05abcd",
        b"\x03abc\x06\x00\x05abcd",
        b"\x03abc\x09" + bytes(15),
        b"\x03abc\x07\x00\x01\xff",
        b"\x01\xff\x00",
        b"\x01a\x00\x01a\x00",
    ],
    ids=lambda block: block.hex(),
)
def test_headers_that_cannot_be_read_are_refused(block: bytes) -> None:
    assert "its headers cannot be read" in refusal_of(message(block, b"payload"))


@pytest.mark.parametrize(("total", "headers_size"), [(0, 0), (15, 0), (16, 1), (20, 5), (16, 2**32 - 1)])
def test_lengths_that_do_not_fit_are_refused(total: int, headers_size: int) -> None:
    assert "lengths do not fit" in refusal_of(message(b"", b"", total, headers_size))


def test_a_message_too_long_is_refused_before_it_is_held() -> None:
    assert "more than 100 bytes" in refusal_of(message(b"", b"", total=101)[:12], limit=100)
    assert len(EventFrames(100).feed(encode({}, bytes(84)))) == 1


def test_headers_kept_for_the_next_event_cannot_be_changed_by_a_reader() -> None:
    first, second = EventFrames().feed(encode(DELTA, b"1") + encode(DELTA, b"2"))
    assert first.headers == second.headers == DELTA
    with pytest.raises(TypeError):
        first.headers["x"] = "y"  # type: ignore[index]
