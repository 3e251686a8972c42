"""The signer as an httpx auth scheme, for programs that call Bedrock with an httpx client of their own.

Owns: `BedrockAuth`, a generator without I/O over `sign.Signer`. Refuses: to fetch credentials; they are a value, so
a program whose credentials change gives every request its own, as in
`client.post(url, auth=BedrockAuth(signer, await source.current(time.time())))`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

import httpx

from laneway.upstream.credentials import Credentials
from laneway.upstream.sign import SIGNING_HEADERS, Signed, Signer


class BedrockAuth(httpx.Auth):
    """Signs each request as it leaves, body included."""

    requires_request_body = True

    def __init__(self, signer: Signer, credentials: Credentials, clock: Callable[[], float] = time.time) -> None:
        self._signer = signer
        self._credentials = credentials
        self._clock = clock

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        # httpx's own Host and raw path are what goes over the wire, whatever the url looked like before.
        host = request.headers["host"]
        url = f"{request.url.scheme}://{host}{request.url.raw_path.decode('ascii')}"
        proof = self._signer.headers(
            Signed(request.method, url, request.content), host, self._credentials, self._clock()
        )
        for name in SIGNING_HEADERS:
            request.headers.pop(name.decode(), None)
        request.headers.update(proof)
        yield request
