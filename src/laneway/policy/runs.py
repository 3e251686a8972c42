"""Runs as values: what may follow on what, which step is written down with it, and how a run is told.

Owns: every change of a run's state, the same for every store, and the facts of attempts and fallbacks as steps.
Refuses: storing and executing, clocks (`now_s` is an argument), and any word of a prompt in a step.

A run is only ever ended by the process that has it, or while nobody has it: whoever lost it in between changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from laneway.policy.price import nanos_to_usd
from laneway.ports.runs import ENDED, Fact, Move, Run, State, Step, Used
from laneway.route import Attempt, Skipped

GIVEN_UP = "given_up"


class End(NamedTuple):
    """What came of a run."""

    state: State
    status: int = 0
    kind: str = ""
    reason: str = ""
    served: str = ""
    request_id: str = ""
    used: Used = Used()
    result: bytes | None = None


class Lease(NamedTuple):
    """Who wants a run, and until when it would be theirs."""

    owner: str
    now_s: float
    until_s: float


def accepted_step(run: Run) -> Step:
    return Step(kind="accepted", at_s=run.accepted_s, facts=_known({"lane": run.lane, "model": run.model}))


def is_due(run: Run, now_s: float) -> bool:
    """Whether it waits for somebody who executes it."""
    return run.state is State.ACCEPTED or (run.state is State.RUNNING and run.lease_s <= now_s)


def begun(run: Run, lease: Lease, most_starts: int) -> Move | None:
    """It is the leaseholder's. One that was cancelled meanwhile ends instead, and so does one begun too often."""
    if not is_due(run, lease.now_s):
        return None
    if run.cancelling:
        return _over(run, End(State.CANCELLED), (), lease.now_s)
    if run.starts >= most_starts:
        reason = f"It was begun {run.starts} times, and each time the process that had it ended."
        return _over(run, End(State.FAILED, 500, GIVEN_UP, reason), (), lease.now_s)
    changed = replace(
        run,
        state=State.RUNNING,
        owner=lease.owner,
        lease_s=lease.until_s,
        starts=run.starts + 1,
        started_s=lease.now_s if run.started_s is None else run.started_s,
    )
    return Move(changed, (Step(kind="started", at_s=lease.now_s, facts={"start": changed.starts}),))


def noted(run: Run, owner: str, steps: Sequence[Step]) -> Move | None:
    """The same run, with steps that went by."""
    return Move(run, tuple(steps)) if _has(run, owner) and steps else None


def ended(run: Run, owner: str, end: End, steps: Sequence[Step], now_s: float) -> Move | None:
    """It is over; None for a process that does not have it any more."""
    return _over(run, end, steps, now_s) if _has(run, owner) else None


def let_go(run: Run, owner: str, used: Used, steps: Sequence[Step], now_s: float) -> Move | None:
    """It waits again, as if this start had not been, but for what was used."""
    if not _has(run, owner):
        return None
    if run.cancelling:
        return _over(run, End(State.CANCELLED, used=used), steps, now_s)
    changed = replace(run, state=State.ACCEPTED, owner="", lease_s=0.0, starts=run.starts - 1, used=run.used.plus(used))
    return Move(changed, (*steps, Step(kind="let_go", at_s=now_s)))


def cancelled(run: Run, now_s: float) -> Move | None:
    """It never starts, or the process that has it is asked to end it; None where nothing changes."""
    if run.state is State.ACCEPTED:
        return _over(run, End(State.CANCELLED), (), now_s)
    if run.state in ENDED or run.cancelling:
        return None
    return Move(replace(run, cancelling=True), (Step(kind="cancelling", at_s=now_s),))


def told_hook(run: Run, reason: str, again_s: float | None) -> Move | None:
    """The delivery was taken (no reason), is due again at `again_s`, or was given up (None)."""
    if run.hook_state != "waiting":
        return None
    state = "waiting" if reason and again_s is not None else "given up" if reason else "sent"
    return Move(replace(run, hook_state=state, hook_reason=reason, hook_due_s=again_s or 0.0))


def _has(run: Run, owner: str) -> bool:
    return run.state is State.RUNNING and run.owner == owner


