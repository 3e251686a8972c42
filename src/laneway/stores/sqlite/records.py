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


def records_of(wanted: Search, columns: Mapping[str, str], db: sqlite3.Connection) -> list[Found]:
    """`columns` are the attributes that have a column of their own."""
    if wanted.limit <= 0 or any('"' in name for name in wanted.filters):
        return []
    conditions, parameters = ["true"], list[object]()
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
        texts = filter_texts(value)
        conditions.append(f"record -> ? IN ({', '.join('?' * len(texts))})")
        parameters += (f'$."{name}"', *texts)
    order = "ASC" if wanted.above is not None else "DESC"
    sql = f"SELECT id, record FROM outcomes WHERE {' AND '.join(conditions)} ORDER BY id {order} LIMIT ?"  # noqa: S608
    return [Found(number, text.encode()) for number, text in db.execute(sql, (*parameters, wanted.limit))]
