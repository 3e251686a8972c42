"""Blocks of records: where in a long table those of a tenant, a lane, a model, a status or a time can be at all.

Owns: for each run of row numbers, between when its records began and which values they hold. A search looks into no
other blocks; within one it reads the rows. An entry stands for hundreds of records, where an index has one for each.
Refuses: to say that a record is there. A block may say too much, as after records were forgotten; never too little.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from typing import NamedTuple

from laneway.ports import Search

BLOCK = 256
"""Row numbers in one block. Files are made of blocks of this size: another needs a step of the schema."""

ROWS = f"outcome_blocks CROSS JOIN outcomes NOT INDEXED ON id BETWEEN block * {BLOCK} AND block * {BLOCK} + {BLOCK - 1}"
"""Records behind their blocks, in the order of both; SQLite might make an index for the one question otherwise."""

_TIMES = """
INSERT INTO outcome_blocks (block, first_s, last_s) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET first_s = min(first_s, excluded.first_s), last_s = max(last_s, excluded.last_s)
"""
_VALUES = "INSERT INTO outcome_values (block, name, value) VALUES %s ON CONFLICT DO NOTHING"
_HOLDS = "EXISTS (SELECT 1 FROM outcome_values v WHERE v.block = outcome_blocks.block AND v.name = ? AND v.value = ?)"
_EMPTY = f"block < coalesce((SELECT min(id) FROM outcomes) / {BLOCK}, {1 << 62})"  # noqa: S608 - our own words
_FORGET_VALUES = (
    "DELETE FROM outcome_values WHERE (block, name, value) IN "  # noqa: S608 - our own words
    f"(SELECT block, name, value FROM outcome_values WHERE {_EMPTY} LIMIT ?)"
)
_FORGET = f"DELETE FROM outcome_blocks WHERE {_EMPTY}"  # noqa: S608 - our own words
AT_ONCE = 64


class Facts(NamedTuple):
    """What some records say."""

    first_s: float
    last_s: float
    values: Collection[tuple[str, str]]
    """Each with the name of its column."""


def note(db: sqlite3.Connection, ids: range, facts: Facts) -> None:
    """Of rows that were just put in, within the same transaction."""
    for block in range(ids[0] // BLOCK, ids[-1] // BLOCK + 1):
        db.execute(_TIMES, (block, facts.first_s, facts.last_s))
        entries = [(block, *each) for each in facts.values]
        for start in range(0, len(entries), AT_ONCE):
            some = entries[start : start + AT_ONCE]
            db.execute(_VALUES % ", ".join(["(?, ?, ?)"] * len(some)), [word for entry in some for word in entry])


def conditions(wanted: Search, columns: Mapping[str, str]) -> tuple[list[str], list[object]]:
    """What a block must say to be looked into, and the parameters; `columns` by the filters that have one."""
    bounds = {
        "last_s >= ?": wanted.first_s,
        "first_s < ?": wanted.until_s,
        "block <= ?": wanted.below // BLOCK if wanted.below is not None else None,
        "block >= ?": wanted.above // BLOCK if wanted.above is not None else None,
    }
    said = [condition for condition, bound in bounds.items() if bound is not None]
    parameters: list[object] = [bound for bound in bounds.values() if bound is not None]
    for name, value in wanted.filters.items():
        if name in columns:
            said.append(_HOLDS)
            parameters += (columns[name], value)
    return said, parameters


def forget(db: sqlite3.Connection, most: int) -> bool:
    """A step of forgetting the blocks before the first record; True when there is more to do."""
    if db.execute(_FORGET_VALUES, (most,)).rowcount >= most:
        return True
    db.execute(_FORGET)
    return False
