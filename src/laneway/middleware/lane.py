"""Lane: from a request to its lane and its candidate targets.

Owns: the order in which lane names are heard (header, model name, tenant's lane), the headers that carry lane,
project, trace and intent, and a tenant's permission to use a lane or a model.
Refuses: ranking the candidates, and any knowledge of whether they are well.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Protocol

from laneway.edge import BODY_LIMIT, BODY_LIMIT_S, App, CallerGoneError, Receive, Send, ingest, ingest_now, refuse
from laneway.exchange import MOST_NAME, Exchange, Scope
from laneway.failure import FailureError, Kind, fail
from laneway.policy.names import Meaning, Names
from laneway.policy.permit import permitted
from laneway.policy.rescue import RESCUES
from laneway.route import Lane, Pool, Target, Tenant

HEADER_PREFIXES = ("x-laneway-", "x-awooop-")
_HEX = b"0123456789abcdef"
_BIASES = ((b"x-laneway-bias", 1), (b"x-weave-routing-alpha", 10))
ANY_MODEL = ("auto", "default", "")
"""Model names that mean "whatever the lane serves"; outside of lanes, a pool may go by such a name."""


class Directory(Protocol):
    """Whoever holds the table of names that is in force now."""

    @property
    def names(self) -> Names: ...


class Fixed:
    """A Directory whose table never changes."""

    def __init__(self, names: Names) -> None:
        self.names = names


class LaneMiddleware:
    """Writes lane and candidates on the Exchange.

    Mounted alone, give it `lanes`; a model name that no lane or table knows then stays with the app inside.
    """

    def __init__(
        self,
        app: App,
        *,
        directory: Directory | None = None,
        lanes: Sequence[Lane] = (),
        strict: bool | None = None,
        header_prefixes: Sequence[str] = HEADER_PREFIXES,
        body_limit: int = BODY_LIMIT,
        body_limit_s: float = BODY_LIMIT_S,
    ) -> None:
        self.app = app
        self.directory: Directory = directory or Fixed(Names(lanes={lane.name: lane for lane in lanes}))
        self.strict = strict if strict is not None else directory is not None
        self._lane_headers = _spelled(header_prefixes, "lane")
        self._project_headers = _spelled(header_prefixes, "project", "project-id")
        self._trace_headers = _spelled(header_prefixes, "trace", "trace-id")
        self._intent_headers = _spelled(header_prefixes, "intent")
        self._rescue_headers = _spelled(header_prefixes, "rescue")
        self._own_headers = frozenset(
            self._lane_headers
            + self._project_headers
            + self._trace_headers
            + self._intent_headers
            + self._rescue_headers
        )
        self._body_limit = body_limit
        self._body_limit_s = body_limit_s

    behind = None

    def ahead(self, exchange: Exchange, scope: Scope) -> bool:
        """Whether the request has its candidates, without waiting for its body."""
        if exchange.candidates is not None:
            return True
        if not ingest_now(exchange, scope, limit_bytes=self._body_limit):
            return False
        try:
            self._place(exchange)
        except FailureError:
            return False
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if exchange is None or exchange.candidates is not None:
            await self.app(scope, receive, send)
            return
        try:
            receive = await ingest(exchange, receive, limit_bytes=self._body_limit, limit_s=self._body_limit_s)
            self._place(exchange)
        except FailureError as error:
            await refuse(exchange, send, error.failure)
            return
        except CallerGoneError:
            return
        await self.app(scope, receive, send)

    def _place(self, exchange: Exchange) -> None:
        # Most requests bring none of the headers that are looked for.
        headers = exchange.headers
        own = {} if self._own_headers.isdisjoint(headers) else headers
        tenant = exchange.tenant
        named = None
        if own:
            named = _first(own, self._lane_headers)
            exchange.project = _first(own, self._project_headers) or tenant.project
            exchange.trace = _first(own, self._trace_headers) or _trace_of(headers)
            exchange.intent = _first(own, self._intent_headers)
            exchange.rescue = _rescue(_first(own, self._rescue_headers))
        else:
            exchange.project, exchange.trace = tenant.project, _trace_of(headers)
        names = self.directory.names
        model = exchange.view.model if exchange.view is not None else ""
        meaning = names.meaning(model)
        lane = self._lane(exchange, named, names, meaning)
        if lane is not None:
            _let_into(tenant, lane, later=exchange.run is not None or exchange.dry)
            exchange.lane = lane
        candidates, exchange.pool = _candidates(lane, meaning, model)
        if exchange.pool is not None:
            exchange.bias = _bias(headers)
        if candidates is not None:
            if tenant.lanes is not None and tenant.models is None:
                candidates = _within(tenant.lanes, lane, meaning, candidates)
            kept = permitted(tenant, candidates)
            if candidates and not kept:
                raise _forbidden_model(model)
            exchange.candidates = kept
        elif self.strict:
            raise _unknown_model(model, names, lane)
        elif not _may_name(tenant, lane, model):
            raise _forbidden_model(model)

    @staticmethod
    def _lane(exchange: Exchange, named: str | None, names: Names, meaning: Meaning | None) -> Lane | None:
        """The lane by header, else by what the model name means or who claims it, else the tenant's own."""
        if named is not None:
            lane = names.lanes.get(named)
            if lane is None:
                known = ", ".join(sorted(names.lanes)) or "none are configured"
                raise fail(Kind.UNKNOWN_LANE, f"There is no lane '{named[:80]}'. Lanes: {known}.", field="lane")
            return lane
        if meaning is not None and meaning.lane is not None:
            return meaning.lane
        own = exchange.tenant.lane
        return names.lanes.get(own) if own is not None else None


