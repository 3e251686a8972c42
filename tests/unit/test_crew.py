"""What the workers of one machine know of each other: breakers, queues, who lives, and what happens without room."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from laneway.board import Board
from laneway.chat import Usage
from laneway.crew import CrewBoard, board_of
from laneway.failure import Failure, Kind
from laneway.policy.breaker import BreakerRules
from laneway.policy.residency import Loaded
from laneway.policy.share import Other, Share, summed
from laneway.route import Attempt, HostRules, Lane, Provider, Skipped, Target
from laneway.seat import Seat
from laneway.slate import HOSTS, ROOM, Slate
from tests.harness.clock import Clock
from tests.harness.crews import Crew, crew, totals
from tests.harness.loop import run

BOX, PLAIN = (
    Target(provider=Provider(name=name, dialect="ollama", origin=f"http://{name}.test"), model="m", upstream="m")
    for name in ("box", "plain")
)
SLOTS = {"box": HostRules(slots=2)}
TIMEOUT = Failure(kind=Kind.TIMEOUT, clock="headers", message="silent")
RULES = BreakerRules(after=2, cool_down_s=5.0, jitter=0.0)


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def two(tmp_path: Path, clock: Clock) -> Iterator[Crew]:
    with crew(tmp_path / "s.db", SLOTS, 2, breaker=RULES, clock=clock) as made:
        yield made


def lane(name: str = "l", *, queue: int = 8, queue_s: float = 5.0, crowded: str = "next") -> Lane:
    return Lane(name=name, targets=(BOX,), queue=queue, queue_s=queue_s, crowded=crowded)


def ended(target: Target, failure: Failure | None, now_s: float) -> Attempt:
    return Attempt(target=target, started_s=now_s, ended_s=now_s, failure=failure, usage=Usage())


async def call(board: CrewBoard, failure: Failure | None = None, target: Target = PLAIN) -> str:
    """One call's end, or why there was none."""
    seat = await board.enter(target)
    if isinstance(seat, Skipped):
        return seat.kind
    seat.leave(ended(target, failure, board.clock()))
    return "called"


# --- breakers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [PLAIN, BOX], ids=["plain", "slots"])
def test_a_timeout_of_each_opens_it_for_both_and_one_probe_ends_it(two: Crew, clock: Clock, target: Target) -> None:
    one, other = two.boards

    async def scene() -> None:
        assert await call(one, TIMEOUT, target) == "called"
        assert await call(other, TIMEOUT, target) == "called"
        assert [await call(board, None, target) for board in (one, other)] == ["open", "open"]
        assert other.host(target.provider.name).breakers[target.name].strikes == 2

        clock.now_s += 5.1
        probe = await one.enter(target)
        assert isinstance(probe, Seat)
        assert probe.probe
        assert await call(other, None, target) == "open", "one probe at a time, whoever's"
        probe.leave(ended(target, None, clock()))
        assert [await call(board, None, target) for board in (other, one)] == ["called", "called"]
        assert not one.host(target.provider.name).breakers

    run(scene())


def test_a_probe_that_times_out_makes_both_wait_longer(two: Crew, clock: Clock) -> None:
    one, other = two.boards

    async def scene() -> None:
        for board in (one, other):
            await call(board, TIMEOUT)
        clock.now_s += 5.1
        assert await call(other, TIMEOUT) == "called"
        clock.now_s += 5.1
        assert await call(one) == "open"
        clock.now_s += 5.0
        assert await call(one) == "called"

    run(scene())


def test_a_wait_that_was_asked_of_one_is_kept_by_both_and_forgotten_afterwards(two: Crew, clock: Clock) -> None:
    one, other = two.boards
    busy = Failure(kind=Kind.RATE_LIMITED, message="later", retry_after_s=3.0)

    async def scene() -> None:
        await call(one, busy)
        assert other.rests_s(PLAIN) == 3.0
        assert await call(other) == "resting"
        clock.now_s += 3.1
        assert await call(other) == "called"
        assert not other.host("plain").breakers, "nothing is left that later calls would have to look at"

    run(scene())


def test_more_broken_targets_than_there_is_room_for_leave_the_latest(two: Crew, clock: Clock) -> None:
    one, other = two.boards

    async def scene() -> None:
        targets = [Target(provider=PLAIN.provider, model="m", upstream=f"{n:05}" * 60) for n in range(500)]
        for target in targets:
            clock.now_s += 0.001
            for _ in range(2):
                await call(one, TIMEOUT, target)
        assert await call(other, None, targets[-1]) == "open"
        assert 50 < len(other.host("plain").breakers) < len(targets)

    run(scene())


