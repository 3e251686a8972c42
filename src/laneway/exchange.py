"""The Exchange: everything known about one request while it walks through the rooms.

Owns: the one mutable object of a request, kept in `scope["laneway.exchange"]`, and the door from it to a frozen
value: `outcome()`, for those who record. Each field is written once, by the room named beside it; lists only grow.
Refuses: reading bodies (edge does), deciding anything, and living longer than its request.
"""

from __future__ import annotations

import os
import time
from collections.abc import MutableMapping
from copy import copy
from itertools import count
from typing import Any, TypeAlias

import msgspec

from laneway.chat import ChatRequest, EmbedRequest, Op
from laneway.dialects import FRONTS, Asked, Dialect, Front, View, dialect
from laneway.failure import Failure
from laneway.ports import Adviser, Allowance, Choice, Pin, Receipt, Witness
from laneway.route import Attempt, Decision, Dropped, Lane, Outcome, Pool, Skipped, Stage, Target, Tenant

Scope: TypeAlias = MutableMapping[str, Any]

SLOT = "laneway.exchange"
TARGET = "laneway.target"
"""The scope key under which Fallback names the target of one attempt; the scope is a copy per attempt."""
SEAT = "laneway.seat"
"""Beside it, the seat that the host board gave for the attempt."""
NOBODY = Tenant(name="default")
MOST_NAME = 256
"""Of a name that a caller chose, so much is kept where it is remembered."""


class _Ids:
    """Request ids, unique without asking the kernel each time: a random prefix per process, then a counter."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self.renew()

    def renew(self) -> None:
        self._prefix = f"req_{os.urandom(6).hex()}"

    def next(self) -> str:
        return f"{self._prefix}{next(self._numbers):08x}"

    def made(self, request_id: str) -> bool:
        return request_id.startswith(self._prefix)


_ids = _Ids()
os.register_at_fork(after_in_child=_ids.renew)


def is_own(request_id: str) -> bool:
    """Whether this process made the id."""
    return _ids.made(request_id)


def front_of(scope: Scope) -> Front | None:
    """The front a request is for, wherever the app is mounted; None for what is not ours."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root.rstrip("/") + "/"):
        path = path[len(root.rstrip("/")) :]
    return FRONTS.get(path)


class Exchange(msgspec.Struct, eq=False):
    """One request. Rooms read what earlier rooms wrote; absent facts are None and mean "no opinion".

    A Struct, because forty fields that are mostly None take longer to write one by one than most rooms need.
    """

    front: Front
    dialect: Dialect
    headers: dict[bytes, bytes]
    request_id: str
    started_s: float
    started_at_s: float
    version: str = ""  # observe
    run: str | None = None  # runs: the run that it is executed for
    witness: Witness | None = None  # observe, where somebody follows the request
    tenant: Tenant = NOBODY  # auth
    key_id: str | None = None  # auth
    body: bytes | None = None  # edge
    view: View | None = None  # edge
    request: ChatRequest | EmbedRequest | None = None  # forward, on the first translation
    lane: Lane | None = None  # lane
    project: str | None = None  # lane
    trace: str | None = None  # lane
    intent: str | None = None  # lane
    rescue: str | None = None  # lane, where a header says so
    candidates: tuple[Target, ...] | None = None  # lane
    pool: Pool | None = None  # lane
    bias: float | None = None  # lane: where the request wants the dial of its pool
    dry: bool = False  # stage, or who asks for a decision: it is made, told and not executed
    legacy: Choice | None = None  # the same: where the legacy path has sent it
    stage: Stage | None = None  # stage
    holding: bool = False  # budget
    allowance: Allowance | None = None  # budget
    pinned: str | None = None  # sticky: the trace it answers for
    pin: Pin | None = None  # sticky, where a rule is to price the switch
    asked: Asked | None = None  # sticky, router: whoever first asks for the prompt
    receipt: Receipt | None = None  # router: why it went where it went
    adviser: Adviser | None = None  # router: who waits for what becomes of it, until then
    dropped: list[Dropped] = []  # budget, router
    decision: Decision | None = None  # sticky, router: the first decider wins
    skipped: list[Skipped] = []  # fallback
    attempts: list[Attempt] = []  # forward
    status: int = 0  # whoever answers
    failure: Failure | None = None  # whoever refuses
    gone: bool = False  # forward: the caller left

    @classmethod
    def begin(cls, front: Front, headers: dict[bytes, bytes]) -> Exchange:
        return cls(front, dialect(front.dialect), headers, _ids.next(), time.monotonic(), time.time())

    @classmethod
    def of(cls, scope: Scope) -> Exchange | None:
        """The Exchange of this request, made by whichever room is outermost; None for what is not ours."""
        found = scope.get(SLOT)
        if found is not None:
            return found  # type: ignore[no-any-return]
        front = front_of(scope)
        if front is None:
            return None
        made = cls.begin(front, dict(scope["headers"]))
        scope[SLOT] = made
        return made

    def twin(self) -> Exchange:
        """The same request as far as it is known, for somebody who follows it another way from here."""
        made = copy(self)
        made.dropped, made.skipped, made.attempts = list(self.dropped), list(self.skipped), list(self.attempts)
        made.witness = None
        return made

    @property
    def op(self) -> Op:
        return self.front.op

    def header(self, name: bytes) -> str | None:
        """A request header's value as text, None when absent or empty."""
        value = self.headers.get(name)
        return value.decode("latin-1").strip() or None if value else None

    def remaining(self) -> tuple[Target, ...]:
        """The candidates that no room has dropped, for rooms that work without a decision."""
        candidates = self.candidates or ()
        if not self.dropped:
            return candidates
        dropped = {dropped.target.name for dropped in self.dropped}
        return tuple(target for target in candidates if target.name not in dropped)

    def cost_nanos(self) -> int:
        nanos = 0
        for attempt in self.attempts:
            nanos += attempt.cost_nanos
        return nanos

    def outcome(self) -> Outcome:
        """What this request led to. Read once, when it is over."""
        view = self.view
        return Outcome(
            request_id=self.request_id,
            at_s=self.started_at_s,
            elapsed_s=time.monotonic() - self.started_s,
            front=self.front.dialect,
            op=self.front.op,
            tenant=self.tenant.name,
            key_id=self.key_id,
            project=self.project,
            trace=self.trace,
            intent=self.intent,
            lane=self.lane.name if self.lane is not None else None,
            # Callers choose it, and records outlive their requests.
            model=view.model[:MOST_NAME] if view is not None else "",
            stream=view.stream if view is not None else False,
            status=self.status,
            failure=self.failure,
            decision=self.decision,
            attempts=tuple(self.attempts),
            caller_gone=self.gone,
            cost_nanos=self.cost_nanos(),
            version=self.version,
            skipped=tuple(self.skipped),
        )
