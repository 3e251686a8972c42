"""Fields of a body that its reader does not know.

Owns: finding them in one object, by path.
Refuses: to know which objects stand where in a body; each format walks its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping


def list_beyond(
    said: Mapping[str, object], known: Collection[str], path: str, idle: Collection[object] = (None,)
) -> Iterator[str]:
    """The paths of what is said beyond `known`. A value among `idle` asks for nothing and is no stranger."""
    for name, value in said.items():
        if name not in known and value not in idle:
            yield f"{path}{name}"
