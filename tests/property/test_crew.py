"""Several workers under chance: never more than the cap, nothing reserved is lent, and all of it comes back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from laneway.crew import CrewBoard
from laneway.policy.share import Share
from laneway.route import HostRules, Lane, Provider, Skipped, Target
from laneway.seat import Seat
from laneway.slate import Slate
from tests.harness.crews import Crew, crew, totals
from tests.harness.gateway import surroundings, until
from tests.harness.loop import run

BOX = Target(provider=Provider(name="box", dialect="ollama", origin="http://box.test"), model="m", upstream="m")
LANES = ("alert", "review", "")
RESERVED = {"alert": 1, "review": 2}
ROOT = Path(__file__).parents[2]

PLANS = st.lists(
    st.tuples(
        st.sampled_from(("come", "go", "wait", "kill", "hire", "bury")), st.integers(0, 7), st.sampled_from(LANES)
    ),
    max_size=60,
)


class Street:
    """What all workers together have taken, counted by nobody of them."""

    def __init__(self, made: Crew, slots: int) -> None:
        self.crew = made
        self.slots = slots
        self.served: list[tuple[CrewBoard, str, Seat]] = []
        self.waiting: list[tuple[CrewBoard, str, asyncio.Task[Seat | Skipped]]] = []
        self.dying: list[tuple[CrewBoard, str, Seat]] = []
        """Seats of the dead who are not buried: nobody may have those slots yet."""

    def came(self) -> None:
        for board, lane, task in list(self.waiting):
            if task.done():
                self.waiting.remove((board, lane, task))
                found = task.result()
                if isinstance(found, Seat):
                    self.served.append((board, lane, found))

    def check(self) -> None:
        held = [lane for _, lane, _ in self.served + self.dying]
        shared = sum(max(held.count(lane) - RESERVED.get(lane, 0), 0) for lane in LANES)
        assert shared <= self.slots - sum(RESERVED.values())
        for lane, kept in RESERVED.items():
            assert max(kept - held.count(lane), 0) <= self.slots - len(held)

    async def step(self, move: str, number: int, lane: str) -> None:
        boards = self.crew.boards
        board = boards[number % len(boards)]
        rules = Lane(name=lane, targets=(BOX,), queue=4 if move == "wait" else 0, queue_s=5.0)
        if move in ("come", "wait"):
            task = asyncio.ensure_future(board.enter(BOX, rules, f"tenant-{number % 3}"))
            self.waiting.append((board, lane, task))
        elif move == "go" and self.served:
            self.served.pop(number % len(self.served))[2].leave(None)
        elif move == "kill" and len(boards) > 1:
            self.crew.kill(number % len(boards))
            for _, _, waiter in [each for each in self.waiting if each[0] is board]:
                waiter.cancel()
            self.waiting = [each for each in self.waiting if each[0] is not board]
            self.dying += [each for each in self.served if each[0] is board]
            self.served = [each for each in self.served if each[0] is not board]
        elif move == "hire" and len(boards) < 4:
            self.crew.hire()
        elif move == "bury":
            self.crew.bury()
        if move in ("hire", "bury"):
            self.dying = []  # Who comes buries as well.
        await asyncio.sleep(0)
        self.came()

    async def end(self) -> None:
        while self.waiting:
            if self.served:
                self.served.pop()[2].leave(None)
            await asyncio.sleep(0.004)
            self.came()
            self.check()
        for _, _, seat in self.served:
            seat.leave(None)
        self.crew.bury()


@given(slots=st.integers(3, 6), plan=PLANS)
@settings(max_examples=80, deadline=None)
def test_workers_together_keep_what_one_would_and_everything_comes_back(
    slots: int, plan: list[tuple[str, int, str]]
) -> None:
    async def scene() -> None:
        rules = {"box": HostRules(slots=slots, reserved=RESERVED)}
        with tempfile.TemporaryDirectory() as folder, crew(Path(folder) / "s.db", rules, 3) as made:
            street = Street(made, slots)
            for move, number, lane in plan:
                await street.step(move, number, lane)
                street.check()
            await street.end()
            for board in made.boards:
                assert (totals(board, "box"), board.host("box").busy) == ({}, {})
                assert board.host("box").admission.waiting == {}

    run(scene(), limit_s=60.0)


# --- processes ---------------------------------------------------------------------------------------------

SLOTS = 3


class Slow(Slate):
    """Takes so long between reading and writing that without a lock another would do the same meanwhile."""

    def tell(self, place: int, share: Share, keep: Collection[str]) -> None:
        time.sleep(0.0005)
        super().tell(place, share, keep)


def _work(store: str, counted: str, seconds: float) -> None:
    """One worker: many callers who hold a slot for a moment, counted in a file of the test's own."""
    import fcntl

    rules = HostRules(slots=SLOTS, reserved={"alert": 1})

    def count(file: int, lane: str, step: int) -> None:
        """A line of the lanes that are being served, and of anything that should never have been."""
        fcntl.flock(file, fcntl.LOCK_EX)
        text = os.pread(file, 1 << 16, 0).decode()
        lanes = [each for each in text.split("\n")[0].split(" ") if each]
        wrong = text.partition("\n")[2]
        if step > 0:
            lanes.append(f"{lane}:{os.getpid()}")
        else:
            lanes.remove(f"{lane}:{os.getpid()}")
        names = [each.partition(":")[0] for each in lanes]
        if len(names) > SLOTS or len(names) - min(names.count("alert"), 1) > SLOTS - 1:
            wrong += f"{lanes}\n"
        os.ftruncate(file, 0)
        os.pwrite(file, f"{' '.join(lanes)}\n{wrong}".encode(), 0)
        fcntl.flock(file, fcntl.LOCK_UN)

    async def call(board: CrewBoard, file: int, lane: Lane) -> None:
        seat = await board.enter(BOX, lane, lane.name)
        if isinstance(seat, Seat):
            count(file, lane.name, 1)
            await asyncio.sleep(0.002)
            count(file, lane.name, -1)
            seat.leave(None)

    async def main() -> None:
        board = CrewBoard(Slow(Path(store)), rules={"box": rules})
        board.start()
        file = os.open(counted, os.O_RDWR | os.O_CREAT, 0o600)
        lanes = [Lane(name=name, targets=(BOX,), queue=100, queue_s=5.0) for name in ("alert", "bulk", "bulk", "bulk")]
        print("works", flush=True)
        end_s = asyncio.get_running_loop().time() + seconds

        async def pull(lane: Lane) -> int:
            served = 0
            while asyncio.get_running_loop().time() < end_s:
                await call(board, file, lane)
                served += 1
            return served

        served = await asyncio.gather(*map(pull, lanes))
        await board.close()
        print(sum(served), flush=True)

    asyncio.run(main())


