"""Places that serve models, and models under names of one's own, as written by a person.

Owns: `[providers]`, `[models]`, `[denials]` and `[breaker]`. Refuses: who may use them.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from laneway.settings.units import Ability, Count, PriceTable, Seconds, Timeouts


class ProviderTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place that serves models."""

    dialect: Literal["openai", "responses", "anthropic", "ollama", "converse"] = "openai"
    """Wire format: `openai` for anything OpenAI-compatible, `responses` for OpenAI's Responses API, `converse` for AWS
    Bedrock."""
    url: str = ""
    """Base url, with the version part where the provider has one (`https://api.openai.com/v1`); unset, for Bedrock:
    that of its region."""
    api_key: str = ""
    """Key sent to the provider; clients never see it."""
    tier: Literal["local", "balanced", "premium"] | None = None
    """How dear it is; unset: `local` for loopback and private addresses and Ollama, else `balanced`."""
    family: str = ""
    """Family of ids in the catalogue: `openai`, `anthropic`, `bedrock`, `openrouter`, `ollama`, `simulated`; unset: by
    dialect and url."""
    region: str = ""
    """AWS region; unset: the one in the url, else `AWS_REGION`."""
    prefixes: tuple[str, ...] = ()
    """Model names beginning so are sent here as they are (`mistralai/`, `qwen/`)."""
    accepts: tuple[str, ...] = ()
    """Patterns of model names that are sent here when nobody else knows them (`gpt-*`, `*`)."""
    models: tuple[str, ...] = ()
    """Models offered even when the provider has no list, or is asleep."""
    headers: dict[str, str] = {}
    """Further request headers."""
    timeouts: Timeouts = Timeouts()
    """Time limits of calls to it."""
    slots: Count | None = None
    """Calls at the same time; unset: no limit."""
    reserved: dict[str, Count] = {}
    """Of these, how many are kept for a lane, and lent to nobody: `{ "alert-fast" = 1 }`."""
    memory_gb: Annotated[float, Meta(gt=0, le=65_536)] | None = None
    """GiB for models on an Ollama host where a lane keeps some warm; unset: the most that was ever seen loaded at
    once."""
    lists: bool | None = None
    """Whether its model list is asked for; unset: yes, except for Bedrock."""
    asks_usage: bool | None = None
    """Whether usage is asked for inside streams; unset: yes."""
    optional: bool = False
    """With an empty url (an unset variable, say) the provider and every target at it are left out without complaint."""


class ModelTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model under a name of your own. What is unset comes from the catalogue."""

    provider: str = ""
    """The provider that serves it."""
    id: str = ""
    """Its id there; unset: the name of this table."""
    targets: tuple[str, ...] = ()
    """Instead of provider and id: several `provider/id` in order."""
    aliases: tuple[str, ...] = ()
    """Other names for it."""
    version: str = ""
    """Which version of it this is; with another one, what was learned of it begins anew."""
    price: PriceTable | Literal["free"] | None = None
    """Its price, or `free`."""
    window: Count | None = None
    """Tokens of prompt and answer together."""
    output: Annotated[int, Meta(ge=0)] | None = None
    """Tokens of the longest answer."""
    abilities: tuple[Ability, ...] | None = None
    """What it can do: tools, vision, json, schema, prefill, thinking, logprobs, cache, documents, embed."""
    kind: Literal["chat", "embed"] | None = None
    """What it makes."""
    substitute: str = ""
    """What to use while this one's host is asleep or failing: another of these models, or `provider/id`."""
    timeouts: Timeouts = Timeouts()
    """Time limits of calls to it."""
    listed: bool = True
    """Whether model lists show it."""


class DenialTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule that keeps models off providers, except while an operator has opened maintenance there."""

    providers: tuple[str, ...]
    """Where it holds."""
    models: tuple[str, ...] = ()
    """Patterns of models (`llama3:70b*`)."""
    from_parameters: str = ""
    """Models of this size and up, as their host tells their size (`14B`)."""


class BreakerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a model at a provider is left alone after timeouts."""

    timeouts: Count = 2
    """So many in a row open it; one success resets."""
    cool_down: Seconds = 5.0
    """Seconds until the first probe; doubled after each that fails."""
    longest: Seconds = 20.0
    """Longest cool-down."""
