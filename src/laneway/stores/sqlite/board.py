"""The board: a few bytes beside the store that every process sees at once, without asking the database.

Owns: one mark that changes whenever the kills do, and one that changes when somebody wants leased money back.
Refuses: to hold the facts themselves: rows are the truth, and a mark only says that they are to be read again.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

_BYTES = 32
_KILLS = slice(0, 8)
_RECALLS = slice(8, 16)
_CHANGING = 1


class Board:
    """The file, mapped: what one process writes, the others read in the next instruction."""

    def __init__(self, store: Path) -> None:
        file = os.open(store.with_name(f"{store.name}-board"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(file).st_size < _BYTES:
                os.ftruncate(file, _BYTES)
            self._map = mmap.mmap(file, _BYTES)
        finally:
            os.close(file)

    def kills(self) -> bytes:
        """The mark of the kills."""
        return self._map[_KILLS]

    def change_kills(self, *, done: bool) -> None:
        """Before the rows are committed, and after. In between nobody may remember what the rows say."""
        self._map[_KILLS] = bytes((0 if done else _CHANGING,)) + os.urandom(7)

    def recalls(self) -> bytes:
        """The mark of the recalls."""
        return self._map[_RECALLS]

    def recall(self) -> None:
        self._map[_RECALLS] = os.urandom(8)

    def close(self) -> None:
        self._map.close()


def is_settled(mark: bytes) -> bool:
    """Whether what was read from the rows under this mark stays true until the mark changes."""
    return mark[0] != _CHANGING