# --- slots and queues --------------------------------------------------------------------------------------


def test_a_slot_that_one_gives_back_is_taken_by_who_waits_at_the_other(two: Crew) -> None:
    one, other = two.boards

    async def scene() -> None:
        seats = [await one.enter(BOX, lane()) for _ in range(2)]
        assert isinstance(await other.enter(BOX, lane(queue=0)), Skipped)
        waiting = asyncio.ensure_future(other.enter(BOX, lane()))
        await asyncio.sleep(0.01)
        one.refresh()
        assert one.host("box").waiting_elsewhere == {"l": 1}
        assert isinstance(seats[0], Seat)
        seats[0].leave(None)
        found = await waiting
        assert isinstance(found, Seat)
        assert totals(one, "box") == {"l": 2}

    run(scene())


def test_a_queue_is_as_long_as_its_lane_says_for_all_together(two: Crew) -> None:
    one, other = two.boards

    async def scene() -> None:
        for _ in range(2):
            await one.enter(BOX, lane())
        waiting = [asyncio.ensure_future(board.enter(BOX, lane(queue=2))) for board in (one, other)]
        await asyncio.sleep(0)
        late = await other.enter(BOX, lane(queue=2))
        assert isinstance(late, Skipped)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert [board.host("box").admission.waiting for board in (one, other)] == [{}, {}]

    run(scene())


def test_workers_take_turns(tmp_path: Path) -> None:
    """One has many callers and the other two: nobody's wait for all of the many."""
    order: list[str] = []

    async def pull(name: str, board: Board) -> None:
        seat = await board.enter(BOX, lane(queue=100))
        assert isinstance(seat, Seat)
        order.append(name)
        await asyncio.sleep(0.001)
        seat.leave(None)

    async def scene() -> None:
        with crew(tmp_path / "s.db", {"box": HostRules(slots=1)}, 2) as made:
            one, other = made.boards
            many = [asyncio.ensure_future(pull("many", one)) for _ in range(12)]
            await asyncio.sleep(0)
            few = [asyncio.ensure_future(pull("few", other)) for _ in range(2)]
            await asyncio.gather(*many, *few)

    run(scene())
    assert len(order) == 14
    assert max(at for at, name in enumerate(order) if name == "few") < 10


def test_nobody_waits_for_a_worker_who_does_not_look(two: Crew) -> None:
    """A stopped process has its turn, and cannot take it."""
    stopped = Other(0, 10.0, Share(waiting={"l": 3}, granted_s=1.0))
    assert summed([stopped], 1, 5.0, 10.01).promised == {"l": 1}
    assert summed([stopped], 1, 5.0, 11.0).promised == {}
    assert summed([stopped], 1, 0.5, 10.01).promised == {}


def test_who_waits_for_room_in_memory_hears_when_the_other_is_done(tmp_path: Path) -> None:
    gib = 1 << 30
    rules = {"box": HostRules(slots=4, protected=frozenset({"warm"}), memory_bytes=10 * gib)}
    heavy = Target(provider=BOX.provider, model="other", upstream="other")

    async def scene() -> None:
        with crew(tmp_path / "s.db", rules, 2) as made:
            one, other = made.boards
            one.hear_loaded("box", {name: Loaded(size_bytes=4 * gib) for name in ("warm", "other")})
            other.hear_loaded("box", {name: Loaded(size_bytes=4 * gib) for name in ("warm", "m")})
            loading = await one.enter(heavy)
            assert isinstance(loading, Seat)
            refused = await other.enter(BOX, lane())
            assert isinstance(refused, Skipped)
            assert refused.kind == "crowded"
            waiting = asyncio.ensure_future(other.enter(BOX, lane(crowded="wait")))
            await asyncio.sleep(0.01)
            assert not waiting.done()
            loading.leave(None)
            assert isinstance(await waiting, Seat)

    run(scene())


# --- who lives ---------------------------------------------------------------------------------------------


def test_what_a_dead_worker_had_is_free_once_it_is_buried(two: Crew) -> None:
    async def scene() -> None:
        for _ in range(2):
            assert isinstance(await two.boards[0].enter(BOX, lane("gone")), Seat)
        two.kill(0)
        left = two.boards[0]
        assert totals(left, "box") == {"gone": 2}
        left.start()
        while totals(left, "box"):  # noqa: ASYNC110 - it is buried by itself, and tells nobody
            await asyncio.sleep(0.01)
        assert isinstance(await left.enter(BOX, lane()), Seat)
        await left.close()

    run(scene())


