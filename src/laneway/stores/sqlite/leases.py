"""Leases in the tables: how much of an account each process may hold by itself, and what was really spent.

Owns: the transactions that grant, report, give back and collect what the dead left. In each of them, spent and leased
together stay below the cap, which is what makes the ledger exact across processes.
Refuses: single holds (a process keeps its own), the loop, and deciding when: the ledger does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from laneway.ports import Moved
from laneway.stores.sqlite.hints import Settled, find_dead

SETTLED_S = 90 * 86_400.0
"""How long a settlement is known by its request: far longer than anybody repeats one. Sums are kept for good."""
TIGHT_S = 2.0
"""After somebody ran short, nobody leases more than is wanted at once."""
STEP_ROWS = 500
AT_ONCE = 64
"""Settlements in one statement: while it runs, the interpreter is free."""

_ACCOUNT = "SELECT spent_nanos, recall, recalled_s FROM accounts WHERE name = ?"
_OWN = "SELECT nanos FROM leases WHERE account = ? AND lease = ? AND expires_s > ?"
_OTHERS = """
SELECT coalesce(sum(nanos), 0), coalesce(sum(CASE WHEN recall < ? THEN nanos ELSE 0 END), 0)
FROM leases WHERE account = ? AND lease <> ? AND expires_s > ?
"""
_BEGIN = "INSERT INTO leases (account, lease, owner, nanos, expires_s, recall) VALUES (?, ?, ?, ?, ?, ?)"
_CHANGE = "UPDATE leases SET nanos = nanos + ?, expires_s = ? WHERE account = ? AND lease = ?"
_USE = "UPDATE leases SET nanos = max(nanos - ?, 0) WHERE account = ? AND lease = ?"
_GIVE_BACK = """
UPDATE leases SET nanos = max(nanos - ?, 0),
    recall = coalesce((SELECT recall FROM accounts WHERE name = leases.account), 0)
