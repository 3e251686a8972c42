"""What a step is, and the mark of our files.

Owns: the two names that every module of steps needs. Refuses: a step of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from sqlite3 import Connection

APPLICATION_ID = 0x4C4E5759
"""The mark of our files ("LNWY"), so that another program's database is never altered."""

Step: TypeAlias = Callable[["Connection"], None]


class Steps(list[Step]):
    """Steps in the order in which they are written: used as a decorator, it takes one in."""

    def __call__(self, made: Step) -> Step:
        self.append(made)
        return made
