"""Several workers of one gateway, on real sockets: together they call a host no more often than one would."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from laneway.ports import Call, Reply
from tests.e2e.house import ADMIN
from tests.fakes.providers import FakeProvider, Street
from tests.fakes.upstream import Request, Wire
from tests.harness.gateway import Served, served, told, until

CONFIG = """
[server]
store = "sqlite:///kept.db"
admin_key = "admin-key-of-tests"

[breaker]
timeouts = 2
cool_down = 600
longest = 600

[providers.box]
url = "{url}"
slots = 3
reserved = {{ alert = 1 }}

[providers.open]
url = "{url}"

[providers.box.timeouts]
headers = {headers}

[providers.open.timeouts]
headers = {headers}

[lanes.alert]
targets = ["box/sim-small"]
queue_wait = 20

[lanes.bulk]
targets = ["box/sim-large-slow-10ms"]
queue = 100
queue_wait = 20

[lanes.direct]
targets = ["open/sim-small"]
"""


class Counted(FakeProvider):
    """Knows how many it answered at the same time."""

    def __init__(self, street: Street) -> None:
        super().__init__(street, "openai", {"sim-small": "sim-small"})
        self.most = self._now = 0
        self.holds = False
        """While true, nobody is answered yet."""

    def _call(self, request: Request) -> tuple[Call, bytes, bytes]:
        self._now += 1
        self.most = max(self.most, self._now)
        return super()._call(request)

    async def _answer(self, wire: Wire, reply: Reply, told: bytes, meant: bytes) -> bool:
        while self.holds:  # noqa: ASYNC110 - set from the thread of the test
            await asyncio.sleep(0.01)
        try:
            return await super()._answer(wire, reply, told, meant)
        finally:
            self._now -= 1


@pytest.fixture
def box(street: Street) -> Iterator[Counted]:
    made = Counted(street)
    made.revive()
    yield made
    made.kill()


@contextmanager
def two(folder: Path, box: Counted, headers: float = 60.0) -> Iterator[Served]:
    text = CONFIG.format(url=box.url, headers=headers)
    with served(folder, text, arguments=["--workers", "2"]) as gateway:
        until(lambda: len(children(gateway)) >= 2 and gateway.get("/healthz").status_code == 200)
        yield gateway


@contextmanager
def stopped(worker: int) -> Iterator[None]:
    """Who is asked meanwhile is the other one."""
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


def children(gateway: Served) -> list[int]:
    """Its workers, and what else it has started."""
    number = gateway.process.pid
    found = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    return [int(child) for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def served_by(gateway: Served, count: int) -> set[str]:
    """The workers that recorded so many requests."""
    path = "/admin/v1/records?limit=200"
    until(lambda: len(gateway.get(path, headers=ADMIN).json()["data"]) >= count)
    records = gateway.get(path, headers=ADMIN).json()["data"]
    return {record["request_id"][:16] for record in records}


def slots(gateway: Served) -> dict[str, Any]:
    told: dict[str, Any] = gateway.get("/admin/v1/health", headers=ADMIN).json()["hosts"]["box"]["slots"]
    return told


def is_full(gateway: Served, count: int) -> bool:
    """Whether so many calls of the heavy lane have its two slots, and all others wait."""
    seen = slots(gateway)
    return bool(seen["in_use"] == {"bulk": 2} and seen["waiting"] == {"bulk": count - 2})


def asked(pool: ThreadPoolExecutor, gateway: Served, lane: str, count: int) -> list[Future[httpx.Response]]:
    return [pool.submit(gateway.chat, lane) for _ in range(count)]


def test_slots_and_reservations_hold_over_workers(tmp_path: Path, box: Counted) -> None:
    with two(tmp_path, box) as gateway, ThreadPoolExecutor(40) as pool:
        box.holds = True
        bulk: list[Future[httpx.Response]] = []
        for asleep in children(gateway):
            with stopped(asleep):
                bulk += asked(pool, gateway, "bulk", 18)
                until(partial(is_full, gateway, len(bulk)))
        code, said, _ = told(tmp_path, "status", "--url", gateway.url, variables={"LANEWAY_CONFIG": "gateway.toml"})
        assert code == 0
        assert re.search(r"box .* 2/3 slots, \d\d waiting", said), said
        box.holds = False
        alerts = asked(pool, gateway, "alert", 3)
        assert {each.result().status_code for each in alerts + bulk} == {200}
        assert box.most == 3, "two of the heavy lane, and the one that is kept for the other"
        assert len(served_by(gateway, 39)) == 2
        assert slots(gateway)["in_use"] == {}


def test_what_a_killed_worker_held_is_free_again(tmp_path: Path, box: Counted) -> None:
    """The calls of the other worker go on counting."""
    with two(tmp_path, box) as gateway, ThreadPoolExecutor(8) as pool:
        box.hangs = True
        held = asked(pool, gateway, "bulk", 2)
        until(lambda: slots(gateway)["in_use"] == {"bulk": 2})
        for worker in children(gateway)[:2]:
            os.kill(worker, signal.SIGKILL)
            until(partial(is_gone, gateway, worker))
            until(lambda: settled(gateway, held))
        assert all(isinstance(each.exception(), httpx.HTTPError) for each in held)
        until(lambda: slots(gateway)["in_use"] == {})
        box.hangs = False
        assert [gateway.chat("bulk").status_code for _ in range(4)] == [200] * 4


def is_gone(gateway: Served, worker: int) -> bool:
    return worker not in children(gateway)


def settled(gateway: Served, held: list[Future[httpx.Response]]) -> bool:
    """Whether exactly those calls count whose worker lives."""
    left = sum(not each.done() for each in held)
    try:
        return bool(slots(gateway)["in_use"] == ({"bulk": left} if left else {}))
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize(("lane", "name"), [("direct", "open"), ("alert", "box")])
def test_two_timeouts_open_a_breaker_for_all_workers(tmp_path: Path, box: Counted, lane: str, name: str) -> None:
    with two(tmp_path, box, headers=0.3) as gateway:
        box.hangs = True
        one, other = children(gateway)
        codes: list[int] = []
        for asleep in (one, other, one, other):
            with stopped(asleep):
                codes += [gateway.chat(lane).status_code for _ in range(1 if len(codes) < 2 else 5)]
        assert codes == [504, 504, *[503] * 10]
        assert len(box.asked()) == 2
        assert len(served_by(gateway, 12)) == 2
        for asleep in (one, other):
            with stopped(asleep):
                host = gateway.get("/admin/v1/health", headers=ADMIN).json()["hosts"][name]
                assert host["breakers"] == {"sim-small": {"state": "open", "timeouts": 2}}
