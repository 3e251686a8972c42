"""Pressure: whether this process can take one more request, asked before anything is done for it, and when it begins.

Few begin in one pass of the event loop, so that whoever is under way is never far from the next one, and what each of
them touches is still at hand when it goes on; the others wait in order. Few are turned away in one, too.

Owns: the count of callers' requests under way, those that wait for their turn, those that are not listened to for now,
how late the loop is (one timer), what is said to those who are turned away (once per format and reason, then only
looked up), and counting them: they are too many and too cheap for records.
Refuses: the arithmetic, which is policy's, and everything that is under way: only new requests are ever turned away.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache

from laneway.dialects import Front, Written, dialect
from laneway.failure import Failure, Kind
from laneway.metrics import Metrics
from laneway.policy.pressure import CALM, ticked

PRESSURE = "laneway.pressure"
"""Key in the state of an ASGI lifespan under which a server finds what to ask before it reads a request's body."""
ADMITTED = "laneway.admitted"
"""Scope key: true where somebody outside, a server or a room, has asked already and tells when it is over."""
TICK_S = 0.05
AT_ONCE = 64
"""So many begin in one pass of the loop."""
TOLD = 256
"""So many may be turned away in one pass and be listened to as before; AT_ONCE more are listened to again in each that
follows. A pass in which thousands were told who ask again at once would hold up every stream that runs."""
TELL_S = 10.0
"""One line in the log for so many seconds of turning away."""
SPREAD = 3
"""Who was turned away together comes back in this many groups, a second apart."""
_OWN_FILES = 64
_ANY = sys.maxsize
_WORDS = {
    "requests": "The gateway has as many requests under way as it may have",
    "lag": "The gateway has more to do than it can keep up with",
}
log = logging.getLogger("laneway")


class Pressure:
    """One process's. Without `start` nothing is known of the loop: only the count decides, and nobody waits."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self.under_way = 0
        self._metrics = metrics
        self._clock = clock
        self._most = _ANY
        self._most_lag_s = 1.0
        self._pace = CALM
        self._room = _ANY
        self._waiting: deque[Callable[[], None]] = deque()
        self._unheard: deque[Callable[[], None]] = deque()
        self._passing = False
        """Whether there will be a look back on this pass."""
        self._crowded = False
        """Whether every pass since the last tick began as many as it may, or had to turn somebody away."""
        self._in_pass = self._begun = self._away = 0
        self._at_s = self._told_s = 0.0
        self._told = 0
        self._group = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def use(self, most_requests: int, most_lag_s: float) -> None:
        """Bounds for new requests. Each of them needs two sockets, so the system's limit of open files is one too."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = (files - _OWN_FILES) // 2 if files != resource.RLIM_INFINITY else most_requests
        self._most = max(min(most_requests, room), 1)
        self._most_lag_s = most_lag_s

    def full(self) -> str | None:
        """Why a new request cannot be taken; None where it can."""
        if self.under_way >= self._most:
            return "requests"
        return "lag" if len(self._waiting) >= self._room else None

    def enter(self) -> None:
        """One more is under way, until `leave`."""
        self.under_way += 1

    def leave(self) -> None:
        self.under_way -= 1

    def begins(self) -> bool:
        """Whether one who has entered begins in this pass of the loop; else that is for `wait`."""
        if self._loop is None:
            return True
        begun = self._in_pass
        if begun >= AT_ONCE:
            return False
        if not self._passing:
            self._look_back(self._loop)
        self._in_pass = begun + 1
        return True

    def wait(self, begin: Callable[[], None]) -> None:
        """Calls it when its turn has come."""
        self._waiting.append(begin)

    def silences(self, listen: Callable[[], None]) -> bool:
        """Whether one who was turned away is not to be read from for now; `listen` is called when that is over."""
        if self._away <= TOLD or self._loop is None:
            return False
        self._unheard.append(listen)
        if not self._passing:
            self._look_back(self._loop)
        return True

    def _passed(self) -> None:
        """What began in the pass before has had its first step, or has it in this one."""
        self._passing = False
        self._begun += self._in_pass
        self._in_pass = begun = min(len(self._waiting), AT_ONCE)
        heard = min(len(self._unheard), AT_ONCE)
        if begun < AT_ONCE and not self._away:
            self._crowded = False
        self._away = 0
        if (begun or heard) and self._loop is not None:
            self._look_back(self._loop)
        for _ in range(begun):
            self._waiting.popleft()()
        for _ in range(heard):
            self._unheard.popleft()()

    def _look_back(self, loop: asyncio.AbstractEventLoop) -> None:
        self._passing = True
        loop.call_soon(self._passed)

    def turn_away(self, front: Front, reason: str) -> tuple[str, str, int]:
        """Counts one who is turned away; what comes of it is for `refusal`."""
        self._group = wait_s = self._group % SPREAD + 1
        self._away += 1
        made = (front.dialect, reason, wait_s)
        self._metrics.turned_away[reason] += 1
        self._metrics.requests[_counted(front, reason)] += 1
        return made

    # --- the loop's lateness -------------------------------------------------------------------------------

    def start(self) -> None:
        """On the running loop."""
        self._loop = asyncio.get_running_loop()
        self._at_s = self._told_s = self._clock()
        self._timer = self._loop.call_later(TICK_S, self._ring)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self.tick()
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._ring)

    def tick(self) -> None:
        """Looks at how it went since the last one. Timers that are due come before what arrived meanwhile."""
        now = self._clock()
        tick_s = now - self._at_s
        self._metrics.lag_s = max(tick_s - TICK_S, 0.0)
        self._pace = ticked(
            self._pace, tick_s=tick_s, begun=self._begun, crowded=self._crowded, most_lag_s=self._most_lag_s
        )
        self._room = _ANY if self._pace.room is None else self._pace.room
        self._at_s = now
        self._begun = 0
        self._crowded = bool(self._waiting)
        if now - self._told_s >= TELL_S:
            self._tell(now)

    def _tell(self, now: float) -> None:
        total = sum(self._metrics.turned_away.values())
        if total > self._told:
            log.warning(
                "turned away %d requests in %.0f s: %d are under way, the loop is %.2f s late",
                total - self._told,
                now - self._told_s,
                self.under_way,
                self._metrics.lag_s,
            )
        self._told, self._told_s = total, now


@lru_cache(maxsize=256)
def _counted(front: Front, reason: str) -> tuple[str, str, int]:
    return front.dialect, front.op, refusal(front.dialect, reason, 1).status


@lru_cache(maxsize=256)
def refusal(speaks: str, reason: str, wait_s: int) -> Written:
    """What a caller reads who was turned away, in the caller's format; without an id, as there is no record of it."""
    after = f"{wait_s} second{'s' if wait_s != 1 else ''}"
    message = f"{_WORDS[reason]}; ask again in {after}."
    return dialect(speaks).write_failure(
        Failure(kind=Kind.QUEUE_FULL, message=message, retry_after_s=float(wait_s)), ""
    )
