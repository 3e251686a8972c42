"""The state ports held in memory: the default of a middleware mounted alone, and the plain twin in tests.

Owns: keys, ledger, pins, journal and notices of one process, bounded where callers choose the size.
Refuses: surviving a restart, and sharing with another process.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from laneway.policy.usage import Sums, dearest_nanos
from laneway.ports import Found, Hold, Kill, Left, Moved, Notice, Pin, Question, Search, Share, Short, Tally
from laneway.record import PREFIX, attributes
from laneway.route import Key, Outcome
from laneway.stores.holds import Holds, raised
from laneway.stores.schema import HOLD_S, PIN_S, PINS_PER_TENANT, StoreError, matches

MOST_NOTICES = 10_000


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
        if digest in self._by_digest or any(other.id == key.id for other in self._by_digest.values()):
            raise StoreError(f"There is a key '{key.id}' already, or one with the same secret.")
        self._by_digest[digest] = key

    async def list(self) -> Sequence[Key]:
        return sorted(self._by_digest.values(), key=lambda key: key.created_s)

    async def revoke(self, key_id: str, now_s: int) -> bool:
        for digest, key in self._by_digest.items():
            if key.id == key_id:
                if key.revoked_s is None:
                    self._by_digest[digest] = msgspec.structs.replace(key, revoked_s=now_s)
                return True
        return False


class MemoryLedger:
    """Accounts of one process. No await stands between reading and writing, so every verb is atomic."""

    def __init__(self, *, hold_s: float = HOLD_S) -> None:
        self._holds = Holds(hold_s)
        self._spent_nanos: defaultdict[str, int] = defaultdict(int)
        self._kills: dict[str, Kill] = {}
        self.on_moved: Callable[[Sequence[Moved]], None] | None = None

    @property
    def accounts(self) -> Sequence[str]:
        """Those in which anything was ever spent, or is held now."""
        return [*{**self._spent_nanos, **self._holds.nanos}]

    async def left(self, account: str, cap_nanos: int, now_s: float) -> Left:
        self._expire(now_s)
        return self._left(account, cap_nanos)

    async def hold(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | Short:
        self._expire(now_s)
        held = self._holds.get(request_id)
        return held if held is not None else self._held(request_id, shares, shares, now_s)

    def hold_now(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | None:
        if self._holds.next_s <= now_s or self._holds.get(request_id) is not None:
            return None
        made = self._held(request_id, shares, shares, now_s)
        return made if isinstance(made, Hold) else None

    async def extend(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold | Short:
        self._expire(now_s)
        after, more = raised(self._holds.get(request_id), shares)
        return self._held(request_id, after, more, now_s)

    async def settle(self, request_id: str, spent: Mapping[str, int], now_s: float) -> None:
        self.settle_now(request_id, spent, now_s)

    def settle_now(self, request_id: str, spent: Mapping[str, int], now_s: float) -> bool:
        self._holds.end(request_id)
        if not self._holds.settled(request_id):
            moved: list[Moved] = []
            for account, nanos in spent.items():
                before = self._spent_nanos[account]
                self._spent_nanos[account] = before + nanos
                moved.append(Moved(account, before, before + nanos))
            if self.on_moved is not None:
                self.on_moved(moved)
        return True

    async def release(self, request_id: str, now_s: float) -> None:
        self._holds.end(request_id)

    async def kill(self, scope: str, reason: str, now_s: float) -> None:
        self._kills = {**self._kills, scope: self._kills.get(scope, Kill(scope, reason, now_s))}

    async def unkill(self, scope: str) -> bool:
        found = scope in self._kills
        self._kills = {name: kill for name, kill in self._kills.items() if name != scope}
        return found

    def killed(self) -> Mapping[str, Kill]:
        return self._kills

    def _held(self, request_id: str, shares: Sequence[Share], more: Sequence[Share], now_s: float) -> Hold | Short:
        """Sets `shares` aside where there is room for `more`."""
        held, spent = self._holds.nanos, self._spent_nanos
        for share in more:
            account = share.account
            if share.nanos > max(share.cap_nanos - spent.get(account, 0) - held.get(account, 0), 0):
                return Short(tuple(self._left(share.account, share.cap_nanos) for share in more))
        self._holds.end(request_id)
        return self._holds.add(request_id, shares, now_s)

    def _left(self, account: str, cap_nanos: int) -> Left:
        return Left(
            account=account,
            cap_nanos=cap_nanos,
            spent_nanos=self._spent_nanos.get(account, 0),
            held_nanos=self._holds.nanos.get(account, 0),
        )

    def _expire(self, now_s: float) -> None:
        while self._holds.expired(now_s) is not None:
            pass


class MemoryPins:
    """The last pins of each tenant, by trace."""

    def __init__(self, *, most: int = PINS_PER_TENANT, ttl_s: float = PIN_S) -> None:
        self._most = most
        self._ttl_s = ttl_s
        self._tenants: defaultdict[str, OrderedDict[str, Pin]] = defaultdict(OrderedDict)

    async def get(self, tenant: str, trace: str, now_s: float) -> Pin | None:
        pins = self._tenants[tenant]
        pin = pins.get(trace)
        if pin is None:
            return None
        if pin.at_s + self._ttl_s <= now_s:
            del pins[trace]
            return None
        pins.move_to_end(trace)
        return pin

    async def put(self, tenant: str, trace: str, pin: Pin) -> None:
        pins = self._tenants[tenant]
        pins[trace] = pin
        pins.move_to_end(trace)
        if len(pins) > self._most:
            pins.popitem(last=False)


class MemoryJournal:
    """The last outcomes. One that makes room for a newer one was kept its time: nothing is ever dropped here."""

    dropped = 0

    def __init__(self, *, most: int = 1000, prefix: str = PREFIX) -> None:
        self._outcomes: deque[Outcome] = deque(maxlen=most)
        self._number = 0
        self._sums = Sums()
        self._prefix = prefix

    def record(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        self._number += 1
        self._sums.count(outcome, dearest_nanos(outcome))

    async def usage(self, question: Question) -> Sequence[Tally]:
        return self._sums.answer(question)

    async def correct(self, tally: Tally) -> None:
        self._sums.add((tally,))

    async def recent(self, limit: int, filters: Mapping[str, str]) -> Sequence[Mapping[str, object]]:
        return [row for _, row in islice(self._rows(Search(limit, filters)), max(limit, 0))]

    async def search(self, wanted: Search) -> Sequence[Found]:
        found = islice(self._rows(wanted), max(wanted.limit, 0))
        return [Found(number, msgspec.json.encode(row)) for number, row in found]

    def _rows(self, wanted: Search) -> Iterator[tuple[int, Mapping[str, object]]]:
        last = self._number
        numbered = [(last - back, outcome) for back, outcome in enumerate(reversed(self._outcomes))]
        for number, outcome in numbered if wanted.above is None else reversed(numbered):
            if (
                (wanted.above is None or number > wanted.above)
                and (wanted.below is None or number < wanted.below)
                and (wanted.first_s is None or outcome.at_s >= wanted.first_s)
                and (wanted.until_s is None or outcome.at_s < wanted.until_s)
                and matches(row := attributes(outcome, self._prefix), wanted.filters)
            ):
                yield number, row


class MemoryNotices:
    """Notices of one process; the oldest that ended make room."""

    def __init__(self, *, most: int = MOST_NOTICES) -> None:
        self._most = most
        self._notices: dict[str, Notice] = {}
        self._due_s: dict[str, float] = {}

    async def put(self, notices: Sequence[Notice]) -> int:
        new = [notice for notice in notices if notice.id not in self._notices]
        for notice in new:
            if len(self._notices) >= self._most:
                oldest = next(iter(self._notices))
                del self._notices[oldest]
                self._due_s.pop(oldest, None)
            self._notices[notice.id] = notice
            self._due_s[notice.id] = notice.at_s
        return len(new)

    async def take(self, channel: str, now_s: float, until_s: float) -> Notice | None:
        due = [
            (due_s, place, name)
            for place, (name, due_s) in enumerate(self._due_s.items())
            if due_s <= now_s and self._notices[name].channel == channel
        ]
        if not due:
            return None
        name = min(due)[2]
        self._due_s[name] = until_s
        taken = self._notices[name]
        self._notices[name] = msgspec.structs.replace(taken, tries=taken.tries + 1)
        return self._notices[name]

    async def ended(self, notice_id: str, now_s: float, *, reason: str = "") -> None:
        if self._due_s.pop(notice_id, None) is not None:
            state = "given up" if reason else "sent"
            self._notices[notice_id] = msgspec.structs.replace(self._notices[notice_id], state=state, reason=reason)

    async def failed(self, notice_id: str, reason: str, again_s: float) -> None:
        if notice_id in self._due_s:
            self._due_s[notice_id] = again_s
            self._notices[notice_id] = msgspec.structs.replace(self._notices[notice_id], reason=reason)

    async def recent(self, limit: int) -> Sequence[Notice]:
        return sorted(self._notices.values(), key=lambda notice: notice.at_s)[::-1][:limit]
