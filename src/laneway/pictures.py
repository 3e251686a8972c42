"""Pictures and files as text: what base64 data is, and the urls that carry it (RFC 2397).

Owns: the media type that a picture's first bytes tell, and data urls both ways.
Refuses: to decode a picture, and to fetch one.
"""

from __future__ import annotations

from typing import NamedTuple

# The first bytes of each format in base64: the signatures of PNG, JPEG (SOI), GIF ("GIF8") and WebP ("RIFF").
_HEADS = (("iVBORw0KGgo", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp"))


def sniff_type(data: str) -> str | None:
    """The media type of base64 data; None where it is no picture that every provider knows."""
    return next((media_type for head, media_type in _HEADS if data.startswith(head)), None)


class Carried(NamedTuple):
    """What a data url carries."""

    media_type: str
    data: str


def read_data_url(url: str) -> Carried | None:
    """None for any other url, and for data that is not base64."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    media_type, *parameters = head.split(";")
    if not comma or "base64" not in parameters:
        return None
    return Carried(media_type.lower() or "text/plain", data)


def write_data_url(media_type: str, data: str) -> str:
    return f"data:{media_type};base64,{data}"
