"""Laneway's public names, each loaded when it is first asked for.

Owns: the version, and the table that says which module a public name lives in. Refuses: to import anything at the
top, so that a program which wants one name does not pay for the HTTP client, the vector index, numpy or the database.
A new public name is one line in `PUBLIC` and one under TYPE_CHECKING, and a house test holds the two together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from laneway.failure import Failure as Failure
    from laneway.failure import Kind as Kind

__version__ = "0.1.0"

PUBLIC = {
    "Failure": "laneway.failure",
    "Kind": "laneway.failure",
}


def __getattr__(name: str) -> object:
    module = PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"laneway has no public name {name!r}; dir(laneway) lists them")
    from importlib import import_module

    # Kept, so that the second look-up is an ordinary one.
    value: object = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
