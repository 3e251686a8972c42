"""Sizes of models that no list told: asked of their host, once, in bounds, and only where a rule is about sizes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from laneway.board import Board
from laneway.dialects.ollama.models import read_shown
from laneway.failure import FailureError, Kind
from laneway.policy.breaker import BreakerRules
from laneway.policy.residency import Denial
from laneway.ports import Call, Clocks, Reply
from laneway.route import HostRules, Skipped, Target
from laneway.seat import Seat
from laneway.sizes import FORGET_S, MOST_AT_ONCE, Sizes
from tests.fakes.replies import failure, target
from tests.harness.loop import run

BOX = target("ollama", name="box")
LIGHT = Denial(name="light-only", providers=frozenset({"box"}), from_parameters=14e9)


class Shown:
    """A host that tells sizes when it is let."""

    def __init__(self, told: dict[str, Any] | None, *, status: int = 200) -> None:
        self.asked: list[str] = []
        self.told = told
        self.status = status
        self.let = asyncio.Event()
        self.let.set()

    async def open(self, call: Call, clocks: Clocks) -> Reply:
        assert (call.method, call.target) == ("POST", "/p/api/show")
        self.asked.append(json.loads(call.body)["model"])
        await self.let.wait()
        if self.told is None:
            raise FailureError(failure(Kind.CONNECT))
        return Whole(self.status, msgspec.json.encode(self.told))

    async def close(self) -> None:
        pass


class Whole:
    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.headers: list[tuple[bytes, bytes]] = []
        self._body = body

    async def read(self, limit_s: float) -> bytes:
        body, self._body = self._body, b""
        return body

    async def close(self) -> None:
        pass


def model(name: str) -> Target:
    return msgspec.structs.replace(BOX, model=name, upstream=name)


class Scene:
    def __init__(self, host: Shown) -> None:
        self.now_s = 0.0
        self.board = Board()
        self.board.configure({"box": HostRules()}, BreakerRules(), (LIGHT,))
        self.board.hear_models("box", [("gemma3:4b", "4.3B", None)])
        self.board.ask_size = Sizes(self.board, host, clock=lambda: self.now_s).ask

    async def enters(self, name: str) -> bool:
        answer = await self.board.enter(model(name))
        if isinstance(answer, Seat):
            answer.leave(None)
            return True
        assert isinstance(answer, Skipped)
        assert answer.kind == "denied"
        return False


BIG, SMALL = {"details": {"parameter_size": "14.7B"}}, {"model_info": {"general.parameter_count": 3_212_749_888}}


@pytest.mark.parametrize(("told", "lets_in"), [(BIG, False), (SMALL, True)], ids=["big", "small"])
def test_a_model_that_no_list_told_is_judged_by_what_its_host_says(told: dict[str, Any], lets_in: bool) -> None:
    """Whatever its name says; and what was said once is kept."""

    async def scene() -> None:
        host = Shown(told)
        made = Scene(host)
        assert made.board.waits(model("new-7b"))
        assert await made.enters("new-7b") is lets_in
        assert await made.enters("library/new-7b:latest") is lets_in
        assert host.asked == ["new-7b"]
        assert not made.board.waits(model("new-7b"))

    run(scene())


def test_a_listed_model_is_not_asked_about_nor_where_no_rule_is_about_sizes() -> None:
    async def scene() -> None:
        host = Shown(BIG)
        made = Scene(host)
        assert await made.enters("gemma3:4b")
        made.board.open_maintenance("box", made.board.wall() + 60)
        assert await made.enters("new-7b")
        made.board.open_maintenance("box", 0)
        by_name = msgspec.structs.replace(LIGHT, from_parameters=None, models=("phi*",))
        made.board.configure({"box": HostRules()}, BreakerRules(), (by_name,))
        assert await made.enters("new-7b")
        assert host.asked == []

    run(scene())


@pytest.mark.parametrize("host", [Shown({"error": "not found"}, status=404), Shown(None), Shown({"odd": 1})])
def test_where_no_answer_comes_the_name_decides_and_it_is_asked_again_later(host: Shown) -> None:
    async def scene() -> None:
        host.let.set()
        made = Scene(host)
        assert not await made.enters("new-70b")
        assert await made.enters("new-7b")
        assert not await made.enters("new-70b")
        assert host.asked == ["new-70b", "new-7b"]
        made.now_s = FORGET_S
        assert not await made.enters("new-70b")
        assert host.asked == ["new-70b", "new-7b", "new-70b"]

    run(scene())


def test_who_waits_for_the_same_answer_waits_together_and_nobody_else_waits() -> None:
    async def scene() -> None:
        host = Shown(BIG)
        made = Scene(host)
        host.let.clear()
        first, second = (asyncio.ensure_future(made.enters("new-7b")) for _ in range(2))
        await asyncio.sleep(0.01)
        assert await made.enters("gemma3:4b"), "other traffic goes on"
        first.cancel()
        host.let.set()
        assert await second is False, "who leaves takes the answer away from nobody"
        with pytest.raises(asyncio.CancelledError):
            await first
        assert host.asked == ["new-7b"]

    run(scene())


def test_a_host_that_does_not_answer_is_asked_a_few_things_at_once() -> None:
    async def scene() -> None:
        host = Shown(BIG)
        made = Scene(host)
        host.let.clear()
        waiting = [asyncio.ensure_future(made.enters(f"new-{number}-7b")) for number in range(MOST_AT_ONCE)]
        await asyncio.sleep(0.01)
        assert await made.enters("one-more-7b"), "judged by what is known"
        host.let.set()
        assert await asyncio.gather(*waiting) == [False] * MOST_AT_ONCE
        assert "one-more-7b" not in host.asked

    run(scene())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"details": {"parameter_size": "14.7B"}, "model_info": {}}', "14.7B"),
        (
            b'{"details": {"parameter_size": "7B"}, "model_info": {"general.parameter_count": 14659507200}}',
            "14659.5M",
        ),
        (b'{"details": {"parameter_size": ""}}', None),
        (b"{}", None),
        (b"<html>", None),
        (b'{"model_info": {"general.parameter_count": "many"}}', None),
    ],
)
def test_what_a_host_shows(body: bytes, said: str | None) -> None:
    assert read_shown(body) == said
