"""The words of routing, as frozen values: who asks, which lane, which targets, what was decided, what came of it.

Owns: Tenant, Provider, Target, Pool, Lane, Price, Decision, Attempt and Outcome. They are made once per configuration
(tenants, providers, targets, pools, lanes) or once per request (decision, attempts, outcome) and never changed.
Refuses: behaviour beyond reading itself, wire formats, and showing a secret in a repr.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from laneway.chat import Finish, Op, Usage
from laneway.failure import Failure


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Pico-USD per token. A cache price that is None is the input price."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    above_window: int | None = None
    above: Price | None = None
    """Where set, the prices once the input passes `above_window` tokens."""
    factors: tuple[tuple[str, int], ...] = ()
    """By tier of service (batch, flex, priority): what it costs, in thousandths of the usual."""

    @property
    def free(self) -> bool:
        if self.above is not None and not self.above.free:
            return False
        return not (self.input or self.output or self.cache_write_5m or self.cache_write_1h or self.cache_read)


FREE = Price(input=0, output=0)


class Clocks(msgspec.Struct, frozen=True, kw_only=True):
    """The four clocks of one attempt, in seconds: connect, response head, first content, between chunks."""

    connect_s: float = 5.0
    headers_s: float = 300.0
    first_content_s: float = 120.0
    between_chunks_s: float = 60.0


class Tier(StrEnum):
    """How dear a provider is; lanes never enter a dearer tier unless they say so."""

    LOCAL = "local"
    BALANCED = "balanced"
    PREMIUM = "premium"


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A place that serves models. `headers` may hold a key, so they are never shown."""

    name: str
    dialect: str
    origin: str
    path: str = ""
    tier: Tier = Tier.BALANCED
    headers: tuple[tuple[bytes, bytes], ...] = ()
    signing: str = ""
    """"aws" where each call is signed instead of carrying a key; `region` goes with it."""
    region: str = ""
    clocks: Clocks = Clocks()
    slots: int | None = None
    asks_usage: bool = True
    """The provider understands a request for usage inside a stream."""
    lists: bool = True
    """The provider has a model list worth asking for."""

    def __repr__(self) -> str:
        return f"Provider({self.name!r}, {self.dialect!r}, {self.origin!r})"

    def __hash__(self) -> int:
        return hash(self.name)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One model at one provider. `model` is the id callers use, `upstream` the provider's own."""

    provider: Provider
    model: str
    upstream: str
    price: Price | None = None
    window: int | None = None
    output: int | None = None
    abilities: frozenset[str] | None = None
    """None: nothing is known, so nothing is ruled out."""
    kind: str = "chat"
    clocks: Clocks = Clocks()
    name: str = ""
    """`provider/upstream`, made of the two and kept: every request asks for it several times."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "name", f"{self.provider.name}/{self.upstream}")

    def __hash__(self) -> int:
        return hash((self.provider.name, self.upstream))

    def __repr__(self) -> str:
        return f"Target({self.name!r})"


class Stage(StrEnum):
    """How far a lane's traffic is let in."""

    OBSERVE = "observe"
    SHADOW = "shadow"
    CANARY = "canary"
    ACTIVE = "active"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate of a pool: its name, the key of its labels, and where it is served, in order."""

    name: str
    label: str
    """`provider/id`, with `@version` where it has one: a new version is another candidate."""
    targets: tuple[Target, ...]

    def answers_to(self, text: str) -> bool:
        """Whether a caller who names a candidate so means this one."""
        return text in (self.name, self.label) or any(text == target.name for target in self.targets[:1])


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """By what an answer of a cheap model is known not to do."""

    least_chars: int = 1
    without: tuple[str, ...] = ()
    """Words that it must not hold, in capitals or not."""
    json: bool = False
    """It must be a JSON object."""
    whole: bool = True
    """It must not have been cut at its length."""


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """Candidates among which a rule chooses. `default` is the label of who serves where nothing is learned."""

    name: str
    members: tuple[Member, ...]
    default: str
    rule: str = "learned"
    bias: float = 0.5
    floor: float | None = None
    warm: int = 50
    least_confidence: float = 0.0
    sticky: bool = True
    switch_penalty: float = 0.02
    ttl_s: float = 3600.0
    keep_prompts: bool = False
    k: int = 5
    alpha: float = 0.5
    shares: dict[str, float] = {}
    """Of `weighted`, by label."""
    first: str = ""
    """Of `fixed`, a label."""
    check: Check = Check()
    """Of `cascade`."""

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def targets(self) -> tuple[Target, ...]:
        """Everything that may serve, the default's first, each once."""
        ordered = sorted(self.members, key=lambda member: member.label != self.default)
        return tuple(dict.fromkeys(target for member in ordered for target in member.targets))

    def member(self, text: str) -> Member | None:
        """The candidate of that name, label or target."""
        return next((member for member in self.members if member.answers_to(text)), None)


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """A named kind of traffic. `targets` is the whole chain in order, substitutes and chained lanes included."""

    name: str
    targets: tuple[Target, ...]
    forces: bool = False
    """The lane's targets serve, whatever model the caller named."""
    claims: tuple[str, ...] = ()
    """Model names that put a caller without a lane header into this lane."""
    run_only: bool = False
    stage: Stage = Stage.ACTIVE
    share: float = 0.1
    """Of its requests, in stage canary, those that are really served."""
    legacy: Target | None = None
    """Who answers what the lane does not serve yet; its `upstream` is empty where the model is the caller's."""
    max_tokens: int | None = None
    sticky: bool = False
    pool: Pool | None = None
    """Whose rule ranks those of the targets that are its candidates; the others follow."""
    badge: str | None = None
    badges: dict[str, str] = {}
    """By target: the words for people when that one has answered; `badge` is those of the first."""
    only_if: dict[str, str] = {}
    """By target: the provider that must be unavailable before the target is tried."""
    emergency: frozenset[str] = frozenset()
    """Targets among `targets` that cost money and serve only when all others failed."""
    warm: frozenset[str] = frozenset()
    """Targets whose models are kept loaded at their hosts."""
    queue: int = 32
    queue_s: float = 10.0
    """How many may wait for a slot at a provider, and how long each."""
    deadline_s: float | None = None
    wait_s: float = 5.0
    """The longest Retry-After that is waited for before the same target is asked once more."""
    crowded: str = "next"
    """What follows when a load would push a protected model out: "next", "wait" or "refuse"."""
    rescue: str = "error"
    """How a stream is saved whose provider fails: "error" (it is not), "continue" or "hold"."""


