"""Callers: their keys, their sessions in a browser, and which target a conversation of theirs stays with.

Owns: the doors to them. Refuses: any implementation, and ever holding a secret: keys are known by their digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from laneway.route import Key


class Keys(Protocol):
    """Callers' keys, by digest."""

    async def find(self, digest: bytes) -> Key | None:
        """The key with this SHA-256 digest, revoked ones included. At most a few seconds behind a change made
        by another process."""

    async def create(self, key: Key, digest: bytes) -> None: ...

    async def list(self) -> Sequence[Key]: ...

    async def revoke(self, key_id: str, now_s: int) -> bool:
        """False when there is no such key."""


class Sessions(Protocol):
    """Browsers that signed in with a key: each stands for the key's digest until its time is over."""

    async def begin(self, digest: bytes, of: bytes, expires_s: float) -> None:
        """`digest` is that of the browser's own token, `of` that of the key."""

    async def find(self, digest: bytes, now_s: float) -> bytes | None:
        """The digest of the key, which may have been revoked since."""

    async def end(self, digest: bytes) -> None: ...


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """The target a conversation stays with, by its name."""

    target: str
    at_s: float


class Pins(Protocol):
    """Choices remembered per tenant and trace. May forget."""

    async def get(self, tenant: str, trace: str, now_s: float) -> Pin | None: ...

    async def put(self, tenant: str, trace: str, pin: Pin) -> None: ...
