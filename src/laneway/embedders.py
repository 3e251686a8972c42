"""Embedders: which one turns prompts into vectors, from settings to a value, with what is wrong with it.

Owns: the names of those that need no provider. Refuses: embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from laneway.config import nearest, visible
from laneway.route import Target
from laneway.settings import Settings

NEAR = ("static", "hashed")


class Resolve(Protocol):
    """The targets that a name in the configuration means."""

    def __call__(self, text: str, path: str) -> tuple[Target, ...]: ...


def made_embedder(settings: Settings, resolve: Resolve, wrong: Callable[[str, str], None]) -> str | Target:
    """One that needs no provider by its name, or a provider's; `static` in place of one that is left out."""
    name, path = settings.learning.embedder, "learning.embedder"
    if name in NEAR:
        return name
    if "/" not in name and name not in settings.models:
        wrong(path, f'there is no embedder "{visible(name)}"{nearest(name, (*NEAR, *settings.models))}')
        return "static"
    found = resolve(name, path)
    return found[0] if found else "static"
