"""Framing without I/O: where one event ends and the next begins, in the three framings that providers stream in.

Owns: server-sent events (`sse`), newline-delimited JSON (`ndjson`) and the AWS binary event stream (`eventstream`),
each fed with whatever pieces the socket gave. One law holds in all three: the `raw` of every frame handed out, in
order, followed by `rest()`, is the input, byte for byte, wherever the pieces were cut.
Refuses: to know what a frame's payload means, and to hold a frame that never ends.
"""

from __future__ import annotations

from laneway.failure import FailureError, Kind, fail

LIMIT_BYTES = 16 * 1024 * 1024
"""The longest single frame that is held: far above any real event, far below what hurts."""


def endless(noun: str, limit: int) -> FailureError:
    """The refusal of a frame that grows past its limit."""
    return fail(
        Kind.MALFORMED_ANSWER,
        f"The provider's stream has a single {noun} of more than {limit} bytes, which is no event of a model's answer; "
        "check that the provider's url points at a model endpoint.",
    )
