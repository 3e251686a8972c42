"""The state ports held in memory: the default of a middleware mounted alone, and the slow-thinking twin in tests.

Owns: keys, ledger, pins and journal of one process, bounded where callers choose the size.
Refuses: surviving a restart, and sharing with another process.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence

from laneway.ports import Hold, Left, Pin
from laneway.record import attributes
from laneway.route import Key, Outcome

HOLD_S = 900.0
"""How long a hold lives when nobody settles it: longer than any request may take."""


class MemoryKeys:
    """Keys by digest."""

    def __init__(self) -> None:
        self._by_digest: dict[bytes, Key] = {}

    @classmethod
    def of(cls, keys: Mapping[str, str]) -> MemoryKeys:
        """From plain keys to the name of their tenant, for an app that knows its callers."""
        made = cls()
        for number, (secret, tenant) in enumerate(keys.items(), 1):
            digest = hashlib.sha256(secret.encode()).digest()
            made._by_digest[digest] = Key(id=f"key_{number}", tenant=tenant, last4=secret[-4:])
        return made

    async def find(self, digest: bytes) -> Key | None:
        return self._by_digest.get(digest)

    async def create(self, key: Key, digest: bytes) -> None:
        self._by_digest[digest] = key

    async def list(self) -> Sequence[Key]:
        return sorted(self._by_digest.values(), key=lambda key: key.created_s)

    async def revoke(self, key_id: str, now_s: int) -> bool:
        for digest, key in self._by_digest.items():
            if key.id == key_id:
                if key.revoked_s is None:
                    self._by_digest[digest] = Key(
                        id=key.id,
                        tenant=key.tenant,
                        name=key.name,
                        last4=key.last4,
                        created_s=key.created_s,
                        revoked_s=now_s,
                    )
                return True
        return False


class MemoryLedger:
    """Budgets of one process. No await stands between reading and writing, so every verb is atomic."""

    def __init__(self, *, hold_s: float = HOLD_S) -> None:
        self._hold_s = hold_s
        self._spent: dict[str, int] = {}
        self._holds: dict[tuple[str, str], Hold] = {}
        self._settled: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def left(self, budget: str, cap_nanos: int, now_s: float) -> Left:
        return self._left(budget, cap_nanos, now_s)

    async def hold(self, request_id: str, budget: str, nanos: int, cap_nanos: int, now_s: float) -> Hold | Left:
        held = self._holds.get((budget, request_id))
        if held is not None and held.expires_s > now_s:
            return held
        left = self._left(budget, cap_nanos, now_s)
        if nanos > left.free_nanos:
            return left
        made = Hold(request_id=request_id, budget=budget, nanos=nanos, expires_s=now_s + self._hold_s)
        self._holds[(budget, request_id)] = made
        return made

    async def settle(self, request_id: str, budget: str, nanos: int, now_s: float) -> None:
        name = (budget, request_id)
        self._holds.pop(name, None)
        if name in self._settled:
            return
        self._settled[name] = None
        if len(self._settled) > 100_000:
            self._settled.popitem(last=False)
        self._spent[budget] = self._spent.get(budget, 0) + nanos

    async def release(self, request_id: str, budget: str, now_s: float) -> None:
        self._holds.pop((budget, request_id), None)

    def _left(self, budget: str, cap_nanos: int, now_s: float) -> Left:
        for name in [name for name, held in self._holds.items() if held.expires_s <= now_s]:
            del self._holds[name]
        held = sum(held.nanos for (of, _), held in self._holds.items() if of == budget)
        return Left(budget=budget, cap_nanos=cap_nanos, spent_nanos=self._spent.get(budget, 0), held_nanos=held)


class MemoryPins:
    """The last pins used, per tenant and trace."""

    def __init__(self, *, most: int = 10_000, ttl_s: float = 3600.0) -> None:
        self._most = most
        self._ttl_s = ttl_s
        self._pins: OrderedDict[tuple[str, str], Pin] = OrderedDict()

    async def get(self, tenant: str, trace: str, now_s: float) -> Pin | None:
        name = (tenant, trace)
        pin = self._pins.get(name)
        if pin is None:
            return None
        if pin.at_s + self._ttl_s <= now_s:
            del self._pins[name]
            return None
        self._pins.move_to_end(name)
        return pin

    async def put(self, tenant: str, trace: str, pin: Pin) -> None:
        self._pins[(tenant, trace)] = pin
        self._pins.move_to_end((tenant, trace))
        if len(self._pins) > self._most:
            self._pins.popitem(last=False)


class MemoryJournal:
    """The last outcomes."""

    def __init__(self, *, most: int = 1000) -> None:
        self._outcomes: deque[Outcome] = deque(maxlen=most)
        self.dropped = 0

    def record(self, outcome: Outcome) -> None:
        if len(self._outcomes) == self._outcomes.maxlen:
            self.dropped += 1
        self._outcomes.append(outcome)

    async def recent(self, limit: int, filters: Mapping[str, str]) -> Sequence[Mapping[str, object]]:
        found: list[Mapping[str, object]] = []
        for outcome in reversed(self._outcomes):
            row = attributes(outcome)
            if all(str(row.get(name)) == value for name, value in filters.items()):
                found.append(row)
                if len(found) >= limit:
                    break
        return found
