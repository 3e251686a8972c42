"""Deliveries to an address that somebody else named: it is called where it is allowed, and nowhere else."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from laneway.courier import OWN, Courier, Tried
from laneway.ports import Call
from laneway.upstream.engine import Engine
from tests.fakes.upstream import FakeUpstream, answering, response
from tests.harness.loop import run

PUBLIC = "93.184.215.14"


def call(origin: str) -> Call:
    return Call("POST", origin, "/x", (), b"{}")


def test_an_address_that_changes_its_meaning_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is looked at, and the own machine when it is called, reaches nobody."""
    answers = [PUBLIC]

    async def look_up(self: object, host: str, port: int, **_: Any) -> list[Any]:
        address = answers.pop() if answers else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    async def scene() -> Tried:
        async with FakeUpstream(answering(response())) as fake:
            engine = Engine()
            loop = asyncio.get_running_loop()
            monkeypatch.setattr(type(loop), "getaddrinfo", look_up)
            try:
                return await Courier(engine).deliver(call(f"http://rebound.test:{fake.port}"), private=False)
            finally:
                assert not answers
                assert fake.accepted == 0
                monkeypatch.undo()
                await engine.close()

    assert run(scene()).reason == "connect"


def test_an_address_of_the_own_network_is_called_where_it_is_allowed() -> None:
    """The same origin for one who may and one who may not, on one engine: a connection is not passed on."""

    async def scene() -> None:
        async with FakeUpstream(answering(response(b"", b"retry-after: 7", status=503))) as fake:
            engine = Engine()
            courier = Courier(engine)
            here = call(f"http://localhost:{fake.port}")
            assert await courier.deliver(here, private=True) == Tried("status 503", 7.0)
            assert await courier.deliver(here, private=False) == Tried(OWN)
            assert len(fake.requests) == 1
            await engine.close()

    run(scene())
