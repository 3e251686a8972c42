"""The runner of asynchronous tests notices what a plain `asyncio.run` would let pass."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.harness.loop import run


def test_gives_back_what_the_coroutine_gives() -> None:
    async def main() -> int:
        return 7

    assert run(main()) == 7


def test_fails_when_a_task_outlives_the_test() -> None:
    async def main() -> None:
        kept.append(asyncio.create_task(asyncio.sleep(60)))

    kept: list[asyncio.Task[None]] = []
    with pytest.raises(AssertionError, match="still running"):
        run(main())


def test_fails_when_an_error_is_awaited_by_nobody() -> None:
    async def broken() -> None:
        raise ValueError("lost")

    async def main() -> None:
        task = asyncio.create_task(broken())
        await asyncio.sleep(0)
        del task
        await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="lost"):
        run(main())


def test_ends_a_stuck_test() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        run(main(), limit_s=0.01)


@pytest.mark.parametrize("host", ["192.0.2.1", "example.com", "2001:db8::1"])
def test_no_test_reaches_beyond_this_machine(host: str) -> None:
    with pytest.raises(RuntimeError, match="this machine only"):
        socket.create_connection((host, 80), timeout=0.01)
