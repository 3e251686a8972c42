"""The layout: settings and catalogue in, everything a request needs out, compiled once.

Owns: run-time providers, targets with their prices and clocks, lanes with their whole chain, tenants with the
digests of their keys, and the table of names, made again whenever a provider's model list changes.
Refuses: I/O, and stopping at the first thing that does not fit together: all dangling references are listed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from laneway.capacity import made_breaker, made_denials, made_hosts
from laneway.caps import made_budgets, read_cap
from laneway.catalog import Catalog, own_id
from laneway.chains import Chains
from laneway.channels import made_channels
from laneway.chat import Card
from laneway.config import ConfigError, Problem, joined, nearest, visible
from laneway.embedders import made_embedder
from laneway.gates import made_gates, with_legacy
from laneway.jury import budgets_of, made_judges
from laneway.places import Places, family_of, faults, price_faults
from laneway.policy.names import Names, Prefix, spelling
from laneway.pools import made_pools, spelled_pools
from laneway.route import Key, Lane, Pool, Provider, Target, Tenant
from laneway.settings import ModelTable, PoolTable, PriceTable, ProviderTable, Settings, Timeouts

CURATED = ("openai", "anthropic", "bedrock", "simulated")
"""Families whose providers serve what the catalogue says; of the others only their own list tells."""


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
        self.clocks = self._places.clocks()
        """What holds where nothing nearer says otherwise."""
        self._problems: list[Problem] = []
        self.providers = self._made_providers()
        self._cards: Mapping[str, Sequence[Card]] = {}
        self._asleep: frozenset[str] = frozenset()
        self._curated = self._made_curated()
        self._models = self._made_models()
        pools = made_pools(settings, self._named, self._wrong, scale)
        self.pools = {name: pool for name, pool in pools.items() if pool is not None}
        self.lanes = self._made_lanes(pools, scale)
        self.gates = made_gates(settings, self._wrong)
        self.hosts = made_hosts(settings, self.providers, self.lanes, self._wrong, scale)
        self.denials = made_denials(settings, self._wrong)
        self.breaker = made_breaker(settings.breaker, scale)
        self.channels = made_channels(settings, self._wrong)
        self.embedder = made_embedder(settings, self._named, self._wrong)
        self.judges = made_judges(settings, self._named, self._wrong)
        self.budgets = (*made_budgets(settings, self._wrong), *budgets_of(self.judges, settings.server))
        self.tenants, self.keys = self._made_tenants()
        self._check_names()
        if self._problems:
            raise ConfigError(tuple(dict.fromkeys(self._problems)))
        self.names = self._made_names()

    def hear(self, cards: Mapping[str, Sequence[Card]], asleep: frozenset[str]) -> None:
        """Takes in what each provider listed last, and who is asleep, and makes the table of names anew."""
        self._cards = cards
        self._asleep = asleep
        self.names = self._made_names()

    def _made_providers(self) -> dict[str, Provider]:
        made: dict[str, Provider] = {}
        for name, table in self.settings.providers.items():
            if table.optional and not table.url:
                continue
            path = joined("providers", name)
            wrong = list(faults(table))
            for key, message in wrong:
                hint = "" if table.url or key != "url" else "; write optional = true to leave the provider out instead"
                self._wrong(f"{path}.{key}", message + hint)
            if not wrong:
                made[name] = self._places.provider(name, table)
        return made

    def _named(self, text: str, path: str, *tables: Timeouts) -> tuple[Target, ...]:
        """The targets that a name in the configuration means: a configured model, or `provider/id`."""
        model = self._models.get(text)
        if model is not None:
            return tuple(self._reclocked(target, *tables) for target in model)
        provider_name, _, upstream = text.partition("/")
        if upstream and provider_name in self.settings.providers:
            # A provider that is left out, or has a problem of its own, serves nothing.
            provider = self.providers.get(provider_name)
            return (self._places.target(provider, upstream, None, *tables),) if provider is not None else ()
        known = [*self._models, *(f"{name}/{upstream or '...'}" for name in self.settings.providers)]
        self._wrong(path, f'there is no model or target "{visible(text)}"{nearest(text, known)}')
        return ()

    def _reclocked(self, target: Target, *tables: Timeouts) -> Target:
        if all(table == Timeouts() for table in tables):
            return target
        own = self.settings.models[target.model].timeouts if target.model in self.settings.models else Timeouts()
        provider = self.settings.providers[target.provider.name].timeouts
        return msgspec.structs.replace(target, clocks=self._places.clocks(*tables, own, provider))

    # --- models --------------------------------------------------------------------------------------------

    def _made_models(self) -> dict[str, tuple[Target, ...]]:
        own = {name: self._made_model(name, table) for name, table in self.settings.models.items()}
        self._models = own
        return {name: self._substituted(name, own) for name in own}

    def _substituted(self, name: str, own: Mapping[str, tuple[Target, ...]]) -> tuple[Target, ...]:
        """A model's own targets, then those of its substitute, then those of that one's."""
        targets = list(own[name])
        passed = {name}
        while substitute := self.settings.models[name].substitute:
            found = self._named(substitute, f"{joined('models', name)}.substitute")
            targets += [target for target in found if target not in targets]
            if substitute not in own or substitute in passed:
                break
            passed.add(substitute)
            name = substitute
        return tuple(targets)

    def _made_model(self, name: str, table: ModelTable) -> tuple[Target, ...]:
        path = joined("models", name)
        places: list[tuple[str, str, str]] = []
        if table.targets and (table.provider or table.id):
            self._wrong(f"{path}.targets", "stands beside provider or id; write one or the other")
        for index, text in enumerate(table.targets):
            provider_name, _, upstream = text.partition("/")
            places.append((provider_name, upstream, f"{path}.targets[{index}]"))
        if table.provider:
            places.append((table.provider, table.id or name, f"{path}.provider"))
        elif not table.targets:
            self._wrong(f"{path}.provider", "is missing (or targets)")
        if isinstance(table.price, PriceTable) and (wrong := list(price_faults(table.price))):
            for key, message in wrong:
                self._wrong(f"{path}.price.{key}", message)
            return ()
        targets: list[Target] = []
        for provider_name, upstream, where in places:
            provider = self.providers.get(provider_name)
            if provider is None:
                if provider_name not in self.settings.providers:
                    hint = nearest(provider_name, self.settings.providers)
                    self._wrong(where, f'there is no provider "{visible(provider_name)}"{hint}')
                continue
            found = self._places.target(provider, upstream or name, name, table.timeouts)
            targets.append(self._places.described(found, table))
        return tuple(targets)

    # --- lanes ---------------------------------------------------------------------------------------------

    def _made_lanes(self, pools: Mapping[str, Pool | None], scale: float) -> dict[str, Lane]:
        chains = Chains(
            self.settings.lanes,
            self.providers,
            pools,
            resolve=self._named,
            wrong=self._wrong,
            sound=lambda: not self._problems,
            scale=scale,
        )
        lanes = chains.lanes(self.settings.providers)
        return with_legacy(lanes, self.settings, self.clocks, resolve=self._named, wrong=self._wrong)

    # --- tenants -------------------------------------------------------------------------------------------

    def _made_tenants(self) -> tuple[dict[str, Tenant], dict[bytes, Key]]:
        tenants: dict[str, Tenant] = {}
        keys: dict[bytes, Key] = {}
        for name, table in self.settings.tenants.items():
            path = joined("tenants", name)
            for index, lane in enumerate(table.lanes or ()):
                self._known_lane(lane, f"{path}.lanes[{index}]")
            if table.lane:
                self._known_lane(table.lane, f"{path}.lane")
                if table.lanes is not None and table.lane not in table.lanes:
                    self._wrong(f"{path}.lane", "is not among the lanes that this tenant may use")
            for index, secret in enumerate(table.keys):
                self._add_key(keys, secret, name, f"{path}.keys[{index}]")
            tenants[name] = Tenant(
                name=name,
                lanes=frozenset(table.lanes) if table.lanes is not None else None,
                models=table.models,
                lane=table.lane or None,
                project=table.project or None,
                daily_nanos=read_cap(table.daily_usd, f"{path}.daily_usd", self._wrong),
            )
        return tenants, keys

    def _add_key(self, keys: dict[bytes, Key], secret: str, tenant: str, path: str) -> None:
        if len(secret) < 8 or not secret.isascii() or not secret.isprintable() or " " in secret:
            self._wrong(path, "a key needs at least 8 characters, all of them visible ASCII")
            return
        digest = hashlib.sha256(secret.encode()).digest()
        if digest in keys:
            self._wrong(path, f'this key already belongs to the tenant "{keys[digest].tenant}"')
            return
        last4 = secret[-4:] if len(secret) >= 12 else ""
        keys[digest] = Key(id=f"cfg_{digest.hex()[:12]}", tenant=tenant, name=path, last4=last4)

    def _known_lane(self, lane: str, path: str) -> None:
        if lane not in self.settings.lanes:
            self._wrong(path, f'there is no lane "{visible(lane)}"{nearest(lane, self.settings.lanes)}')

    # --- names ---------------------------------------------------------------------------------------------

    def _check_names(self) -> None:
        """Two things with one name are refused, however it is spelled: nobody could say which is meant."""
        settings = self.settings
        for name in settings.providers:
            if not set(name).isdisjoint("/ "):
                self._wrong(joined("providers", name), 'holds a "/" or a space; targets are written provider/id')
            self._speakable(name, joined("providers", name))
        for name in settings.tenants:
            self._speakable(name, joined("tenants", name))
        names = _Taken("name")
        models = _Taken("model")
        prefixes = _Taken("prefix")
        for name, lane in settings.lanes.items():
            where = joined("lanes", name)
            self._take(names, name, where, where)
            self._take(models, name, where, where)
            for index, claim in enumerate(lane.claims):
                self._take(models, claim, f"{where}.claims[{index}]", where)
        called: tuple[tuple[str, Mapping[str, ModelTable | PoolTable]], ...]
        called = ("models", settings.models), ("pools", settings.pools)
        for kind, tables in called:
            for name, table in tables.items():
                where = joined(kind, name)
                self._take(names, name, where, where)
                for index, alias in enumerate(table.aliases):
                    self._take(names, alias, f"{where}.aliases[{index}]", where)
        for name in self.providers:
            where = joined("providers", name)
            for index, prefix in enumerate(settings.providers[name].prefixes):
                self._take(prefixes, prefix, f"{where}.prefixes[{index}]", where)

    def _take(self, taken: _Taken, text: str, path: str, owner: str) -> None:
        self._speakable(text, path)
        before, of = taken.by_spelling.setdefault(spelling(text), (path, owner))
        if of != owner:
            self._wrong(path, f'the {taken.what} "{visible(text)}" is already taken by {before}')

    def _speakable(self, name: str, path: str) -> None:
        if not name.strip() or not name.isprintable():
            self._wrong(path, "is no name: it is empty, or holds a line break or another control character")

    def _made_names(self) -> Names:
        models: dict[str, list[Target]] = {}
        for name, targets in self._models.items():
            # A model whose host sleeps moves to its substitute; one that is left out altogether is no model.
            ordered = sorted(targets, key=lambda target: target.provider.name in self._asleep)
            for spelled in (name, *self.settings.models[name].aliases) if ordered else ():
                models[spelled] = ordered
        configured = {spelling(name) for name in models}
        groups: dict[str, list[Target]] = {}
        awake_first = sorted(self.providers.items(), key=lambda item: item[0] in self._asleep)
        for provider_name, provider in awake_first:
            for name, target in self._offered(provider_name, provider):
                spelled = spelling(name)
                held = groups.get(spelled)
                if spelled in configured or (held is not None and target in held):
                    continue
                if held is None:
                    models[name] = groups[spelled] = [target]
                elif any(other.provider is provider for other in held):
                    # A provider that tells two spellings apart means two models.
                    models.setdefault(name, [target])
                else:
                    held.append(target)
        return Names(
            lanes=self.lanes,
            models={name: tuple(targets) for name, targets in models.items()},
            pools=spelled_pools(self.settings, self.pools),
            prefixes=self._prefixes(),
            patterns=[
                Prefix(pattern.lower(), "", partial(self._places.target, provider))
                for name, provider in self.providers.items()
                for pattern in self.settings.providers[name].accepts
            ],
        )

    def _offered(self, name: str, provider: Provider) -> list[tuple[str, Target]]:
        """Names under which a provider's models can be asked for: listed ones, and those the catalogue knows."""
        found = {model: self._places.target(provider, model) for model in self.settings.providers[name].models}
        for card in self._cards.get(name, ()):
            # What a provider lists is called as it lists it, whatever id the catalogue has for it.
            target = self._places.target(provider, card.id)
            found[card.id] = msgspec.structs.replace(target, upstream=card.id)
        said = {spelling(upstream) for upstream in found}
        curated = self._curated.get(name, {})
        found.update({spelled: target for spelled, target in curated.items() if spelling(spelled) not in said})
        return list(found.items())

    def _made_curated(self) -> dict[str, dict[str, Target]]:
        """For each cloud: every name of each model that it is known to serve."""
        made: dict[str, dict[str, Target]] = {}
        for name, provider in self.providers.items():
            table = self.settings.providers[name]
            family = family_of(table)
            if family == "ollama":
                continue
            known = [self._catalog.known(model, family) for model in table.models]
            if serves_catalogue(table):
                known += self._catalog.curated(family)
            made[name] = {
                spelled: self._places.target(provider, spelled, model.id)
                for model in known
                if model is not None
                for alias in (model.id, model.model, *model.entry.aliases)
                for spelled in (alias, own_id(alias, family))
            }
        return made

    def _prefixes(self) -> list[Prefix]:
        made: dict[str, Prefix] = {}
        for name, provider in self.providers.items():
            for text in self.settings.providers[name].prefixes:
                made.setdefault(text.lower(), Prefix(text.lower(), "", partial(self._places.target, provider)))
        for name, provider in self.providers.items():
            for text in (name, family_of(self.settings.providers[name])):
                folded = f"{text.lower()}/"
                # Ollama's own names may begin so, and of several hosts none is meant.
                if text and (text != "ollama" or text == name):
                    made.setdefault(folded, Prefix(folded, folded, self._at(provider)))
        return list(made.values())

    def _at(self, provider: Provider) -> Callable[[str, str], Target]:
        """Makes what is asked for at one provider: a model that it lists by its own id, however callers spell that."""
        listed = [card.id for card in self._cards.get(provider.name, ())]
        own = {spelling(model): model for model in listed} | {model: model for model in listed}

        def target(upstream: str, name: str) -> Target:
            known = own.get(upstream) or own.get(spelling(upstream))
            made = self._places.target(provider, known or upstream, name)
            return msgspec.structs.replace(made, upstream=known) if known is not None else made

        return target

    def _wrong(self, path: str, message: str) -> None:
        self._problems.append(Problem(path, message))


def serves_catalogue(table: ProviderTable) -> bool:
    """Whether a provider has all the models that the catalogue knows of its family, without being asked."""
    return not table.models and family_of(table) in CURATED


class _Taken:
    """Names that are taken, by their one spelling: where, and by which table."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.by_spelling: dict[str, tuple[str, str]] = {}
