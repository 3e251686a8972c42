"""The tables, as a list of steps that only grows, and what the stores must agree on.

Owns: one function per step, each applied in a transaction of its own; the marks by which a file is known
to be ours and how new it is; the lifetimes every store keeps; the one error a store raises.
Refuses: opening files, asking questions of the tables (each port's own file does), and importing sqlite3, since the
stores in memory read this too. A step that was released is never edited: a new one follows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from laneway.failure import Failure, FailureError, Kind
from laneway.stores.schema import first, later
from laneway.stores.schema.registry import APPLICATION_ID as APPLICATION_ID
from laneway.stores.schema.registry import Step as Step

if TYPE_CHECKING:
    from sqlite3 import Connection

STEPS: tuple[Step, ...] = (*first.step, *later.step)

HOLD_S = 900.0
"""How long a hold lives when nobody settles it: longer than any request may take."""
PIN_S = 3600.0
PINS_PER_TENANT = 10_000


class StoreError(FailureError):
    """The store could not do what was asked. The message is a sentence for the person who runs the gateway.

    What `passes` may be asked again as it is: a disk that is full, a lock that somebody holds.
    """

    def __init__(self, message: str, detail: str | None = None, *, passes: bool = False) -> None:
        super().__init__(Failure(kind=Kind.INTERNAL, message=message, detail=detail))
        self.passes = passes


class NotOursError(Exception):
    """The file cannot be used as it is; the text goes on from its name."""


def migrate(db: Connection) -> None:
    """Brings a database to the newest step. Raises NotOursError for one of another program or a newer laneway.

    A database that is up to date is locked for writing for an instant all the same: a file that cannot be written
    is found now, and not by the first request.
    """
    while True:
        db.execute("BEGIN IMMEDIATE")
        try:
            # Read inside the transaction, because another process may be starting on the same file.
            version = _version(db)
            if version < len(STEPS):
                STEPS[version](db)
                version += 1
                db.execute(f"PRAGMA user_version = {version}")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        if version == len(STEPS):
            return


def _version(db: Connection) -> int:
    (mark,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if mark != APPLICATION_ID and (mark or tables or version):
        raise NotOursError("is a database of another program; name another file")
    if version > len(STEPS):
        raise NotOursError(
            f"was written by a newer laneway (its tables are at step {version}, this one knows {len(STEPS)}); "
            f"install the newer version again, or name another file"
        )
    return int(version)


def filter_texts(value: str) -> tuple[str, ...]:
    """What a record's attribute may look like as JSON to match this filter.

    `200`, `true` and `acme` are what a person types for a number, a flag and a text. What is not known matches nothing.
    """
    quoted = msgspec.json.encode(value).decode()
    return (quoted,) if value == "null" or value.startswith('"') else (quoted, value)


def matches(record: Mapping[str, object], filters: Mapping[str, str]) -> bool:
    """Whether a record has all these attributes."""
    return all(
        name in record and msgspec.json.encode(record[name]).decode() in filter_texts(value)
        for name, value in filters.items()
    )
