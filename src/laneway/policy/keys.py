"""Making keys: the secret is seen once by whoever asked, the digest is what rests.

Owns: the shape of a key. Refuses: storing anything.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from laneway.failure import Kind, fail
from laneway.route import Key

MOST_CHARS = 200
"""Of a tenant's name, and of a note beside a key."""


class Issued(NamedTuple):
    """A new key: give `secret` to its owner, store `key` under `digest`."""

    secret: str
    digest: bytes
    key: Key


def issue(tenant: str, name: str, now_s: int, token: str) -> Issued:
    """`token` is the chance in it: `secrets.token_urlsafe(32)`.

    Raises FailureError for words that would spoil a log or a list.
    """
    for field, text in (("tenant", tenant), ("name", name)):
        if (field == "tenant" and not text.strip()) or (text and not text.isprintable()) or len(text) > MOST_CHARS:
            wanted = f"expected up to {MOST_CHARS} characters without line breaks and other control characters"
            raise fail(Kind.BAD_REQUEST, f"{field}: {wanted}.", field=field)
    secret = f"lw-{token}"
    digest = hashlib.sha256(secret.encode()).digest()
    key = Key(id=f"key_{digest.hex()[:12]}", tenant=tenant, name=name, last4=secret[-4:], created_s=now_s)
    return Issued(secret, digest, key)
