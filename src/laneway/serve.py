"""Serving: the gateway behind uvicorn.

Owns: worker processes, signals for reload, and what the person who started it reads.
Refuses: routing, and configuration beyond what it needs to listen.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from laneway import __version__
from laneway.config import ConfigError
from laneway.doorway import FrontProtocol
from laneway.gateway import Gateway
from laneway.listening import BACKLOG, Listening
from laneway.loaded import Loaded, load
from laneway.logs import start_logging

DRAIN_S = 30.0
"""How long answers under way may take once the gateway was told to stop."""

# --- one process, or several -------------------------------------------------------------------------------


def serve(gateway: Gateway, listening: Listening, on_start: Callable[[], None]) -> int:
    """Serves until told to stop, and returns an exit code. `on_start` is called when callers are answered."""
    settings = gateway.desk.loaded
    proxies = settings.layout.settings.server.trusted_proxies
    common: dict[str, Any] = {
        "http": partial(FrontProtocol, scale=settings.scale),
        "loop": "laneway.entrance:FrontLoop",
        "ws": "none",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": bool(proxies),
        "forwarded_allow_ips": list(proxies) or None,
        "timeout_graceful_shutdown": DRAIN_S * settings.scale,
        "backlog": BACKLOG,
    }
    sockets = list(listening.sockets)
    if listening.workers > 1:
        os.environ["LANEWAY_LOOPBACK"] = "1" if gateway.loopback else ""
        if settings.path is not None:
            os.environ["LANEWAY_CONFIG"] = str(settings.path)
        workers = _Workers(
            uvicorn.Config("laneway.serve:app", factory=True, workers=listening.workers, **common), sockets
        )
        on_start()
        workers.run()
        return 1 if workers.failed else 0
    server = _Server(uvicorn.Config(gateway, **common), gateway, on_start)
    with _hangups_held():
        server.run(sockets)
    return 0 if server.started else 1


class _Server(uvicorn.Server):
    """One process: says when it listens, and reloads on SIGHUP."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            _reload_on_hangup(self._gateway)
            _settle_memory()
            self._on_start()


class _Workers(Multiprocess):
    """Several processes: each reloads for itself, so that a bad file ends none of them."""

    @property
    def failed(self) -> bool:
        return any(process.exitcode not in (0, None, -signal.SIGTERM) for process in self.processes)

    def init_processes(self) -> None:
        with _hangups_held():
            super().init_processes()

    def keep_subprocess_alive(self) -> None:
        for process in self.processes:
            if process.exitcode is not None:
                logging.getLogger("laneway").warning(
                    "worker %s ended by itself (code %s); another takes its place", process.pid, process.exitcode
                )
        with _hangups_held():
            super().keep_subprocess_alive()

    def handle_hup(self) -> None:
        for process in self.processes:
            if process.pid is not None and process.exitcode is None:
                os.kill(process.pid, signal.SIGHUP)


@contextmanager
def _hangups_held() -> Iterator[None]:
    """SIGHUP waits until this process, or those started inside, are ready for it, instead of ending them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def app() -> Gateway:
    """One worker's gateway: it finds the configuration where the first process left its path."""
    start_logging()
    try:
        named = os.environ.get("LANEWAY_CONFIG")
        gateway = Gateway(
            load(Path(named) if named else None, os.environ),
            variables=os.environ,
            loopback=bool(os.environ.get("LANEWAY_LOOPBACK")),
            on_reload=_tell_parent,
            crew=True,
        )
    except ConfigError as error:
        # Only a worker that follows on one which died comes here: the others serve on, by the configuration before.
        logging.getLogger("laneway").error("a worker could not start, the configuration is bad:\n%s", error)
        raise SystemExit(1) from None
    start_logging(gateway.desk.loaded.layout.settings.server.log)
    _reload_on_hangup(gateway)
    _settle_memory()
    return gateway


def _settle_memory() -> None:
    """What is there when callers come stays for good: looking through it for garbage again and again would hold all
    of them up for tens of milliseconds. Requests leave hardly any cycles behind: looking rarely is often enough."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


def _reload_on_hangup(gateway: Gateway) -> None:
    # Another server may make its app before there is a loop; it has signals of its own.
    with suppress(RuntimeError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, gateway.reload_soon)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _tell_parent() -> None:
    """What one worker was asked to take in, all of them take in."""
    if multiprocessing.parent_process() is not None:
        os.kill(os.getppid(), signal.SIGHUP)


# --- what a person reads -----------------------------------------------------------------------------------


def say_what_runs(loaded: Loaded, host: str, port: int, *, has_keys: bool) -> None:
    """What is running, what was found, and three things to try."""
    layout = loaded.layout
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{'127.0.0.1' if host in ('', '0.0.0.0', '::') else shown}:{port}"  # noqa: S104 - only shown
    model = _example_model(loaded)
    key = "YOUR_KEY" if has_keys else "none"
    header = f" -H 'authorization: Bearer {key}'" if has_keys else ""
    store = layout.settings.server.store
    body = f'{{"model":"{model}","messages":[{{"role":"user","content":"What is 482 * 937?"}}]}}'
    curl = f"curl {url}/v1/chat/completions -H 'content-type: application/json'{header} -d '{body}'"
    made = f'OpenAI(base_url="{url}/v1", api_key="{key}").chat.completions.create(model="{model}", '
    asked = f'{made}messages=[{{"role": "user", "content": "hello"}}]).choices[0].message.content'
    lines = [
        f"laneway {__version__} listens on {url}  (configuration {layout.version}, store {store})",
        f"  from: {loaded.path or 'the environment'}",
        *(f"  found: {line}" for line in loaded.found),
        f"  providers: {', '.join(layout.providers) or 'none'}   lanes: {', '.join(layout.lanes) or 'none'}",
        "Try:",
        f"  {curl}",
        f"  python -c 'from openai import OpenAI; print({asked})'",
        f"  open {url} in a browser: teach the router, watch a decision, turn the dial",
    ]
    print("\n".join(lines), flush=True)


def _example_model(loaded: Loaded) -> str:
    layout = loaded.layout
    for named in (layout.pools, layout.lanes):
        if named:
            return next(iter(named))
    chats = [name for name, targets in layout.names.models.items() if targets and targets[0].kind == "chat"]
    return chats[0] if chats else "MODEL"
