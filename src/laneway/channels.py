"""Channels: where alerts go, from settings to values, with everything that is wrong with them.

Owns: which keys each service needs, its address, the hour of a summary, and names in a text that nobody fills in.
Refuses: sending, and repeating any address or token in a problem: an address may hold a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from laneway.addresses import address_fault, address_of
from laneway.config import joined
from laneway.policy.alerts import NAMES, SENTENCES, Channel
from laneway.policy.budgets import zone_of
from laneway.settings import AlertTable, Settings

TELEGRAM = "https://api.telegram.org"
ALLOW = "set private = true to allow it"
_HOUR = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_TOKEN = re.compile(r"[A-Za-z0-9_:-]+")
Wrong = Callable[[str, str], None]


def made_channels(settings: Settings, wrong: Wrong) -> tuple[Channel, ...]:
    """Every channel that can be used; of the others the problems are told."""
    made: list[Channel] = []
    for name, table in settings.alerts.items():
        problems = list(_faults(table))
        for key, message in problems:
            wrong(f"{joined('alerts', name)}.{key}", message)
        if not problems:
            made.append(_channel(name, table))
    return tuple(made)


def _channel(name: str, table: AlertTable) -> Channel:
    address = address_of(table.url or TELEGRAM)
    path = address.path
    if table.service == "telegram":
        before, mark, query = path.partition("?")
        path = f"{before.rstrip('/')}/bot{table.token}/sendMessage{mark}{query}"
    hour = _HOUR.fullmatch(table.summary_at)
    return Channel(
        name=name,
        service=table.service,
        origin=address.origin,
        path=path,
        kinds=frozenset(table.kinds if table.kinds is not None else SENTENCES),
        secret=table.secret,
        chat=table.chat,
        text=table.text,
        private=table.private,
        minute=int(hour[1]) * 60 + int(hour[2]) if hour is not None else None,
        zone=table.zone,
    )


def _faults(table: AlertTable) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if table.url or table.service != "telegram":
        found += [
            ("url", message) for message in filter(None, [address_fault(table.url, private=table.private, allow=ALLOW)])
        ]
    if table.service == "telegram":
        if not _TOKEN.fullmatch(table.token):
            found.append(("token", "a Telegram bot needs its token, of letters, digits, : - and _"))
        if not table.chat:
            found.append(("chat", "is missing: the id of a chat, or @name of a channel"))
    unknown = [name for name in re.findall(r"\{(\w*)\}", table.text) if name not in NAMES]
    if unknown:
        found.append(("text", f"holds a name in braces that nobody fills in; there are {', '.join(NAMES)}"))
    if table.summary_at and not _HOUR.fullmatch(table.summary_at):
        found.append(("summary_at", "expected an hour of the day as 08:00"))
    try:
        zone_of(table.zone)
    except ValueError:
        found.append(("zone", "is no time zone that this machine knows; they look like Europe/Vienna"))
    return found
