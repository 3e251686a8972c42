"""The layout: settings and catalogue in, everything a request needs out, compiled once.

Owns: run-time providers, targets with their prices and clocks, lanes with their whole chain, tenants with the
digests of their keys, and the table of names, made again whenever a provider's model list changes.
Refuses: I/O, and stopping at the first thing that does not fit together: all dangling references are listed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from urllib.parse import urlsplit

import msgspec

from laneway.catalog import Catalog
from laneway.chat import Card
from laneway.config import ConfigError, Problem, nearest
from laneway.places import Places, family_of
from laneway.policy.names import Names, Prefix, spelling
from laneway.policy.price import per_million, usd_to_nanos
from laneway.route import FREE, Key, Lane, Price, Provider, Stage, Target, Tenant
from laneway.settings import LaneTable, ModelTable, Settings, TargetTable, Timeouts


class Layout:
    """One configuration, compiled. Immutable but for `names`, which follows the providers' model lists."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        *,
        version: str = "",
        scale: float = 1.0,
        region: str = "us-east-1",
    ) -> None:
        self.settings = settings
        self.version = version
        self._catalog = catalog
        self._places = Places(settings, catalog, scale=scale, region=region)
        self._problems: list[Problem] = []
        self.providers = self._made_providers()
        self._cards: Mapping[str, Sequence[Card]] = {}
        self._asleep: frozenset[str] = frozenset()
        self._models = self._made_models()
        self.lanes = self._made_lanes()
        self.tenants, self.keys = self._made_tenants()
        self._check_names()
        if self._problems:
            raise ConfigError(self._problems)
        self.names = self._made_names()

    def hear(self, cards: Mapping[str, Sequence[Card]], asleep: frozenset[str]) -> None:
        """Takes in what each provider listed last, and who is asleep, and makes the table of names anew."""
        self._cards = cards
        self._asleep = asleep
        self.names = self._made_names()

    def _made_providers(self) -> dict[str, Provider]:
        made: dict[str, Provider] = {}
        for name, table in self.settings.providers.items():
            path = f"providers.{name}"
            if not table.url:
                if not table.optional:
                    self._wrong(f"{path}.url", "is missing; write optional = true to leave the provider out instead")
                continue
            pieces = urlsplit(table.url)
            if pieces.scheme not in ("http", "https", "simulated") or not pieces.hostname:
                self._wrong(f"{path}.url", "expected an http:// or https:// address with a host")
                continue
            if pieces.username or pieces.password:
                self._wrong(f"{path}.url", "must not hold a user or password; use api_key or headers")
                continue
            made[name] = self._places.provider(name, table)
        return made

    def _named(self, text: str, path: str, *tables: Timeouts) -> tuple[Target, ...]:
        """The targets that a name in the configuration means: a configured model, or `provider/id`."""
        model = self._models.get(text)
        if model is not None:
            return tuple(self._reclocked(target, *tables) for target in model)
        provider_name, _, upstream = text.partition("/")
        provider = self.providers.get(provider_name)
        if provider is not None and upstream:
            return (self._places.target(provider, upstream, None, *tables),)
        table = self.settings.providers.get(provider_name)
        if table is not None and upstream and table.optional and not table.url:
            return ()
        known = [*self._models, *(f"{name}/{upstream or '...'}" for name in self.providers)]
        self._wrong(path, f'there is no model or target "{text}"{nearest(text, known)}')
        return ()

    def _reclocked(self, target: Target, *tables: Timeouts) -> Target:
        if all(table == Timeouts() for table in tables):
            return target
        own = self.settings.models[target.model].timeouts if target.model in self.settings.models else Timeouts()
        provider = self.settings.providers[target.provider.name].timeouts
        return msgspec.structs.replace(target, clocks=self._places.clocks(*tables, own, provider))

    # --- models --------------------------------------------------------------------------------------------

    def _made_models(self) -> dict[str, tuple[Target, ...]]:
        made: dict[str, tuple[Target, ...]] = {}
        for name, table in self.settings.models.items():
            made[name] = self._made_model(name, table)
        for name, table in self.settings.models.items():
            if not table.substitute:
                continue
            if table.substitute in made:
                own = made[name]
                made[name] = (*own, *(target for target in made[table.substitute] if target not in own))
            else:
                hint = nearest(table.substitute, made)
                self._wrong(f"{_table('models', name)}.substitute", f'there is no model "{table.substitute}"{hint}')
        return made

    def _made_model(self, name: str, table: ModelTable) -> tuple[Target, ...]:
        path = _table("models", name)
        places: list[tuple[str, str, str]] = []
        if table.targets and table.provider:
            self._wrong(path, "has both provider and targets; write one of them")
        for index, text in enumerate(table.targets):
            provider_name, _, upstream = text.partition("/")
            places.append((provider_name, upstream, f"{path}.targets[{index}]"))
        if table.provider:
            places.append((table.provider, table.id or name, f"{path}.provider"))
        elif not table.targets:
            self._wrong(path, "has neither provider nor targets")
        targets: list[Target] = []
        for provider_name, upstream, where in places:
            provider = self.providers.get(provider_name)
            if provider is None:
                optional = self.settings.providers.get(provider_name)
                if optional is None or not optional.optional:
                    hint = nearest(provider_name, self.settings.providers)
                    self._wrong(where, f'there is no provider "{provider_name}"{hint}')
                continue
            found = self._places.target(provider, upstream or name, name, table.timeouts)
            targets.append(self._with_own(found, table, path))
        return tuple(targets)

    def _with_own(self, target: Target, table: ModelTable, path: str) -> Target:
        price = target.price
        if table.price is not None:
            price = FREE if table.price == "free" else self._price(table, f"{path}.price")
        abilities = target.abilities if table.abilities is None else frozenset(table.abilities)
        return msgspec.structs.replace(
            target,
            price=price,
            window=target.window if table.window is None else table.window,
            output=target.output if table.output is None else table.output,
            abilities=abilities,
            kind=table.kind or target.kind,
        )

    def _price(self, table: ModelTable, path: str) -> Price | None:
        prices = table.price
        if prices is None or isinstance(prices, str):
            return None
        fields = {name: getattr(prices, name) for name in prices.__struct_fields__}
        made: dict[str, int] = {}
        for name, usd in fields.items():
            if usd is None:
                continue
            try:
                made[name] = per_million(usd)
            except (InvalidOperation, ValueError):
                made[name] = -1
            if made[name] < 0:
                self._wrong(f"{path}.{name}", "expected USD per million tokens, 0 or more")
        return Price(
            input=made["input"],
            output=made["output"],
            cache_read=made.get("cache_read"),
            cache_write_5m=made.get("cache_write_5m"),
            cache_write_1h=made.get("cache_write_1h"),
        )

    # --- lanes ---------------------------------------------------------------------------------------------

    def _made_lanes(self) -> dict[str, Lane]:
        own: dict[str, tuple[Target, ...]] = {}
        for name, table in self.settings.lanes.items():
            path = _table("lanes", name)
            targets: list[Target] = []
            for index, item in enumerate(table.targets):
                text, tables = _target_text(item, table)
                targets += self._named(text, f"{path}.targets[{index}]", *tables)
            own[name] = tuple(targets)
            if not table.targets:
                self._wrong(f"{path}.targets", "a lane needs at least one target")
            elif not targets and not self._problems:
                self._wrong(f"{path}.targets", "every target of this lane is at a provider that is left out")
        made: dict[str, Lane] = {}
        for name, table in self.settings.lanes.items():
            chained = list(own[name])
            for index, after in enumerate(table.chain):
                if after not in own:
                    path = f"{_table('lanes', name)}.chain[{index}]"
                    self._wrong(path, f'there is no lane "{after}"{nearest(after, own)}')
                    continue
                names = {target.name for target in chained}
                chained += [target for target in own[after] if target.name not in names]
            made[name] = _lane(name, table, tuple(chained))
        return made

    # --- tenants -------------------------------------------------------------------------------------------

    def _made_tenants(self) -> tuple[dict[str, Tenant], dict[bytes, Key]]:
        tenants: dict[str, Tenant] = {}
        keys: dict[bytes, Key] = {}
        for name, table in self.settings.tenants.items():
            path = _table("tenants", name)
            for index, lane in enumerate(table.lanes or ()):
                self._known_lane(lane, f"{path}.lanes[{index}]")
            if table.lane:
                self._known_lane(table.lane, f"{path}.lane")
            if not 0 <= table.bias <= 1:
                self._wrong(f"{path}.bias", "expected a number from 0 (lowest cost) to 1 (highest quality)")
            for index, secret in enumerate(table.keys):
                self._add_key(keys, secret, name, f"{path}.keys[{index}]")
            tenants[name] = Tenant(
                name=name,
                lanes=frozenset(table.lanes) if table.lanes is not None else None,
                models=table.models,
                lane=table.lane or None,
                project=table.project or None,
                daily_nanos=self._daily(table.daily_usd, f"{path}.daily_usd"),
                bias=table.bias,
            )
        return tenants, keys

    def _add_key(self, keys: dict[bytes, Key], secret: str, tenant: str, path: str) -> None:
        if len(secret) < 8:
            self._wrong(path, "a key needs at least 8 characters")
            return
        digest = hashlib.sha256(secret.encode()).digest()
        if digest in keys:
            self._wrong(path, f'this key already belongs to the tenant "{keys[digest].tenant}"')
            return
        keys[digest] = Key(id=f"cfg_{digest.hex()[:12]}", tenant=tenant, name=path, last4=secret[-4:])

    def _daily(self, usd: str | float | None, path: str) -> int | None:
        if usd is None or usd == "":
            return None
        try:
            amount = Decimal(str(usd))
        except InvalidOperation:
            amount = Decimal(-1)
        if not amount.is_finite() or amount < 0:
            self._wrong(path, "expected an amount in USD, 0 or more")
            return None
        return usd_to_nanos(str(usd))

    def _known_lane(self, lane: str, path: str) -> None:
        if lane not in self.settings.lanes:
            self._wrong(path, f'there is no lane "{lane}"{nearest(lane, self.settings.lanes)}')

    # --- names ---------------------------------------------------------------------------------------------

    def _check_names(self) -> None:
        """Two things with one name are refused: nobody could say which is meant."""
        taken: dict[str, str] = {name: _table("lanes", name) for name in self.settings.lanes}
        for name, table in self.settings.models.items():
            where = _table("models", name)
            spelled = [(name, where)]
            spelled += [(alias, f"{where}.aliases[{index}]") for index, alias in enumerate(table.aliases)]
            for text, path in spelled:
                if text in taken:
                    self._wrong(path, f'the name "{text}" is already taken by {taken[text]}')
                else:
                    taken[text] = path
        claimed: dict[str, str] = {}
        for name, table_ in self.settings.lanes.items():
            for index, claim in enumerate(table_.claims):
                path = f"{_table('lanes', name)}.claims[{index}]"
                if claim in claimed:
                    self._wrong(path, f'the model "{claim}" is already claimed by {claimed[claim]}')
                claimed[claim] = path

    def _made_names(self) -> Names:
        models: dict[str, list[Target]] = {}
        for name, targets in self._models.items():
            for spelled in (name, *self.settings.models[name].aliases):
                models[spelled] = list(targets)
        configured = {spelling(name) for name in models}
        awake_first = sorted(self.providers.items(), key=lambda item: item[0] in self._asleep)
        for provider_name, provider in awake_first:
            for name, target in self._offered(provider_name, provider):
                if spelling(name) not in configured:
                    held = models.setdefault(name, [])
                    if all(other.name != target.name for other in held):
                        held.append(target)
        return Names(
            lanes=self.lanes,
            models={name: tuple(targets) for name, targets in models.items()},
            prefixes=self._prefixes(),
            patterns=[
                Prefix(pattern.lower(), "", partial(self._places.target, provider))
                for name, provider in self.providers.items()
                for pattern in self.settings.providers[name].accepts
            ],
        )

    def _offered(self, name: str, provider: Provider) -> list[tuple[str, Target]]:
        """Names under which a provider's models can be asked for: listed ones, and those the catalogue knows."""
        table = self.settings.providers[name]
        family = family_of(table)
        listed = [*table.models, *(card.id for card in self._cards.get(name, ()))]
        found = [(upstream, self._places.target(provider, upstream)) for upstream in listed]
        if family in ("openai", "anthropic", "bedrock", "simulated") and not table.models:
            for known in self._catalog.curated(family):
                target = self._places.target(provider, known.id)
                names = dict.fromkeys((known.id, known.model, *known.entry.aliases))
                found += [(spelled, target) for spelled in names]
        return found

    def _prefixes(self) -> list[Prefix]:
        made: dict[str, Prefix] = {}
        for name, provider in self.providers.items():
            for text in self.settings.providers[name].prefixes:
                made.setdefault(text.lower(), Prefix(text.lower(), "", partial(self._places.target, provider)))
        for name, provider in self.providers.items():
            for text in (name, family_of(self.settings.providers[name])):
                folded = f"{text.lower()}/"
                if text and text != "ollama":
                    made.setdefault(folded, Prefix(folded, folded, partial(self._places.target, provider)))
        return list(made.values())

    def _wrong(self, path: str, message: str) -> None:
        self._problems.append(Problem(path, message))


def _lane(name: str, table: LaneTable, targets: tuple[Target, ...]) -> Lane:
    return Lane(
        name=name,
        targets=targets,
        forces=table.forces,
        claims=table.claims,
        run_only=table.run_only,
        rescue=table.rescue,
        stage=Stage(table.stage),
        sticky=table.sticky,
        badge=table.badge or None,
    )


def _target_text(item: str | TargetTable, lane: LaneTable) -> tuple[str, tuple[Timeouts, ...]]:
    if isinstance(item, str):
        return item, (lane.timeouts,)
    return item.target, (item.timeouts, lane.timeouts)


def _table(kind: str, name: str) -> str:
    plain = name.replace("-", "").replace("_", "").isalnum()
    return f"{kind}.{name}" if plain else f'{kind}."{name}"'
