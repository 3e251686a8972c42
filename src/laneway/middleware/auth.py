"""Auth: from a key to a Tenant.

Owns: where a key is found in a request, the digest look-up, and the answer to a wrong one. A key is compared by its
SHA-256 digest only, so the time of a look-up says nothing about the keys that exist.
Refuses: permissions for lanes and models (the lane room), and keeping or showing any key.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from laneway.edge import App, Receive, Send, refuse
from laneway.exchange import NOBODY, Exchange, Scope
from laneway.failure import Failure, Kind
from laneway.ports import Keys
from laneway.route import Key, Tenant
from laneway.stores.memory import MemoryKeys

CACHE_S = 3.0
"""How long a found key is trusted: the longest a revoked one may still work in another process."""
CACHE_MOST = 10_000


class Gate:
    """Answers "who is this" for a set of request headers; shared by the room and the plain endpoints."""

    def __init__(
        self,
        *,
        keys: Keys,
        tenants: Mapping[str, Tenant],
        fixed: Mapping[bytes, Key],
        open_to_all: bool,
        origins: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._tenants = tenants
        self._fixed = fixed
        self._open = open_to_all
        self.asks = not open_to_all
        """Nobody gets in without a key."""
        self._origins = origins
        self._clock = clock
        self._cache: dict[bytes, tuple[float, Key | None]] = {}

    def known(self, headers: Mapping[bytes, bytes]) -> tuple[Tenant, Key] | None:
        """Tenant and key of a caller whose key is at hand and good; None where there is more to ask."""
        secret = presented(headers)
        key = self._at_hand(hashlib.sha256(secret).digest())[1] if secret is not None else None
        return (self.tenant(key.tenant), key) if key is not None and key.revoked_s is None else None

    async def identify(self, headers: Mapping[bytes, bytes]) -> tuple[Tenant, Key | None] | Failure:
        """The caller's tenant and key, or why not."""
        secret = presented(headers)
        if secret is None and not self._open:
            return Failure(
                kind=Kind.UNAUTHENTICATED,
                message="No key was sent. Send it as 'Authorization: Bearer KEY' or as 'x-api-key: KEY'.",
            )
        key = await self._find(hashlib.sha256(secret).digest()) if secret is not None else None
        if key is not None:
            if key.revoked_s is not None:
                return Failure(kind=Kind.UNAUTHENTICATED, message=f"The key ending in '{key.last4}' was revoked.")
            return self.tenant(key.tenant), key
        if secret is not None and not self._open:
            return _unknown(secret)
        # Without keys, a page in somebody's browser must not be able to spend through a loopback gateway.
        if b"origin" in headers and not self._trusted_origin(headers[b"origin"]):
            return Failure(
                kind=Kind.FORBIDDEN,
                message="Requests from web pages of other origins need a key; list the origin in server.cors.",
            )
        # An open gateway takes whatever placeholder a client library insists on sending.
        return self.tenant("default"), None

    async def holder(self, digest: bytes) -> tuple[Tenant, Key] | None:
        """Whose key has this digest; None for one that is not known, or was revoked."""
        key = await self._find(digest)
        return (self.tenant(key.tenant), key) if key is not None and key.revoked_s is None else None

    async def _find(self, digest: bytes) -> Key | None:
        is_known, key = self._at_hand(digest)
        if is_known:
            return key
        now = self._clock()
        key = await self._keys.find(digest)
        if len(self._cache) >= CACHE_MOST:
            self._cache.clear()
        self._cache[digest] = (now + CACHE_S, key)
        return key

    def _at_hand(self, digest: bytes) -> tuple[bool, Key | None]:
        """Whether the answer need not be looked up, and what it is."""
        fixed = self._fixed.get(digest)
        if fixed is not None:
            return True, fixed
        cached = self._cache.get(digest)
        return (True, cached[1]) if cached is not None and cached[0] > self._clock() else (False, None)

    def tenant(self, name: str) -> Tenant:
        """As configured, or without restrictions."""
        return self._tenants.get(name) or Tenant(name=name)

    def _trusted_origin(self, origin: bytes) -> bool:
        text = origin.decode("latin-1")
        if text in self._origins or "*" in self._origins:
            return True
        try:
            return is_loopback(urlsplit(text).hostname or "")
        except ValueError:
            return False


def presented(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The key a caller sent, wherever its client library puts it."""
    authorization = headers.get(b"authorization")
    if authorization is not None and authorization[:7].lower() == b"bearer ":
        secret = authorization[7:].strip()
        if secret:
            return secret
    return headers.get(b"x-api-key") or None


def is_loopback(host: str) -> bool:
    """By number, never by how a name begins: 127.example.org is anybody's."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _unknown(secret: bytes) -> Failure:
    shown = secret[-4:].decode("ascii", "replace") if len(secret) >= 12 else ""
    ending = f" ending in '{shown}'" if shown.isprintable() and shown else ""
    return Failure(kind=Kind.UNAUTHENTICATED, message=f"The key{ending} is not known here.")


class AuthMiddleware:
    """Lets known keys in and writes the tenant on the Exchange.

    Mounted alone, pass `keys=MemoryKeys.of({"sk-...": "tenant"})`; with no keys at all it lets everybody in as the
    tenant "default", as long as no web page of another origin asks.
    """

    def __init__(
        self,
        app: App,
        *,
        keys: Keys | None = None,
        tenants: Mapping[str, Tenant] | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.app = app
        self.gate = gate or Gate(
            keys=keys if keys is not None else MemoryKeys(),
            tenants=tenants or {},
            fixed={},
            open_to_all=keys is None,
        )

    behind = None

    def ahead(self, exchange: Exchange, _scope: Scope) -> bool:
        """Whether nobody need be asked who this is."""
        if exchange.tenant is NOBODY:
            found = self.gate.known(exchange.headers)
            if found is None:
                return False
            exchange.tenant, exchange.key_id = found[0], found[1].id
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if exchange is None or self.ahead(exchange, scope):
            await self.app(scope, receive, send)
            return
        found = await self.gate.identify(exchange.headers)
        if isinstance(found, Failure):
            await refuse(exchange, send, found)
            return
        exchange.tenant, key = found
        if key is not None:
            exchange.key_id = key.id
        await self.app(scope, receive, send)
