"""The one room that aws-requests-auth is entered through: AWS Signature Version 4 at a given instant.

Owns: `InstantAuth`, an AWSRequestsAuth whose time and signing keys are given to it. The package reads the wall clock
(by a call that newer Pythons warn of) and derives the key anew for every request; it also orders a query and reads a
path differently from AWS in corner cases. Those four things are put right here, and nothing else.
Refuses: to be imported before something is to be signed, because the package brings the whole of requests with it.
"""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from typing import Protocol
from urllib.parse import quote, urlsplit

from aws_requests_auth.aws_auth import AWSRequestsAuth, getSignatureKey

from laneway.upstream.credentials import Credentials

_ALGORITHM = "AWS4-HMAC-SHA256"
_KEPT_KEYS = 16


class Signable(Protocol):
    """What the package asks of a request."""

    @property
    def method(self) -> str: ...

    @property
    def url(self) -> str: ...

    @property
    def body(self) -> bytes: ...


class SigningKeys:
    """Derived keys of one region and service: a key holds for a day, and deriving it costs as much as signing."""

    def __init__(self, region: str, service: str) -> None:
        self.region = region
        self.service = service
        self._keys: dict[tuple[str, str], bytes] = {}

    def derive(self, secret_key: str, date: str) -> bytes:
        key = self._keys.get((secret_key, date))
        if key is None:
            if len(self._keys) >= _KEPT_KEYS:
                self._keys.clear()
            key = bytes(getSignatureKey(secret_key, date, self.region, self.service))
            self._keys[secret_key, date] = key
        return key


class InstantAuth(AWSRequestsAuth):  # type: ignore[misc]  # the package ships no types
    """Signs one request to `host` as of `now_s`, in seconds since the epoch."""

    def __init__(self, keys: SigningKeys, host: str, credentials: Credentials, now_s: float) -> None:
        super().__init__(
            credentials.access_key,
            credentials.secret_key,
            host,
            keys.region,
            keys.service,
            credentials.session_token or None,
        )
        self._keys = keys
        self._instant = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))

    def get_aws_request_headers(
        self, r: Signable, aws_access_key: str, aws_secret_access_key: str, aws_token: str | None
    ) -> dict[str, str]:
        """The headers that make the request a signed one.

        Not among them is x-amz-content-sha256, which the package sends but does not sign: only S3 asks for it, and
        AWS wants every x-amz-* header that is sent to be signed.
        """
        headers = {"host": self.aws_host, "x-amz-date": self._instant}
        if aws_token:
            headers["x-amz-security-token"] = aws_token
        signed = ";".join(headers)
        canonical = "\n".join(
            (
                r.method.upper(),
                self.get_canonical_path(r),
                self.get_canonical_querystring(r),
                *(f"{name}:{value}" for name, value in headers.items()),
                "",
                signed,
                sha256(r.body or b"").hexdigest(),
            )
        )
        date = self._instant[:8]
        scope = f"{date}/{self.aws_region}/{self.service}/aws4_request"
        to_sign = f"{_ALGORITHM}\n{self._instant}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._keys.derive(aws_secret_access_key, date), to_sign.encode(), "sha256").hex()
        del headers["host"]
        headers["authorization"] = (
            f"{_ALGORITHM} Credential={aws_access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        )
        return headers

    @classmethod
    def get_canonical_path(cls, r: Signable) -> str:
        """The path encoded once more than it is sent, as every service but S3 wants it.

        Dot segments and doubled slashes are removed first (RFC 3986 section 5.2.4, and AWS's own rule). The package
        keeps both, and loses what follows a `;` in the last segment.
        """
        path = urlsplit(r.url).path or "/"
        if "//" in path or "/." in path:
            path = _without_dots(path)
        return quote(path, safe="/~")

    @classmethod
    def get_canonical_querystring(cls, r: Signable) -> str:
        """Parameters in the order of their names, then of their values; the package orders whole `name=value` texts,
        which puts `a-b=` before `a=`."""
        query = urlsplit(r.url).query
        if not query:
            return ""
        pairs = sorted(pair.partition("=")[::2] for pair in query.split("&"))
        return "&".join(f"{name}={value}" for name, value in pairs)


def _without_dots(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")
