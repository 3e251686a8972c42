"""The gateway itself, as written by a person.

Owns: `[server]`. Refuses: everything that is about traffic.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from laneway.settings.units import Count, PriceTable, Seconds


class ServerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway itself."""

    host: str = "127.0.0.1"
    """Address to listen on. On anything but loopback, keys are required (or `open`)."""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    """Port to listen on; 0: any that is free."""
    store: str = "sqlite:///laneway.db"
    """Where state rests: `sqlite:///relative/path`, `sqlite:////absolute/path` or `memory:`."""
    admin_key: str = ""
    """Key for `/admin`; empty: `/admin` refuses everybody, but for a gateway on loopback that has no keys at all."""
    open: bool = False
    """Serve without keys on an interface that is not loopback."""
    cors: tuple[str, ...] = ()
    """Origins of web pages that may call the gateway; `*` for any."""
    body_limit_mb: Annotated[float, Meta(gt=0, le=4096)] = 64.0
    """Largest request body."""
    body_timeout: Seconds = 60.0
    """Seconds in which a request body must have arrived."""
    most_requests: Count = 10_000
    """Requests that one process has under way at most, and never more than its open files allow (two each)."""
    most_lag: Seconds = 1.0
    """Seconds that a new request may wait to begin while more come than can; who would wait longer is turned away."""
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
    legacy: str = ""
    """As in a lane, for lanes that name none."""
    log: Literal["text", "json"] = "text"
    """Form of the log on the standard error: lines for people, or a JSON object in each."""
    keep_records_days: Annotated[float, Meta(gt=0, le=36_500)] = 30.0
    """How long records of requests are kept."""
    keep_usage_days: Annotated[float, Meta(gt=0, le=36_500)] = 400.0
    """How long the sums of `laneway usage` are kept; what budgets have spent is kept for good."""


READ_ONCE = (
    "host",
    "port",
    "store",
    "engine",
    "trusted_proxies",
    "record_prefix",
    "log",
    "keep_records_days",
    "keep_usage_days",
)
"""Settings of the server that wait for its next start."""
