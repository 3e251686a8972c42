"""The worker by itself: whose a run is, how it is ended from outside, and who is told."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from laneway.courier import OWN
from laneway.edge import App, Receive, Send, Watch, left
from laneway.exchange import Exchange, Scope
from laneway.policy import runs as policy
from laneway.policy.delivery import WAITS_S
from laneway.ports import Upstream
from laneway.ports.runs import Run, State
from laneway.route import Tenant
from laneway.runs import Ways, Worker
from laneway.settings import RunsTable
from laneway.store import Store, StoreError
from laneway.upstream.engine import Engine
from tests.fakes.upstream import FakeUpstream, answering, response
from tests.harness.clock import Clock
from tests.harness.loop import run as played
from tests.harness.running import NOW, TEXTS, a_run, lease, steps_of
from tests.harness.sqlite import started, until

TABLE = RunsTable(lease=30.0, private_webhooks=True)


class Stack:
    """Stands for the rooms: answers when it is let, and leaves when the caller does."""

    def __init__(self, *, opened: bool = True) -> None:
        self.seen: list[Exchange] = []
        self.door = asyncio.Event()
        if opened:
            self.door.set()
        self.raises: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        assert exchange is not None
        self.seen.append(exchange)
        if self.raises is not None:
            raise self.raises
        with Watch(scope, receive) as watch:
            await self.door.wait()
        if watch.gone:
            left(exchange)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"said":', "more_body": True})
        await send({"type": "http.response.body", "body": b'"yes"}'})


def ways(stack: App, table: RunsTable = TABLE) -> Ways:
    return Ways(table, stack, stack, lambda name: Tenant(name=name, lane="own"), ("x-laneway-",), table.lease)


@asynccontextmanager
async def working(
    store: Store, stack: App, clock: Clock, table: RunsTable = TABLE, upstream: Upstream | None = None
) -> AsyncIterator[Worker]:
    engine = upstream if upstream is not None else Engine()
    worker = Worker(store.runs, engine, now=clock)
    worker.use(ways(stack, table))
    try:
        yield worker
    finally:
        await worker.close()
        await engine.close()


async def accepted(store: Store, name: str = "a", **changes: Any) -> None:
    run = a_run(name, **changes)
    assert await store.runs.accept(run, TEXTS, steps_of(run), 100) == run


async def state(store: Store, run_id: str = "run_a") -> Run:
    run = await store.runs.find(run_id)
    assert run is not None
    return run


async def seen(store: Store, wanted: Callable[[Run], bool], run_id: str = "run_a") -> Run:
    """The run once it is as wanted; the test's own time limit ends the patience."""
    while not wanted(run := await state(store, run_id)):  # noqa: ASYNC110 - a store sets no event
        await asyncio.sleep(0.01)
    return run


async def becomes(store: Store, wanted: State, run_id: str = "run_a") -> Run:
    return await seen(store, lambda run: run.state is wanted, run_id)


async def kinds(store: Store) -> list[str]:
    return [step.kind for step in await store.runs.steps("run_a")]


# --- executing ---------------------------------------------------------------------------------------------


def test_a_run_walks_the_rooms_as_whoever_asked_for_it() -> None:
    """With the tenant, key and headers that were accepted, in its lane, and saying that it is a run."""

    async def scene() -> None:
        clock, stack = Clock(NOW), Stack()
        async with started("memory:") as store, working(store, stack, clock) as worker:
            await accepted(store, key_id="key_1")
            worker.start()
            done = await becomes(store, State.SUCCEEDED)
            assert await store.runs.result("run_a") == b'{"said":"yes"}'
            (exchange,) = stack.seen
            assert (exchange.run, exchange.tenant.name, exchange.tenant.lane) == ("run_a", "acme", "own")
            assert (exchange.key_id, exchange.body) == ("key_1", TEXTS.body)
            assert exchange.header(b"x-laneway-lane") == "deep"
            assert exchange.header(b"x-laneway-trace") == "t"
            assert (done.status, done.starts) == (200, 1)

    played(scene())


def test_only_so_many_are_under_way() -> None:
    async def scene() -> None:
        clock, stack = Clock(NOW), Stack(opened=False)
        table = RunsTable(concurrent=2)
        async with started("memory:") as store, working(store, stack, clock, table) as worker:
            for name in "abc":
                await accepted(store, name)
            worker.start()
            await until(lambda: len(stack.seen) == 2)
            assert (await state(store, "run_c")).state is State.ACCEPTED
            stack.door.set()
            await becomes(store, State.SUCCEEDED, "run_c")

    played(scene())


