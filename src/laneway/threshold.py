"""The threshold: what bytes alone tell of a request, and turning callers away as cheaply as bytes allow.

Owns: the bytes that one who is turned away reads, what stands where the doorway keeps a turn while the rest of such a
request passes, and what of a head is read past the parser: its target, and an offer to speak another protocol.
Refuses: to decide who is turned away (pressure does), and to find where a request ends (the core or the parser does).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import httptools

from laneway.pressure import refusal

_UPGRADE = re.compile(rb"(?i)(?<=\n)upgrade(?=[ \t]*:)")
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_NO_REQUEST = b"Invalid HTTP request received."
INVALID = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(_NO_REQUEST), _NO_REQUEST)
)


class _Away:
    """Complete, and nobody waits for more of the request."""

    complete = True
    keep_alive = False


AWAY: Any = _Away()


class _Nowhere(list[tuple[bytes, bytes]]):
    """Takes headers that nobody will read."""

    def append(self, _: tuple[bytes, bytes]) -> None:
        pass


NOWHERE = _Nowhere()


@lru_cache(maxsize=256)
def words(speaks: str, reason: str, wait_s: int, *, last: bool = False) -> bytes:
    """The whole answer; the `last` on its connection or not."""
    written = refusal(speaks, reason, wait_s)
    headers = [(b"content-type", written.content_type), (b"content-length", b"%d" % len(written.body))]
    headers += [*written.headers, *([(b"connection", b"close")] if last else [])]
    lines = [b"HTTP/1.1 %d Overloaded" % written.status, *(b"%b: %b" % header for header in headers)]
    return b"\r\n".join([*lines, b"", written.body])


def parts(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, raw path and query of a request's target."""
    parsed = httptools.parse_url(url)
    raw: bytes = parsed.path
    path = raw.decode("ascii")
    return unquote(path) if "%" in path else path, raw, parsed.query or b""


def kept_plain(data: bytes) -> bytes:
    """A head without its offer to speak another protocol, which a server may ignore (RFC 9110, section 7.8).

    The parser would take such a request's body for the other protocol's first bytes, and Java's client offers h2c
    with everything it posts.
    """
    head, end, body = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"x-upgrade", head) + end + body
