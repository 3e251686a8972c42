"""A gateway that is begun in no time, for tests that kill it again and again.

Owns: a process that has everything imported and a port open, and begins a gateway by forking itself whenever it is
told to, once the one before is gone. What a kill leaves in the port's queue is the next one's.
Refuses: to end anything: whoever is told a process id kills that one.

    with Forks(folder, config) as forks:
        pid = forks.begin()

Two of them, of different names, may share a folder and so a store.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.harness.gateway import PATIENCE_S, surroundings, until

ROOT = Path(__file__).parents[2]


class Forks:
    """The side of the test."""

    def __init__(self, folder: Path, config: str, name: str = "gateway") -> None:
        (folder / "gateway.toml").write_text(config)
        self.folder = folder
        self._log = folder / f"{name}.log"
        self.pid = 0
        self.port = 0

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.harness.forks", "gateway.toml"],
                cwd=self.folder,
                env=surroundings(self.folder, {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.port = self._answer()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self._log.read_text()

    def begin(self) -> int:
        """A new gateway's process id; it may not answer yet."""
        assert self._process.stdin is not None
        self._process.stdin.write("begin\n")
        self._process.stdin.flush()
        self.pid = self._answer()
        return self.pid

    def kill(self) -> None:
        """As the machine does it: at once, and nothing is tidied up."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self.pid = 0

    def _answer(self) -> int:
        assert self._process.stdout is not None
        line = until(self._process.stdout.readline)
        return int(line)


def _main(config: str) -> None:
    import gc
    import socket
    from importlib import import_module

    from laneway.dialects import NAMES, dialect
    from laneway.gateway import build
    from laneway.listening import Listening
    from laneway.logs import start_logging
    from laneway.serve import serve
    from laneway.store import open_store

    for name in ("uvicorn.lifespan.on", "uvicorn.loops.auto", "laneway.upstream.engine"):
        import_module(name)
    open_store("sqlite:///never")
    for name in NAMES:
        dialect(name)
    start_logging()
    gc.freeze()
    port = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(port.getsockname()[1], flush=True)
    child = 0
    for _ in sys.stdin:
        if child:
            os.waitpid(child, 0)
        child = os.fork()
        if not child:
            gateway = build(config, variables=os.environ)
            os._exit(serve(gateway, Listening((port,), port.getsockname()[1], 1), lambda: None))
        print(child, flush=True)
    if child:
        with suppress(ChildProcessError):
            os.waitpid(child, 0)


if __name__ == "__main__":
    _main(sys.argv[1])