def test_who_takes_a_dead_ones_place_has_nothing_of_it(two: Crew) -> None:
    async def scene() -> None:
        await two.boards[0].enter(BOX, lane("gone"))
        two.kill(0)
        two.hire()
        assert [totals(board, "box") for board in two.boards] == [{}, {}]

    run(scene())


def test_what_the_last_one_left_is_wiped_by_the_next(tmp_path: Path, clock: Clock) -> None:
    """Breakers are facts of a running gateway, and the clock they are in may begin anew."""

    async def scene(made: Crew) -> None:
        for _ in range(2):
            await call(made.boards[0], TIMEOUT)
        await made.boards[0].enter(BOX, lane())

    for _ in range(2):
        with crew(tmp_path / "s.db", SLOTS, 1, breaker=RULES, clock=clock) as made:
            assert not made.boards[0].host("plain").breakers
            assert totals(made.boards[0], "box") == {}
            run(scene(made))
            made.kill(0)


def test_a_seat_may_be_left_after_the_board_was_closed(two: Crew) -> None:
    async def scene() -> None:
        seat = await two.boards[0].enter(BOX, lane())
        assert isinstance(seat, Seat)
        await two.boards[0].close()
        seat.leave(ended(BOX, TIMEOUT, 1000.0))
        assert totals(two.boards[1], "box") == {}
        assert isinstance(await two.boards[0].enter(BOX, lane()), Seat)

    run(scene())


def test_a_reload_counts_the_calls_of_all(two: Crew) -> None:
    one, other = two.boards

    async def scene() -> None:
        await one.enter(BOX, lane())
        other.configure({"box": HostRules(slots=1)}, RULES, ())
        assert isinstance(await other.enter(BOX, lane(queue=0)), Skipped)
        waiting = asyncio.ensure_future(other.enter(BOX, lane()))
        await asyncio.sleep(0)
        other.configure({"box": HostRules(slots=2)}, RULES, ())
        assert isinstance(await waiting, Seat)
        assert totals(one, "box") == {"l": 2}

    run(scene())


# --- no room -----------------------------------------------------------------------------------------------


def test_names_that_do_not_fit_are_counted_all_the_same(tmp_path: Path) -> None:
    rules = {"box": HostRules(slots=8, reserved={"kept": 2}, protected=frozenset({"warm"}), memory_bytes=1 << 40)}

    async def scene() -> None:
        with crew(tmp_path / "s.db", rules, 2) as made:
            one, other = made.boards
            for board in made.boards:
                board.hear_loaded("box", {name: Loaded(size_bytes=1) for name in ("warm", "m")})
            long = Target(provider=BOX.provider, model="x", upstream="x" * ROOM)
            one.host("box").sizes["x" * ROOM] = 1
            assert isinstance(await one.enter(BOX, lane("kept")), Seat)
            assert isinstance(await one.enter(long, lane("bulk")), Seat)
            assert totals(other, "box") == {"kept": 1, "": 1}
            found = await other.enter(BOX, lane())
            assert isinstance(found, Skipped)
            assert found.kind == "crowded", "what is not known is thought to need all the memory"

    run(scene())


def test_more_providers_than_there_is_room_for_are_counted_by_each_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    many = {f"p{n}": HostRules(slots=1) for n in range(HOSTS + 1)}

    async def scene() -> None:
        with crew(tmp_path / "s.db", many, 2) as made:
            for name, both in ((f"p{HOSTS - 1}", 1), (f"p{HOSTS}", 2)):
                target = Target(
                    provider=Provider(name=name, dialect="ollama", origin="http://p.test"), model="m", upstream="m"
                )
                seats = [await board.enter(target, lane(queue=0)) for board in made.boards]
                assert sum(isinstance(seat, Seat) for seat in seats) == both

    run(scene())
    assert f"counts the calls of p{HOSTS} alone" in caplog.text


def test_a_process_without_a_file_to_meet_at_has_a_board_of_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert type(board_of(tmp_path / "s.db", crew=False)) is Board
    assert type(board_of(None, crew=True)) is Board
    assert type(board_of(tmp_path / "nowhere" / "s.db", crew=True)) is Board
    assert "each worker counts for itself" in caplog.text
    assert not list(tmp_path.iterdir())


def test_a_closed_slate_leaves_no_lock_behind(tmp_path: Path) -> None:
    slate = Slate(tmp_path / "s.db")
    slate.close()
    slate.close()
    assert [path.name for path in tmp_path.iterdir()] == ["s.db-hosts-1"]