WHERE account = ? AND lease = ?
"""
_RECALL = """
INSERT INTO accounts (name, spent_nanos, recall, recalled_s) VALUES (?, 0, 1, ?)
ON CONFLICT DO UPDATE SET recall = recall + 1, recalled_s = excluded.recalled_s
"""
_LAST = "SELECT coalesce(max(rowid), 0) FROM settlements"
_SETTLE = "INSERT INTO settlements (account, request_id, nanos, at_s) VALUES "
_ROW = "(?, ?, ?, ?)"
_NEW = "SELECT account, sum(nanos) FROM settlements NOT INDEXED WHERE rowid > ? GROUP BY account"
_SPEND = """
INSERT INTO accounts (name, spent_nanos, recall, recalled_s) VALUES (?, ?, 0, 0)
ON CONFLICT DO UPDATE SET spent_nanos = spent_nanos + excluded.spent_nanos RETURNING spent_nanos
"""
_FORGET = "DELETE FROM settlements WHERE rowid IN (SELECT rowid FROM settlements ORDER BY rowid LIMIT ?) AND at_s <= ?"
_STALE = "DELETE FROM leases WHERE (account, lease) IN (SELECT account, lease FROM leases WHERE expires_s <= ? LIMIT ?)"


class Tenure(NamedTuple):
    """Who leases, since when the clock says what, and until when a lease shall live."""

    owner: str
    store: Path
    now_s: float
    expires_s: float


class Want(NamedTuple):
    """What the requests of one process want of one account, first come first."""

    account: str
    lease: str
    fresh: str
    """The name of the next lease, should this one have come to its end."""
    cap_nanos: int
    idle_nanos: int
    """What the process has leased and keeps still for as long as it is asked about."""
    needs: tuple[int, ...]


class Given(NamedTuple):
    """What they get: what is idle from now on, and how the account stands."""

    lease: str
    idle_nanos: int
    spent_nanos: int
    others_nanos: int
    fits: bool
    """Spent and leased are within the cap."""
    waits: bool
    """Something may come back from other processes within a moment."""


class Collected(NamedTuple):
    """What the dead had left: files that may go once this is committed, and the sums they moved."""

    paths: list[Path]
    moved: list[Moved]


class Granted(NamedTuple):
    given: list[Given]
    collected: Collected


class _Look(NamedTuple):
    """An account as a process finds it. `late` is what others lease who have not heard the last recall."""

    spent: int
    recall: int
    recalled_s: float
    own: int | None
    others: int
    late: int


def grant(db: sqlite3.Connection, wants: Iterable[Want], tenure: Tenure, recall: Callable[[], None]) -> Granted:
    """Leases what is wanted, as far as it is there."""
    collected: Collected | None = None
    given: list[Given] = []
    for want in wants:
        seen = _look(db, want, tenure)
        if collected is None and seen.others and sum(want.needs) > want.idle_nanos + _free(want, seen):
            collected = collect(db, tenure.store)
            seen = _look(db, want, tenure)
        given.append(_given(db, want, seen, tenure, recall))
    return Granted(given, collected or Collected([], []))


def _look(db: sqlite3.Connection, want: Want, tenure: Tenure) -> _Look:
    spent, recall, recalled_s = db.execute(_ACCOUNT, (want.account,)).fetchone() or (0, 0, 0.0)
    own = db.execute(_OWN, (want.account, want.lease, tenure.now_s)).fetchone()
    others, late = db.execute(_OTHERS, (recall, want.account, want.lease, tenure.now_s)).fetchone()
    return _Look(spent, recall, recalled_s, own[0] if own is not None else None, others, late)


def _free(want: Want, seen: _Look) -> int:
    return want.cap_nanos - seen.spent - seen.others - (seen.own or 0)


def _given(db: sqlite3.Connection, want: Want, seen: _Look, tenure: Tenure, recall: Callable[[], None]) -> Given:
    free = _free(want, seen)
    idle = want.idle_nanos if seen.own is not None else 0
    needed, missed = 0, list[int]()
    for need in want.needs:
        if needed + need <= idle + free:
            needed += need
        else:
            missed.append(need)
    # Under a cap that was lowered, what is idle goes back as far as it has to.
    change = max(needed - idle, min(free, 0))
    tight = seen.recall > 0 and abs(tenure.now_s - seen.recalled_s) < TIGHT_S
    if change < 0 <= free:
        change = 0
    if not missed and not tight and free > change:
        # A slice for the requests to come: small near the cap, where somebody else may want the rest.
        change += min((free - change) // 8, want.cap_nanos // 64)
    lease = _write(db, want, seen, change, tenure)
    waits = any(need <= idle + free + seen.others for need in missed) and (seen.late > 0 or not tight)
    waits = waits and seen.others > 0
    if waits and not tight:
        db.execute(_RECALL, (want.account, tenure.now_s))
        recall()
    return Given(lease, idle + change, seen.spent, seen.others, free >= change, waits)


def _write(db: sqlite3.Connection, want: Want, seen: _Look, change: int, tenure: Tenure) -> str:
    if seen.own is not None:
        db.execute(_CHANGE, (change, tenure.expires_s, want.account, want.lease))
        return want.lease
    # Another name than the lost one's: what is still to be reported of that must not be taken from this.
    db.execute(_BEGIN, (want.account, want.fresh, tenure.owner, max(change, 0), tenure.expires_s, seen.recall))
    return want.fresh


def report(db: sqlite3.Connection, settled: Sequence[Settled], used: Mapping[tuple[str, str], int]) -> list[Moved]:
    """What was spent goes into the sums, and out of the leases that covered it."""
    moved = _settle(db, settled)
    for (account, lease), nanos in used.items():
        db.execute(_USE, (nanos, account, lease))
    return moved


def _settle(db: sqlite3.Connection, settled: Sequence[Settled]) -> list[Moved]:
    values: list[object] = []
    for each in settled:
        request_id, at_s, spent = each.request_id, each.at_s, each.spent
        for account, nanos in spent.items():
            values += (account, request_id, nanos, at_s)
    (last,) = db.execute(_LAST).fetchone()
    for start in range(0, len(values), AT_ONCE * 4):
        some = values[start : start + AT_ONCE * 4]
        # Those that are there already were told before, or come from a hint file that is read twice.
        db.execute(_settling(len(some) // 4), some)
    # Asking each statement for what it put in would give the interpreter away and back once for every row.
    sums = db.execute(_NEW, (last,)).fetchall()
    moved: list[Moved] = []
    for account, nanos in sums:
        (after,) = db.execute(_SPEND, (account, nanos)).fetchone()
        moved.append(Moved(account, after - nanos, after))
    return moved


@lru_cache(maxsize=AT_ONCE)
def _settling(rows: int) -> str:
    return f"{_SETTLE}{', '.join([_ROW] * rows)} ON CONFLICT DO NOTHING"


def give_back(db: sqlite3.Connection, idle: Iterable[tuple[int, str, str]]) -> None:
    """Nanos that nobody uses, by account and lease; it also says that a recall was heard."""
    db.executemany(_GIVE_BACK, idle)


def end(db: sqlite3.Connection, owner: str) -> None:
    db.execute("DELETE FROM leases WHERE owner = ?", (owner,))


def collect(db: sqlite3.Connection, store: Path) -> Collected:
    """Writes down what dead processes had settled, and ends their leases."""
    paths: list[Path] = []
    moved: list[Moved] = []
    for left in find_dead(store):
        moved += _settle(db, left.settled)
        end(db, left.owner)
        paths.append(left.path)
    return Collected(paths, moved)


def prune(db: sqlite3.Connection, now_s: float) -> bool:
    """A step of forgetting: leases past their end, and settlements nobody repeats any more."""
    gone = db.execute(_STALE, (now_s, STEP_ROWS)).rowcount
    gone = max(gone, db.execute(_FORGET, (STEP_ROWS, now_s - SETTLED_S)).rowcount)
    return gone >= STEP_ROWS
