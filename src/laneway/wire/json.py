"""JSON as it travels: the one encoder, and the decoding of what strangers sent.

Owns: what decoding may raise, the checked decoding of a caller's body, and the replacement of its fields with every
other field's bytes untouched.
Refuses: schemas, which each wire format has of its own, and words about a body that does not fit (`malformed`).
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from laneway.wire.malformed import malformed, mistyped

T = TypeVar("T")

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that decoding can raise; RecursionError is how the decoder says that a body is nested too deeply."""

NONE: Final = msgspec.Raw(b"")
"""The default of a raw field: it was not said."""

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])

encode: Final = msgspec.json.Encoder().encode
decode_any: Final = msgspec.json.Decoder().decode
decode_object: Final = _OBJECT.decode
decode_fields: Final = _FIELDS.decode
"""An object's fields, each with its bytes as they came."""


def decode(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw) -> T:
    """A caller's body, or a part of one, as the decoder's type; MALFORMED_REQUEST names what is wrong and where."""
    try:
        # A typed decode does not look into what it skips or keeps raw, and a provider would be handed it.
        if type(body) is bytes and not body.isascii():
            str(body, "utf-8")
        return decoder.decode(body)
    except UNREADABLE as error:
        raise malformed(error, body) from None


def read_fields(body: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """A caller's top-level fields as raw bytes."""
    return decode(_FIELDS, body)


def read_tree(body: bytes | msgspec.Raw) -> dict[str, Any]:
    """Everything a caller's body says, known or not."""
    return decode(_OBJECT, body)


def read_schema(raw: bytes | str | msgspec.Raw, path: str) -> dict[str, Any]:
    """The JSON Schema that stands raw in a body, or as text in one."""
    try:
        return decode_object(raw)
    except UNREADABLE:
        raise mistyped(path, "a JSON Schema object") from None


def patch(body: bytes, name: str, value: object) -> bytes:
    """The body with one top-level field said anew, every other one as it came."""
    fields: dict[str, Any] = read_fields(body)
    fields[name] = value
    return encode(fields)
