"""The files that travel with the program: the deployments under `config/` and the data under `data/`.

Owns: where such a file is, both in an installed package and in a source tree, where `config/` stands at the top so
that a person finds it. Refuses: to read anything a person configured; that is a path they gave, and `config` opens it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
# The wheel carries the top-level config/ as laneway/config (wheel.packages in pyproject.toml). The source tree has it
# two floors up. The package is asked first: beside an installed one, another project's config/ may lie there.
_ROOTS = (_PACKAGE, _PACKAGE.parents[1])


def path(name: str) -> Path:
    """Where `name` is, for example "config/catalog.toml". Raises FileNotFoundError if it was not shipped."""
    for root in _ROOTS:
        found = root / name
        if found.is_file():
            return found
    raise FileNotFoundError(f"{name} is not part of this installation of laneway: install it again")


def read(name: str) -> bytes:
    """The content of `name`, as `path` finds it."""
    return path(name).read_bytes()
