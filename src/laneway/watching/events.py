"""Events: what happens to requests, told while it happens to whoever listens.

Owns: the three events and their words, the hub of one process, a bounded queue for each listener, and the last events
of the past minutes for a listener who comes back.
Refuses: to slow a request down for a listener, to keep anything while nobody listens, and prompts, answers and keys.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from laneway.exchange import Exchange
from laneway.failure import Failure, Kind
from laneway.record import PREFIX
from laneway.route import Lane, Target

STARTED, FALLBACK, COMPLETED, LAG = "run.started", "run.fallback", "run.completed", "lag"
MOST_WAITING = 1024
"""Events that wait for one slow listener; what comes on top is counted and dropped."""
MOST_KEPT = 1024
"""Events that are kept for who comes back."""
MOST_LISTENERS = 64
LINGER_S = 300.0
"""How long events are kept after the last listener has left."""
KEEP_ALIVE_S = 15.0
_encode = msgspec.json.Encoder().encode
_KEEP_ALIVE = b": keep-alive\n\n"


class Kept(msgspec.Struct, frozen=True):
    """One event as it goes out."""

    number: int
    tenant: str
    frame: bytes


class Listener:
    """Who listens: to one tenant's events, or to all. `take` until it gives nothing."""

    __slots__ = ("_dropped", "_ended", "_news", "_waiting", "tenant")

    def __init__(self, tenant: str | None) -> None:
        self.tenant = tenant
        self._waiting: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._dropped = 0
        self._ended = False

    def hear(self, kept: Kept) -> None:
        if self.tenant is not None and kept.tenant != self.tenant:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._dropped += 1
            return
        self._tell_lag()
        self._waiting.append(kept.frame)
        self._news.set()

    def lag(self, dropped: int | None) -> None:
        """Some events are gone for this listener; None: nobody knows how many."""
        self._waiting.append(f"event: {LAG}\ndata: {_encode({'dropped': dropped}).decode()}\n\n".encode())
        self._news.set()

    def end(self) -> None:
        """The gateway stops."""
        self._ended = True
        self._news.set()

    async def take(self, limit_s: float = KEEP_ALIVE_S) -> bytes:
        """What there is, waited for; a comment where nothing came for so long; nothing at the end."""
        if not self._waiting and not self._ended:
            self._news.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), limit_s)
        self._tell_lag()
        frames = b"".join(self._waiting)
        self._waiting.clear()
        return frames or (b"" if self._ended else _KEEP_ALIVE)

    def _tell_lag(self) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self.lag(dropped)


class Hub:
    """All listeners of one process. `active` is asked once for each request, and nothing else while it is false."""

    def __init__(self, *, most_kept: int = MOST_KEPT, boot: str = "", prefix: str = PREFIX) -> None:
        self.active = False
        self.prefix = prefix
        self.lanes: Mapping[str, Lane] = {}
        self.watched = asyncio.Event()
        """Set while `active`."""
        self._boot = boot or os.urandom(4).hex()
        self._kept: deque[Kept] = deque(maxlen=most_kept)
        self._number = 0
        self._listeners: set[Listener] = set()
        self._rest: asyncio.TimerHandle | None = None
        self._closed = False

    def listen(self, tenant: str | None, last_id: str | None = None) -> Listener | Failure:
        """From now on, or on from the event that was the last one seen."""
        if len(self._listeners) >= MOST_LISTENERS or self._closed:
            message = f"{MOST_LISTENERS} listeners are here already; one has to leave first."
            return Failure(kind=Kind.QUEUE_FULL, message=message, retry_after_s=30.0)
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        listener = Listener(tenant)
        if last_id:
            self._catch_up(listener, last_id)
        self._listeners.add(listener)
        self.active = True
        self.watched.set()
        return listener

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners and self._rest is None and not self._closed:
            self._rest = asyncio.get_running_loop().call_later(LINGER_S, self.rest)

    def rest(self) -> None:
        """Nobody has listened for a while: nothing is kept any more."""
        self._rest = None
        self.active = False
        self.watched.clear()
        self._kept.clear()

    def publish(self, tenant: str, name: str, facts: Mapping[str, object]) -> None:
        try:
            data = _encode(facts)
        except (TypeError, ValueError):
            # What cannot be put into words must not spoil the request it is about.
            return
        self._number += 1
        frame = b"id: %b-%d\nevent: %b\ndata: %b\n\n" % (self._boot.encode(), self._number, name.encode(), data)
        kept = Kept(self._number, tenant, frame)
        self._kept.append(kept)
        for listener in self._listeners:
            listener.hear(kept)

    def close(self) -> None:
        """Ends every feed; nobody is let in any more."""
        self._closed = True
        self.rest()
        for listener in self._listeners:
            listener.end()

    def complete(self, record: Mapping[str, object]) -> None:
        """Tells of a request by its record. Whose caller nobody knows is no tenant's: operators alone hear of it."""
        told = completed(record, self.prefix, self.badge_of(record))
        known = record["failure"] != Kind.UNAUTHENTICATED
        self.publish(str(record["tenant"]) if known else "", COMPLETED, told)

    def badge_of(self, record: Mapping[str, object]) -> str | None:
        """The lane's words about who answered, by a record."""
        lane = self.lanes.get(str(record[f"{self.prefix}.lane"]))
        served = f"{record[f'{self.prefix}.endpoint']}/{record['gen_ai.response.model']}"
        return lane.badges.get(served) if lane is not None else None

    def _catch_up(self, listener: Listener, last_id: str) -> None:
        boot, _, text = last_id.rpartition("-")
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else self._number + 1
        if boot != self._boot or number > self._number:
            # Of another process, or of this one before it was started again.
            listener.lag(None)
            return
        if self._number > number and (not self._kept or self._kept[0].number > number + 1):
            listener.lag(None)
        for kept in self._kept:
            if kept.number > number:
                listener.hear(kept)


