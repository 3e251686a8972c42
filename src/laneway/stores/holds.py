"""Holds: the money of requests under way in one process, by request and by account.

Owns: how much each account has set aside, when holds end by themselves, and which requests were settled already.
Refuses: to know what an account may hold; whoever adds a hold has asked for its room before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from laneway.ports import Hold, Share

MOST_SETTLED = 100_000
"""Requests whose settlement is remembered, at least. Nobody repeats one after so many others."""
_NEVER = float("inf")


class Holds:
    """Holds stand in the order in which they will expire."""

    def __init__(self, hold_s: float) -> None:
        self.hold_s = hold_s
        self.nanos: dict[str, int] = {}
        """Held by account."""
        self.next_s = _NEVER
        """No hold ends by itself before."""
        self._by_request: dict[str, Hold] = {}
        self._settled: set[str] = set()
        self._settled_before: set[str] = set()

    def get(self, request_id: str) -> Hold | None:
        return self._by_request.get(request_id)

    def add(self, request_id: str, shares: Sequence[Share], now_s: float) -> Hold:
        expires_s = now_s + self.hold_s
        made = self._by_request[request_id] = Hold(request_id, tuple(shares), expires_s)
        self.next_s = min(self.next_s, expires_s)
        nanos = self.nanos
        for share in made.shares:
            if share.nanos:
                nanos[share.account] = nanos.get(share.account, 0) + share.nanos
        return made

    def end(self, request_id: str) -> Hold | None:
        """Takes a hold away, and answers what it was."""
        hold = self._by_request.pop(request_id, None)
        if hold is not None:
            nanos = self.nanos
            for share in hold.shares:
                left = nanos.get(share.account, 0) - share.nanos
                if left:
                    nanos[share.account] = left
                else:
                    nanos.pop(share.account, None)
        return hold

    def expired(self, now_s: float) -> Hold | None:
        """Ends the next hold whose time is over, and answers it."""
        if now_s < self.next_s:
            return None
        request_id, first = next(iter(self._by_request.items()), ("", None))
        self.next_s = first.expires_s if first is not None else _NEVER
        return self.end(request_id) if self.next_s <= now_s else None

    def settled(self, request_id: str) -> bool:
        """Notes that a request is settled; True when it already was."""
        if request_id in self._settled or request_id in self._settled_before:
            return True
        self._settled.add(request_id)
        if len(self._settled) >= MOST_SETTLED:
            self._settled, self._settled_before = set(), self._settled
        return False


def raised(hold: Hold | None, shares: Sequence[Share]) -> tuple[list[Share], list[Share]]:
    """A hold brought up to these amounts: all of its shares, and what has to be found for it in each account."""
    before: Mapping[str, Share] = {share.account: share for share in hold.shares} if hold is not None else {}
    after = dict(before)
    more: list[Share] = []
    for share in shares:
        known = before.get(share.account)
        held_nanos = known.nanos if known is not None else 0
        more.append(Share(share.account, max(share.nanos - held_nanos, 0), share.cap_nanos))
        after[share.account] = Share(share.account, max(share.nanos, held_nanos), share.cap_nanos)
    return list(after.values()), more
