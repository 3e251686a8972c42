"""`make endurance`: a gateway under everything at once for ten minutes, and whether it is then as it was at first.

Owns: how long, how much, what is looked at meanwhile, the table and the verdict. Refuses: being part of `make test`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.endurance.scene import ADMIN, Scene, scene
from tests.endurance.traffic import Traffic
from tests.endurance.vitals import (
    BYTES_EACH,
    GROWTH,
    WAL_BYTES,
    Sign,
    books,
    is_quiet,
    look,
    memory,
    p99_ms,
    store_bytes,
)
from tests.harness.gateway import until

CALLERS = 8
RELOAD_S = 7.0


async def play(stage: Scene, seconds: float, rate: float, seed: int) -> tuple[Traffic, list[Sign]]:
    """All callers, a listener, an operator and whoever takes the pulse."""
    traffic = Traffic(stage.gateway.url, random.Random(seed))
    began, signs = time.monotonic(), list[Sign]()
    end = began + seconds

    async def operate() -> None:
        turn = 0
        while time.monotonic() < end:
            await asyncio.sleep(min(RELOAD_S, max(end - time.monotonic(), 0)))
            turn += 1
            stage.rewrite(20 + turn % 2)
            if turn % 2:
                stage.gateway.signal(signal.SIGHUP)
            else:
                answer = await traffic.client.post("/admin/v1/reload", headers=ADMIN)
                if answer.status_code != 200:
                    traffic.complain(f"reload: {answer.status_code} {answer.text}")
            await traffic.looked()
            stage.forget()

    async def watch() -> None:
        each_s = max(seconds / 120, 0.25)
        while time.monotonic() < end:
            signs.append(await asyncio.to_thread(look, stage, time.monotonic() - began))
            await asyncio.sleep(each_s)

    async with traffic.client, asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(traffic.call(end, rate / CALLERS))
        group.create_task(traffic.listen("/admin/v1/events", ADMIN, end))
        group.create_task(operate())
        group.create_task(watch())
    return traffic, signs


def verdict(stage: Scene, traffic: Traffic, signs: list[Sign], before: Sign) -> tuple[list[tuple[str, str]], list[str]]:
    """The table, and what is wrong in words."""
    said = traffic.complaints
    wrong = [f"{len(said)} answers were not as promised: {'; '.join(said[:3])}"] if said else []
    try:
        until(lambda: is_quiet(stage, before))
    except TimeoutError:
        now = look(stage, 0.0)
        more = ", ".join(f"{count} {name}" for name, count in (now.kinds - before.kinds).items())
        kept = sum(house.open_connections() for house in stage.houses)
        wrong.append(
            f"{now.tasks} tasks are left, where {before.tasks} were at first, and {now.files} files, where "
            f"{before.files} were (more: {more}), {kept} of them to providers"
        )
    warm, last = memory(signs)
    if last > warm * GROWTH:
        wrong.append(f"resident memory grew from {warm:.1f} to {last:.1f} MiB after the warm-up")
    third = max(len(traffic.steady) // 3, 1)
    first_ms, last_ms = p99_ms(traffic.steady, slice(0, third)), p99_ms(traffic.steady, slice(-third, None))
    if last_ms > 2 * first_ms + 100:
        wrong.append(f"the p99 was {first_ms:.0f} ms in the first third and {last_ms:.0f} ms in the last")
    # What was answered last is on record a moment later.
    until(lambda: books(stage)[1] == 0)
    spent, held, recorded, count = books(stage)
    if spent != recorded or held:
        wrong.append(f"the ledger has spent {spent} USD and holds {held}; the records add up to {recorded}")
    size, log = store_bytes(stage.gateway.folder)
    if log > WAL_BYTES or size > BYTES_EACH * count + (4 << 20):
        wrong.append(f"the database has {size} bytes for {count} records, and its log {log}")
    table = [
        ("requests", ", ".join(f"{name} {number}" for name, number in sorted(traffic.done.items()))),
        ("records", str(count)),
        ("resident memory, MiB", f"{warm:.1f} after the warm-up, {last:.1f} at the end ({last / warm - 1:+.1%})"),
        ("files, tasks at first", f"{before.files}, {before.tasks}"),
        ("the most of them", f"{max(sign.files for sign in signs)}, {max(sign.tasks for sign in signs)}"),
        ("p99 of a plain request, ms", f"{first_ms:.0f} in the first third, {last_ms:.0f} in the last"),
        ("ledger, records, USD", f"{spent}, {recorded}"),
        ("database, log, MiB", f"{size / 2**20:.1f}, {log / 2**20:.1f}"),
    ]
    return table, wrong


def endure(folder: Path, seconds: float, rate: float, seed: int) -> tuple[list[tuple[str, str]], list[str]]:
    with scene(folder) as stage:
        before = look(stage, 0.0)
        traffic, signs = asyncio.run(play(stage, seconds, rate, seed))
        table, wrong = verdict(stage, traffic, signs, before)
        return [*table, ("reloads", str(stage.gateway.log.count("is in force (was")))], wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="make endurance", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=30.0, help="requests a second, roughly")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table, wrong = endure(Path(folder), asked.minutes * 60, asked.rate, asked.seed)
    for name, said in table:
        print(f"{name:<28} {said}")
    print(*(f"WRONG: {each}" for each in wrong), sep="\n")
    print(f"endurance: {'not as it was at first' if wrong else 'as it was at first'} after {asked.minutes:g} minutes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
