"""Usage in SQLite: one row for each day and combination of labels, exact to the nano.

Owns: adding a batch of lines inside the journal's own transaction, and the question of a report as SQL.
Refuses: to be written beside the records by anybody but the journal, so that the two never disagree, and to forget
a day by halves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from laneway.policy.usage import DAY_S, day_of
from laneway.ports import LABELS, Figures, Question, Tally

KEEP_USAGE_DAYS = 400.0
AT_ONCE = 64
"""Rows in one statement: the loop waits for the interpreter no longer than they take."""

_FIGURES = Figures._fields
_ROW = f"({', '.join('?' * (len(LABELS) + len(_FIGURES)))})"
_ADD = (
    f"INSERT INTO usage ({', '.join((*LABELS, *_FIGURES))}) VALUES %s "  # noqa: S608 - our own names
    f"ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in _FIGURES)}"
)
_FORGET = "DELETE FROM usage WHERE day = (SELECT min(day) FROM usage) AND day < ?"


def add_usage(db: sqlite3.Connection, tallies: Sequence[Tally]) -> None:
    """Inside somebody's transaction."""
    for start in range(0, len(tallies), AT_ONCE):
        piece = tallies[start : start + AT_ONCE]
        values = [value for labels, figures in piece for value in (*labels, *figures)]
        db.execute(_ADD % ", ".join([_ROW] * len(piece)), values)


def prune_usage(db: sqlite3.Connection, now_s: float, *, keep_days: float) -> bool:
    """A step of forgetting: the oldest day, where it is past its time."""
    last = day_of(now_s - keep_days * DAY_S)
    return db.execute(_FORGET, (last,)).rowcount > 0


def usage_of(question: Question, db: sqlite3.Connection) -> list[Tally]:
    """The rows of a report. Raises ValueError for a label that is none."""
    for name in (*question.by, *question.where):
        LABELS.index(name)
    conditions = ["day BETWEEN ? AND ?", *(f"{name} = ?" for name in question.where)]
    sums = ", ".join(f"sum({name})" for name in _FIGURES)
    by = ", ".join(question.by)
    sql = f"SELECT {', '.join(filter(None, (by, sums)))} FROM usage WHERE {' AND '.join(conditions)}"  # noqa: S608
    if by:
        sql += f" GROUP BY {by} ORDER BY {by}"
    found = db.execute(sql, (question.first, question.last, *question.where.values())).fetchall()
    width = len(question.by)
    # Without a label, SQLite answers one row whatever it found.
    return [Tally(tuple(row[:width]), Figures(*row[width:])) for row in found if row[-1] is not None]