def _over(run: Run, end: End, steps: Sequence[Step], now_s: float) -> Move:
    used = run.used.plus(end.used)
    changed = replace(
        run,
        state=end.state,
        owner="",
        lease_s=0.0,
        cancelling=False,
        ended_s=now_s,
        status=end.status,
        kind=end.kind,
        reason=end.reason,
        served=end.served,
        request_id=end.request_id,
        used=used,
        hook_state="waiting" if run.hook else "",
        hook_due_s=now_s,
    )
    facts: dict[str, Fact] = {
        "state": end.state.value,
        "status": end.status or None,
        "failure": end.kind or None,
        "reason": end.reason or None,
        "target": end.served or None,
        "cost_usd": nanos_to_usd(used.cost_nanos),
    }
    return Move(changed, (*steps, Step(kind="finished", at_s=now_s, facts=_known(facts))), end.result)


def _known(facts: Mapping[str, Fact]) -> dict[str, Fact]:
    return {name: fact for name, fact in facts.items() if fact is not None}


# --- attempts ----------------------------------------------------------------------------------------------


def attempt_steps(
    attempt: Attempt, before: Attempt | None, skipped: Sequence[Skipped], wall_s: float
) -> tuple[Step, ...]:
    """An attempt that ended, behind the fallback that led to it. `skipped` are the targets passed over since the one
    before; `wall_s` is what the wall clock is ahead of the attempts' own."""
    came = attempt.started_s + wall_s
    steps = [
        Step(
            kind="fallback",
            at_s=came,
            facts={"from": each.target.name, "to": attempt.target.name, "reason": each.kind},
        )
        for each in skipped
    ]
    if before is not None and before.failure is not None and before.target.name != attempt.target.name:
        facts = {"from": before.target.name, "to": attempt.target.name, "reason": before.failure.kind.value}
        steps.insert(0, Step(kind="fallback", at_s=came, facts=facts))
    used = used_by((attempt,))
    told: dict[str, Fact] = {
        "target": attempt.target.name,
        "status": attempt.status or None,
        "failure": attempt.failure.kind.value if attempt.failure is not None else None,
        "took_s": round(attempt.ended_s - attempt.started_s, 3),
        "input_tokens": used.input,
        "output_tokens": used.output,
        "cost_usd": nanos_to_usd(used.cost_nanos),
    }
    return (*steps, Step(kind="attempt", at_s=attempt.ended_s + wall_s, facts=_known(told)))


def used_by(attempts: Sequence[Attempt]) -> Used:
    """What they used together."""
    return Used(
        input=sum(each.usage.input or 0 for each in attempts),
        cached=sum(each.usage.cache_read or 0 for each in attempts),
        output=sum(each.usage.output or 0 for each in attempts),
        cost_nanos=sum(each.cost_nanos for each in attempts),
    )


# --- told --------------------------------------------------------------------------------------------------


def as_object(run: Run) -> dict[str, object]:
    """A run for a program. An address is told without its path, which may hold a token."""
    failed = {"kind": run.kind, "message": run.reason, "status": run.status}
    parts = urlsplit(run.hook)
    hook = {
        "url": f"{parts.scheme}://{parts.netloc}",
        "state": run.hook_state or "waits for the end",
        "tries": run.hook_tries,
        "reason": run.hook_reason or None,
    }
    return {
        "object": "run",
        "id": run.id,
        "tenant": run.tenant,
        "state": run.state.value,
        "cancelling": run.cancelling,
        "lane": run.lane,
        "model": run.model,
        "front": run.path,
        "idempotency_key": run.same,
        "accepted_s": run.accepted_s,
        "started_s": run.started_s,
        "ended_s": run.ended_s,
        "starts": run.starts,
        "served": run.served or None,
        "request_id": run.request_id or None,
        "error": failed if run.state is State.FAILED else None,
        "usage": {
            "input_tokens": run.used.input,
            "cached_tokens": run.used.cached,
            "output_tokens": run.used.output,
        },
        "cost_usd": nanos_to_usd(run.used.cost_nanos),
        "webhook": hook if run.hook else None,
    }


def as_whole(run: Run, result: bytes | None) -> dict[str, object]:
    """With its result, which is the body that the front would have answered with."""
    return {**as_object(run), "result": msgspec.Raw(result) if result else None}


def step_object(step: Step) -> dict[str, object]:
    return {"number": step.number, "at_s": step.at_s, "kind": step.kind, **step.facts}
