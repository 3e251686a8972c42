"""The narrow doors through which rooms ask the world for something.

Owns: one Protocol per question. A middleware takes the port it asks, never a bundle. Refuses: any
implementation; adapters live in `stores/` and `upstream/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from laneway.route import Clocks as Clocks
from laneway.route import Dropped, Key, Outcome, Target


class Call(msgspec.Struct, frozen=True):
    """One HTTP request to a provider, ready to be sent.

    `origin` is `scheme://host[:port]`; `target` is the path with its query, already percent-encoded.
    `headers` holds everything but Host, Content-Length and Connection, which the engine writes.
    """

    method: str
    origin: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""


class Reply(Protocol):
    """A provider's response: the head is there, the body is read on demand."""

    status: int
    headers: list[tuple[bytes, bytes]]
    """Names in lower case."""

    async def read(self, limit_s: float) -> bytes:
        """The next piece of the body as it came off the socket, `b""` at its proper end.

        Raises FailureError: TIMEOUT when nothing came for `limit_s`, CUT when the connection ended before
        the body did, MALFORMED_ANSWER when the framing was broken.
        """

    async def close(self) -> None:
        """Idempotent. A body not read to its end closes the connection, so that the provider notices at once."""


class Upstream(Protocol):
    """Carries calls to providers. Bodies are not interpreted, redirects are not followed."""

    async def open(self, call: Call, clocks: Clocks) -> Reply:
        """Sends the call and waits for the response head.

        Raises FailureError: CONNECT (refused, unresolvable, TLS), RESET (connection lost before any response
        byte), TIMEOUT with `clock` "connect" or "headers", MALFORMED_ANSWER (not HTTP).
        """

    async def close(self) -> None:
        """Ends idle connections at once; running ones when they finish or are closed."""


class Keys(Protocol):
    """Callers' keys, by digest."""

    async def find(self, digest: bytes) -> Key | None:
        """The key with this SHA-256 digest, revoked ones included. At most a few seconds behind a change made
        by another process."""

    async def create(self, key: Key, digest: bytes) -> None: ...

    async def list(self) -> Sequence[Key]: ...

    async def revoke(self, key_id: str, now_s: int) -> bool:
        """False when there is no such key."""


class Share(msgspec.Struct, frozen=True):
    """A hold's part in one account, with the cap that holds there."""

    account: str
    nanos: int
    cap_nanos: int


class Hold(msgspec.Struct, frozen=True):
    """Money set aside for one request, in all of its accounts, until it is settled, released, or expires."""

    request_id: str
    shares: tuple[Share, ...]
    expires_s: float


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What an account looks like at an instant, in nano-USD."""

    account: str
    cap_nanos: int
    spent_nanos: int
    held_nanos: int
    """By requests under way, and by what other processes have leased."""

    @property
    def free_nanos(self) -> int:
        return max(self.cap_nanos - self.spent_nanos - self.held_nanos, 0)


class Short(msgspec.Struct, frozen=True):
    """A hold that was refused: what each of its accounts has left, in the order of its shares."""

    lefts: tuple[Left, ...]


class Kill(msgspec.Struct, frozen=True):
    """An order to make no more paid calls within a scope, until somebody takes it back."""

    scope: str
    reason: str
    at_s: float


class Ledger(Protocol):
    """Money. Every verb is atomic, idempotent by request id, and exact across processes sharing a store.

    An account's name holds its period (`team-daily/acme:2026-11-21`), so a new period starts at nothing spent; the cap
    is an argument, because it is configuration, while what was spent is state. Spent and held together never pass the
    cap, as long as what is settled was held.
    """

    async def left(self, account: str, cap_nanos: int, now_s: float) -> Left: ...

    async def hold(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | Short:
        """Reserves all of the shares, or none. The same id again: the first hold, as long as it lives."""

    async def extend(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | Short:
        """Raises a hold to these amounts, all of them or none, and lets it live anew; one that expired is made again.
        Accounts that are not named stay as they are."""

    async def settle(self, request_id: str, spent: Mapping[str, int], now_s: float) -> None:
        """What was really spent in each account, held or not; ends the hold in all of them. A second settlement of
        the same id changes nothing. When it returns, a killed process no longer loses it."""

    async def release(self, request_id: str, now_s: float) -> None:
        """Ends a hold of which nothing was spent."""

    async def kill(self, scope: str, reason: str, now_s: float) -> None:
        """Stops paid calls within a scope: when it returns, every process sharing the store knows. The first reason
        stays until `unkill`."""

    async def unkill(self, scope: str) -> bool:
        """False when there was no such kill."""

    def killed(self) -> Mapping[str, Kill]:
        """The kills in force, by scope, as of this instant and at no cost: it is asked before every call."""


class Allowance(Protocol):
    """What one request may still spend; the budget room leaves it on the Exchange."""

    def left_nanos(self, target: Target) -> int | None:
        """What the request's hold still covers for a target; None: nothing limits it."""

    async def admit(self, target: Target) -> Dropped | None:
        """Before a further attempt: why it does not fit beside what the attempts before it have cost, or None."""

    async def cover(self, target: Target, nanos: int) -> bool:
        """Whether an attempt under way may cost so much; its hold is raised where it has to be."""


class BookEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A budget that was made while the gateway ran: the table as it would stand in the file, in JSON."""

    name: str
    table: str
    changed_s: float


class Book(Protocol):
    """Budgets made while the gateway ran, shared by all processes of a store."""

    async def list(self) -> Sequence[BookEntry]:
        """By name."""

    async def put(self, entry: BookEntry, *, new: bool) -> bool:
        """False, and nothing happens, where the name is taken already; if it is not new, where it is not there."""

    async def remove(self, name: str) -> bool:
        """False when there is none of that name."""

    async def edition(self) -> int:
        """Grows with every change, whichever process made it. Asked every few seconds."""


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """The target a conversation stays with, by its name."""

    target: str
    at_s: float


class Pins(Protocol):
    """Choices remembered per tenant and trace. May forget."""

    async def get(self, tenant: str, trace: str, now_s: float) -> Pin | None: ...

    async def put(self, tenant: str, trace: str, pin: Pin) -> None: ...


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """Something an operator, or a rule in his stead, did to the gateway."""

    at_s: float
    actor: str
    action: str
    subject: str
    detail: Mapping[str, str | float | bool | None] = {}


class Audit(Protocol):
    """Who did what. Entries are only ever added."""

    async def note(self, entry: Audited) -> None:
        """Written when this returns."""

    async def recent(self, limit: int, action: str | None = None) -> Sequence[Audited]:
        """Newest first."""

    async def latest(self, action: str) -> Sequence[Audited]:
        """The last entry of this action for each subject."""


class Journal(Protocol):
    """Outcomes, written behind. Never blocks, never raises; what it had to drop it counts."""

    def record(self, outcome: Outcome) -> None: ...

    async def recent(self, limit: int, filters: Mapping[str, str]) -> Sequence[Mapping[str, object]]:
        """Records, newest first, as flat attributes; filters are exact matches on attributes."""

    @property
    def dropped(self) -> int: ...


LABELS = ("day", "tenant", "key", "project", "lane", "provider", "model")
"""What a report can be grouped and filtered by. A day is one of UTC; what is not known is an empty text."""


class Figures(NamedTuple):
    """What is added up. `cached` is the part of `input` that was read from a cache."""

    requests: int = 0
    failures: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    cost_nanos: int = 0
    dearest_nanos: int = 0
    """What the same answers would have cost at the dearest candidate of each request."""

    def plus(self, other: Figures) -> Figures:
        # Written out, because it runs for every request.
        return Figures(
            self.requests + other.requests,
            self.failures + other.failures,
            self.input + other.input,
            self.cached + other.cached,
            self.output + other.output,
            self.cost_nanos + other.cost_nanos,
            self.dearest_nanos + other.dearest_nanos,
        )


class Tally(NamedTuple):
    """A row of a report, or one outcome's part in it; `labels` stand in the order in which they were asked for."""

    labels: tuple[str, ...]
    figures: Figures


class Question(NamedTuple):
    """What a report is to say: grouped by these labels, over these days (both included), where labels are so."""

    by: tuple[str, ...]
    first: str
    last: str
    where: Mapping[str, str] = {}

    def takes(self, labels: Sequence[str]) -> bool:
        """Whether a line with all labels belongs into it."""
        if not self.first <= labels[0] <= self.last:
            return False
        return all(labels[LABELS.index(name)] == value for name, value in self.where.items())


class Reports(Protocol):
    """What all outcomes add up to. Sums outlive the records that they were made from."""

    async def usage(self, question: Question) -> Sequence[Tally]:
        """The rows of a report in the order of their labels; everything recorded before is in them."""

    async def correct(self, tally: Tally) -> None:
        """Adds a line that no outcome brought: an operator's correction."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something that people are told: once for each kind, subject, period and mark, whoever notices it again."""

    kind: str
    subject: str
    period: str
    facts: Mapping[str, str] = {}
    mark: str = ""
    """What tells two of the same kind in one period apart: a threshold, say."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """An alert for one channel, until it is sent or given up."""

    id: str
    """The same for every try, so that a receiver can tell a repetition."""
    channel: str
    kind: str
    subject: str
    period: str
    facts: Mapping[str, str]
    at_s: float
    tries: int = 0
    state: str = "waiting"
    """"waiting", "sent" or "given up"."""
    reason: str = ""


class Notices(Protocol):
    """Who was told what. Shared by all processes of a store, so that each notice is sent by one of them."""

    async def put(self, notices: Sequence[Notice]) -> int:
        """Takes in those whose id was never seen, and answers how many."""

    async def take(self, channel: str, now_s: float, until_s: float) -> Notice | None:
        """The oldest that is due, with this try counted; nobody else is given it before `until_s`."""

    async def ended(self, notice_id: str, now_s: float, *, reason: str = "") -> None:
        """It was sent; with a reason, it was given up."""

    async def failed(self, notice_id: str, reason: str, again_s: float) -> None:
        """It is due again at `again_s`."""

    async def recent(self, limit: int) -> Sequence[Notice]:
        """The newest first."""
