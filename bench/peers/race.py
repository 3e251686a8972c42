"""The race: contestants serve the same load in turn, several rounds interleaved, and are compared by ratio.

`python -m bench.peers.race [--only NAME,...] [--rounds N] [--seconds S] [--connections 1,16,64,256] [--out FOLDER]`.
Servers run on the first processor, load and provider on the last, where there is more than one. CPU is the servers'
own (user and system, with all their processes), read from the kernel, so that the figures hold on a noisy machine;
quote the ratios. `--out` writes the figures as JSON, a table and a picture.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.peers.contestants import CONTESTANTS, YARDSTICK, Contestant, Place
from bench.peers.figures import Lap, Race, say
from bench.peers.picture import write

TICKS = os.sysconf("SC_CLK_TCK")
CPUS = sorted(os.sched_getaffinity(0))
START_S = 150.0
REST_S = 20.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def start(command: list[str], cpu: int, port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        ["taskset", "-c", str(cpu), *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={
            **os.environ,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
            "NODE_ENV": "production",
        },
    )
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        if process.poll() is not None:
            break
        time.sleep(0.05)
    end(process)
    raise RuntimeError(f"did not start: {' '.join(command)}")


def end(process: subprocess.Popen[bytes]) -> None:
    """With all its processes, which it alone started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(timeout=15)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue


def family(pid: int) -> list[int]:
    found, parents = [pid], {}
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            try:
                parents[int(each.name)] = int((each / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def cpu_s(pid: int) -> float:
    total = 0.0
    for member in family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def rest(pid: int) -> None:
    """Returns when a contestant has stopped working: some go on for seconds with what its callers have given up, on
    the next one's processor."""
    deadline = time.monotonic() + REST_S
    while time.monotonic() < deadline:
        before = cpu_s(pid)
        time.sleep(0.2)
        if cpu_s(pid) - before <= 0.02:
            return


def resident_mib(pid: int) -> float:
    pages = sum(int(Path(f"/proc/{member}/statm").read_text().split()[1]) for member in family(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def load(
    port: int, connections: int, seconds: float, kind: str, headers: dict[str, str], chunks: int
) -> dict[str, float]:
    words = [str(port), str(connections), str(seconds), kind, json.dumps(headers), str(chunks)]
    process = subprocess.Popen([sys.executable, "-m", "bench.peers.load", *words], stdout=subprocess.PIPE)
    os.sched_setaffinity(process.pid, {CPUS[-1]})
    said, _ = process.communicate(timeout=seconds + 60)
    if process.returncode:
        raise RuntimeError(f"the load failed against port {port}")
    told: dict[str, float] = json.loads(said)
    return told


class Course:
    """One upstream and everybody who races before it."""

    def __init__(self, contestants: list[Contestant], chunks: int, folder: Path) -> None:
        self.chunks = chunks
        self.port = free_port()
        self.upstream = start(
            [sys.executable, "-m", "bench.peers.upstream", str(self.port), str(chunks)], CPUS[-1], self.port
        )
        self.running: dict[str, tuple[subprocess.Popen[bytes], Place, Contestant]] = {}
        for contestant in contestants:
            place = Place(free_port(), self.port, folder, free_port())
            try:
                self.running[contestant.name] = start(contestant.command(place), CPUS[0], place.port), place, contestant
                contestant.prepare(place)
            except (RuntimeError, OSError) as error:
                print(f"{contestant.name} does not race: {error}", file=sys.stderr)

    def lap(self, name: str, connections: int, seconds: float, kind: str) -> Lap:
        process, place, contestant = self.running[name]
        if kind == "translated" and not contestant.translates:
            kind = "stream"
        before = cpu_s(process.pid)
        told = load(place.port, connections, seconds, kind, dict(contestant.headers(place)), self.chunks)
        used = cpu_s(process.pid) - before
        rest(process.pid)
        served = max(told["requests"], 1)
        return Lap(
            rate=told["requests"] / told["seconds"],
            cpu_us=used / served * 1e6,
            p50_ms=told["p50_ms"],
            p99_ms=told["p99_ms"],
            wrong=int(told["wrong"]),
            resident_mib=resident_mib(process.pid),
        )

    def translates(self, name: str) -> bool:
        return name == YARDSTICK or self.running[name][2].translates

    def direct(self, connections: int, seconds: float, kind: str) -> float:
        """The median latency with nobody in between."""
        asked = "whole" if kind == "whole" else "stream"
        return load(self.port, connections, seconds, asked, {}, self.chunks)["p50_ms"]

    def close(self) -> None:
        for process, _, _ in self.running.values():
            end(process)
        end(self.upstream)


def run(contestants: list[Contestant], asked: argparse.Namespace) -> list[Race]:
    races: list[Race] = []
    with tempfile.TemporaryDirectory() as folder:
        course = Course(contestants, asked.chunks, Path(folder))
        try:
            for name in course.running:
                for kind in asked.kinds:
                    course.lap(name, 8, 1.0, kind)
            for kind in asked.kinds:
                names = [name for name in course.running if kind != "translated" or course.translates(name)]
                for connections in asked.connections:
                    race = Race(kind, connections, asked.chunks, {name: [] for name in names}, math.nan)
                    for _ in range(asked.rounds):
                        for name in names:
                            race.laps[name].append(course.lap(name, connections, asked.seconds, kind))
                    races.append(race._replace(direct_p50_ms=course.direct(connections, asked.seconds, kind)))
                    say(races[-1])
        finally:
            course.close()
    return races


def main() -> None:
    parser = argparse.ArgumentParser(description="Race Laneway against a bare ASGI forwarder and other gateways.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a lap takes")
    parser.add_argument("--connections", type=lambda text: [int(one) for one in text.split(",")], default=[64])
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=["whole", "stream", "translated"])
    parser.add_argument("--chunks", type=int, default=100)
    parser.add_argument("--only", type=lambda text: text.split(","), help="parts of the names of those who race")
    parser.add_argument("--out", type=Path, help="a folder for race.json, race.md and race.svg")
    asked = parser.parse_args()
    racing = [
        each
        for each in CONTESTANTS
        if each.is_there() and (not asked.only or each.name == YARDSTICK or any(one in each.name for one in asked.only))
    ]
    races = run(racing, asked)
    if asked.out is not None:
        write(races, asked.out)


if __name__ == "__main__":
    main()
