"""The race: contestants serve the same load in turn, several rounds interleaved, and are compared by ratio.

`python -m bench.peers.race [--rounds N] [--requests N] [--connections N]`. Servers run on the first processor, load
and provider on the last, where there is more than one. CPU is the servers' own (user and system), read from the
kernel, so that the figures hold on a noisy machine; quote the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
CPUS = sorted(os.sched_getaffinity(0))
CONFIG = """
[server]
store = "sqlite:///{folder}/race.db"
[providers.race]
url = "http://127.0.0.1:{port}/v1"
api_key = "upstream-key"
lists = false
[models."race-model"]
provider = "race"
price = {{ input = "1", output = "2" }}
[tenants.racers]
keys = ["race-key-0001"]
"""


class Contestant(NamedTuple):
    name: str
    command: Callable[[int, int, str], list[str]]


class Lap(NamedTuple):
    rate: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    wrong: int


def _bare(port: int, upstream: int, _folder: str) -> list[str]:
    return [sys.executable, "-m", "bench.peers.bare", str(port), str(upstream)]


def _laneway(port: int, upstream: int, folder: str) -> list[str]:
    path = Path(folder) / "race.toml"
    path.write_text(CONFIG.format(folder=folder, port=upstream))
    return [sys.executable, "-m", "laneway", "serve", "--config", str(path), "--port", str(port)]


CONTESTANTS = (Contestant("bare ASGI forwarder", _bare), Contestant("laneway, full stack", _laneway))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def start(command: list[str], cpu: int, port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.sched_setaffinity(process.pid, {cpu})  # threads that it starts later stay there too
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    raise SystemExit(f"did not start: {' '.join(command)}")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def lap(process: subprocess.Popen[bytes], port: int, connections: int, requests: int, kind: str) -> Lap:
    before = cpu_s(process.pid)
    load = subprocess.Popen(
        [sys.executable, "-m", "bench.peers.load", str(port), str(connections), str(requests), kind],
        stdout=subprocess.PIPE,
    )
    os.sched_setaffinity(load.pid, {CPUS[-1]})
    said, _ = load.communicate(timeout=180)
    if load.returncode:
        raise SystemExit(f"the load failed against port {port}")
    told = json.loads(said)
    used = cpu_s(process.pid) - before
    return Lap(requests / told["seconds"], used / requests * 1e6, told["p50_ms"], told["p99_ms"], told["wrong"])


def race(kind: str, connections: int, requests: int, rounds: int, chunks: int) -> None:
    provider_port = free_port()
    provider = start(
        [sys.executable, "-m", "bench.peers.upstream", str(provider_port), str(chunks)], CPUS[-1], provider_port
    )
    running: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
    laps: dict[str, list[Lap]] = {contestant.name: [] for contestant in CONTESTANTS}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for contestant in CONTESTANTS:
                port = free_port()
                running[contestant.name] = (
                    start(contestant.command(port, provider_port, folder), CPUS[0], port),
                    port,
                )
            for number in range(rounds + 1):
                for name, (process, port) in running.items():
                    done = lap(process, port, connections, requests, kind)
                    if number:  # the first round warms up
                        laps[name].append(done)
        finally:
            for process, _ in running.values():
                process.terminate()
            provider.kill()
            for process, _ in running.values():
                process.wait(timeout=30)
            provider.wait()
    _print(kind, connections, requests, chunks, laps)


def _print(kind: str, connections: int, requests: int, chunks: int, laps: dict[str, list[Lap]]) -> None:
    what = "whole answers" if kind == "whole" else f"streams of {chunks} chunks"
    print(
        f"\n{what}, {connections} connections, {requests} requests a lap, medians of {len(laps[CONTESTANTS[0].name])}"
    )
    print(f"{'':<22} {'req/s':>8} {'CPU us':>8} {'p50 ms':>8} {'p99 ms':>8} {'wrong':>6}   CPU against bare (min-max)")
    yardstick = laps[CONTESTANTS[0].name]
    for name, all_laps in laps.items():
        ratios = [mine.cpu_us / theirs.cpu_us for mine, theirs in zip(all_laps, yardstick, strict=True)]
        middle = statistics.median
        print(
            f"{name:<22} {middle(one.rate for one in all_laps):>8.0f} {middle(one.cpu_us for one in all_laps):>8.1f}"
            f" {middle(one.p50_ms for one in all_laps):>8.2f} {middle(one.p99_ms for one in all_laps):>8.2f}"
            f" {sum(one.wrong for one in all_laps):>6}   {middle(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Race the whole stack against a bare ASGI forwarder.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--chunks", type=int, default=100)
    asked = parser.parse_args()
    race("whole", asked.connections, asked.requests, asked.rounds, asked.chunks)
    race("stream", asked.connections, max(asked.requests // 20, asked.connections), asked.rounds, asked.chunks)


if __name__ == "__main__":
    main()
