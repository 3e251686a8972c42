"""A gateway in a process of its own, started and ended as a person does it.

Owns: a folder with its configuration, store and log, the environment it sees, waiting until it listens, and ending
it by its id. A traceback in the log fails the test that ran it: whatever happened, a person should have read a
sentence. Refuses: providers (tests/fakes/providers.py), and knowing what a client sends.

    with served(folder, config) as gateway:
        ...  # gateway.url
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

import laneway

T = TypeVar("T")

PATIENCE_S = 30.0
"""How long anything that happens by itself may take on a busy machine."""
SOURCES = Path(laneway.__file__).parents[1]
_LISTENS = re.compile(r"listens on http://\S+:(\d+)")


def until(found: Callable[[], T], *, limit_s: float = PATIENCE_S) -> T:
    """What `found` gives as soon as that is true of something. Fails when it never is."""
    deadline = time.monotonic() + limit_s
    while not (value := found()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {limit_s:g} s in vain")
        time.sleep(0.01)
    return value


class Served:
    """A running gateway."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.port = 0
        # A connection for each request, so that all workers are met; made once, for making one is dear.
        self.client = httpx.Client(
            timeout=PATIENCE_S, verify=False, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        """What it printed for the person who started it."""
        return (self.folder / "said.txt").read_text()

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text()

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(self.url + path, **more)

    def post(self, path: str, body: object = None, **more: Any) -> httpx.Response:
        return self.client.post(self.url + path, json=body, **more)

    def chat(self, model: str, prompt: str = "What is 7*8?", **more: Any) -> httpx.Response:
        """A small question at the OpenAI front."""
        body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
        return self.post("/v1/chat/completions", body, **more)

    def version(self) -> str:
        """The configuration in force."""
        version: str = self.get("/healthz").json()["config"]
        return version

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def end(self) -> int:
        """Asks it to stop and returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def listening(self) -> bool:
        found = _LISTENS.search(self.said)
        if found is not None:
            self.port = int(found[1])
        return found is not None


def command(folder: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Starts `laneway ...` in the folder; what it prints goes to said.txt and log.txt there."""
    with (folder / "said.txt").open("ab") as said, (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "laneway", *arguments],
            cwd=folder,
            env=surroundings(folder, variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=log,
        )


def told(folder: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Runs `laneway ...` to its end: the exit code, what it printed, and what it complained of."""
    done = subprocess.run(
        [sys.executable, "-m", "laneway", *arguments],
        cwd=folder,
        env=surroundings(folder, variables or {}),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def surroundings(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a gateway in a test: this one, the sources, and no home."""
    paths = [str(SOURCES), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HOME": str(folder), **variables}


@contextmanager
def served(
    folder: Path,
    config: str | Path | None = None,
    *,
    variables: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
) -> Iterator[Served]:
    """A gateway on a free port, with a store in the folder. `config` is a file's text, or a file as it is."""
    path = config if isinstance(config, Path) else folder / "gateway.toml"
    if isinstance(config, str):
        path.write_text(config)
    named = ["--config", str(path)] if config is not None else []
    for name in ("said.txt", "log.txt"):
        (folder / name).write_text("")
    gateway = Served(command(folder, "serve", "--port", "0", *named, *arguments, variables=variables), folder)
    try:
        until(lambda: gateway.listening() or gateway.process.poll() is not None)
        assert gateway.process.poll() is None, gateway.log
        yield gateway
    except BaseException:
        print(gateway.log)
        raise
    finally:
        gateway.client.close()
        gateway.end()
    assert "Traceback" not in gateway.log, gateway.log