def worker(folder: Path, seconds: float) -> subprocess.Popen[str]:
    made = subprocess.Popen(
        [sys.executable, "-m", "tests.property.test_crew", str(folder / "s.db"), str(folder / "counted"), str(seconds)],
        cwd=folder,
        env=surroundings(folder, {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert made.stdout is not None
    assert until(made.stdout.readline) == "works\n"
    return made


def test_processes_together_keep_the_cap(tmp_path: Path) -> None:
    workers = [worker(tmp_path, 1.0) for _ in range(3)]
    served = [int(each.communicate(timeout=30)[0]) for each in workers]
    assert min(served) > 0, "each had its turns"
    assert (tmp_path / "counted").read_text() == "\n"


def test_what_a_killed_process_held_is_taken_by_the_living(tmp_path: Path) -> None:
    """It dies while it holds slots, over and over; in the end the whole capacity is there."""
    with crew(tmp_path / "s.db", {"box": HostRules(slots=SLOTS, reserved={"alert": 1})}, 1) as made:
        board = made.boards[0]
        for _ in range(4):
            dying = worker(tmp_path, 30.0)
            until(lambda: sum(totals(board, "box").values()) >= SLOTS)
            os.kill(dying.pid, signal.SIGKILL)
            dying.communicate()
            made.bury()
            assert totals(board, "box") == {}
        assert [path.name for path in tmp_path.glob("s.db-hosts-1*")] == ["s.db-hosts-1", "s.db-hosts-1.0"]


if __name__ == "__main__":
    _work(sys.argv[1], sys.argv[2], float(sys.argv[3]))
