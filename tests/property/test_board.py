"""The host board under chance: every slot comes back whatever happens, and no protected model is ever pushed out."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laneway.board import OLLAMA_KEEPS_S, Board
from laneway.crew import CrewBoard
from laneway.policy.admission import Admission, Ticket
from laneway.policy.breaker import BreakerRules
from laneway.policy.residency import Denial, Loaded
from laneway.route import HostRules, Lane, Provider, Skipped, Target
from laneway.seat import Seat
from laneway.slate import Slate
from tests.harness.loop import run

BOX = Target(provider=Provider(name="box", dialect="ollama", origin="http://box.test"), model="m", upstream="m")
LANES = ("alert", "review", "")
RESERVED = {"alert": 1, "review": 2}

# --- slots -------------------------------------------------------------------------------------------------

MOVES = st.lists(
    st.tuples(st.sampled_from(("come", "go", "leave")), st.integers(0, 7), st.sampled_from(LANES)), max_size=80
)


@given(slots=st.integers(3, 6), moves=MOVES)
@settings(deadline=None)
def test_nobody_borrows_a_reserved_slot_and_nobody_waits_beside_a_free_one(
    slots: int, moves: list[tuple[str, int, str]]
) -> None:
    admission = Admission(slots, RESERVED)
    served: list[str] = []
    waiting: list[Ticket] = []
    for move, number, lane in moves:
        if move == "come" and admission.take(lane):
            served.append(lane)
        elif move == "come":
            ticket = Ticket(lane, f"tenant-{number % 3}", lambda: None)
            if admission.queue(ticket, 4):
                waiting.append(ticket)
        elif move == "go" and served:
            admission.leave(served.pop(number % len(served)))
        elif move == "leave" and waiting:
            admission.give_up(waiting.pop(number % len(waiting)))
        served += [ticket.lane for ticket in waiting if ticket.granted]
        waiting = [ticket for ticket in waiting if not ticket.granted]
        shared = sum(max(served.count(name) - RESERVED.get(name, 0), 0) for name in LANES)
        assert shared <= slots - sum(RESERVED.values())
        assert not any(admission.may(ticket.lane) for ticket in waiting)
        assert sum(admission.waiting.values()) == len(waiting)
        assert {name: served.count(name) for name in LANES if name in served} == admission.in_use


def test_tenants_take_turns() -> None:
    admission = Admission(1)
    called: list[str] = []
    admission.take("")
    for tenant in ("a", "a", "a", "b", "c"):
        admission.queue(Ticket("", tenant, lambda tenant=tenant: called.append(tenant)), 10)  # type: ignore[misc]
    for _ in range(5):
        admission.leave("")
    assert called == ["a", "b", "c", "a", "a"]


ENDS = ("well", "raises", "cancelled", "late")


@given(st.lists(st.tuples(st.sampled_from(LANES), st.sampled_from(ENDS), st.integers(0, 5)), min_size=1, max_size=25))
@settings(max_examples=60, deadline=None)
def test_a_slot_comes_back_on_every_way_out(plan: list[tuple[str, str, int]]) -> None:
    board = Board({"box": HostRules(slots=4, reserved={"alert": 1, "review": 2})})

    async def one(lane: str, end: str, turns: int) -> None:
        rules = Lane(name=lane, targets=(BOX,), queue=3, queue_s=0.001 if end == "late" else 5.0)
        seat = await board.enter(BOX, rules, "t")
        if isinstance(seat, Skipped):
            assert seat.kind == "full"
            return
        try:
            for _ in range(turns):
                await asyncio.sleep(0)
            if end == "raises":
                raise ConnectionError
        finally:
            seat.leave(None)
            seat.leave(None)

    async def scene() -> None:
        tasks = []
        for lane, end, turns in plan:
            task = asyncio.ensure_future(one(lane, end, turns))
            tasks.append(task)
            if end == "cancelled":
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(scene())
    admission = board.host("box").admission
    assert (admission.in_use, admission.waiting, board.host("box").busy) == ({}, {}, {})


def test_a_granted_slot_comes_back_from_who_was_cancelled_in_the_same_instant() -> None:
    board = Board({"box": HostRules(slots=1)})

    async def scene() -> None:
        first = await board.enter(BOX)
        assert isinstance(first, Seat)
        second = asyncio.ensure_future(board.enter(BOX))
        await asyncio.sleep(0)
        first.leave(None)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second

    run(scene())
    assert board.host("box").admission.in_use == {}


# --- residency ---------------------------------------------------------------------------------------------

GB = 1_000_000_000
SIZES = {"gemma3:4b": 4, "coder:7b": 6, "bge-m3": 2, "qwen2.5:14b": 10, "phi4": 10, "mistral:7b": 5, "tiny:1b": 1}
PARAMETERS = {"phi4": "14.7B", "qwen2.5:14b": "14.8B", "gemma3:4b": "4.3B", "coder:7b": "7.6B", "bge-m3": "567M"}
HEAVY = Denial(name="no-heavy", providers=frozenset({"a", "b"}), from_parameters=14e9)


class FakeMemory:
    """An Ollama host's scheduler: room is made by unloading idle models, shortest keep-alive first."""

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.kept: dict[str, tuple[float, float]] = {}
        """How long each stays after a call, and until when."""
        self.answering: list[str] = []
        self.evicted: list[str] = []

    def begin(self, model: str, keep_s: float, now_s: float) -> None:
        self.tick(now_s)
        while model not in self.kept and self.used() + SIZES[model] > self.memory:
            idle = [name for name in self.kept if name not in self.answering]
            out = min(idle or list(self.kept), key=lambda name: self.kept[name][0])
            self.evicted.append(out)
            del self.kept[out]
        self.kept[model] = (keep_s, now_s + keep_s)
        self.answering.append(model)

    def end(self, model: str, now_s: float) -> None:
        self.answering.remove(model)
        if model in self.kept:
            self.kept[model] = (self.kept[model][0], now_s + self.kept[model][0])

    def used(self) -> int:
        return sum(SIZES[name] for name in self.kept)

    def tick(self, now_s: float) -> None:
        for name, (_, until_s) in list(self.kept.items()):
            if until_s <= now_s and name not in self.answering:
                del self.kept[name]

    def ps(self) -> Mapping[str, Loaded]:
        return {
            name: Loaded(size_bytes=SIZES[name] * GB, expires_s=until_s) for name, (_, until_s) in self.kept.items()
        }


