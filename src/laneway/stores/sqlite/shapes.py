"""How a record lies in its row: the values alone, as a JSON array, and the names of them once for all rows alike.

Owns: the numbers of the shapes, how a record is put together again byte for byte, and where an attribute lies in each.
A row without a shape is of an older laneway, and holds the names too.
Refuses: to know the names, which change with the prefix and from one release to the next.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

import msgspec

from laneway.ports import Found

_SHAPE = "SELECT id FROM outcome_shapes WHERE names = ?"
_MAKE = "INSERT INTO outcome_shapes (names) VALUES (?)"

_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_names = msgspec.json.Decoder(list[str]).decode


def shape_of(names: Sequence[str], db: sqlite3.Connection) -> int:
    """Its number, which the first row of the shape makes; inside the transaction of that row."""
    text = msgspec.json.encode(names).decode()
    found = db.execute(_SHAPE, (text,)).fetchone()
    number = found[0] if found is not None else db.execute(_MAKE, (text,)).lastrowid
    assert isinstance(number, int)
    return number


class Shapes:
    """All shapes of a file, as of one moment."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._names = {number: _names(text) for number, text in db.execute("SELECT id, names FROM outcome_shapes")}
        self._patterns = {number: _pattern(names) for number, names in self._names.items()}

    def attribute(self, name: str) -> tuple[str, list[object]]:
        """Its value as JSON, as an expression over a row, with the parameters of that."""
        cases, parameters = ["WHEN shape IS NULL THEN record -> ?"], list[object]([f'$."{name}"'])
        for number, names in self._names.items():
            if name in names:
                cases.append("WHEN shape = ? THEN record -> ?")
                parameters += (number, f"$[{names.index(name)}]")
        return f"CASE {' '.join(cases)} END", parameters

    def records(self, rows: Iterator[tuple[int, int | None, str]]) -> list[Found]:
        """Of rows with their number, their shape and what they hold."""
        return [Found(number, self._record(shape, text)) for number, shape, text in rows]

    def _record(self, shape: int | None, text: str) -> bytes:
        return text.encode() if shape is None else self._patterns[shape] % tuple(_split(text))


def _pattern(names: Sequence[str]) -> bytes:
    keys = (msgspec.json.encode(name).replace(b"%", b"%%") for name in names)
    return b"{" + b",".join(key + b":%b" for key in keys) + b"}"
