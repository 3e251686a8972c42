"""Places: run-time providers and targets out of what was written and what the catalogue knows.

Owns: a provider's headers, tier, family and clocks, and making a Target for any id at it: price, window, abilities.
Refuses: judging whether the configuration fits together (layout does), and prices for ids the catalogue lacks.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from laneway.catalog import Catalog
from laneway.dialects import dialect
from laneway.route import FREE, Clocks, Provider, Target, Tier
from laneway.settings import ProviderTable, Settings, Timeouts


class Places:
    """Makes providers and targets for one configuration."""

    def __init__(self, settings: Settings, catalog: Catalog, *, scale: float, region: str) -> None:
        self._settings = settings
        self._catalog = catalog
        self._scale = scale
        self._region = region

    def provider(self, name: str, table: ProviderTable) -> Provider:
        """`table.url` has been found to be an address."""
        pieces = urlsplit(table.url)
        headers = [(key.lower().encode(), value.encode()) for key, value in table.headers.items()]
        signed = table.dialect == "converse" and not table.api_key
        if not signed:
            headers += [pair for pair in dialect(table.dialect).credentials(table.api_key) if table.api_key or pair[1]]
        return Provider(
            name=name,
            dialect=table.dialect,
            origin=f"{pieces.scheme}://{pieces.netloc}",
            path=pieces.path.rstrip("/"),
            tier=Tier(table.tier) if table.tier else tier_of(table),
            headers=tuple(headers),
            signing="aws" if signed else "",
            region=table.region or self._region,
            clocks=self.clocks(table.timeouts),
            slots=table.slots,
            asks_usage=table.asks_usage is not False,
            lists=table.lists if table.lists is not None else table.dialect != "converse",
        )

    def clocks(self, *narrower_first: Timeouts) -> Clocks:
        """The narrowest table that sets a clock wins."""
        tables = (*narrower_first, self._settings.timeouts)
        usual = Clocks()

        def one(name: str, default: float) -> float:
            found = next((value for table in tables if (value := getattr(table, name)) is not None), default)
            return float(found) * self._scale

        return Clocks(
            connect_s=one("connect", usual.connect_s),
            headers_s=one("headers", usual.headers_s),
            first_content_s=one("first_content", usual.first_content_s),
            between_chunks_s=one("between_chunks", usual.between_chunks_s),
        )

    def target(self, provider: Provider, upstream: str, name: str | None = None, *tables: Timeouts) -> Target:
        """One model at one provider, with everything the catalogue knows of it."""
        table = self._settings.providers[provider.name]
        family = family_of(table)
        known = self._catalog.known(upstream, family)
        entry = known.entry if known is not None else self._catalog.facts(upstream)
        price = known.price if known is not None else None
        if price is None and provider.tier is Tier.LOCAL:
            price = FREE
        elsewhere = known is None or provider.tier is Tier.LOCAL
        return Target(
            provider=provider,
            model=name or upstream,
            upstream=known.id if known is not None and family == "bedrock" else upstream,
            price=price,
            window=entry.window if entry is not None else None,
            # The catalogue's longest answer is the smallest of several clouds: it says nothing of one's own machine.
            output=entry.output or None if entry is not None and not elsewhere else None,
            # A model served under somebody else's roof may lack what its maker's own service can do.
            abilities=entry.abilities if entry is not None and known is not None else None,
            kind=entry.kind if entry is not None else "chat",
            clocks=self.clocks(*tables, table.timeouts),
        )


def family_of(table: ProviderTable) -> str:
    """Which family's ids and prices a provider uses; empty where nobody can know."""
    if table.family:
        return table.family
    by_dialect = {"anthropic": "anthropic", "converse": "bedrock", "ollama": "ollama"}.get(table.dialect)
    if by_dialect is not None:
        return by_dialect
    host = urlsplit(table.url).hostname or ""
    if host == "openrouter.ai":
        return "openrouter"
    return "openai" if host == "api.openai.com" else ""


def tier_of(table: ProviderTable) -> Tier:
    """Local where the address can only be one's own."""
    host = urlsplit(table.url).hostname or ""
    if table.dialect == "ollama" or host.endswith((".local", ".lan", ".internal")):
        return Tier.LOCAL
    try:
        return Tier.LOCAL if ipaddress.ip_address(host).is_private else Tier.BALANCED
    except ValueError:
        return Tier.BALANCED if "." in host else Tier.LOCAL
