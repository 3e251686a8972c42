"""Deliveries to somebody's address as values: the proof of who sent it, and how long to wait after a failure.

Owns: the headers by which a receiver tells a repetition and checks the sender, and the waits between two tries.
Refuses: sending, clocks (`now_s` is an argument), and knowing what is delivered.
"""

from __future__ import annotations

import hashlib
import hmac

WAITS_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0)
"""Between a failure and the next try; after the last one it is given up."""
LONGEST_WAIT_S = 86_400.0


def proof(delivery: str, secret: str, now_s: float, body: bytes) -> list[tuple[bytes, bytes]]:
    """The headers of a webhook. `delivery` is the same for every try; without a secret nothing is signed."""
    stamp = str(int(now_s))
    headers = [(b"x-laneway-delivery", delivery.encode()), (b"x-laneway-timestamp", stamp.encode())]
    if secret:
        headers.append((b"x-laneway-signature", signature(secret, stamp, body).encode()))
    return headers


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`sha256=` and the HMAC-SHA256, in hex, of the timestamp, a full stop and the body as it was sent."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def wait_s(tries: int, asked_s: float | None = None) -> float | None:
    """How long to wait after so many tries, no less than the receiver asked for; None: it is given up."""
    if tries > len(WAITS_S):
        return None
    return min(max(WAITS_S[tries - 1], asked_s or 0.0), LONGEST_WAIT_S)
