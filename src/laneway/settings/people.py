"""Callers, what they may spend, and who is told what, as written by a person.

Owns: `[tenants]`, `[budgets]` and `[alerts]`. Refuses: keys made while the gateway runs.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from laneway.settings.units import PriceTable

AlertKind = Literal["spend", "cap", "kill", "breaker", "paid_fallback", "rollback", "summary"]


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
