"""The cookie of a browser that signed in, and the proof that a change comes from our own page.

Owns: how a session's token travels, and the proof derived from it, which a page of another origin cannot read.
Refuses: knowing whose session it is; the store and the gate do.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

NAME = "laneway_session"
LASTS_S = 12 * 3600
PROOF = b"x-laneway-csrf"


def new_token() -> str:
    return secrets.token_urlsafe(32)


def token_of(headers: Mapping[bytes, bytes]) -> str | None:
    """The session's token that a browser sent."""
    sent = headers.get(b"cookie")
    if sent is None or NAME.encode() not in sent:
        return None
    try:
        found = SimpleCookie(sent.decode("latin-1")).get(NAME)
    except CookieError:
        return None
    return found.value or None if found is not None else None


def digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def proof_of(token: str) -> str:
    """What a page has to send beside the cookie when it changes something."""
    return hmac.new(token.encode(), b"laneway page", hashlib.sha256).hexdigest()


def is_proven(token: str, headers: Mapping[bytes, bytes]) -> bool:
    return hmac.compare_digest(proof_of(token).encode(), headers.get(PROOF, b""))


def written(token: str, *, secure: bool, lasts_s: int = LASTS_S) -> str:
    """The value of Set-Cookie; with `lasts_s` 0 it takes the cookie away."""
    kept = f"{NAME}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={lasts_s}"
    return f"{kept}; Secure" if secure else kept
