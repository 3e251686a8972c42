"""Scenes that are played with a store, or with every store.

Owns: opening and closing the store around one. Refuses: the fixture `url`, which says where each store rests; it
stands in tests/contract.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from laneway.store import Store
from tests.harness.loop import run
from tests.harness.sqlite import started

Scene = Callable[[Store], Awaitable[None]]


def play(scene: Scene, url: str = "memory:") -> None:
    """Plays it with a store that is started before and closed after."""

    async def with_store() -> None:
        async with started(url) as store:
            await scene(store)

    run(with_store())


def opened(scene: Scene) -> Callable[[str], None]:
    """Makes a test of a scene, which is played wherever the fixture `url` says."""

    def test(url: str) -> None:
        play(scene, url)

    test.__doc__ = scene.__doc__
    return test
