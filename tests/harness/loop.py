"""Runs the asynchronous part of a test on a loop of its own.

Owns: the time limit that keeps a stuck test from hanging the suite, and the two things a loop would forget to tell:
tasks that outlived the test, and errors that nobody awaited. Refuses: to be a fixture; a test calls `run` itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T], *, limit_s: float = 30.0) -> T:
    """The result of `main`. Fails if it takes longer than `limit_s`, leaves a task running, or loses an error."""
    lost: list[dict[str, Any]] = []

    async def watched() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
        async with asyncio.timeout(limit_s):
            result = await main
        # Callbacks of what just closed (transports, cancelled tasks) run within two turns of the loop.
        for _ in range(2):
            await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks still running at the end of the test: {left}"
        return result

    result = asyncio.run(watched())
    assert not lost, f"errors that nobody awaited: {lost}"
    return result
