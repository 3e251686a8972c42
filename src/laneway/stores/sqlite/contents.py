"""Contents that vanish when they are deleted: texts that tenants taught, and what was made of them.

Owns: a table in which no content ever lies anywhere but in its own place. A deleted row is overwritten there.
Refuses: SQLite's own deletion while a place is in use. When rows of many sizes come and go, its trees move their
neighbours, and leave copies of those in the free space of pages, which `secure_delete` does not reach (it clears what
is deleted, not what was moved). So rows are only added at the end, which moves none; the blank ones at the beginning
are removed later, far enough from those that live.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

STEP_ROWS = 500
INSIDE_BYTES = 400
"""The least that a long row has in the tree itself; the rest lies in pages of its own."""
BLANK_BYTES = 32 << 10
"""So much stays between the rows that are removed and those that live: a tree evens out three pages at a time."""

_PUT = "INSERT INTO contents (lives, content) VALUES (1, ?) RETURNING id"
_BLANK = "UPDATE contents SET lives = 0, content = zeroblob(length(content)) WHERE id = ?"
_FIRST = "SELECT id, lives, length(content) FROM contents ORDER BY id LIMIT ?"
_COPY = "INSERT INTO contents (lives, content) SELECT 1, content FROM contents WHERE id = ? RETURNING id"

TEXT = "(SELECT cast(content AS TEXT) FROM contents WHERE contents.id = examples.content)"
"""An example's text."""
VECTOR = "(SELECT content FROM contents WHERE contents.id = vectors.content)"


def put(db: sqlite3.Connection, content: bytes) -> int:
    """Its number."""
    (number,) = db.execute(_PUT, (content,)).fetchone()
    return int(number)


def blank(db: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """A row that stays as long as it was is written over where it lies."""
    db.executemany(_BLANK, [(number,) for number in numbers])


def reclaim(db: sqlite3.Connection, _now_s: float = 0.0) -> bool:
    """Gives back a few places at the beginning; True when there may be more.

    Where half of them are blank, those that live between them move to the end first.
    """
    rows = db.execute(_FIRST, (STEP_ROWS,)).fetchall()
    living = [number for number, lives, _ in rows if lives]
    if len(rows) < STEP_ROWS or len(living) * 2 > len(rows):
        return False
    for number in living:
        (moved,) = db.execute(_COPY, (number,)).fetchone()
        for table in ("examples", "vectors"):
            db.execute(f"UPDATE {table} SET content = ? WHERE content = ?", (moved, number))  # noqa: S608 - our own names
    blank(db, living)
    behind = 0
    for number, _, size in reversed(rows):
        behind += min(size, INSIDE_BYTES)
        if behind >= BLANK_BYTES:
            db.execute("DELETE FROM contents WHERE id < ?", (number,))
            return True
    return False
