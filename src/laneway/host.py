"""One provider's state in this process: breakers, slots, what is loaded and what is being answered.

Owns: the facts, each where the board finds it, and calling those who wait for a change.
Refuses: any decision about them, which is the board's and policy's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from laneway.policy.admission import Admission
from laneway.policy.breaker import Breaker
from laneway.policy.residency import Loaded
from laneway.route import HostRules

SLACK_S = 1.0
"""A model so close to its expiry counts as gone."""
UNLIMITED = HostRules()


class Size:
    """How large a model is at its host, as far as anybody said."""

    __slots__ = ("bytes", "parameters")

    def __init__(self, parameters: str | None, size_bytes: int | None) -> None:
        self.parameters = parameters
        self.bytes = size_bytes


class Host:
    """One provider's state."""

    __slots__ = (
        "admission",
        "breakers",
        "busy",
        "changed",
        "learned_bytes",
        "listed",
        "loaded",
        "maintenance_s",
        "name",
        "plain",
        "rules",
        "seen_s",
        "sizes",
        "told",
        "waiting_elsewhere",
    )

    def __init__(self, name: str, rules: HostRules) -> None:
        self.name = name
        self.rules = rules
        self.admission = Admission(rules.slots, rules.reserved)
        self.breakers: dict[str, Breaker] = {}
        self.busy: dict[str, int] = {}
        self.loaded: dict[str, Loaded] = {}
        self.sizes: dict[str, int] = {}
        """Bytes in memory, by plain name: seen loaded, else guessed from the file."""
        self.told: dict[str, Size] = {}
        self.listed = False
        self.learned_bytes = 0
        self.maintenance_s = 0.0
        self.seen_s: float | None = None
        self.changed: list[asyncio.Future[None]] = []
        self.waiting_elsewhere: Mapping[str, int] = {}
        """Who waits at this machine's other workers, by lane."""
        self.plain = rules.plain
        """Nothing is counted or kept here, so that nothing need be asked."""

    @property
    def memory_bytes(self) -> int | None:
        """Configured, else the most that was ever seen loaded at once."""
        return self.rules.memory_bytes or self.learned_bytes or None

    def now_loaded(self, at_s: float) -> list[str]:
        return [name for name, it in self.loaded.items() if it.expires_s is None or it.expires_s > at_s + SLACK_S]

    def waiting(self) -> dict[str, int]:
        """How many wait for a slot, by lane."""
        made = dict(self.admission.waiting)
        for lane, count in self.waiting_elsewhere.items():
            made[lane] = made.get(lane, 0) + count
        return made

    def wake(self) -> None:
        """Whoever waits for a change of this host looks again."""
        waiting, self.changed = self.changed, []
        for changed in waiting:
            if not changed.done():
                changed.set_result(None)