# --- words -------------------------------------------------------------------------------------------------


def named(target: Target) -> dict[str, str]:
    return {"provider": target.provider.name, "model": target.upstream, "tier": target.provider.tier.value}


def started(exchange: Exchange) -> dict[str, object]:
    """`run.started`: who asks, and what was decided."""
    decision, view = exchange.decision, exchange.view
    return {
        "request_id": exchange.request_id,
        "at_s": exchange.started_at_s,
        "front": exchange.front.dialect,
        "op": exchange.op.value,
        "tenant": exchange.tenant.name,
        "project": exchange.project,
        "lane": exchange.lane.name if exchange.lane is not None else None,
        "trace": exchange.trace,
        "intent": exchange.intent,
        "requested_model": view.model[:256] if view is not None else "",
        "stream": view.stream if view is not None else False,
        "decided_by": decision.by if decision is not None else None,
        "reason": decision.reason if decision is not None else None,
        "confidence": decision.confidence if decision is not None else None,
        "ranked": [named(target) for target in decision.ranked] if decision is not None else [],
        "dropped": [named(each.target) | {"reason": each.reason} for each in (decision.dropped if decision else ())],
    }


def moved(exchange: Exchange, left: Target, reason: str, to: Target) -> dict[str, object]:
    """`run.fallback`: from where to where, and the one word for why."""
    return {
        "request_id": exchange.request_id,
        "tenant": exchange.tenant.name,
        "lane": exchange.lane.name if exchange.lane is not None else None,
        "from": named(left),
        "reason": reason,
        "to": named(to),
    }


def completed(record: Mapping[str, object], prefix: str, badge: str | None) -> dict[str, object]:
    """`run.completed`, from the record of the request, whichever process wrote it."""
    told: dict[str, object] = {name: record[name] for name in _PLAIN}
    own = {name: record[f"{prefix}.{of}"] for name, of in _OWN.items()}
    usage = {
        "input_tokens": record["gen_ai.usage.input_tokens"],
        "output_tokens": record["gen_ai.usage.output_tokens"],
        "cache_read_tokens": record["gen_ai.usage.cache_read.input_tokens"],
    }
    models = {"requested_model": record["gen_ai.request.model"], "model": record["gen_ai.response.model"]}
    return told | own | models | {"usage": usage, "badge": badge}


_PLAIN = (
    "request_id",
    "at_s",
    "tenant",
    "status",
    "failure",
    "caller_gone",
    "attempts",
    "finish",
    "elapsed_ms",
    "first_content_ms",
)
_OWN = {
    "project": "project_id",
    "lane": "lane",
    "tier": "provider_tier",
    "provider": "endpoint",
    "fallback_reason": "fallback_reason",
    "cost_usd": "cost_usd",
}