PLAIN = Lane(name="", targets=())
"""The rules of a request in no lane."""


class HostRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider's capacity is, and what of it is kept for whom."""

    slots: int | None = None
    reserved: dict[str, int] = {}
    protected: frozenset[str] = frozenset()
    """Plain names of the models that stay loaded there."""
    memory_bytes: int | None = None
    keep_s: float = 1800.0

    @property
    def plain(self) -> bool:
        """Nothing is counted or kept here."""
        return self.slots is None and not self.protected


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """Whose request it is, with what that tenant may do. None means no restriction."""

    name: str
    lanes: frozenset[str] | None = None
    models: tuple[str, ...] | None = None
    lane: str | None = None
    project: str | None = None
    daily_nanos: int | None = None


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's key as the gateway knows it: its digest, never the key."""

    id: str
    tenant: str
    name: str = ""
    last4: str = ""
    created_s: int = 0
    revoked_s: int | None = None


class Dropped(msgspec.Struct, frozen=True):
    """A target that was considered and left out, and why, in words."""

    target: Target
    reason: str


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A ranked target that was not called, by the state of its host or a rule of the lane."""

    target: Target
    kind: str
    """One word for records: open, resting, full, denied, crowded, only_if, last_resort, no_budget, too_long, late."""
    reason: str
    failure: Failure | None = None
    """What a caller is told when nothing else is left; None: the reason, as no candidate."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Targets in the order they will be tried. `by` names the room that decided."""

    ranked: tuple[Target, ...]
    by: str
    dropped: tuple[Dropped, ...] = ()
    reason: str = ""
    confidence: float | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One call of one target, ended. `counted` is True where usage was counted from deltas, not reported."""

    target: Target
    started_s: float
    ended_s: float
    status: int = 0
    failure: Failure | None = None
    usage: Usage = Usage()
    counted: bool = False
    finish: Finish | None = None
    first_content_s: float | None = None
    chunks: int = 0
    skipped_chunks: int = 0
    omitted: tuple[str, ...] = ()
    cost_nanos: int = 0
    called: bool = True
    """False when the attempt ended before anything was sent to the provider."""
    out_of_budget: bool = False
    """The stream was ended because its hold had run out and could not be extended."""
    resumed: str = ""
    """It went on with an answer that another had begun: "prefill" from the beginning it was given, "again" by saying
    that once more."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one request led to: what the record, the metrics and the ledger are made from."""

    request_id: str
    at_s: float
    elapsed_s: float
    front: str
    op: Op
    tenant: str
    key_id: str | None
    project: str | None
    trace: str | None
    intent: str | None
    lane: str | None
    model: str
    stream: bool
    status: int
    failure: Failure | None
    decision: Decision | None
    attempts: tuple[Attempt, ...]
    caller_gone: bool
    cost_nanos: int
    version: str
    skipped: tuple[Skipped, ...] = ()

    @property
    def served(self) -> Attempt | None:
        """The attempt whose answer the caller got, if any."""
        last = self.attempts[-1] if self.attempts else None
        return last if last is not None and last.failure is None else None
