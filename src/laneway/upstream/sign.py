"""Proves to Bedrock who is calling: Signature Version 4 headers, or a bearer key, on a call that is ready to be sent.

Owns: what a signature covers (method, target, host, body, instant) and which headers it leaves on the call. The
arithmetic is `sigv4`, loaded with the first Signer; `httpx_auth` is the same signer for foreign httpx clients.
Refuses: to fetch credentials or read a clock (both are arguments), and to change what is called. A target is signed as
it is sent: percent-encoded once on the wire (`:` of a model id is %3A there), once more in the signature.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

import msgspec

from laneway.ports import Call
from laneway.upstream.credentials import Credentials

SIGNING_HEADERS = frozenset((b"authorization", b"x-amz-date", b"x-amz-security-token"))
"""Headers of an earlier signature, which a call signed again must not keep."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Signed(msgspec.Struct, frozen=True, gc=False):
    """What of a request is signed, in the names aws-requests-auth reads."""

    method: str
    url: str
    body: bytes


class Signer:
    """Signs calls for one region and service. Holds derived keys only; safe to share by all requests."""

    def __init__(self, region: str, service: str = "bedrock") -> None:
        from laneway.upstream.sigv4 import InstantAuth, SigningKeys

        self._auth = InstantAuth
        self._keys = SigningKeys(region, service)

    def sign(self, call: Call, credentials: Credentials, now_s: float) -> Call:
        """The call with its proof; a call signed before is signed anew.

        The origin loses a default port and capitals, so that the Host line which the engine writes from it is the
        host that was signed.
        """
        origin, host = _origin(call.origin)
        proof = self.headers(Signed(call.method, origin + call.target, call.body), host, credentials, now_s)
        kept = [pair for pair in call.headers if pair[0].lower() not in SIGNING_HEADERS]
        return msgspec.structs.replace(call, origin=origin, headers=(*kept, *proof))

    def headers(self, request: Signed, host: str, credentials: Credentials, now_s: float) -> list[tuple[bytes, bytes]]:
        """The headers that prove who sends `request`, where `host` is the Host line that goes with it."""
        if credentials.bearer:
            return [(b"authorization", b"Bearer " + credentials.bearer.encode())]
        auth = self._auth(self._keys, host, credentials, now_s)
        headers: dict[str, str] = auth.get_aws_request_headers_handler(request)
        return [(name.encode(), value.encode()) for name, value in headers.items()]


@lru_cache(maxsize=256)
def _origin(text: str) -> tuple[str, str]:
    """An origin in its shortest spelling, and the host line it makes."""
    parts = urlsplit(text)
    host = parts.netloc.lower()
    if parts.port is not None and parts.port == _DEFAULT_PORTS.get(parts.scheme):
        host = host.rpartition(":")[0]
    return f"{parts.scheme}://{host}", host