def test_what_breaks_inside_is_a_failed_run(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        clock, stack = Clock(NOW), Stack()
        stack.raises = RuntimeError("a bug")
        async with started("memory:") as store, working(store, stack, clock) as worker:
            await accepted(store)
            worker.start()
            done = await becomes(store, State.FAILED)
            assert (done.kind, done.status) == ("internal", 500)
            assert "bug" not in done.reason

    with caplog.at_level(logging.CRITICAL, "laneway"):
        played(scene())


# --- whose it is -------------------------------------------------------------------------------------------


def test_who_lost_a_run_stops_and_records_nothing(tmp_path: Path) -> None:
    """Two processes at one file: the one that gave no sign of life finds that it is another's."""

    async def scene() -> None:
        clock, slow, quick = Clock(NOW), Stack(opened=False), Stack()
        path = tmp_path / "store.db"
        async with started(path) as store, working(store, slow, clock) as one, working(store, quick, clock) as two:
            await accepted(store)
            one.start()
            await until(lambda: bool(slow.seen))
            # Its clock stands still, as that of a stopped process does.
            ahead = Clock(NOW)
            ahead.now_s += 31
            two._now = ahead
            two.start()
            await becomes(store, State.SUCCEEDED)
            slow.door.set()
            await until(lambda: not one._working)
            assert await kinds(store) == ["accepted", "started", "started", "finished"]
            assert (await state(store)).starts == 2

    played(scene())


def test_a_lease_is_kept_while_it_runs() -> None:
    async def scene() -> None:
        clock, stack = Clock(NOW), Stack(opened=False)
        async with started("memory:") as store, working(store, stack, clock) as worker:
            await accepted(store)
            worker.start()
            await until(lambda: bool(stack.seen))
            for _ in range(4):
                clock.now_s += 11
                worker.wake()
                await seen(store, lambda run: run.lease_s >= clock.now_s + 29)
            assert await store.runs.take(clock.now_s, partial(policy.begun, lease=lease("x"), most_starts=5)) is None

    played(scene())


def test_closing_lets_go_and_the_next_begins_at_once() -> None:
    async def scene() -> None:
        clock, stack, after = Clock(NOW), Stack(opened=False), Stack()
        async with started("memory:") as store:
            await accepted(store)
            async with working(store, stack, clock) as worker:
                worker.start()
                await until(lambda: bool(stack.seen))
            assert (await state(store)).state is State.ACCEPTED
            async with working(store, after, clock) as worker:
                worker.start()
                assert (await becomes(store, State.SUCCEEDED)).starts == 1
            assert await kinds(store) == ["accepted", "started", "let_go", "started", "finished"]

    played(scene())


def test_an_end_that_the_store_does_not_take_is_told_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was executed is not thrown away because the store was busy for a moment."""

    async def scene() -> None:
        clock, stack = Clock(NOW), Stack()
        async with started("memory:") as store, working(store, stack, clock) as worker:
            change, refused = store.runs.change, [1, 2]

            async def busy(run_id: str, what: Any, tenant: str | None = None) -> Run | None:
                if refused and what.func is policy.ended:
                    refused.pop()
                    raise StoreError("The gateway's store could not be used: another process keeps it locked.")
                return await change(run_id, what, tenant)

            monkeypatch.setattr(store.runs, "change", busy)
            await accepted(store)
            worker.start()
            await becomes(store, State.SUCCEEDED)
            assert len(stack.seen) == 1

    with caplog.at_level(logging.WARNING, "laneway"):
        played(scene())
    assert "the end of run run_a waits" in caplog.text


def test_an_end_that_is_known_when_the_process_stops_is_no_second_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store came back while the gateway was closing: what was executed is recorded after all."""

    async def scene() -> None:
        stack = Stack()
        async with started("memory:") as store:
            change, closing = store.runs.change, list[bool]()

            async def busy(run_id: str, what: Any, tenant: str | None = None) -> Run | None:
                if what.func is policy.ended and not closing:
                    raise StoreError("The gateway's store could not be used: its disk is full.")
                return await change(run_id, what, tenant)

            monkeypatch.setattr(store.runs, "change", busy)
            await accepted(store)
            async with working(store, stack, Clock(NOW)) as worker:
                worker.start()
                await until(lambda: any(work.end for work in worker._working.values()))
                closing.append(True)
            assert (await state(store)).state is State.SUCCEEDED
            assert await store.runs.result("run_a") == b'{"said":"yes"}'

    played(scene())


# --- ended from outside ------------------------------------------------------------------------------------


@pytest.mark.parametrize("here", [True, False])
def test_a_run_under_way_is_ended(here: bool) -> None:
    """At once by its own process; by another one's order with the next look."""

    async def scene() -> None:
        clock, stack = Clock(NOW), Stack(opened=False)
        async with started("memory:") as store, working(store, stack, clock) as worker:
            await accepted(store)
            worker.start()
            await until(lambda: bool(stack.seen))
            await store.runs.change("run_a", partial(policy.cancelled, now_s=NOW))
            if here:
                worker.leave("run_a")
            await becomes(store, State.CANCELLED)
            assert stack.seen[0].gone
            assert await kinds(store) == ["accepted", "started", "cancelling", "finished"]

    played(scene())


def test_an_answer_that_is_no_json_is_no_result() -> None:
    async def odd(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"<html>"})

    async def scene() -> None:
        async with started("memory:") as store, working(store, odd, Clock(NOW)) as worker:
            await accepted(store)
            worker.start()
            assert (await becomes(store, State.FAILED)).kind == "malformed_answer"
            assert await store.runs.result("run_a") is None

    played(scene())


