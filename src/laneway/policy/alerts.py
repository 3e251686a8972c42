"""Alerts as values: what happened, for whom it matters, in which words, and how it is said to each service.

Owns: the kinds of alerts and their sentences, what a channel wants to hear, each service's request, and when a day's
summary is due.
Refuses: sending, remembering what was sent, clocks (`now_s` is an argument), and showing a token or a secret.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from laneway.failure import Kind
from laneway.policy.budgets import zone_of
from laneway.policy.delivery import proof
from laneway.policy.price import nanos_to_usd
from laneway.policy.report import shown
from laneway.ports import Alert, Call, Figures, Notice
from laneway.route import Outcome

SENTENCES: Mapping[str, str] = {
    "spend": "Budget {subject} has spent {spent_usd} of {cap_usd} USD ({percent} %) in {period}.",
    "cap": "{subject} is at a cap on {period}: {reason}",
    "kill": "Paid calls are stopped ({subject}): {reason}.",
    "breaker": "{subject} is left alone for now, after {timeouts} timeouts in a row ({period}).",
    "paid_fallback": "Lane {subject} was served by {target}, which costs money, because {after} failed ({reason}).",
    "rollback": "Lane {subject} went back to stage {stage}: {reason}.",
    "summary": (
        "Usage of {period} (UTC): {requests} requests, {failures} failed, {input} tokens in, {output} out, "
        "{cost_usd} USD spent, {saved_usd} USD saved."
    ),
}
"""Each kind of alert, as a person reads it."""
NAMES = ("words", "kind", "subject", "period", "channel")
"""What a channel's own text may hold in braces."""
MOST_FACT_CHARS = 300
MOST_TEXT_CHARS = 3500
"""Telegram takes 4096, Slack shows 4000."""

_BRACES = re.compile(r"\{(\w+)\}")


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """Somewhere alerts are sent. `path` may hold a token, so it is never shown."""

    name: str
    service: str
    """"telegram", "slack" or "webhook"."""
    origin: str
    path: str
    kinds: frozenset[str]
    secret: str = ""
    chat: str = ""
    text: str = "{words}"
    private: bool = False
    """Whether its address may be one of the own network."""
    minute: int | None = None
    """When the daily summary is due, in minutes after midnight in `zone`."""
    zone: str = "UTC"

    def __repr__(self) -> str:
        return f"Channel({self.name!r}, {self.service!r})"


def notices_of(alert: Alert, channels: Iterable[Channel], now_s: float) -> list[Notice]:
    """The alert for each channel that wants it. Whoever notices the same again makes the same ids."""
    facts = {name: plain(value) for name, value in alert.facts.items()}
    made: list[Notice] = []
    for channel in channels:
        if alert.kind not in channel.kinds:
            continue
        told = f"{channel.name}\0{alert.kind}\0{alert.subject}\0{alert.period}\0{alert.mark}"
        made.append(
            Notice(
                id=hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32],
                channel=channel.name,
                kind=alert.kind,
                subject=plain(alert.subject),
                period=plain(alert.period),
                facts=facts,
                at_s=now_s,
            )
        )
    return made


def said(notice: Notice) -> str:
    """What happened, in words."""
    facts = {**notice.facts, "subject": notice.subject, "period": notice.period}
    sentence = SENTENCES.get(notice.kind, "{subject}, {period}.")
    return _BRACES.sub(lambda found: facts.get(found[1], "unknown"), sentence)


def plain(text: str) -> str:
    """A fact on one line, with nothing in it that a terminal or a chat would obey. Callers name their projects."""
    line = " ".join(text[:MOST_FACT_CHARS].split())
    return "".join(letter for letter in line if letter.isprintable())


def call_of(channel: Channel, notice: Notice, now_s: float) -> Call:
    """The request that tells a channel."""
    facts = {"words": said(notice), "kind": notice.kind, "subject": notice.subject}
    facts |= {"period": notice.period, "channel": channel.name}
    text = _BRACES.sub(lambda found: facts.get(found[1], found[0]), channel.text)[:MOST_TEXT_CHARS]
    headers: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json")]
    body: dict[str, object]
    if channel.service == "telegram":
        # https://core.telegram.org/bots/api#sendmessage: without parse_mode the text is taken as it is.
        body = {"chat_id": channel.chat, "text": text}
    elif channel.service == "slack":
        # https://docs.slack.dev/messaging/formatting-message-text: three letters are escaped.
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        body = {"text": escaped}
    else:
        body = {
            "id": notice.id,
            "kind": notice.kind,
            "subject": notice.subject,
            "period": notice.period,
            "at_s": notice.at_s,
            "facts": dict(notice.facts),
            "text": text,
        }
    written = msgspec.json.encode(body)
    if channel.service == "webhook":
        headers += proof(notice.id, channel.secret, now_s, written)
    return Call("POST", channel.origin, channel.path, tuple(headers), written)


def paid_fallback(outcome: Outcome, day: str) -> Alert | None:
    """A request that something free should have served, and something that costs money did."""
    served = outcome.served
    if served is None or len(outcome.attempts) < 2 or not served.cost_nanos:
        return None
    first = outcome.attempts[0]
    if first.failure is None or first.target.price is None or not first.target.price.free:
        return None
    facts = {"target": served.target.name, "after": first.target.name, "reason": first.failure.kind.value}
    return Alert(kind="paid_fallback", subject=outcome.lane or outcome.model, period=day, facts=facts)


def refused(outcome: Outcome, day: str) -> Alert | None:
    """A request for which there was no money left."""
    failure = outcome.failure
    if failure is None or failure.kind is not Kind.OVER_BUDGET:
        return None
    return Alert(kind="cap", subject=outcome.tenant, period=day, facts={"reason": failure.message})


def summary(figures: Figures, day: str) -> Alert:
    """What a day came to."""
    facts = {name.removesuffix("_tokens"): str(value) for name, value in shown(figures).items()}
    return Alert(kind="summary", subject="usage", period=day, facts=facts)


def spending(subject: str, period: str, spent_nanos: int, cap_nanos: int, part: float) -> Alert:
    """A budget at one of its thresholds. Each threshold of a period is told once."""
    facts = {"spent_usd": nanos_to_usd(spent_nanos), "cap_usd": nanos_to_usd(cap_nanos), "percent": f"{part * 100:g}"}
    return Alert(kind="spend", subject=subject, period=period, facts=facts, mark=f"{part:g}")


def summary_due(channel: Channel, now_s: float) -> bool:
    """Whether it is past the hour of the summary on this day of the channel's zone."""
    if channel.minute is None:
        return False
    now = datetime.fromtimestamp(now_s, zone_of(channel.zone))
    return now.hour * 60 + now.minute >= channel.minute
