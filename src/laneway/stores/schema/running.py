"""The tables of runs.

Owns: what one step makes. Refuses: to be edited once released: a new step follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite3 import Connection


def create_runs(db: Connection) -> None:
    """A run is kept whole as JSON; the columns beside it are those by which it is found. Texts are a table of their
    own, so that nobody who changes a state writes a prompt again."""
    for statement in (
        """
        CREATE TABLE run_state (
            seq INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            tenant TEXT NOT NULL,
            same TEXT,
            lane TEXT,
            state TEXT NOT NULL CHECK (state IN ('accepted', 'running', 'succeeded', 'failed', 'cancelled')),
            owner TEXT NOT NULL,
            lease_s REAL NOT NULL,
            ended_s REAL,
            hook_state TEXT NOT NULL,
            hook_due_s REAL NOT NULL,
            run TEXT NOT NULL,
            UNIQUE (tenant, same)
        ) STRICT
        """,
        "CREATE INDEX run_state_by_turn ON run_state (tenant, seq) WHERE state = 'accepted'",
        "CREATE INDEX run_state_by_owner ON run_state (owner) WHERE state = 'running'",
        "CREATE INDEX run_state_by_lease ON run_state (lease_s) WHERE state = 'running'",
        "CREATE INDEX run_state_by_share ON run_state (tenant) WHERE state = 'running'",
        "CREATE INDEX run_state_by_hook ON run_state (hook_due_s) WHERE hook_state = 'waiting'",
        "CREATE INDEX run_state_by_end ON run_state (ended_s) WHERE ended_s IS NOT NULL",
        "CREATE INDEX run_state_by_tenant ON run_state (tenant, seq)",
        """
        CREATE TABLE run_texts (
            run INTEGER PRIMARY KEY,
            headers TEXT NOT NULL,
            secret TEXT NOT NULL,
            body BLOB NOT NULL,
            result BLOB
        ) STRICT
        """,
        """
        CREATE TABLE step_journal (
            run INTEGER NOT NULL,
            number INTEGER NOT NULL,
            at_s REAL NOT NULL,
            kind TEXT NOT NULL,
            facts TEXT NOT NULL,
            PRIMARY KEY (run, number)
        ) STRICT, WITHOUT ROWID
        """,
    ):
        db.execute(statement)
