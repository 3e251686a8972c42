"""The files that travel with the program: the catalog and the deployments in `config/`, and whatever is in `data/`.

Owns: where such a file is, both in an installed package and in a source tree, where `config/` stands at the top so
that a person finds it. Refuses: to read anything a person configured; that is a path they gave, and `config` opens it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
# The wheel carries the top-level config/ as laneway/data/config (pyproject.toml); the source tree has it two floors
# up. The package is asked first: what lies beside an installed one belongs to somebody else.
_ROOTS = (_PACKAGE / "data", _PACKAGE.parents[1])


def path(name: str) -> Path:
    """Where `name` is: "config/catalog.toml", or the name of a file in `data/`. FileNotFoundError if neither is."""
    for root in _ROOTS:
        found = root / name
        if found.is_file():
            return found
    raise FileNotFoundError(f"{name} is not part of this installation of laneway: install it again")


def read(name: str) -> bytes:
    """The content of `name`, as `path` finds it."""
    return path(name).read_bytes()
