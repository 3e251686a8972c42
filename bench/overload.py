"""What is left of a gateway's speed when three times as much is asked as it can serve.

`python -m bench.overload [--rounds N] [--seconds S] [--times 3] [--deadline 5]`. In each round the full stack (key,
lane, budget, conversations, record, SQLite) before simulated models is first driven as fast as it goes by 64 callers
who wait for their answers, which is the peak; then by so many times as many; then requests come at so many times that
rate, whether or not anybody answers. Goodput is what was answered whole, right and in time; beside the clock it is
counted by the gateway's own CPU, as others share the machine. All the while a few streams run, each of which has words
every 50 ms: by how much those come late is told as well.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from bench import readers
from bench.flood import KEY
from bench.peers.race import CPUS, end, free_port, start

CALLERS = 64
EVERY_MS = 50
READ = f"sim-large-slow-{EVERY_MS}ms-long-400"
CONFIG = """
[server]
store = "sqlite:///{folder}/overload.db"
[providers.sim]
url = "simulated://models/v1"
accepts = ["sim-*"]
[models.flood]
provider = "sim"
id = "sim-large"
price = {{ input = "1", output = "2" }}
[tenants.crowd]
keys = ["{key}"]
daily_usd = 1000000
lane = "crowd"
[lanes.crowd]
targets = ["flood"]
sticky = true
[tenants.readers]
keys = ["{reads}"]
"""


def flood(pid: int, port: int, rate: float, callers: int, asked: argparse.Namespace) -> dict[str, float]:
    reading = aside("bench.readers", port, READ, EVERY_MS)
    flooding = aside("bench.flood", port, asked.seconds, asked.deadline, rate, pid, callers)
    told = outcome(flooding, asked.seconds + 90) | {f"late_{name}_ms": ms for name, ms in outcome(reading, 30).items()}
    settle(port)
    return told


def aside(module: str, *words: object) -> subprocess.Popen[bytes]:
    """On the processor that is not the gateway's."""
    command = [sys.executable, "-m", module, *map(str, words)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    os.sched_setaffinity(process.pid, {CPUS[-1]})
    return process


def outcome(process: subprocess.Popen[bytes], limit_s: float) -> dict[str, float]:
    said, _ = process.communicate(timeout=limit_s)
    if process.returncode:
        raise RuntimeError(f"{process.args!r} failed")
    told: dict[str, float] = json.loads(said)
    return told


def settle(port: int) -> None:
    """Until what a flood left behind is over."""
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30.0) as answer:
            if b"\nlaneway_in_flight 0\n" in answer.read():
                return
        time.sleep(0.2)
    raise RuntimeError("requests are still under way a minute after their callers have left")


def compared(name: str, told: dict[str, float], calm: dict[str, float]) -> tuple[float, float]:
    """Says a line of the table; goodput by the peak, per second and per second of CPU."""
    good, peak = told["good"] / told["seconds"], calm["good"] / calm["seconds"]
    by_cpu = told["good"] / told["cpu_s"] / (calm["good"] / calm["cpu_s"])
    figures = [
        *(name, f"{told['asked'] / told['seconds']:.0f}", f"{good:.0f}", f"{good / peak:.2f}", f"{by_cpu:.2f}"),
        *(f"{told['turned_away'] / told['seconds']:.0f}", f"{told['late'] + told['wrong']:.0f}"),
        f"{told['p50_ms']:.0f}, {told['p99_ms']:.0f}",
        f"{told['late_p50_ms']:.0f}, {told['late_p99_ms']:.0f}, {told['late_most_ms']:.0f}",
    ]
    print(f"| {' | '.join(figures)} |", flush=True)
    return good / peak, by_cpu


def main() -> None:
    parser = argparse.ArgumentParser(description="Drive Laneway's full stack beyond what it can serve.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--times", type=float, default=3.0)
    parser.add_argument("--deadline", type=float, default=5.0)
    asked = parser.parse_args()
    print(
        "| load | asked/s | good/s | of the peak | by CPU | turned away/s | late or wrong | p50, p99 ms "
        "| words late by: p50, p99, most ms |"
    )
    print("|" + " --- |" * 9)
    kept: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path, port = Path(folder) / "overload.toml", free_port()
        path.write_text(CONFIG.format(folder=folder, key=KEY, reads=readers.KEY))
        served = [sys.executable, "-m", "laneway", "serve", "--config", str(path), "--port", str(port)]
        gateway = start(served, CPUS[0], port)
        try:
            for _ in range(asked.rounds):
                calm = flood(gateway.pid, port, 0, CALLERS, asked)
                compared(f"{CALLERS} callers", calm, calm)
                more = int(CALLERS * asked.times)
                told = flood(gateway.pid, port, 0, more, asked)
                kept.setdefault(f"{more} callers", []).append(compared(f"{more} callers", told, calm))
                told = flood(gateway.pid, port, calm["good"] / calm["seconds"] * asked.times, 0, asked)
                kept.setdefault("at any rate", []).append(compared("at any rate", told, calm))
        finally:
            end(gateway)
    for name, rows in kept.items():
        good, by_cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{asked.times:g} times, {name}: {good:.2f} of the peak, {by_cpu:.2f} by CPU (medians)")


if __name__ == "__main__":
    main()
