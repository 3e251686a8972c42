"""Signers: for each provider whose calls are signed, the function that signs one.

Owns: joining a provider's region, the source of credentials and the signature. Refuses: the signature itself (sign)
and finding credentials (credentials).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

from laneway.ports import Call
from laneway.route import Provider
from laneway.upstream.credentials import CredentialSource, source_of
from laneway.upstream.sign import Signer


def signers_of(
    providers: Iterable[Provider], variables: Mapping[str, str], clock: Callable[[], float] = time.time
) -> Mapping[str, Callable[[Call], Awaitable[Call]]]:
    """By provider name; providers of one region share a signer."""
    signed = [provider for provider in providers if provider.signing == "aws"]
    if not signed:
        return {}
    source = source_of(None, variables, variables.get("AWS_PROFILE", ""))
    by_region = {region: Signer(region) for region in {provider.region for provider in signed}}
    return {provider.name: _signing(by_region[provider.region], source, clock) for provider in signed}


def _signing(signer: Signer, source: CredentialSource, clock: Callable[[], float]) -> Callable[[Call], Awaitable[Call]]:
    async def sign(call: Call) -> Call:
        now_s = clock()
        return signer.sign(call, await source.current(now_s), now_s)

    return sign
