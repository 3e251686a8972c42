"""The configuration as written by a person: frozen structs, one per table of the file.

Owns: which keys exist, their types and defaults, and one sentence about each (the README's reference is made from
the docstrings). Refuses: reading files, checking references between tables (config does), and run-time objects.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1)]
Ability = Literal["tools", "vision", "json", "schema", "prefill", "thinking", "logprobs", "cache", "documents", "embed"]

AlertKind = Literal["spend", "cap", "kill", "breaker", "paid_fallback", "rollback", "summary"]


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Time limits of one call, in seconds. A table that leaves one out takes it from the next wider table."""

    connect: Seconds | None = None
    """Until the connection stands."""
    headers: Seconds | None = None
    """Until the response head has come; for an answer that is not streamed this includes making it."""
    first_content: Seconds | None = None
    """In a stream, until the first content has come."""
    between_chunks: Seconds | None = None
    """The longest silence after that."""


class PriceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """USD per million tokens."""

    input: str | float
    """Prompt tokens."""
    output: str | float = 0
    """Answer tokens."""
    cache_read: str | float | None = None
    """Prompt tokens read from a cache; unset: as input."""
    cache_write_5m: str | float | None = None
    """Prompt tokens written to a cache; unset: as input."""
    cache_write_1h: str | float | None = None
    """Prompt tokens written to a long-lived cache."""


class ServerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway itself."""

    host: str = "127.0.0.1"
    """Address to listen on. On anything but loopback, keys are required (or `open`)."""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    """Port to listen on; 0: any that is free."""
    store: str = "sqlite:///laneway.db"
    """Where state rests: `sqlite:///relative/path`, `sqlite:////absolute/path` or `memory:`."""
    admin_key: str = ""
    """Key for `/admin`; empty: `/admin` refuses everybody."""
    open: bool = False
    """Serve without keys on an interface that is not loopback."""
    cors: tuple[str, ...] = ()
    """Origins of web pages that may call the gateway; `*` for any."""
    body_limit_mb: Annotated[float, Meta(gt=0, le=4096)] = 64.0
    """Largest request body."""
    body_timeout: Seconds = 60.0
    """Seconds in which a request body must have arrived."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses whose `X-Forwarded-*` headers are believed."""
    header_prefixes: tuple[str, ...] = ("x-laneway-", "x-awooop-")
    """Prefixes under which callers send lane, project, trace and intent."""
    record_prefix: str = "awooop"
    """Prefix of the gateway's own attributes on records."""
    engine: Literal["own", "httpx"] = "own"
    """HTTP client for providers: `own` (fast, HTTP/1.1) or `httpx` (proxies from the environment)."""
    refresh: Seconds = 30.0
    """Seconds between two looks at the model lists of providers."""
    watch: bool = False
    """Reload when the configuration file changes."""
    unpriced: PriceTable | Literal["refuse", "free"] = "refuse"
    """What a model without a price costs under a budget: it is refused, is free, or has the price given here."""
    keep_records_days: Annotated[float, Meta(gt=0, le=36_500)] = 30.0
    """How long records of requests are kept."""


class ProviderTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place that serves models."""

    dialect: Literal["openai", "anthropic", "ollama", "converse"] = "openai"
    """Wire format: `openai` for anything OpenAI-compatible, `converse` for AWS Bedrock."""
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


class TargetTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A target of a lane with time limits or a condition of its own."""

    target: str
    """A model's name or `provider/id`."""
    only_if_unavailable: str = ""
    """A provider: the target serves only while that one fails, is silent, or has an open breaker. Being busy is not
    being unavailable."""
    timeouts: Timeouts = Timeouts()
    """Time limits of this target in this lane."""


class LaneTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named kind of traffic."""

    targets: tuple[str | TargetTable, ...] = ()
    """What may serve it, in order: names of `[models]`, or `provider/id`."""
    chain: tuple[str, ...] = ()
    """Lanes whose targets are tried after its own. A dearer tier is entered only if it is named here."""
    forces: bool = True
    """Its targets serve whatever model the caller names; false: the lane only classes traffic."""
    claims: tuple[str, ...] = ()
    """Model names that bring callers without a lane header into it."""
    run_only: bool = False
    """Refuses synchronous calls."""
    stage: Literal["shadow", "active"] = "active"
    """`shadow` answers with the decision and executes nothing."""
    sticky: bool = False
    """Conversations stay with the target that served them."""
    badge: str = ""
    """Words for people about its own targets, in `X-Laneway-Badge`; unset: `Local` or `Cloud`. Behind another lane's
    targets they become `Fallback: ...`."""
    emergency: tuple[str | TargetTable, ...] = ()
    """Targets that cost money, tried only when all others of the lane have failed or have an open breaker, and only for
    tenants with a daily budget above 0."""
    warm: tuple[str, ...] = ()
    """Ollama providers on which the lane's own models stay loaded, whoever else wants the memory."""
    when_crowded: Literal["next", "wait", "refuse"] = "next"
    """When its model would push a warm one out of a host's memory: try the `next` target, `wait` as in a queue, or
    `refuse`."""
    queue: Annotated[int, Meta(ge=0, le=100_000)] = 32
    """How many of its calls may wait for a slot at one provider."""
    queue_wait: Seconds = 10.0
    """Longest wait for a slot."""
    deadline: Seconds | None = None
    """Time for a whole request over all its attempts; unset: none."""
    retry_wait: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    """Longest `Retry-After` of a provider that is waited for, in real seconds, before it is asked once more."""
    timeouts: Timeouts = Timeouts()
    """Time limits of its targets."""


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


class TenantTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Callers who share keys, permissions and a budget."""

    keys: tuple[str, ...] = ()
    """Keys of its callers; more can be made with `laneway keys create`."""
    lanes: tuple[str, ...] | None = None
    """Lanes it may use; unset: all."""
    models: tuple[str, ...] | None = None
    """Patterns of models it may use; unset: all."""
    lane: str = ""
    """Lane of requests that name none."""
    project: str = ""
    """Project of requests that name none."""
    daily_usd: str | float | None = None
    """Most it may spend in a UTC day: short for a budget of its own."""


class AlertTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somewhere people are told what happened. Each thing is told once for its period, whatever restarts."""

    service: Literal["telegram", "slack", "webhook"] = "webhook"
    """Who is called: a Telegram bot, a Slack incoming webhook, or a webhook of your own."""
    url: str = ""
    """Address of the webhook; unset, for Telegram: that of its API."""
    token: str = ""
    """Token of the Telegram bot."""
    chat: str = ""
    """Telegram chat that is written to."""
    secret: str = ""
    """Signs a webhook's body (`X-Laneway-Signature`); empty: it is not signed."""
    kinds: tuple[AlertKind, ...] | None = None
    """What is told: spend, cap, kill, breaker, paid_fallback, rollback, summary; unset: all."""
    text: str = "{words}"
    """What is written; `{words}`, `{kind}`, `{subject}`, `{period}` and `{channel}` are filled in."""
    private: bool = False
    """Whether the address may be one of the own network."""
    summary_at: str = ""
    """Hour of a daily summary of the day before (UTC), as `08:00`; empty: none."""
    zone: str = "UTC"
    """Time zone of that hour, as `Europe/Vienna`."""


class BudgetTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cap on spending. Of the scope, what is unset stands for anything, `*` for each one by itself."""

    cap_usd: str | float
    """Most that may be spent in a period; 0 allows only what is free."""
    period: Literal["day", "month", "total"] = "day"
    """How long it adds up before it begins anew."""
    zone: str = "UTC"
    """Time zone of days and months, as `Europe/Vienna`."""
    key: str = ""
    """Id of a caller's key, or `*`."""
    tenant: str = ""
    """A tenant, or `*`."""
    project: str = ""
    """A project, or `*`. Callers say theirs, so this counts rather than guards."""
    lane: str = ""
    """A lane, or `*`."""
    tier: Literal["", "*", "local", "balanced", "premium"] = ""
    """Tier of the providers that it binds, or `*`; targets of other tiers are not counted."""
    alerts: tuple[Annotated[float, Meta(gt=0, le=1)], ...] = (0.8,)
    """Parts of the cap at which somebody is told; they stop nothing."""
    unpriced: PriceTable | Literal["refuse", "free"] | None = None
    """What a model without a price costs here; unset: what `server.unpriced` says."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    server: ServerTable = ServerTable()
    """The gateway itself."""
    timeouts: Timeouts = Timeouts()
    """Time limits of every call."""
    providers: dict[str, ProviderTable] = {}
    """Places that serve models."""
    models: dict[str, ModelTable] = {}
    """Models under names of your own."""
    lanes: dict[str, LaneTable] = {}
    """Named kinds of traffic."""
    tenants: dict[str, TenantTable] = {}
    """Callers who share keys, permissions and a budget."""
    budgets: dict[str, BudgetTable] = {}
    """Caps on spending."""
    denials: dict[str, DenialTable] = {}
    """Which models are kept off which providers."""
    breaker: BreakerTable = BreakerTable()
    """When a model at a provider is left alone after timeouts."""
    alerts: dict[str, AlertTable] = {}
    """Where people are told what happened."""
