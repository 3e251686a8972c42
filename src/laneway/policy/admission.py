"""Who may call a provider now, who waits, and who is turned away.

Owns: counting the slots of one provider: those reserved for a lane, which nobody else borrows, and the rest, which all
share; and the queue behind them, in which tenants take turns.
Refuses: clocks and waiting itself. Whoever asks keeps the time and gives back each slot it was granted, exactly once.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping


class Ticket:
    """A place in the queue. `called` runs once, when its slot has been granted."""

    __slots__ = ("called", "granted", "lane", "tenant")

    def __init__(self, lane: str, tenant: str, called: Callable[[], None]) -> None:
        self.lane = lane
        self.tenant = tenant
        self.called = called
        self.granted = False


class Admission:
    """The slots of one provider. After every call no ticket waits that could have a slot."""

    __slots__ = ("_shared", "_shared_in_use", "_waiting", "in_use", "reserved", "slots", "waiting")

    def __init__(self, slots: int | None = None, reserved: Mapping[str, int] | None = None) -> None:
        self.slots = slots
        self.reserved: Mapping[str, int] = reserved or {}
        self._shared: float = float("inf") if slots is None else slots - sum(self.reserved.values())
        self._shared_in_use = 0
        self.in_use: dict[str, int] = {}
        self.waiting: dict[str, int] = {}
        self._waiting: OrderedDict[str, deque[Ticket]] = OrderedDict()

    def resize(self, slots: int | None, reserved: Mapping[str, int]) -> None:
        """Another configuration; calls under way keep what they have."""
        self.slots = slots
        self.reserved = reserved
        self._shared = float("inf") if slots is None else slots - sum(reserved.values())
        self.hear(self.in_use)
        self.call_waiting()

    def hear(self, in_use: dict[str, int]) -> None:
        """The calls under way, as somebody counts them who sees more than this. Nobody is called yet."""
        self.in_use = in_use
        self._shared_in_use = sum(max(count - self.reserved.get(lane, 0), 0) for lane, count in in_use.items())

    def may(self, lane: str) -> bool:
        """Whether a call of this lane could begin now."""
        return self._shared_in_use < self._shared or self.in_use.get(lane, 0) < self.reserved.get(lane, 0)

    def take(self, lane: str) -> bool:
        """Takes a slot if there is one. Give it back with `leave`."""
        if not self.may(lane):
            return False
        count = self.in_use.get(lane, 0)
        self.in_use[lane] = count + 1
        if count >= self.reserved.get(lane, 0):
            self._shared_in_use += 1
        return True

    def leave(self, lane: str) -> None:
        """Gives a slot back; whoever may have it now is called."""
        count = self.in_use[lane]
        if count > self.reserved.get(lane, 0):
            self._shared_in_use -= 1
        if count > 1:
            self.in_use[lane] = count - 1
        else:
            del self.in_use[lane]
        if self._waiting:
            self.call_waiting()

    def queue(self, ticket: Ticket, most: int) -> bool:
        """Waits for a slot; False where so many of the lane wait already."""
        count = self.waiting.get(ticket.lane, 0)
        if count >= most:
            return False
        self.waiting[ticket.lane] = count + 1
        self._waiting.setdefault(ticket.tenant, deque()).append(ticket)
        return True

    def give_up(self, ticket: Ticket) -> None:
        """Ends the waiting, or gives back the slot that was granted meanwhile."""
        if ticket.granted:
            self.leave(ticket.lane)
            return
        self._waiting[ticket.tenant].remove(ticket)
        self._forget(ticket)

    def call_waiting(self) -> None:
        """Whoever waits and may have a slot now has it."""
        called: list[Ticket] = []
        while (ticket := self._next()) is not None:
            self._waiting[ticket.tenant].remove(ticket)
            # The tenant's next one comes after everybody else's.
            self._waiting.move_to_end(ticket.tenant)
            self._forget(ticket)
            self.take(ticket.lane)
            ticket.granted = True
            called.append(ticket)
        for ticket in called:
            ticket.called()

    def _next(self) -> Ticket | None:
        for tickets in self._waiting.values():
            for ticket in tickets:
                if self.may(ticket.lane):
                    return ticket
        return None

    def _forget(self, ticket: Ticket) -> None:
        if not self._waiting[ticket.tenant]:
            del self._waiting[ticket.tenant]
        left = self.waiting[ticket.lane] - 1
        if left:
            self.waiting[ticket.lane] = left
        else:
            del self.waiting[ticket.lane]
