"""Calls to providers: what is sent, what comes back, and the clocks.

Owns: the door to the HTTP client. Refuses: any implementation; adapters live in `upstream/`.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from laneway.route import Clocks as Clocks


class Call(msgspec.Struct, frozen=True):
    """One HTTP request to a provider, ready to be sent.

    `origin` is `scheme://host[:port]`; `target` is the path with its query, already percent-encoded.
    `headers` holds everything but Host, Content-Length and Connection, which the engine writes.
    """

    method: str
    origin: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""
    public: bool = False
    """Only an address of the public internet is called, whatever the name turns out to mean. A client that leaves
    looking names up to a proxy leaves this to it as well."""


class Reply(Protocol):
    """A provider's response: the head is there, the body is read on demand."""

    status: int
    headers: list[tuple[bytes, bytes]]
    """Names in lower case."""

    async def read(self, limit_s: float) -> bytes:
        """The next piece of the body as it came off the socket, `b""` at its proper end.

        Raises FailureError: TIMEOUT when nothing came for `limit_s`, CUT when the connection ended before
        the body did, MALFORMED_ANSWER when the framing was broken.
        """

    async def close(self) -> None:
        """Idempotent. A body not read to its end closes the connection, so that the provider notices at once."""


class Upstream(Protocol):
    """Carries calls to providers. Bodies are not interpreted, redirects are not followed."""

    async def open(self, call: Call, clocks: Clocks) -> Reply:
        """Sends the call and waits for the response head.

        Raises FailureError: CONNECT (refused, unresolvable, TLS), RESET (connection lost before any response
        byte), TIMEOUT with `clock` "connect" or "headers", MALFORMED_ANSWER (not HTTP).
        """

    async def close(self) -> None:
        """Ends idle connections at once; running ones when they finish or are closed."""
