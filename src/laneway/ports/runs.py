"""Runs: requests that are answered later, kept until somebody has executed them, whatever ends meanwhile.

Owns: what is known of a run at any moment, the steps it has gone through, and the door to where both rest.
Refuses: any implementation, and deciding what may follow on what (policy/runs does, for every adapter alike).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias

import msgspec

Fact: TypeAlias = str | int | float | bool | None


class State(StrEnum):
    """Where a run stands."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a run. Never a prompt, never a key."""

    kind: str
    """"accepted", "started", "attempt", "fallback", "let_go", "cancelling" or "finished"."""
    at_s: float
    facts: Mapping[str, Fact] = {}
    number: int = 0
    """Counts the steps of one run from 1, in the order in which they were written down."""


class Used(NamedTuple):
    """Tokens, and what they cost, over all attempts that ended."""

    input: int = 0
    cached: int = 0
    output: int = 0
    cost_nanos: int = 0

    def plus(self, other: Used) -> Used:
        return Used(*(mine + its for mine, its in zip(self, other, strict=True)))


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of a run but its texts. `hook` may hold a token in its path, so it is never shown whole."""

    id: str
    tenant: str
    path: str
    """The front that reads the request and writes the result."""
    model: str
    accepted_s: float
    key_id: str | None = None
    lane: str | None = None
    same: str | None = None
    """The caller's idempotency key."""
    print: str = ""
    """A digest of what was asked, by which a repetition is told from something else under the same key."""
    state: State = State.ACCEPTED
    owner: str = ""
    """The process that has it now."""
    lease_s: float = 0.0
    """Until when; afterwards anybody may take it."""
    starts: int = 0
    """How often it was begun, not counting those that were let go in good order."""
    cancelling: bool = False
    """Somebody wants it to end, and the process that has it has not said that it did."""
    started_s: float | None = None
    ended_s: float | None = None
    status: int = 0
    kind: str = ""
    """What it failed of, in one word."""
    reason: str = ""
    served: str = ""
    """The target that answered."""
    request_id: str = ""
    """The request in the records that it ended as."""
    used: Used = Used()
    hook: str = ""
    """The address that is told of the end; "" for none."""
    hook_state: str = ""
    """"", then "waiting", then "sent" or "given up"."""
    hook_tries: int = 0
    hook_reason: str = ""
    hook_due_s: float = 0.0

    def __repr__(self) -> str:
        return f"Run({self.id!r}, {self.state.value!r})"


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, as its front takes it, and what signs the delivery of the result."""

    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    secret: str = ""

    def __repr__(self) -> str:
        return f"Texts({len(self.body)} bytes)"


class Move(NamedTuple):
    """What a run becomes, and the steps that are written down with it."""

    run: Run
    steps: tuple[Step, ...] = ()
    result: bytes | None = None


Change: TypeAlias = Callable[[Run], Move | None]
"""Says what becomes of a run, seeing it as it stands; None: it stays. It may be asked twice, and touches nothing."""


class Wanted(NamedTuple):
    """Which runs are looked at: those of one tenant (None: of all), in one state, in one lane; behind one of them."""

    tenant: str | None = None
    state: State | None = None
    lane: str | None = None
    after: str | None = None


class Runs(Protocol):
    """Runs shared by all processes of a store. What a verb promises is committed when it returns."""

    async def accept(self, run: Run, texts: Texts, steps: Sequence[Step], most: int) -> Run | None:
        """Takes it in. Where its tenant has one under the same idempotency key, that one is returned instead, and
        None where `most` of the tenant wait already."""

    async def find(self, run_id: str, tenant: str | None = None) -> Run | None:
        """Only if it is the tenant's, where one is named."""

    async def same(self, tenant: str, key: str) -> Run | None:
        """The one under this idempotency key."""

    async def texts(self, run_id: str) -> Texts | None: ...

    async def result(self, run_id: str) -> bytes | None: ...

    async def steps(self, run_id: str, after: int = 0) -> Sequence[Step]: ...

    async def list(self, wanted: Wanted, limit: int) -> Sequence[Run]:
        """The newest first."""

    async def take(self, now_s: float, change: Change) -> Run | None:
        """Of what waits, or whose lease is over, the one that is due: the tenant with the fewest under way first, then
        by age. It becomes what `change` says, and nobody else is given it. None when nothing is due."""

    async def change(self, run_id: str, change: Change, tenant: str | None = None) -> Run | None:
        """The run after the change, in one transaction with its steps and its result; as it stands where it stays;
        None where there is none."""

    async def held(self, owner: str) -> Sequence[Run]:
        """Those that a process has now."""

    async def renew(self, owner: str, run_ids: Sequence[str], until_s: float) -> None:
        """Those of them that the process has are its own until then."""

    async def take_hook(self, now_s: float, until_s: float) -> Run | None:
        """A delivery that is due, with this try counted; nobody else is given it before `until_s`."""

    async def forget(self, run_id: str) -> bool:
        """Removes a run that has ended, with all its texts."""

    async def prune(self, before_s: float, most: int) -> int:
        """Forgets runs that ended before then, so many at most, and answers how many."""
