"""The wire without I/O: framing, and what every format's bytes have in common.

Owns: where one event ends and the next begins in server-sent events (`sse`), newline-delimited JSON (`ndjson`) and the
AWS binary event stream (`eventstream`), each fed with whatever pieces the socket gave. One law holds in all three: the
`raw` of every frame handed out, in order, followed by `rest()`, is the input, byte for byte, wherever it was cut. And
the nouns that formats share: `json`, `malformed`, `strangers`, `fault`, `redact`, `retry`, `logprobs`, `instant`.
Refuses: to know any one format: what a frame's payload means is its dialect's; and to hold a frame that never ends.
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