def _let_into(tenant: Tenant, lane: Lane, *, later: bool) -> None:
    if tenant.lanes is not None and lane.name not in tenant.lanes:
        raise fail(Kind.FORBIDDEN, f"This key may not use the lane '{lane.name}'.", field="lane")
    if lane.run_only and not later:
        raise fail(
            Kind.RUN_ONLY,
            f"The lane '{lane.name}' takes runs only: send this request to POST /v1/runs.",
            field="lane",
        )


def _within(
    lanes: frozenset[str], lane: Lane | None, meaning: Meaning | None, candidates: tuple[Target, ...]
) -> tuple[Target, ...]:
    """For a tenant who is given lanes and no models: a name beside the lane reaches what the lane itself holds."""
    if lane is None:
        raise fail(Kind.FORBIDDEN, f"This key may use lanes only: {', '.join(sorted(lanes))}.", field="model")
    if meaning is None or meaning.lane is lane:
        return candidates
    kept = tuple(target for target in candidates if target in lane.targets)
    if not kept:
        raise fail(Kind.FORBIDDEN, f"This key may use in the lane '{lane.name}' only what it holds.", field="model")
    return kept


def _may_name(tenant: Tenant, lane: Lane | None, model: str) -> bool:
    """The same of a name that only the app inside knows."""
    if tenant.models is None:
        return tenant.lanes is None or lane is not None
    return any(fnmatchcase(model, pattern) for pattern in tenant.models)


def _forbidden_model(model: str) -> FailureError:
    return fail(Kind.FORBIDDEN, f"This key may not use the model '{model[:120]}'.", field="model")


def _candidates(
    lane: Lane | None, meaning: Meaning | None, model: str
) -> tuple[tuple[Target, ...] | None, Pool | None]:
    """What may serve, and the pool whose rule chooses among it, if one does."""
    if lane is None:
        return (meaning.targets, meaning.pool) if meaning is not None else (None, None)
    if lane.forces or model in ANY_MODEL or (meaning is not None and meaning.is_lane):
        return lane.targets, lane.pool
    if meaning is None:
        return None, None
    # A lane that forces nothing keeps to its own targets of that model where it has some.
    own = tuple(target for target in lane.targets if target in meaning.targets)
    return own or meaning.targets, meaning.pool


def _bias(headers: dict[bytes, bytes]) -> float | None:
    """Where this request wants the dial. Another router's callers say it in a header of that one's, from 0 to 1 or, as
    its operators do, from 0 to 10."""
    for name, most in _BIASES:
        value = headers.get(name)
        if value is None or not value.strip():
            continue
        try:
            said = float(value)
        except ValueError:
            said = -1.0
        if not 0 <= said <= most:
            text = name.decode().title()
            raise fail(Kind.BAD_REQUEST, f"{text}: expected a number from 0 to {most}.", field=name.decode())
        return said if said <= 1 else said / most
    return None


def _unknown_model(model: str, names: Names, lane: Lane | None) -> FailureError:
    near = names.nearest(model)
    hint = f" Did you mean {', '.join(near)}?" if near else " See GET /v1/models."
    where = f" in the lane '{lane.name}'" if lane is not None else ""
    return fail(Kind.UNKNOWN_MODEL, f"There is no model '{model[:120]}'{where}.{hint}", field="model")


def _spelled(prefixes: Sequence[str], *names: str) -> tuple[bytes, ...]:
    return tuple(f"{prefix}{name}".lower().encode() for prefix in prefixes for name in names)


def _first(headers: dict[bytes, bytes], names: tuple[bytes, ...]) -> str | None:
    for name in names:
        value = headers.get(name)
        if value and (text := value[:MOST_NAME].decode("latin-1").strip()):
            return text
    return None


def _rescue(named: str | None) -> str | None:
    """How a stream is to be saved, where the caller says so."""
    if named is None or (word := named.lower()) in RESCUES:
        return None if named is None else word
    known = ", ".join(RESCUES)
    message = f"There is no rescue '{named[:40]}' for a stream. It can be one of {known}."
    raise fail(Kind.MALFORMED_REQUEST, message, field="rescue")


def _trace_of(headers: dict[bytes, bytes]) -> str | None:
    """The trace id of a W3C `traceparent` (https://www.w3.org/TR/trace-context/#traceparent-header)."""
    value = headers.get(b"traceparent")
    if value is None:
        return None
    pieces = value.split(b"-")
    if len(pieces) < 4 or len(pieces[1]) != 32 or pieces[1] == b"0" * 32 or pieces[1].strip(_HEX):
        return None
    return pieces[1].decode("latin-1")
