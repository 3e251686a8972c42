"""Where a request stands in a trace: the ids of its span and of its calls', chosen before anything is known of them.

Owns: reading and writing `traceparent` (https://www.w3.org/TR/trace-context/), and that each call of a provider has a
span of its own under the request's. Refuses: making spans, and chance: random bits are an argument.
"""

from __future__ import annotations

from typing import NamedTuple

_HEX = b"0123456789abcdef"
_SAMPLED = 1
_MASK = (1 << 64) - 1


class Parent(NamedTuple):
    """The span of a caller."""

    trace_id: int
    span_id: int
    sampled: bool


class Trace(NamedTuple):
    """The span of a request."""

    trace_id: int
    span_id: int
    parent: Parent | None
    sampled: bool

    def call_id(self, number: int) -> int:
        """The span of the request's call of this number, from 0. Never 0, which the specification forbids."""
        return (self.span_id + number) % _MASK + 1

    def traceparent(self, number: int) -> bytes:
        """What the provider is told, so that its own spans lie under the call's."""
        return f"00-{self.trace_id:032x}-{self.call_id(number):016x}-{self.sampled:02x}".encode()


def read_parent(value: bytes | None) -> Parent | None:
    """None for what is no `traceparent`; of versions to come, the known part counts (section 3.2.2.3)."""
    pieces = value.strip().split(b"-") if value is not None else ()
    if len(pieces) < 4 or [len(piece) for piece in pieces[:4]] != [2, 32, 16, 2]:
        return None
    version, trace, span, flags = pieces[:4]
    if (version + trace + span + flags).strip(_HEX) or version == b"ff" or (version == b"00" and len(pieces) > 4):
        return None
    parent = Parent(int(trace, 16), int(span, 16), bool(int(flags, 16) & _SAMPLED))
    return parent if parent.trace_id and parent.span_id else None


def begun(parent: Parent | None, bits: int, *, sampled: bool) -> Trace:
    """A request's place in its caller's trace, or in a new one; `bits` are 192 random ones."""
    trace_id = parent.trace_id if parent is not None else bits >> 64 or 1
    return Trace(trace_id, bits & _MASK or 1, parent, sampled)