class Simulation:
    """Three hosts, the small pair with a warm model each, and callers who want everything of any worker."""

    def __init__(self, seed: int, *, guarded: bool = True, slates: Sequence[Slate] = ()) -> None:
        self.rng = random.Random(seed)
        self.now_s = 1000.0
        self.memories = {"a": FakeMemory(12), "b": FakeMemory(12), "big": FakeMemory(40)}
        self.boards: list[Board] = [CrewBoard(slate, clock=self.now, wall=self.now) for slate in slates]
        self.boards = self.boards or [Board(clock=self.now, wall=self.now, rng=self.rng.random)]
        warm = frozenset({"gemma3:4b"}) if guarded else frozenset[str]()
        rules = {
            name: HostRules(slots=6, protected=warm if name != "big" else frozenset(), memory_bytes=memory.memory * GB)
            for name, memory in self.memories.items()
        }
        for board in self.boards:
            board.configure(rules, BreakerRules(), (HEAVY,) if guarded else ())
            for name in self.memories:
                board.hear_models(
                    name, [(model, PARAMETERS.get(model), int(size * GB / 1.25)) for model, size in SIZES.items()]
                )
                self.keep(name)
        self.running: list[tuple[Seat, str, str]] = []
        self.refused: dict[str, int] = {}

    def now(self) -> float:
        return self.now_s

    def keep(self, name: str) -> None:
        memory = self.memories[name]
        memory.tick(self.now_s)
        if name != "big" and memory.kept.get("gemma3:4b", (0, 0))[1] - self.now_s < 450:
            memory.begin("gemma3:4b", 1800.0, self.now_s)
            memory.end("gemma3:4b", self.now_s)
        for board in self.boards:
            board.hear_loaded(name, memory.ps())

    async def step(self) -> None:
        self.now_s += self.rng.expovariate(1.0)
        if self.running and self.rng.random() < 0.55:
            seat, name, model = self.running.pop(self.rng.randrange(len(self.running)))
            self.memories[name].end(model, self.now_s)
            seat.leave(None)
        if self.rng.random() < 0.15:
            self.keep(self.rng.choice(list(self.memories)))
        name, model = self.rng.choice(list(self.memories)), self.rng.choice(list(SIZES))
        spelled = self.rng.choice((model, model.upper(), f"library/{model}"))
        provider = Provider(name=name, dialect="ollama", origin=f"http://{name}.test")
        target = Target(provider=provider, model=model, upstream=spelled)
        board = self.boards[int(self.now_s * 1000) % len(self.boards)]
        found = await board.enter(target, Lane(name="", targets=(), queue=0))
        if isinstance(found, Skipped):
            self.refused[found.kind] = self.refused.get(found.kind, 0) + 1
            return
        wished_s = self.rng.choice((0.0, OLLAMA_KEEPS_S, 1e9))
        self.memories[name].begin(model, found.keep_s if found.keep_s is not None else wished_s, self.now_s)
        self.running.append((found, name, model))

    async def play(self, steps: int) -> None:
        for _ in range(steps):
            await self.step()


@pytest.mark.parametrize("seed", range(3))
def test_ten_thousand_mixed_requests_push_no_protected_model_out(seed: int) -> None:
    played = Simulation(seed)
    run(played.play(10_000), limit_s=60.0)
    small = [played.memories["a"], played.memories["b"]]
    assert all("gemma3:4b" not in memory.evicted for memory in small)
    assert all({"phi4", "qwen2.5:14b"}.isdisjoint({*memory.evicted, *memory.kept}) for memory in small)
    assert all(any(memory.evicted) for memory in small), "there was pressure on the memory"
    assert all(played.refused.get(kind, 0) > 100 for kind in ("denied", "crowded"))


def test_two_workers_push_no_protected_model_out_together(tmp_path: Path) -> None:
    """Each sees what the other's callers have loaded, and may still be loading."""
    slates = [Slate(tmp_path / "s.db") for _ in range(2)]
    played = Simulation(0, slates=slates)
    run(played.play(10_000), limit_s=60.0)
    small = [played.memories["a"], played.memories["b"]]
    assert all("gemma3:4b" not in memory.evicted for memory in small)
    assert all(any(memory.evicted) for memory in small), "there was pressure on the memory"
    assert played.refused["crowded"] > 100
    for seat, _, _ in played.running:
        seat.leave(None)
    for board in played.boards:
        board.refresh()
        assert (board.host("a").busy, board.host("a").admission.in_use) == ({}, {})
    for slate in slates:
        slate.close()


def test_and_without_the_rules_it_happens() -> None:
    """The simulation can fail."""
    played = Simulation(0, guarded=False)
    run(played.play(2_000), limit_s=60.0)
    assert "gemma3:4b" in played.memories["a"].evicted
    assert "phi4" in {*played.memories["a"].evicted, *played.memories["a"].kept}
