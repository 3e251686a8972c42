"""A page of records in SQLite.

Owns: a search as SQL. Pages are told apart by the rows' own numbers, so that what is written or forgotten between two
of them neither repeats a row nor leaves one out.
Refuses: to read more than a page at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from laneway.ports import Found, Search
from laneway.stores.schema import filter_texts
from laneway.stores.sqlite import blocks
from laneway.stores.sqlite.shapes import Shapes


def records_of(wanted: Search, columns: Mapping[str, str], db: sqlite3.Connection) -> list[Found]:
    """`columns` are the attributes that have a column of their own."""
    if wanted.limit <= 0 or any('"' in name for name in wanted.filters):
        return []
    # Both are read as of one moment: a row may be the first of its shape.
    db.execute("BEGIN")
    try:
        return _page(wanted, columns, db)
    finally:
        db.execute("ROLLBACK")


def _page(wanted: Search, columns: Mapping[str, str], db: sqlite3.Connection) -> list[Found]:
    shapes = Shapes(db)
    conditions, parameters = blocks.conditions(wanted, columns)
    bounds = {"at_s >= ?": wanted.first_s, "at_s < ?": wanted.until_s, "id < ?": wanted.below, "id > ?": wanted.above}
    for condition, bound in bounds.items():
        if bound is not None:
            conditions.append(condition)
            parameters.append(bound)
    for name, value in wanted.filters.items():
        if name in columns:
            # The column only finds the rows faster; what a match is, the record says.
            conditions.append(f"{columns[name]} = ?")
            parameters.append(value)
    for name, value in wanted.filters.items():
        attribute, places = shapes.attribute(name)
        texts = filter_texts(value)
        conditions.append(f"{attribute} IN ({', '.join('?' * len(texts))})")
        parameters += (*places, *texts)
    order = "ASC" if wanted.above is not None else "DESC"
    sql = (
        f"SELECT id, shape, record FROM {blocks.ROWS} WHERE {' AND '.join(conditions or ['true'])} "  # noqa: S608
        f"ORDER BY block {order}, id {order} LIMIT ?"
    )
    return shapes.records(db.execute(sql, (*parameters, wanted.limit)))
