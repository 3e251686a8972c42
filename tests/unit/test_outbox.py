"""The outbox: many writes of one pass leave together, few leave by themselves, and none is left behind."""

from __future__ import annotations

import asyncio
import gc
from weakref import ref

from laneway.hatch import MOST_WAITING, Hatch
from laneway.outbox import APART, FEW, MOST, Outbox, outbox_of
from tests.harness.loop import run


class Letter:
    def __init__(self, sent: list[int], number: int, *, fails: bool = False) -> None:
        self.sent = sent
        self.number = number
        self.fails = fails

    def flush(self) -> None:
        if self.fails:
            raise ZeroDivisionError
        self.sent.append(self.number)


def test_those_of_one_pass_leave_together_and_in_order() -> None:
    async def scene() -> None:
        loop, box, sent = asyncio.get_running_loop(), Outbox(), list[int]()
        for number in range(FEW):
            assert box.takes(Letter(sent, number), loop)
        assert sent == []
        await asyncio.sleep(0)
        assert sent == list(range(FEW))
        assert box.takes(Letter(sent, 9), loop), "there were enough"

    run(scene())


def test_a_pass_with_few_has_the_next_ones_leave_by_themselves() -> None:
    async def scene() -> None:
        loop, box, sent = asyncio.get_running_loop(), Outbox(), list[int]()
        assert box.takes(Letter(sent, 0), loop)
        await asyncio.sleep(0)
        assert sent == [0]
        assert not any(box.takes(Letter(sent, number), loop) for number in range(APART))
        assert box.takes(Letter(sent, 1), loop), "then it is tried again"

    run(scene())


def test_a_full_box_is_not_kept_until_the_end_of_the_pass() -> None:
    async def scene() -> None:
        loop, box, sent = asyncio.get_running_loop(), Outbox(), list[int]()
        for number in range(MOST + 1):
            assert box.takes(Letter(sent, number), loop)
        assert sent == list(range(MOST))
        await asyncio.sleep(0)
        assert sent == list(range(MOST + 1))

    run(scene())


def test_one_that_fails_does_not_keep_the_others() -> None:
    async def scene() -> None:
        loop, sent, failed = asyncio.get_running_loop(), list[int](), list[dict[str, object]]()
        loop.set_exception_handler(lambda _, context: failed.append(context))
        box = Outbox()
        for number in range(4):
            box.takes(Letter(sent, number, fails=number == 1), loop)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sent == [0, 2, 3]
        assert [type(context["exception"]) for context in failed] == [ZeroDivisionError]

    run(scene())


class Line(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.out: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_closed
        self.out.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True


def hatch() -> tuple[Hatch, Line]:
    made, line = Hatch(asyncio.get_running_loop()), Line()
    made.connection_made(line)
    return made, line


def test_every_connection_of_a_crowd_says_all_it_had_to_say() -> None:
    async def scene() -> None:
        crowd = [hatch() for _ in range(2 * MOST + 3)]
        for number, (each, _) in enumerate(crowd):
            each.write(b"%d" % number)
        assert any(not line.out for _, line in crowd), "some wait for the end of the pass"
        await asyncio.sleep(0)
        assert [line.out for _, line in crowd] == [[b"%d" % number] for number in range(len(crowd))]

    run(scene())


def test_bytes_keep_their_order_whether_they_wait_or_not() -> None:
    async def scene() -> None:
        crowd = [hatch() for _ in range(FEW)]
        for each, _ in crowd:
            each.write(b"1")
            each.write(b"2")
            each.write(b"3")
            each.write(b"4" * (MOST_WAITING + 1))
            each.write(b"5")
        await asyncio.sleep(0)
        for _, line in crowd:
            assert b"".join(line.out) == b"123" + b"4" * (MOST_WAITING + 1) + b"5"

    run(scene())


def test_a_connection_is_closed_behind_what_it_said() -> None:
    async def scene() -> None:
        crowd = [hatch() for _ in range(FEW)]
        for each, line in crowd:
            each.write(b"last words")
            each.close()
            assert (line.out, line.is_closed) == ([b"last words"], True)
        await asyncio.sleep(0)
        assert all(len(line.out) == 1 for _, line in crowd)

    run(scene())


def test_what_a_lost_connection_had_to_say_is_dropped() -> None:
    async def scene() -> None:
        crowd = [hatch() for _ in range(FEW)]
        for each, _ in crowd:
            each.write(b"words")
        crowd[0][0].connection_lost(None)
        await asyncio.sleep(0)
        assert [line.out for _, line in crowd] == [[], *[[b"words"]] * (FEW - 1)]

    run(scene())


def test_there_is_one_for_each_loop_and_it_goes_with_the_loop() -> None:
    async def mine() -> Outbox:
        loop = asyncio.get_running_loop()
        assert outbox_of(loop) is outbox_of(loop)
        outbox_of(loop).takes(Letter([], 0), loop)
        return outbox_of(loop)

    assert run(mine()) is not run(mine())
    loops = [asyncio.new_event_loop() for _ in range(3)]
    boxes = [ref(outbox_of(loop)) for loop in loops]
    for loop in loops:
        loop.close()
    loops.clear()
    del loop
    gc.collect()
    assert [box() for box in boxes] == [None] * 3
