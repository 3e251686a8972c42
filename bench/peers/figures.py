"""What a race measured, and how it is told: medians, and ratios of laps that were run one after the other.

Owns: the figures of a lap and of a race, and the table. Refuses: running anything.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import NamedTuple

from bench.peers.contestants import YARDSTICK


class Lap(NamedTuple):
    rate: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    wrong: int
    resident_mib: float


class Race(NamedTuple):
    kind: str
    connections: int
    chunks: int
    laps: dict[str, list[Lap]]
    direct_p50_ms: float

    @property
    def title(self) -> str:
        streams = f"streams of {self.chunks} chunks"
        kinds = {"whole": "whole answers", "translated": f"{streams} from OpenAI to Anthropic"}
        what = kinds.get(self.kind, streams)
        return f"{what}, {self.connections} connection{'s' if self.connections != 1 else ''}"


class Row(NamedTuple):
    name: str
    rate: float
    cpu_us: float
    ratio: float
    low: float
    high: float
    added_p50_ms: float
    p99_ms: float
    resident_mib: float
    wrong: int


def rows(race: Race) -> list[Row]:
    yardstick = race.laps[YARDSTICK]
    made = []
    for name, laps in race.laps.items():
        ratios = [mine.cpu_us / theirs.cpu_us for mine, theirs in zip(laps, yardstick, strict=True) if theirs.cpu_us]

        def middle(of: Callable[[Lap], float], laps: list[Lap] = laps) -> float:
            return statistics.median(of(lap) for lap in laps)

        made.append(
            Row(
                name=name,
                rate=middle(lambda lap: lap.rate),
                cpu_us=middle(lambda lap: lap.cpu_us),
                ratio=statistics.median(ratios),
                low=min(ratios),
                high=max(ratios),
                added_p50_ms=middle(lambda lap: lap.p50_ms) - race.direct_p50_ms,
                p99_ms=middle(lambda lap: lap.p99_ms),
                resident_mib=laps[-1].resident_mib,
                wrong=sum(lap.wrong for lap in laps),
            )
        )
    return made


def say(race: Race) -> None:
    rounds = len(next(iter(race.laps.values())))
    print(f"\n{race.title}, medians of {rounds}")
    print(
        f"{'':<24}{'req/s':>8} {'CPU us':>8} {'against bare (min-max)':>24} {'added p50 ms':>13} {'p99 ms':>8}"
        f" {'MiB':>6} wrong"
    )
    for row in rows(race):
        ratio = f"{row.ratio:.2f} ({row.low:.2f}-{row.high:.2f})"
        print(
            f"{row.name:<24}{row.rate:>8.0f} {row.cpu_us:>8.1f} {ratio:>24} {row.added_p50_ms:>13.2f}"
            f" {row.p99_ms:>8.2f} {row.resident_mib:>6.0f} {row.wrong}",
            flush=True,
        )
