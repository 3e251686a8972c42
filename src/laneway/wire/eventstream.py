"""The AWS binary event stream, `application/vnd.amazon.eventstream`.

Owns: cutting a byte stream into messages, checking both CRC32 sums, reading headers of all ten types, and writing
messages. The layout (https://smithy.io/2.0/aws/amazon-eventstream.html), big-endian: total length, headers length,
CRC32 of these two; headers; payload; CRC32 of all before it. A header is a length byte, its name, a type byte, a value.
Refuses: to know what an event means, and to guess: what does not fit its own lengths is a failure.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from zlib import crc32

import msgspec

from laneway.failure import FailureError, Kind, fail
from laneway.wire import LIMIT_BYTES, endless

HeaderValue = bool | int | bytes | str
"""Timestamps are milliseconds since the epoch, UUIDs their 16 bytes: nothing that came is out of range."""

_PRELUDE = struct.Struct("!III")
_LENGTHS = struct.Struct("!II")
_U32 = struct.Struct("!I")
_U16 = struct.Struct("!H")
_MIN_MESSAGE = _PRELUDE.size + _U32.size

_TRUE, _FALSE, _BYTES, _STRING, _UUID = 0, 1, 6, 7, 9
_BYTE, _SHORT, _INT, _LONG, _TIMESTAMP = 2, 3, 4, 5, 8
_INTEGERS = {
    tag: struct.Struct(form)
    for tag, form in ((_BYTE, "!b"), (_SHORT, "!h"), (_INT, "!i"), (_LONG, "!q"), (_TIMESTAMP, "!q"))
}

# A stream repeats the same few header blocks for every event, so that reading each block once is enough. A block that
# is long or new every time is not kept.
_KEPT_BLOCKS = 32
_KEPT_BLOCK_BYTES = 512


class EventFrame(msgspec.Struct, gc=False):
    """One message, checked. `headers` may be shared by frames and cannot be changed."""

    raw: bytes
    headers: Mapping[str, HeaderValue]
    payload: bytes


class EventFrames:
    """Cuts one stream into messages.

    Raises FailureError MALFORMED_ANSWER for a wrong checksum, lengths that do not fit, or a message of more than
    `limit` bytes; the stream cannot be read on after that, because nobody knows where the next message begins.
    """

    __slots__ = ("_at", "_blocks", "_held", "_limit", "_needed")

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self._limit = limit
        self._held = bytearray()
        self._at = 0
        # How long `_held` must be before there is anything new to know.
        self._needed = _PRELUDE.size
        self._blocks: dict[bytes, Mapping[str, HeaderValue]] = {}

    def feed(self, data: bytes) -> list[EventFrame]:
        """The messages that `data` completes."""
        held = self._held
        if held:
            held += data
            if len(held) < self._needed:
                return []
            data = bytes(held)
        frames: list[EventFrame] = []
        start, size = 0, len(data)
        needed = _PRELUDE.size
        while size - start >= _PRELUDE.size:
            total, headers_size = self._measure(data, start)
            if size - start < total:
                needed = total
                break
            frames.append(self._read(data[start : start + total], headers_size))
            start += total
            self._at += total
        self._needed = needed
        held.clear()
        if start < size:
            held += data[start:]
        return frames

    def rest(self) -> bytes:
        """What has come since the last message: at the end of a stream, a message that was cut off."""
        return bytes(self._held)

    def _measure(self, data: bytes, start: int) -> tuple[int, int]:
        total, headers_size, checksum = _PRELUDE.unpack_from(data, start)
        if crc32(data[start : start + _LENGTHS.size]) != checksum:
            raise self._broken("the checksum of its lengths is wrong")
        if total < _MIN_MESSAGE or headers_size > total - _MIN_MESSAGE:
            raise self._broken(f"its lengths do not fit each other (total {total}, headers {headers_size})")
        if total > self._limit:
            raise endless("event stream message", self._limit)
        return total, headers_size

    def _read(self, raw: bytes, headers_size: int) -> EventFrame:
        if crc32(memoryview(raw)[:-4]) != _U32.unpack_from(raw, len(raw) - 4)[0]:
            raise self._broken("its checksum is wrong")
        payload_at = _PRELUDE.size + headers_size
        block = raw[_PRELUDE.size : payload_at]
        headers = self._blocks.get(block)
        if headers is None:
            headers = self._read_headers(block)
        return EventFrame(raw, headers, raw[payload_at:-4])

    def _read_headers(self, block: bytes) -> Mapping[str, HeaderValue]:
        try:
            headers = MappingProxyType(_headers(block))
        except (struct.error, IndexError, UnicodeDecodeError, ValueError) as error:
            raise self._broken("its headers cannot be read", detail=str(error)) from None
        if len(block) <= _KEPT_BLOCK_BYTES and len(self._blocks) < _KEPT_BLOCKS:
            self._blocks[block] = headers
        return headers

    def _broken(self, what: str, detail: str | None = None) -> FailureError:
        return fail(
            Kind.MALFORMED_ANSWER,
            f"The provider's event stream is damaged in the message at byte {self._at}: {what}.",
            detail=detail,
        )


def encode(headers: Mapping[str, HeaderValue], payload: bytes) -> bytes:
    """One message. An integer becomes an `int` where it fits 32 bits, else a `long`."""
    block = b"".join(_encode_header(name, value) for name, value in headers.items())
    lengths = _LENGTHS.pack(_MIN_MESSAGE + len(block) + len(payload), len(block))
    message = b"".join((lengths, _U32.pack(crc32(lengths)), block, payload))
    return message + _U32.pack(crc32(message))


def _encode_header(name: str, value: HeaderValue) -> bytes:
    text = name.encode()
    head = bytes((len(text),)) + text
    if isinstance(value, bool):
        return head + bytes((_TRUE if value else _FALSE,))
    if isinstance(value, int):
        tag = _INT if -(2**31) <= value < 2**31 else _LONG
        return head + bytes((tag,)) + _INTEGERS[tag].pack(value)
    content = value.encode() if isinstance(value, str) else value
    tag = _STRING if isinstance(value, str) else _BYTES
    return head + bytes((tag,)) + _U16.pack(len(content)) + content


def _headers(block: bytes) -> dict[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    at = 0
    while at < len(block):
        name_end = at + 1 + block[at]
        name = block[at + 1 : name_end].decode()
        tag = block[name_end]
        value, at = _value(block, tag, name_end + 1)
        if name in headers:
            raise ValueError("a header occurs twice")
        headers[name] = value
    return headers


def _value(block: bytes, tag: int, at: int) -> tuple[HeaderValue, int]:
    if tag in (_STRING, _BYTES):
        end = at + 2 + _U16.unpack_from(block, at)[0]
        content = _slice(block, at + 2, end)
        return (content.decode() if tag == _STRING else content), end
    if tag in (_TRUE, _FALSE):
        return tag == _TRUE, at
    if tag == _UUID:
        return _slice(block, at, at + 16), at + 16
    if (integer := _INTEGERS.get(tag)) is None:
        raise ValueError(f"header type {tag} is unknown")
    return integer.unpack_from(block, at)[0], at + integer.size


def _slice(block: bytes, start: int, end: int) -> bytes:
    if end > len(block):
        raise ValueError("a header value is longer than the headers")
    return block[start:end]
