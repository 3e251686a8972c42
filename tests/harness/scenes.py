"""Scenes that are played with every store.

Owns: opening and closing the store around one. Refuses: the fixture `url`, which says where it rests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from laneway.store import Store, open_store
from tests.harness.loop import run
from tests.harness.sqlite import NOW

Scene = Callable[[Store], Awaitable[None]]


def opened(scene: Scene) -> Callable[[str], None]:
    """Makes a test of a scene: plays it with a store that is started before and closed after."""

    def test(url: str) -> None:
        async def play() -> None:
            store = open_store(url, clock=lambda: NOW)
            await store.start()
            try:
                await scene(store)
            finally:
                await store.close()

        run(play())

    test.__doc__ = scene.__doc__
    return test
