"""What is left of a gateway's speed when three times as much is asked as it can serve.

`python -m bench.overload [--rounds N] [--seconds S] [--times 3] [--deadline 5]`. In each round the full stack (key,
lane, budget, conversations, record, SQLite) before simulated models is first driven as fast as it goes, which is the
peak; then requests come at a multiple of that rate, whether or not anybody answers. Goodput is what was answered
whole, right and in time, counted per second of the gateway's own CPU beside the clock: others share the machine.
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

from bench.flood import KEY
from bench.peers.race import CPUS, cpu_s, end, free_port, start

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
"""


def flood(port: int, seconds: float, deadline_s: float, rate: float) -> dict[str, float]:
    words = [str(port), str(seconds), str(deadline_s), str(rate)]
    process = subprocess.Popen([sys.executable, "-m", "bench.flood", *words], stdout=subprocess.PIPE)
    os.sched_setaffinity(process.pid, {CPUS[-1]})
    said, _ = process.communicate(timeout=seconds + 60)
    if process.returncode:
        raise RuntimeError("the flood failed")
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


def one_round(pid: int, port: int, asked: argparse.Namespace) -> tuple[float, float, str]:
    """Goodput by the peak, per second and per second of CPU, and a line of the table."""
    at = cpu_s(pid)
    calm = flood(port, asked.seconds, asked.deadline, 0)
    calm_cpu = cpu_s(pid) - at
    peak = calm["good"] / calm["seconds"]
    at = cpu_s(pid)
    told = flood(port, asked.seconds, asked.deadline, peak * asked.times)
    cpu = cpu_s(pid) - at
    settle(port)
    good = told["good"] / told["seconds"]
    by_cpu = told["good"] / cpu / (calm["good"] / calm_cpu)
    figures = [
        *(f"{peak:.0f}", f"{calm_cpu / calm['good'] * 1e6:.0f}", f"{told['asked'] / told['seconds']:.0f}"),
        *(f"{good:.0f}", f"{good / peak:.2f}", f"{by_cpu:.2f}", f"{told['turned_away'] / told['seconds']:.0f}"),
        *(f"{told['late'] + told['wrong']:.0f}", f"{told['never_sent']:.0f}"),
        f"{told['p50_ms']:.0f}, {told['p99_ms']:.0f}",
    ]
    return good / peak, by_cpu, " | ".join(figures)


def main() -> None:
    parser = argparse.ArgumentParser(description="Drive Laneway's full stack beyond what it can serve.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--times", type=float, default=3.0)
    parser.add_argument("--deadline", type=float, default=5.0)
    asked = parser.parse_args()
    print(
        "| peak/s | CPU us each | asked/s | good/s | of the peak | by CPU | turned away/s | late or wrong | never sent "
        "| p50, p99 ms |"
    )
    print("|" + " --- |" * 10)
    kept: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        path, port = Path(folder) / "overload.toml", free_port()
        path.write_text(CONFIG.format(folder=folder, key=KEY))
        served = [sys.executable, "-m", "laneway", "serve", "--config", str(path), "--port", str(port)]
        gateway = start(served, CPUS[0], port)
        try:
            flood(port, 1.0, asked.deadline, 0)
            for _ in range(asked.rounds):
                good, by_cpu, line = one_round(gateway.pid, port, asked)
                kept.append((good, by_cpu))
                print(f"| {line} |", flush=True)
        finally:
            end(gateway)
    good, by_cpu = (statistics.median(column) for column in zip(*kept, strict=True))
    print(f"\nunder {asked.times:g} times the peak: {good:.2f} of it, {by_cpu:.2f} by CPU (medians)")


if __name__ == "__main__":
    main()
