"""Named kinds of traffic, as written by a person.

Owns: `[lanes]` and their targets. Refuses: where a target runs.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from laneway.settings.stages import Part, PromotionTable, RollbackTable, StageName
from laneway.settings.units import Seconds, Timeouts


class TargetTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A target of a lane with time limits or a condition of its own."""

    target: str
    """A model's name or `provider/id`."""
    only_if_unavailable: str = ""
    """A provider: the target serves only while that one fails, is silent, or has an open breaker. Being busy is not
    being unavailable."""
    timeouts: Timeouts = Timeouts()
    """Time limits of this target in this lane."""


class LaneTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named kind of traffic."""

    targets: tuple[str | TargetTable, ...] = ()
    """What may serve it, in order: names of `[models]`, or `provider/id`."""
    chain: tuple[str, ...] = ()
    """Lanes whose targets are tried after its own. A dearer tier is entered only if it is named here."""
    pool: str = ""
    """A pool, whose rule ranks those of the targets that are its candidates, and all of them where there are none."""
    forces: bool = True
    """Its targets serve whatever model the caller names; false: the lane only classes traffic."""
    claims: tuple[str, ...] = ()
    """Model names that bring callers without a lane header into it."""
    run_only: bool = False
    """Refuses synchronous calls."""
    stage: StageName = "active"
    """`observe` refuses requests; `shadow` decides and executes nothing: `legacy` answers, or else the decision;
    `canary` serves a share. A stage set while the gateway runs holds until another stage or share stands here."""
    share: Part = 0.1
    """In stage `canary`: the part of the conversations (of single requests, where no trace is named) that is served."""
    legacy: str = ""
    """Who answers what is not served yet: `provider/id`, a model, or the url of a server that takes requests as they
    came."""
    promotion: PromotionTable | None = None
    """What takes it a step further by itself; unset: nothing."""
    rollback: RollbackTable | None = None
    """What takes it back by itself; unset: nothing."""
    sticky: bool = False
    """Conversations stay with the target that served them."""
    badge: str = ""
    """Words for people about its own targets, in `X-Laneway-Badge`; unset: `Local` or `Cloud`. Behind another lane's
    targets they become `Fallback: ...`."""
    emergency: tuple[str | TargetTable, ...] = ()
    """Targets that cost money, tried only when all others of the lane have failed or have an open breaker, and only
    where a budget binds them for the caller, and none that does is 0."""
    warm: tuple[str, ...] = ()
    """Ollama providers on which the lane's own models stay loaded, whoever else wants the memory."""
    when_crowded: Literal["next", "wait", "refuse"] = "next"
    """When its model would push a warm one out of a host's memory: try the `next` target, `wait` as in a queue, or
    `refuse`."""
    rescue: Literal["error", "continue", "hold"] = "error"
    """What becomes of a stream whose provider fails in the middle: it ends with an `error`; the next target is asked to
    `continue` it; or nothing is sent before all of it has come (`hold`). Callers may say it in `X-Laneway-Rescue`."""
    queue: Annotated[int, Meta(ge=0, le=100_000)] = 32
    """How many of its calls may wait for a slot at one provider."""
    queue_wait: Seconds = 10.0
    """Longest wait for a slot."""
    deadline: Seconds | None = None
    """Time for a whole request over all its attempts; unset: none."""
    retry_wait: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    """Longest `Retry-After` of a provider that is waited for, in real seconds, before it is asked once more."""
    timeouts: Timeouts = Timeouts()
    """Time limits of its targets."""
