"""The roster: which models each provider says it has right now.

Owns: asking every provider for its list, now and then and in the background, and remembering who is awake. A
provider that does not answer drops out of the lists, and its models come last in routing, until it answers again;
one that answers anything at all is awake, for a list may be refused where a model is served.
Refuses: delaying a request, and failing a list because one provider is asleep.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from laneway.chat import Card
from laneway.dialects import dialect
from laneway.failure import FailureError, Kind
from laneway.layout import Layout
from laneway.policy.names import MOST_NAME
from laneway.ports import Call, Clocks, Upstream
from laneway.route import Provider

ASK = Clocks(connect_s=1.5, headers_s=4.0, first_content_s=4.0, between_chunks_s=4.0)
MOST_LIST = 8 << 20
AWAY = frozenset({Kind.CONNECT, Kind.RESET, Kind.TIMEOUT, Kind.CUT, Kind.OVERLOADED, Kind.UPSTREAM_ERROR})
"""What a host that is off looks like, or a proxy in front of one."""
log = logging.getLogger("laneway")


class Seen:
    """What is known of one provider."""

    __slots__ = ("asked_s", "awake", "cards", "reason")

    def __init__(self) -> None:
        self.awake: bool | None = None
        self.cards: tuple[Card, ...] = ()
        self.reason = ""
        self.asked_s = 0.0


class Roster:
    """Keeps a Layout's names in step with the providers. `look` asks all of them once."""

    def __init__(
        self,
        layout: Layout,
        upstream: Upstream,
        *,
        scale: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        heard: Callable[[str, Sequence[Card]], None] | None = None,
    ) -> None:
        self.layout = layout
        self._heard = heard
        self._upstream = upstream
        self._clock = clock
        self._clocks = Clocks(
            connect_s=ASK.connect_s * scale,
            headers_s=ASK.headers_s * scale,
            first_content_s=ASK.first_content_s * scale,
            between_chunks_s=ASK.between_chunks_s * scale,
        )
        self.seen: dict[str, Seen] = {name: Seen() for name in layout.providers}
        self._looked = asyncio.Event()

    def inherit(self, other: Roster) -> None:
        """Takes over what an earlier configuration knew of providers that are still the same."""
        for name, seen in other.seen.items():
            if self.layout.providers.get(name) == other.layout.providers.get(name) and name in self.seen:
                self.seen[name] = seen
        self._tell()

    async def look(self) -> None:
        """Asks every provider that has a list; each in its own time, none waiting for another."""
        asked = [provider for provider in self.layout.providers.values() if provider.lists]
        await asyncio.gather(*(self._ask(provider) for provider in asked))
        self._looked.set()

    async def first_look(self, limit_s: float) -> None:
        """Waits until every provider has been asked once, while `run` asks them, but not longer than that."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._looked.wait(), limit_s)

    async def run(self, every_s: float) -> None:
        """Looks for ever. Cancel it to stop."""
        while True:
            await self.look()
            await asyncio.sleep(every_s)

    def cards(self) -> list[Card]:
        """What awake providers list, each entry naming its provider."""
        return [card for seen in self.seen.values() if seen.awake for card in seen.cards]

    def asleep(self) -> frozenset[str]:
        return frozenset(name for name, seen in self.seen.items() if seen.awake is False)

    def _tell(self) -> None:
        listed: dict[str, Sequence[Card]] = {name: seen.cards for name, seen in self.seen.items()}
        self.layout.hear(listed, self.asleep())
        for name, seen in self.seen.items():
            if self._heard is not None and seen.awake:
                self._heard(name, seen.cards)

    async def _ask(self, provider: Provider) -> None:
        seen = self.seen[provider.name]
        awake, cards, reason = True, seen.cards, ""
        try:
            cards = await self._list(provider)
        except FailureError as error:
            awake, reason = error.failure.kind not in AWAY, error.failure.message
        except Exception:
            # One odd list must not end the looking.
            log.warning("the model list of provider %s could not be read", provider.name, exc_info=True)
            reason = "Its model list could not be read."
        if awake is not (seen.awake is not False):
            log.info("provider %s is %s", provider.name, "awake again" if awake else f"asleep: {reason}")
        changed = awake is not seen.awake or cards != seen.cards
        seen.awake, seen.cards, seen.reason, seen.asked_s = awake, cards, reason, self._clock()
        if changed:
            # At once: one host that hangs keeps nobody else's models out of the lists.
            self._tell()

    async def _list(self, provider: Provider) -> tuple[Card, ...]:
        speaks = dialect(provider.dialect)
        path = provider.path + speaks.models_path
        status, headers, body = await fetch(self._upstream, provider, path, self._clocks)
        if status in (404, 405, 501):
            # Awake, and without a list: what the configuration and the catalogue say is all there is.
            return ()
        if not 200 <= status < 300:
            raise FailureError(speaks.read_failure(status, headers, body))
        cards = speaks.read_models(body)
        # Names become header values and paths: one that cannot be written there is nobody's model.
        return tuple(_of(card, provider.name) for card in cards if card.id.isprintable() and len(card.id) <= MOST_NAME)


async def fetch(
    upstream: Upstream, provider: Provider, path: str, clocks: Clocks, body: bytes = b""
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """One small question to a provider, outside any request of a caller."""
    headers = ((b"accept", b"application/json"), (b"content-type", b"application/json"), *provider.headers)
    reply = await upstream.open(Call("POST" if body else "GET", provider.origin, path, headers, body), clocks)
    try:
        pieces: list[bytes] = []
        size = 0
        while size <= MOST_LIST and (piece := await reply.read(clocks.between_chunks_s)):
            pieces.append(piece)
            size += len(piece)
        return reply.status, reply.headers, b"".join(pieces)
    finally:
        await reply.close()


def _of(card: Card, provider: str) -> Card:
    return msgspec.structs.replace(card, provider=provider)
