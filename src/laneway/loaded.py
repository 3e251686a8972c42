"""One configuration as it was found: compiled, with where it came from.

Owns: which file is read (the one named, LANEWAY_CONFIG, `laneway.toml` here, else the environment's offers), and
the order in which file, environment and catalogue are put together.
Refuses: printing, and half a configuration: it is whole or it is every problem at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from laneway import bundle, config, environment
from laneway.catalog import Catalog
from laneway.config import ConfigError, Problem
from laneway.layout import Layout

HERE = Path("laneway.toml")
TABLES = ("providers", "models", "lanes", "tenants")


class Loaded(NamedTuple):
    """A layout, the file it came from (None: the environment alone), and what the environment offered."""

    layout: Layout
    path: Path | None
    found: tuple[str, ...]
    scale: float


def load(path: Path | None, variables: Mapping[str, str]) -> Loaded:
    """Raises ConfigError with everything that is wrong."""
    path = path or (Path(variables["LANEWAY_CONFIG"]) if variables.get("LANEWAY_CONFIG") else None)
    if path is None and HERE.is_file():
        path = HERE
    try:
        return _loaded(path, variables)
    except ConfigError as error:
        raise ConfigError(sorted(error.problems), str(path) if path is not None else "") from None


def _loaded(path: Path | None, variables: Mapping[str, str]) -> Loaded:
    text = _text(path)
    source = config.read(text, variables)
    problems = list(source.problems)
    settings = source.settings
    found: tuple[str, ...] = ()
    if not settings.providers:
        offers = environment.offered(variables)
        problems += offers.problems
        found = offers.lines
        settings = msgspec.structs.replace(
            settings,
            providers=offers.settings.providers,
            lanes={**offers.settings.lanes, **settings.lanes},
        )
        own = offers.settings
        if own.pools and not (settings.models or settings.pools or settings.lanes):
            learning = msgspec.structs.replace(settings.learning, primer=True)
            judges = settings.judges or own.judges
            settings = msgspec.structs.replace(
                settings, models=own.models, pools=own.pools, learning=learning, judges=judges
            )
    settings = environment.overlaid(settings, variables, problems)
    scale = environment.timeout_scale(variables, problems)
    if not source.unread.isdisjoint(TABLES):
        # Whatever refers into a table that could not be read at all would be a second complaint about the same.
        raise ConfigError(problems)
    try:
        layout = Layout(
            settings,
            catalog(),
            version=config.version_of(settings),
            scale=scale,
            region=environment.region_of(variables),
        )
    except ConfigError as error:
        raise ConfigError(
            [*problems, *(each for each in error.problems if not _within(each.path, source.unread))]
        ) from None
    if problems:
        raise ConfigError(problems)
    return Loaded(layout, path, (*found, *environment.unheard(variables, text)), scale)


def _within(path: str, unread: frozenset[str]) -> bool:
    """Whether a problem only follows from what could not be read at its path, or above it."""
    return any(path == other or path.startswith((f"{other}.", f"{other}[")) for other in unread)


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Which state of a file there is; None while there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_ino, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1)
def catalog() -> Catalog:
    """The catalogue that travels with the program."""
    return Catalog.read(bundle.read("config/catalog.toml").decode())


def _text(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        # Some editors begin a file with a mark of its encoding.
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError([Problem("", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise ConfigError([Problem("", "is not UTF-8 text")]) from None
