"""What a second worker gives, and what it costs that both count a provider's slots together.

`python -m bench.crew [--rounds N] [--seconds S] [--connections N] [--share F]`. One worker and two serve the same load
in turn, with and without slots, through all rooms. Workers may run on every processor, load and provider run on the
last: the rate shows what this machine gives with the load on it, which on two processors is far less than two workers
can do. What a second worker costs shows in CPU per request: with a processor for each, two give twice the one's rate
times the ratio of one's CPU to theirs, as long as they do not wait for each other.

With `--share .25` each worker is held to a quarter of a processor, so that there is room for all of them, the load and
the provider: then the rates show what two workers give that do wait for each other where they have to.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.peers.contestants import FULL, LANEWAY
from bench.peers.race import CPUS, cpu_s, end, family, free_port, load, start
from bench.shares import held


class Setup(NamedTuple):
    name: str
    workers: int
    slots: int | None


SETUPS = (
    Setup("one", 1, None),
    Setup("two", 2, None),
    Setup("one, slots", 1, 1000),
    Setup("two, slots", 2, 1000),
)


class Lap(NamedTuple):
    rate: float
    cpu_us: float
    p99_ms: float


def serve(setup: Setup, folder: Path, upstream: int, port: int) -> subprocess.Popen[bytes]:
    name = setup.name.replace(", ", "-")
    text = LANEWAY.format(folder=folder, name=name, upstream=upstream, more=FULL)
    if setup.slots is not None:
        text = text.replace("lists = false\n", f"lists = false\nslots = {setup.slots}\n")
    path = folder / f"{name}.toml"
    path.write_text(text)
    words = ["taskset", "-c", ",".join(map(str, CPUS)), sys.executable, "-m", "laneway", "serve"]
    words += ["--config", str(path), "--port", str(port), "--workers", str(setup.workers)]
    return start(words, CPUS[0], port)


def lap(process: subprocess.Popen[bytes], port: int, connections: int, seconds: float) -> Lap:
    before = cpu_s(process.pid)
    told = load(port, connections, seconds, "whole", {}, 0)
    if told["wrong"]:
        raise RuntimeError(f"{told['wrong']:g} wrong answers")
    used = cpu_s(process.pid) - before
    return Lap(told["requests"] / told["seconds"], used / told["requests"] * 1e6, told["p99_ms"])


def run(rounds: int, seconds: float, connections: int, share: float | None) -> dict[str, list[Lap]]:
    laps: dict[str, list[Lap]] = {setup.name: [] for setup in SETUPS}
    running: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as fences:
        upstream = free_port()
        provider = start([sys.executable, "-m", "bench.peers.upstream", str(upstream)], CPUS[-1], upstream)
        try:
            for setup in SETUPS:
                port = free_port()
                running[setup.name] = serve(setup, Path(folder), upstream, port), port
                lap(*running[setup.name], connections, 2.0)
                if share is not None:
                    fences.enter_context(held(family(running[setup.name][0].pid), share))
            for _ in range(rounds):
                for name, (process, port) in running.items():
                    laps[name].append(lap(process, port, connections, seconds))
        finally:
            for process, _ in running.values():
                end(process)
            end(provider)
    return laps


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare two workers with one.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--share", type=float, help="hold each worker to this share of a processor")
    asked = parser.parse_args()
    laps = run(asked.rounds, asked.seconds, asked.connections, asked.share)
    print(f"{asked.connections} connections, {len(CPUS)} processors shared with load and provider")
    if asked.share is not None:
        print(f"each worker held to {asked.share:g} of a processor")
    for name, ran in laps.items():
        rate, cpu_us, p99_ms = (statistics.median(column) for column in zip(*ran, strict=True))
        print(f"{name:<12}{rate:>8.0f} req/s{cpu_us:>8.0f} us CPU{p99_ms:>8.1f} ms p99")
    for one, two in (("one", "two"), ("one, slots", "two, slots"), ("two", "two, slots")):
        pairs = list(zip(laps[one], laps[two], strict=True))
        rate = statistics.median(b.rate / a.rate for a, b in pairs)
        cpu = statistics.median(b.cpu_us / a.cpu_us for a, b in pairs)
        print(f"{two} / {one}: rate {rate:.2f}, CPU per request {cpu:.2f}")


if __name__ == "__main__":
    main()
