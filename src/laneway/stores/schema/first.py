"""The first steps: keys, money, pins, records, usage, audit, notices and budgets.

Owns: the tables as the first release had them. Refuses: to be edited once released: `later` follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from laneway.stores.schema.registry import APPLICATION_ID, Steps

if TYPE_CHECKING:
    from sqlite3 import Connection

step = Steps()


@step
def mark_as_ours(db: Connection) -> None:
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


@step
def create_keys(db: Connection) -> None:
    db.execute(
        """
        CREATE TABLE keys (
            digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
            id TEXT NOT NULL UNIQUE,
            tenant TEXT NOT NULL,
            name TEXT NOT NULL,
            last4 TEXT NOT NULL,
            created_s INTEGER NOT NULL,
            revoked_s INTEGER
        ) STRICT
        """
    )


@step
def create_ledger(db: Connection) -> None:
    """Sums are kept by triggers, so that no writer, now or later, can change a row and forget its sum."""
    for statement in (
        """
        CREATE TABLE budgets (
            name TEXT PRIMARY KEY,
            spent_nanos INTEGER NOT NULL CHECK (spent_nanos >= 0),
            held_nanos INTEGER NOT NULL CHECK (held_nanos >= 0)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE holds (
            budget TEXT NOT NULL,
            request_id TEXT NOT NULL,
            nanos INTEGER NOT NULL CHECK (nanos >= 0),
            expires_s REAL NOT NULL,
            PRIMARY KEY (budget, request_id)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX holds_by_expiry ON holds (budget, expires_s, nanos)",
        """
        CREATE TABLE settlements (
            budget TEXT NOT NULL,
            request_id TEXT NOT NULL,
            nanos INTEGER NOT NULL CHECK (nanos >= 0),
            at_s REAL NOT NULL,
            PRIMARY KEY (budget, request_id)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX settlements_by_age ON settlements (at_s)",
        """
        CREATE TRIGGER hold_begins AFTER INSERT ON holds BEGIN
            INSERT INTO budgets VALUES (new.budget, 0, new.nanos)
                ON CONFLICT (name) DO UPDATE SET held_nanos = held_nanos + new.nanos;
        END
        """,
        """
        CREATE TRIGGER hold_ends AFTER DELETE ON holds BEGIN
            UPDATE budgets SET held_nanos = held_nanos - old.nanos WHERE name = old.budget;
        END
        """,
        """
        CREATE TRIGGER settlement_ends_hold AFTER INSERT ON settlements BEGIN
            INSERT INTO budgets VALUES (new.budget, new.nanos, 0)
                ON CONFLICT (name) DO UPDATE SET spent_nanos = spent_nanos + new.nanos;
            DELETE FROM holds WHERE budget = new.budget AND request_id = new.request_id;
        END
        """,
    ):
        db.execute(statement)


@step
def create_pins(db: Connection) -> None:
    db.execute(
        """
        CREATE TABLE pins (
            tenant TEXT NOT NULL,
            trace TEXT NOT NULL,
            target TEXT NOT NULL,
            at_s REAL NOT NULL,
            PRIMARY KEY (tenant, trace)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX pins_by_age ON pins (at_s)")


@step
def create_outcomes(db: Connection) -> None:
    """The record is kept whole as JSON; the columns beside it are those that reports filter by."""
    db.execute(
        """
        CREATE TABLE outcomes (
            id INTEGER PRIMARY KEY,
            at_s REAL NOT NULL,
            tenant TEXT NOT NULL,
            lane TEXT,
            status INTEGER NOT NULL,
            model TEXT NOT NULL,
            record TEXT NOT NULL
        ) STRICT
        """
    )
    for column in ("at_s", "tenant", "lane", "status", "model"):
        db.execute(f"CREATE INDEX outcomes_by_{column} ON outcomes ({column})")


@step
def create_usage(db: Connection) -> None:
    """Sums of outcomes by day and labels; they stay when the outcomes are forgotten."""
    db.execute(
        """
        CREATE TABLE usage (
            day TEXT NOT NULL,
            tenant TEXT NOT NULL,
            key TEXT NOT NULL,
            project TEXT NOT NULL,
            lane TEXT NOT NULL,
            provider TEXT NOT NULL,
            model TEXT NOT NULL,
            requests INTEGER NOT NULL,
            failures INTEGER NOT NULL,
            input INTEGER NOT NULL,
            cached INTEGER NOT NULL,
            output INTEGER NOT NULL,
            cost_nanos INTEGER NOT NULL,
            dearest_nanos INTEGER NOT NULL,
            PRIMARY KEY (day, tenant, key, project, lane, provider, model)
        ) STRICT, WITHOUT ROWID
        """
    )


@step
def create_audit(db: Connection) -> None:
    db.execute(
        """
        CREATE TABLE audit (
            id INTEGER PRIMARY KEY,
            at_s REAL NOT NULL,
            actor TEXT NOT NULL,
            action TEXT NOT NULL,
            subject TEXT NOT NULL,
            detail TEXT NOT NULL
        ) STRICT
        """
    )
    db.execute("CREATE INDEX audit_by_subject ON audit (action, subject, id)")


@step
def create_notices(db: Connection) -> None:
    """A notice is claimed by its id before it is sent, and stays: what was told once is not told again."""
    db.execute(
        """
        CREATE TABLE notices (
            id TEXT PRIMARY KEY,
            channel TEXT NOT NULL,
            kind TEXT NOT NULL,
            subject TEXT NOT NULL,
            period TEXT NOT NULL,
            facts TEXT NOT NULL,
            at_s REAL NOT NULL,
            tries INTEGER NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'given up')),
            reason TEXT NOT NULL,
            due_s REAL NOT NULL,
            ended_s REAL
        ) STRICT
        """
    )
    db.execute("CREATE INDEX notices_by_due ON notices (channel, due_s) WHERE state = 'waiting'")


@step
def create_leases(db: Connection) -> None:
    """Processes hold by themselves what they have leased; sums are moved by batches of settlements, not by triggers."""
    for statement in (
        """
        CREATE TABLE accounts (
            name TEXT PRIMARY KEY,
            spent_nanos INTEGER NOT NULL,
            recall INTEGER NOT NULL,
            recalled_s REAL NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE leases (
            account TEXT NOT NULL,
            lease TEXT NOT NULL,
            owner TEXT NOT NULL,
            nanos INTEGER NOT NULL CHECK (nanos >= 0),
            expires_s REAL NOT NULL,
            recall INTEGER NOT NULL,
            PRIMARY KEY (account, lease)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX leases_by_owner ON leases (owner)",
        "CREATE INDEX leases_by_expiry ON leases (expires_s)",
        "DROP TRIGGER hold_begins",
        "DROP TRIGGER hold_ends",
        "DROP TRIGGER settlement_ends_hold",
        "INSERT INTO accounts SELECT name, spent_nanos, 0, 0 FROM budgets",
        "ALTER TABLE settlements RENAME TO settled",
        "DROP INDEX settlements_by_age",
        """
        CREATE TABLE settlements (
            account TEXT NOT NULL,
            request_id TEXT NOT NULL,
            nanos INTEGER NOT NULL,
            at_s REAL NOT NULL,
            UNIQUE (account, request_id)
        ) STRICT
        """,
        "INSERT INTO settlements SELECT budget, request_id, nanos, at_s FROM settled ORDER BY at_s",
        "DROP TABLE settled",
        "DROP TABLE holds",
        "DROP TABLE budgets",
    ):
        db.execute(statement)


@step
def create_kills(db: Connection) -> None:
    db.execute(
        """
        CREATE TABLE kills (
            scope TEXT PRIMARY KEY,
            reason TEXT NOT NULL,
            at_s REAL NOT NULL
        ) STRICT, WITHOUT ROWID
        """
    )


@step
def create_book(db: Connection) -> None:
    """A budget that was removed leaves its row, without a table, so that every process sees the edition grow."""
    db.execute(
        """
        CREATE TABLE book (
            name TEXT PRIMARY KEY,
            budget TEXT,
            changed_s REAL NOT NULL,
            edition INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX book_by_edition ON book (edition)")
