"""One worker's share of a provider's slots, and what the shares of the other workers mean for it.

Owns: the values that workers of one machine tell each other of a provider (calls under way by lane and by model, who
waits), their sum, and whose turn it is: the worker that was given a slot longest ago goes first, and what is promised
to it nobody else takes.
Refuses: where shares are written and how they are kept from changing meanwhile; clocks are arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

FRESH_S = 0.05
"""Who has not looked for so long is not waited for: it may be stopped, or busy with something else."""


class Share(msgspec.Struct, array_like=True, frozen=True):
    """What one worker has of a provider now."""

    lanes: dict[str, int] = {}
    """Calls under way."""
    busy: dict[str, tuple[int, int]] = {}
    """Models by plain name: calls under way, and bytes in the host's memory (0: nobody knows)."""
    waiting: dict[str, int] = {}
    granted_s: float = 0.0
    """When it was given its latest slot."""


class Other(msgspec.Struct, frozen=True):
    """Another worker's share, and when that worker looked last, if anybody waits there."""

    number: int
    looked_s: float
    share: Share


class Elsewhere(msgspec.Struct, frozen=True):
    """All other workers together."""

    lanes: dict[str, int] = {}
    promised: dict[str, int] = {}
    """Slots that are to be left to others: as good as taken, for as long as this is acted on."""
    busy: dict[str, int] = {}
    sizes: dict[str, int] = {}
    waiting: dict[str, int] = {}


def summed(others: Iterable[Other], number: int, granted_s: float, now_s: float) -> Elsewhere:
    """What worker `number`, which was given its latest slot at `granted_s`, has to respect."""
    lanes: dict[str, int] = {}
    promised: dict[str, int] = {}
    busy: dict[str, int] = {}
    sizes: dict[str, int] = {}
    waiting: dict[str, int] = {}
    for other in others:
        share = other.share
        for lane, count in share.lanes.items():
            lanes[lane] = lanes.get(lane, 0) + count
        for model, (count, size_bytes) in share.busy.items():
            busy[model] = busy.get(model, 0) + count
            sizes[model] = max(sizes.get(model, 0), size_bytes)
        if share.waiting:
            first = now_s - other.looked_s < FRESH_S and (share.granted_s, other.number) < (granted_s, number)
            for lane, count in share.waiting.items():
                waiting[lane] = waiting.get(lane, 0) + count
                if first:
                    promised[lane] = promised.get(lane, 0) + 1
    return Elsewhere(lanes, promised, busy, sizes, waiting)


def added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Two counts together."""
    made = dict(one)
    for name, count in other.items():
        made[name] = made.get(name, 0) + count
    return made


def without(all_: Mapping[str, int], others: Mapping[str, int]) -> dict[str, int]:
    """What is left of a count when the others' part is taken out."""
    if not others:
        return dict(all_)
    return {name: left for name, count in all_.items() if (left := count - others.get(name, 0)) > 0}
