"""Places: run-time providers and targets out of what was written and what the catalogue knows.

Owns: a provider's address, headers, tier, family and clocks, with what is wrong with them, and making a Target for any
id at it: price, window, abilities.
Refuses: judging whether the configuration fits together (layout does), and prices for ids the catalogue lacks.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from urllib.parse import urlsplit

import msgspec

from laneway.catalog import FAMILIES, Catalog, factors_of, own_id
from laneway.config import nearest
from laneway.dialects import dialect
from laneway.policy.names import spelling
from laneway.policy.price import per_million
from laneway.route import FREE, Clocks, Price, Provider, Target, Tier
from laneway.settings import ModelTable, PriceTable, ProviderTable, Settings, Timeouts

OWN_HOSTS = (".local", ".lan", ".internal", ".localhost", ".home.arpa")
"""Ends of names that are never public (RFC 6762, 6761, 8375, and what routers and clouds use)."""
MOST_USD_PER_MILLION = 1_000_000
MOST_FACTOR = 100
UNSENDABLE = "holds a space at an end, a line break or another character that cannot be sent in a header"
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_BEDROCK_HOST = re.compile(r"//bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")


class Places:
    """Makes providers and targets for one configuration."""

    def __init__(self, settings: Settings, catalog: Catalog, *, scale: float, region: str) -> None:
        self._settings = settings
        self._catalog = catalog
        self._scale = scale
        self._region = region
        self._written = dict(_written(settings))

    def provider(self, name: str, table: ProviderTable) -> Provider:
        """`faults` has found nothing."""
        region = table.region or region_in(table.url) or self._region
        pieces = urlsplit(table.url or bedrock_url(region))
        headers = [(key.lower().encode(), value.encode()) for key, value in table.headers.items()]
        written = {key for key, _ in headers}
        signed = table.dialect == "converse" and not table.api_key
        if not signed:
            credentials = dialect(table.dialect).credentials(table.api_key)
            headers += [(key, value) for key, value in credentials if key not in written and (table.api_key or value)]
        return Provider(
            name=name,
            dialect=table.dialect,
            origin=f"{pieces.scheme}://{pieces.netloc}",
            path=_path(table.dialect, pieces.path.rstrip("/")),
            tier=Tier(table.tier) if table.tier else tier_of(table),
            headers=tuple(headers),
            signing="aws" if signed else "",
            region=region,
            clocks=self.clocks(table.timeouts),
            slots=table.slots,
            asks_usage=table.asks_usage is not False,
            lists=table.lists if table.lists is not None else bool(dialect(table.dialect).models_path),
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
        upstream = own_id(upstream, family)
        known = self._catalog.known(upstream, family)
        entry = known.entry if known is not None else self._catalog.facts(upstream)
        price = known.price if known is not None else None
        if price is None and provider.tier is Tier.LOCAL:
            price = FREE
        # A price that somebody wrote holds for the model by whatever name it is asked for.
        for spelled in (upstream, known.id if known is not None else upstream):
            price = self._written.get((provider.name, spelling(spelled)), price)
        elsewhere = known is None or provider.tier is Tier.LOCAL
        return Target(
            provider=provider,
            model=name or upstream,
            # One's own machine names its models as it likes; a cloud has one id for each.
            upstream=known.id if known is not None and family != "ollama" else upstream,
            price=price,
            window=entry.window if entry is not None else None,
            # The catalogue's longest answer is the smallest of several clouds: it says nothing of one's own machine.
            output=entry.output or None if entry is not None and not elsewhere else None,
            # A model served under somebody else's roof may lack what its maker's own service can do.
            abilities=entry.abilities if entry is not None and known is not None else None,
            kind=entry.kind if entry is not None else "chat",
            clocks=self.clocks(*tables, table.timeouts),
        )

    def described(self, target: Target, table: ModelTable) -> Target:
        """A target with what a person wrote about its model; `price_faults` has found nothing."""
        price = target.price
        if isinstance(table.price, PriceTable):
            price = priced(table.price)
        elif table.price == "free":
            price = FREE
        return msgspec.structs.replace(
            target,
            price=price,
            window=target.window if table.window is None else table.window,
            output=target.output if table.output is None else table.output,
            abilities=target.abilities if table.abilities is None else frozenset(table.abilities),
            kind=table.kind or target.kind,
        )


def _written(settings: Settings) -> Iterator[tuple[tuple[str, str], Price]]:
    """Prices by provider and id; where one id has several, the dearest comes last, and holds."""
    found: list[tuple[tuple[str, str], Price]] = []
    for name, table in settings.models.items():
        if isinstance(table.price, PriceTable):
            if any(price_faults(table.price)):
                continue
            price = priced(table.price)
        elif table.price == "free":
            price = FREE
        else:
            continue
        places = [text.partition("/")[::2] for text in table.targets] or [(table.provider, table.id or name)]
        for provider, upstream in places:
            if provider in settings.providers:
                bare = own_id(upstream or name, family_of(settings.providers[provider]))
                found.append(((provider, spelling(bare)), price))
    yield from sorted(found, key=lambda each: each[1].input + each[1].output)


def price_faults(table: PriceTable) -> Iterator[tuple[str, str]]:
    """Which of the prices are none, and what they should be."""
    for name in table.__struct_fields__:
        written = getattr(table, name)
        if written is None:
            continue
        if name in ("batch", "flex", "priority"):
            if usd(written, MOST_FACTOR) is None:
                yield name, f"expected a factor, from 0 to {MOST_FACTOR}"
        elif usd(written, MOST_USD_PER_MILLION) is None:
            yield name, f"expected USD per million tokens, from 0 to {MOST_USD_PER_MILLION}"


def usd(written: str | float, most: int) -> Decimal | None:
    """An amount from 0 to `most`, or None."""
    try:
        amount = Decimal(str(written))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount <= most else None


def priced(table: PriceTable) -> Price:
    """A price as a person wrote it; `price_faults` has found nothing."""

    def one(written: str | float | None) -> int | None:
        return per_million(written) if written is not None else None

    return Price(
        input=per_million(table.input),
        output=per_million(table.output),
        cache_read=one(table.cache_read),
        cache_write_5m=one(table.cache_write_5m),
        cache_write_1h=one(table.cache_write_1h),
        factors=factors_of(table.batch, table.flex, table.priority),
    )


def faults(table: ProviderTable) -> Iterator[tuple[str, str]]:
    """What keeps a table from being a place: the key, and what is wrong with it. Never a value: it may be secret."""
    if table.url or table.dialect != "converse":
        wrong = address_fault(table.url)
        if wrong:
            yield "url", wrong
    if table.region and not _REGION.fullmatch(table.region):
        yield "region", 'is no region; they look like "eu-central-1"'
    if table.family and table.family not in FAMILIES:
        yield "family", f"is no family of the catalogue{nearest(table.family, FAMILIES)}"
    if not _sendable(table.api_key):
        yield "api_key", UNSENDABLE
    for name, value in table.headers.items():
        if not _TOKEN.fullmatch(name) or not _sendable(value):
            yield "headers", f"a name or a value in it {UNSENDABLE}"
            break


def _sendable(value: str) -> bool:
    return value.isascii() and value.isprintable() and value == value.strip()


def address_fault(url: str) -> str:
    """Why a url cannot be called, or nothing."""
    if not url:
        return "is missing"
    try:
        pieces = urlsplit(url)
        good = pieces.scheme in ("http", "https", "simulated") and bool(pieces.hostname) and pieces.port != 0
    except ValueError:
        return "expected an http:// or https:// address with a host"
    if pieces.username is not None or pieces.password is not None:
        return "must not hold a user or password; use api_key or headers"
    if pieces.query or pieces.fragment:
        return "must end with its path; what stands behind ? or # would not be sent"
    if not good or not url.isascii() or not url.isprintable() or " " in url:
        return "expected an http:// or https:// address with a host"
    return ""


def bedrock_url(region: str) -> str:
    return f"https://bedrock-runtime.{region}.amazonaws.com"


def region_in(url: str) -> str:
    """The AWS region that an address of Bedrock names; a signature for another one would be refused."""
    found = _BEDROCK_HOST.search(url)
    return found.group(1) if found is not None else ""


def _path(name: str, path: str) -> str:
    """What stands between the host and a dialect's own paths, however people write it."""
    if name in ("openai", "responses"):
        return path or "/v1"
    return path.removesuffix("/v1") if name == "anthropic" else path


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
    if table.dialect == "converse":
        return Tier.BALANCED
    if table.dialect == "ollama" or host.endswith(OWN_HOSTS):
        return Tier.LOCAL
    try:
        # Addresses of carriers and of private overlays (100.64.0.0/10) are neither private nor global.
        return Tier.BALANCED if ipaddress.ip_address(host).is_global else Tier.LOCAL
    except ValueError:
        return Tier.BALANCED if "." in host else Tier.LOCAL
