"""Makes a picture small: 256 colours in place of millions, which is what a page without photographs needs.

Owns: reading the browser's PNG (8 bits a channel, not interlaced) and writing it again with a palette.
Refuses: photographs, and any other PNG. Colours that are rare become the nearest that is not: the edges of letters.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import cache

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {2: 3, 6: 4}
"""Of the colour types (PNG specification, 11.2.1) truecolour, and truecolour with alpha."""
MOST = 256


def shrink(png: bytes) -> bytes:
    """The same picture with a palette."""
    parts = list(_parts(png))
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", parts[0][1])
    if depth != 8 or kind not in CHANNELS or interlaced:
        raise ValueError(f"not a picture of a browser: depth {depth}, colour type {kind}, interlaced {interlaced}")
    size = CHANNELS[kind]
    lines = _lines(zlib.decompress(b"".join(body for name, body in parts if name == b"IDAT")), width * size, size)
    seen = [[line[at : at + 3] for at in range(0, len(line), size)] for line in lines]
    palette = [colour for colour, _ in Counter(colour for line in seen for colour in line).most_common(MOST)]

    @cache
    def nearest(colour: bytes) -> int:
        def far(at: int) -> int:
            return sum((one - other) ** 2 for one, other in zip(colour, palette[at], strict=True))

        return min(range(len(palette)), key=far)

    rows = b"".join(b"\0" + bytes([nearest(colour) for colour in line]) for line in seen)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    written = [(b"IHDR", header), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    return SIGNATURE + b"".join(_part(name, body) for name, body in written)


def _parts(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not png.startswith(SIGNATURE):
        raise ValueError("not a PNG")
    at = len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length


def _part(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _lines(packed: bytes, length: int, size: int) -> Iterator[bytes]:
    """Lines without the filters they were packed with (PNG specification, 9.2)."""
    above = bytearray(length)
    for start in range(0, len(packed), length + 1):
        kind, line = packed[start], bytearray(packed[start + 1 : start + 1 + length])
        for at in range(length):
            left = line[at - size] if at >= size else 0
            corner = above[at - size] if at >= size else 0
            line[at] = (line[at] + _guess(kind, left, above[at], corner)) & 0xFF
        yield bytes(line)
        above = line


def _guess(kind: int, left: int, above: int, corner: int) -> int:
    match kind:
        case 0:
            return 0
        case 1:
            return left
        case 2:
            return above
        case 3:
            return (left + above) // 2
    paeth = left + above - corner
    return min((left, above, corner), key=lambda each: abs(paeth - each))
