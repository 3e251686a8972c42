"""Serving: the gateway behind uvicorn, with a protocol that bounds what a connection may cost and tells who left.

Owns: the protocol class, worker processes, signals for reload, and what the person who started it reads.
Refuses: routing, and configuration beyond what it needs to listen.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from laneway import __version__
from laneway.config import ConfigError
from laneway.dialects import FRONTS
from laneway.edge import ENDING, WATCH
from laneway.gateway import Gateway
from laneway.listening import BACKLOG, Listening
from laneway.loaded import Loaded, load
from laneway.logs import start_logging
from laneway.pressure import ADMITTED, PRESSURE, Pressure
from laneway.threshold import AWAY, plain, words

HEAD_S = 20.0
"""How long a request's head may take to arrive, from the first byte or the connection on."""
MOST_HEAD = 64 * 1024
"""Bytes of a request's head; what came in one read with its end is not counted."""
SURPLUS_S = 30.0
"""How long a caller may go on sending a body that has been answered already."""
IDLE_S = 75
"""How long a connection is kept for a next request: longer than clients keep theirs, so that they end it."""
DRAIN_S = 30.0
"""How long answers under way may take once the gateway was told to stop."""

_UPGRADE = re.compile(rb"(?i)(?<=\n)upgrade(?=[ \t]*:)")
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class FrontProtocol(HttpToolsProtocol):
    """uvicorn's own protocol, plus clocks and bounds on what arrives and a callback for callers who leave."""

    def __init__(self, *args: Any, scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._scale = scale
        self._in_head = True
        self._in_body = False
        self._head_bytes = 0
        self._clock: asyncio.TimerHandle | None = None
        self._lost = False
        self._gone: Callable[[], None] | None = None
        self._watch = self._set_gone
        self._pressure: Pressure | None = self.app_state.get(PRESSURE)
        self._last = False
        self._alive = False

    def _set_gone(self, callback: Callable[[], None] | None) -> None:
        self._gone = callback
        if callback is not None and self._lost:
            callback()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_clock(HEAD_S)

    def data_received(self, data: bytes) -> None:
        pressure = self._pressure
        if pressure is not None and (reason := pressure.full()) is not None and self._passed_over(data, reason):
            return
        if not self._in_body and b"pgrade" in data:
            data = _kept_plain(data)
        super().data_received(data)
        # One timer per slow head, none for a head that came in one piece.
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD:
                self._hang_up(_TOO_LONG)
            elif self._clock is None and not self.transport.is_closing():
                self._start_clock(HEAD_S)
        elif self._in_body and self.cycle is AWAY and self._clock is None:
            self._start_clock(SURPLUS_S)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._clock is not None:
            self._stop_clock()
        self._in_head = True
        self._alive = False
        self._head_bytes = 0
        self.scope[WATCH] = self._watch  # type: ignore[literal-required]

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._in_body = True
        if self._clock is not None:
            self._stop_clock()
        if not self._turned_away():
            super().on_headers_complete()
        # Trailers may be discarded (RFC 9110, section 6.5.1), and must not grow a request that is being served.
        self.headers = _NOWHERE

    def _passed_over(self, data: bytes, reason: str) -> bool:
        """Whether these bytes were a whole request, and are answered already without anybody having read them."""
        cycle: Any = self.cycle
        if self._in_body or (self._in_head and self._head_bytes) or (cycle is not None and not cycle.response_complete):
            return False
        front = plain(data)
        if front is None or self._pressure is None or self.transport.is_closing():
            return False
        self._alive = True
        self._in_head = False
        self.transport.write(words(*self._pressure.turn_away(front, reason)))
        return True

    def _turned_away(self) -> bool:
        """Whether the request is answered already: there is too much to do for making even a task of it."""
        pressure, cycle = self._pressure, cast(Any, self.cycle)
        # An answer must not overtake those before it.
        if pressure is None or (cycle is not None and not cycle.response_complete):
            return False
        front = FRONTS.get(self.url.partition(b"?")[0].decode("latin-1"))
        if front is None or self.parser.get_method() != b"POST":
            return False
        reason = pressure.full()
        if reason is None:
            pressure.enter()
            self.scope[ADMITTED] = True  # type: ignore[literal-required]
            return False
        # A web page needs headers that are made further in.
        if any(name == b"origin" for name, _ in self.headers):
            return False
        # What stays unsaid of a body that waits for leave to come would be taken for the next request.
        self._last = self.expect_100_continue or not self.parser.should_keep_alive()
        self.cycle = AWAY
        self.transport.write(words(*pressure.turn_away(front, reason), last=self._last))
        return True

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()
        if self._last and self.cycle is AWAY:
            self.transport.close()
        elif self.cycle.response_complete:
            # The surplus of a body answered early has come to its end; uvicorn's own clock was stopped by it.
            self._start_clock(IDLE_S)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and not self.transport.is_closing():
            # Answered early. Closing now would take the answer away from a caller who is still sending.
            self._start_clock(SURPLUS_S)

    def shutdown(self) -> None:
        super().shutdown()
        scope: Any = self.scope
        ending = scope.get(ENDING) if scope is not None else None
        if ending is not None:
            ending()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        super().connection_lost(exc)
        self._stop_clock()
        if self._gone is not None:
            self._gone()

    def _start_clock(self, limit_s: float) -> None:
        self._stop_clock()
        self._clock = self.loop.call_later(limit_s * self._scale, self._too_slow)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def timeout_keep_alive_handler(self) -> None:
        if self._alive:
            self._too_slow()
        else:
            super().timeout_keep_alive_handler()

    def _too_slow(self) -> None:
        self._clock = None
        if self._alive:
            # Requests came meanwhile that moved no clock.
            self._alive = False
            self._start_clock(IDLE_S)
            return
        self._hang_up(_TOO_SLOW if self._in_head else b"")

    def _hang_up(self, words: bytes) -> None:
        if not self.transport.is_closing():
            cycle: Any = self.cycle
            if words and (cycle is None or cycle.response_complete):
                self.transport.write(words)
            self.transport.close()


class _Nowhere(list[tuple[bytes, bytes]]):
    """Takes headers that nobody will read."""

    def append(self, _: tuple[bytes, bytes]) -> None:
        pass


_NOWHERE = _Nowhere()


def _kept_plain(data: bytes) -> bytes:
    """A head without its offer to speak another protocol, which a server may ignore (RFC 9110, section 7.8).

    The parser would take such a request's body for the other protocol's first bytes, and Java's client offers h2c
    with everything it posts.
    """
    head, end, body = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"x-upgrade", head) + end + body


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
        "timeout_keep_alive": IDLE_S,
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
