"""What a model name means: the routing table, compiled once per configuration and model-list refresh.

Owns: the order in which names are understood (lane, exact id or alias, provider prefix, pattern), spellings that
mean the same (`library/`, `:latest`, letter case), and what to suggest for a name nobody knows.
Refuses: knowing who asks; a tenant's permissions are applied by the lane room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import NamedTuple

from laneway.route import Lane, Pool, Target

MOST_NAME = 256
MOST_MADE = 4096


class Meaning(NamedTuple):
    """What a name stands for: a lane, the targets of a model (with the lane that claims it, if one does), or a pool."""

    lane: Lane | None
    targets: tuple[Target, ...]
    is_lane: bool
    pool: Pool | None = None


class Prefix(NamedTuple):
    """Names that begin with `text` (or match it as a pattern) go to one provider, without `cut`."""

    text: str
    cut: str
    make: Callable[[str, str], Target]
    """Makes the target of a name at the provider: upstream id, name as the caller wrote it."""

    def target(self, name: str) -> Target:
        return self.make(name[len(self.cut) :], name)


def spelling(name: str) -> str:
    """The one spelling of a model name: lower case, without `library/` and `:latest`."""
    return name.lower().removeprefix("library/").removesuffix(":latest")


class Names:
    """The compiled table. Immutable; a refresh makes a new one."""

    def __init__(
        self,
        *,
        lanes: Mapping[str, Lane] | None = None,
        models: Mapping[str, tuple[Target, ...]] | None = None,
        pools: Mapping[str, Pool] | None = None,
        prefixes: Iterable[Prefix] = (),
        patterns: Iterable[Prefix] = (),
    ) -> None:
        self.lanes: Mapping[str, Lane] = lanes or {}
        self.models: Mapping[str, tuple[Target, ...]] = models or {}
        self.pools: Mapping[str, Pool] = pools or {}
        self._prefixes = sorted(prefixes, key=lambda prefix: -len(prefix.text))
        self._patterns = tuple(patterns)
        claims = {spelling(claim): lane for lane in self.lanes.values() for claim in lane.claims}
        self._exact: dict[str, Meaning] = {}
        for name, targets in self.models.items():
            self._exact[name] = Meaning(claims.get(spelling(name)), targets, False)
        for name, pool in self.pools.items():
            self._exact[name] = Meaning(claims.get(spelling(name)), pool.targets, False, pool)
        for claim, lane in claims.items():
            self._exact.setdefault(claim, Meaning(lane, lane.targets, False))
        for name, lane in self.lanes.items():
            self._exact[name] = Meaning(lane, lane.targets, True)
        self._folded: dict[str, Meaning] = {}
        for name, meaning in self._exact.items():
            self._folded.setdefault(spelling(name), meaning)
        # Names that only a prefix or pattern knows are remembered, boundedly: callers choose them.
        self._made: dict[str, Meaning] = {}

    def meaning(self, name: str) -> Meaning | None:
        """None when nobody knows the name."""
        found = self._exact.get(name) or self._made.get(name)
        if found is not None:
            return found
        found = self._folded.get(spelling(name)) or self._from_prefix(name)
        if found is not None and len(self._made) < MOST_MADE:
            self._made[name] = found
        return found

    def _from_prefix(self, name: str) -> Meaning | None:
        # These names become header values and paths, and callers make them up.
        if not name or len(name) > MOST_NAME or not name.isprintable():
            return None
        folded = name.lower()
        for prefix in self._prefixes:
            if folded.startswith(prefix.text) and len(name) > len(prefix.text):
                return Meaning(None, (prefix.target(name),), False)
        for pattern in self._patterns:
            if fnmatchcase(folded, pattern.text):
                return Meaning(None, (pattern.target(name),), False)
        return None

    def nearest(self, name: str, most: int = 3) -> list[str]:
        """Known names that look like this one."""
        folded = {spelling(known): known for known in self._exact}
        close = get_close_matches(spelling(name)[:200], list(folded), n=most, cutoff=0.5)
        return [folded[match] for match in close]