def test_old_runs_are_forgotten() -> None:
    async def scene() -> None:
        clock, stack = Clock(NOW), Stack()
        async with started("memory:") as store, working(store, stack, clock) as worker:
            await accepted(store)
            worker.start()
            await becomes(store, State.SUCCEEDED)
            clock.now_s += TABLE.keep_days * 86_400
            worker.wake()
            while await store.runs.find("run_a") is not None:  # noqa: ASYNC110 - a store sets no event
                await asyncio.sleep(0.01)

    played(scene())


# --- telling -----------------------------------------------------------------------------------------------


def test_who_is_to_be_told_is_told_until_they_have_it(tmp_path: Path) -> None:
    """Over a restart, each time under the same id, no sooner than the wait; then never again."""

    async def scene() -> Sequence[Any]:
        clock = Clock(NOW)
        path = tmp_path / "store.db"
        async with FakeUpstream(answering(response(status=503))) as down:
            hook = f"{down.origin}/told"
            async with started(path) as store, working(store, Stack(), clock) as worker:
                await accepted(store, hook=hook)
                worker.start()
                await until(lambda: bool(down.requests))
                await seen(store, lambda run: run.hook_reason == "status 503")
                worker.wake()
                await asyncio.sleep(0.05)
                assert len(down.requests) == 1
            port, first = down.port, json.loads(down.requests[0].body)
        clock.now_s += WAITS_S[0]
        async with FakeUpstream(answering(response(b"ok")), port=port) as up:
            async with started(path) as store, working(store, Stack(), clock) as worker:
                worker.start()
                assert (await seen(store, lambda run: run.hook_state == "sent")).hook_tries == 2
                clock.now_s += 1e5
                worker.wake()
                await asyncio.sleep(0.05)
            assert len(up.requests) == 1
            assert up.requests[0].header(b"x-laneway-delivery") == b"run_a"
            assert up.requests[0].header(b"x-laneway-signature") is not None
            return [first, json.loads(up.requests[0].body)]

    first, second = played(scene())
    assert first == second
    assert (first["id"], first["state"], first["result"]) == ("run_a", "succeeded", {"said": "yes"})


def test_an_address_of_the_own_network_is_not_told() -> None:
    """Whatever its name resolves to, where the gateway does not allow it."""

    async def scene() -> None:
        clock = Clock(NOW)
        async with FakeUpstream(answering(response())) as fake, started("memory:") as store:
            async with working(store, Stack(), clock, RunsTable()) as worker:
                await accepted(store, hook=f"http://localhost:{fake.port}/x")
                worker.start()
                await seen(store, lambda run: run.hook_reason == OWN)
            assert fake.accepted == 0

    played(scene())
