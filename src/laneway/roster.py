"""The roster: which models each provider says it has right now.

Owns: asking every provider for its list, now and then and in the background, and remembering who is awake. A
provider that does not answer drops out of the lists, and its models come last in routing, until it answers again.
Refuses: delaying a request, and failing a list because one provider is asleep.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from laneway.chat import Card
from laneway.dialects import dialect
from laneway.failure import FailureError
from laneway.layout import Layout
from laneway.ports import Call, Clocks, Upstream
from laneway.route import Provider

ASK = Clocks(connect_s=1.5, headers_s=4.0, first_content_s=4.0, between_chunks_s=4.0)
MOST_LIST = 8 << 20
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
    ) -> None:
        self.layout = layout
        self._upstream = upstream
        self._clock = clock
        self._clocks = Clocks(
            connect_s=ASK.connect_s * scale,
            headers_s=ASK.headers_s * scale,
            first_content_s=ASK.first_content_s * scale,
            between_chunks_s=ASK.between_chunks_s * scale,
        )
        self.seen: dict[str, Seen] = {name: Seen() for name in layout.providers}

    def inherit(self, other: Roster) -> None:
        """Takes over what an earlier configuration knew of providers that are still the same."""
        for name, seen in other.seen.items():
            if self.layout.providers.get(name) == other.layout.providers.get(name) and name in self.seen:
                self.seen[name] = seen
        self._tell()

    async def look(self) -> None:
        """Asks every provider that has a list; each in its own time, none waiting for another."""
        asked = [provider for provider in self.layout.providers.values() if provider.lists]
        before = self._state()
        await asyncio.gather(*(self._ask(provider) for provider in asked))
        if self._state() != before:
            self._tell()

    async def run(self, every_s: float) -> None:
        """Looks for ever. Cancel it to stop."""
        while True:
            try:
                await self.look()
            except Exception:
                # One odd list must not end the looking.
                log.warning("model lists could not be read", exc_info=True)
            await asyncio.sleep(every_s)

    def cards(self) -> list[Card]:
        """What awake providers list, each entry naming its provider."""
        return [card for seen in self.seen.values() if seen.awake for card in seen.cards]

    def asleep(self) -> frozenset[str]:
        return frozenset(name for name, seen in self.seen.items() if seen.awake is False)

    def _state(self) -> Mapping[str, tuple[bool | None, tuple[Card, ...]]]:
        return {name: (seen.awake, seen.cards) for name, seen in self.seen.items()}

    def _tell(self) -> None:
        listed: dict[str, Sequence[Card]] = {name: seen.cards for name, seen in self.seen.items()}
        self.layout.hear(listed, self.asleep())

    async def _ask(self, provider: Provider) -> None:
        seen = self.seen[provider.name]
        try:
            cards = await self._list(provider)
        except FailureError as error:
            if seen.awake is not False:
                log.info("provider %s is asleep: %s", provider.name, error.failure.kind.value)
            seen.awake, seen.reason = False, error.failure.message
        else:
            if seen.awake is False:
                log.info("provider %s is awake again", provider.name)
            seen.awake, seen.reason, seen.cards = True, "", cards
        seen.asked_s = self._clock()

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
        return tuple(_of(card, provider.name) for card in cards)


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
