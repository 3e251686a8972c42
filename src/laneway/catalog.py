"""The catalogue: what is known of models without asking anybody.

Owns: looking a model up by any of its names, in a family of providers, with its price there.
Refuses: networks, and guesses: an unknown id has no price rather than somebody else's.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from laneway.policy.names import spelling
from laneway.policy.price import per_mille, per_million
from laneway.route import Price

FAMILIES = ("openai", "anthropic", "bedrock", "openrouter", "ollama", "simulated")
REGIONS = ("us.", "eu.", "global.", "apac.", "jp.", "au.", "us-gov.", "ca.", "sa.")
"""Prefixes of Bedrock's cross-region profile ids: the model behind them is the same, the price may not be."""
SIDECAR = "bedrock/"
"""What people write before Bedrock's ids for other programs; Bedrock itself never sees it."""


class Above(msgspec.Struct, frozen=True):
    window: int
    input: str
    output: str


class PriceRow(msgspec.Struct, frozen=True):
    model: str
    family: str
    id: str
    input: str
    output: str
    source: str
    as_of: str
    cache_read: str | None = None
    cache_write_5m: str | None = None
    cache_write_1h: str | None = None
    above: Above | None = None
    batch: str | None = None
    flex: str | None = None
    priority: str | None = None

    def price(self) -> Price:
        plain = Price(
            input=per_million(self.input),
            output=per_million(self.output),
            cache_read=_optional(self.cache_read),
            cache_write_5m=_optional(self.cache_write_5m),
            cache_write_1h=_optional(self.cache_write_1h),
            factors=factors_of(self.batch, self.flex, self.priority),
        )
        if self.above is None:
            return plain
        return msgspec.structs.replace(plain, above_window=self.above.window, above=_scaled(plain, self.above))


class Entry(msgspec.Struct, frozen=True):
    """One model, wherever it is served."""

    names: dict[str, str] = {}
    aliases: tuple[str, ...] = ()
    window: int | None = None
    output: int | None = None
    abilities: frozenset[str] = frozenset()
    kind: str = "chat"
    vendor: str = ""


class Known(NamedTuple):
    """A model as one family serves it: `id` is what that family calls it."""

    model: str
    id: str
    entry: Entry
    price: Price | None


class _File(msgspec.Struct, frozen=True):
    models: dict[str, Entry] = {}
    prices: list[PriceRow] = []


class Catalog:
    """All models, indexed by every spelling of every name."""

    def __init__(self, models: Mapping[str, Entry], prices: Iterable[PriceRow]) -> None:
        self.models = models
        self._rows = {(row.family, spelling(row.id)): row for row in prices}
        self._by_name: dict[str, str] = {}
        for model, entry in models.items():
            for name in (model, *entry.names.values(), *entry.aliases):
                self._by_name.setdefault(spelling(name).removeprefix(SIDECAR), model)
        for row in self._rows.values():
            self._by_name.setdefault(spelling(row.id), row.model)
        profiles = [(entry.names["bedrock"], model) for model, entry in models.items() if "bedrock" in entry.names]
        profiles += [(row.id, row.model) for row in self._rows.values() if row.family == "bedrock"]
        self._by_profile = {_without_region(spelling(profile)): model for profile, model in profiles}

    @classmethod
    def read(cls, text: str) -> Catalog:
        table: dict[str, Any] = tomllib.loads(text)
        file = msgspec.convert(table, _File)
        return cls(file.models, file.prices)

    @classmethod
    def empty(cls) -> Catalog:
        return cls({}, ())

    def model_of(self, name: str) -> str | None:
        """The canonical id behind any name, `bedrock/` and region prefixes included."""
        bare = spelling(name).removeprefix(SIDECAR)
        return self._by_name.get(bare) or self._by_profile.get(_without_region(bare))

    def known(self, name: str, family: str) -> Known | None:
        """A model as this family serves it: an id of the family stays that id, other names are turned into one."""
        model = self.model_of(name)
        if model is None:
            return None
        entry = self.models[model]
        bare = own_id(name, family)
        own = entry.names.get(family)
        row = self._rows.get((family, spelling(bare)))
        if row is not None:
            return Known(model, row.id, entry, row.price())
        if own is None:
            return None
        if family == "bedrock" and spelling(bare) not in self._by_name:
            # Another region's profile of the model: it may cost something else there, so nothing is said.
            return Known(model, bare, entry, None)
        row = self._rows.get((family, spelling(own)))
        price = row.price() if row is not None else None
        # OpenAI's dated ids are its own: whoever asks for a snapshot gets that one.
        return Known(model, bare.lower() if family == "openai" and "/" not in bare else own, entry, price)

    def facts(self, name: str) -> Entry | None:
        """What is known of a model wherever it runs."""
        model = self.model_of(name)
        return self.models[model] if model is not None else None

    def curated(self, family: str) -> list[Known]:
        """Every model this family serves."""
        found = (self.known(entry.names[family], family) for entry in self.models.values() if family in entry.names)
        return [known for known in found if known is not None]


def factors_of(
    batch: str | float | None, flex: str | float | None, priority: str | float | None
) -> tuple[tuple[str, int], ...]:
    """What each tier of service costs, of those that are named."""
    named = (("batch", batch), ("flex", flex), ("priority", priority))
    return tuple((name, per_mille(factor)) for name, factor in named if factor is not None)


def own_id(name: str, family: str) -> str:
    """A name without what only other programs put before it."""
    return name[len(SIDECAR) :] if family == "bedrock" and name.lower().startswith(SIDECAR) else name


def _without_region(folded: str) -> str:
    found = next((region for region in REGIONS if folded.startswith(region)), "")
    return folded.removeprefix(found)


def _optional(usd: str | None) -> int | None:
    return per_million(usd) if usd is not None else None


def _scaled(plain: Price, above: Above) -> Price:
    """Prices above a window: what the list does not say about caches keeps its ratio to the input price."""
    dear = per_million(above.input)

    def scale(price: int | None) -> int | None:
        return None if price is None or not plain.input else -(-price * dear // plain.input)

    return Price(
        input=dear,
        output=per_million(above.output),
        cache_read=scale(plain.cache_read),
        cache_write_5m=scale(plain.cache_write_5m),
        cache_write_1h=scale(plain.cache_write_1h),
    )
