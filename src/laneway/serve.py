"""Serving: the gateway behind uvicorn, with a protocol that bounds slow request heads and tells who left.

Owns: the server's settings, the protocol class, signals for reload, and refusing to listen openly by accident.
Refuses: routing, and configuration beyond what it needs to listen.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any, NamedTuple

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from laneway.edge import WATCH
from laneway.gateway import Gateway, build
from laneway.middleware.auth import is_loopback

HEAD_S = 20.0
"""How long a request's head may take to arrive, from the first byte or the connection on."""


class Listening(NamedTuple):
    """Where to listen."""

    host: str
    port: int
    workers: int = 1


class FrontProtocol(HttpToolsProtocol):
    """uvicorn's own protocol, plus a clock on request heads and a callback for callers who leave."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._head_clock: asyncio.TimerHandle | None = None
        self._gone: Callable[[], None] | None = None
        self._watch = self._set_gone

    def _set_gone(self, callback: Callable[[], None] | None) -> None:
        self._gone = callback

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_clock = self.loop.call_later(HEAD_S, self._too_slow)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # One timer per slow head, none for a head that came in one piece.
        if self._in_head:
            if self._head_clock is None and not self.transport.is_closing():
                self._head_clock = self.loop.call_later(HEAD_S, self._too_slow)
        elif self._head_clock is not None:
            self._head_clock.cancel()
            self._head_clock = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self.scope[WATCH] = self._watch  # type: ignore[literal-required]

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._head_clock is not None:
            self._head_clock.cancel()
            self._head_clock = None
        if self._gone is not None:
            self._gone()

    def _too_slow(self) -> None:
        self._head_clock = None
        if self._in_head and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()


def app() -> Gateway:
    """For worker processes: they find the configuration where the first process left its path."""
    return build(
        os.environ.get("LANEWAY_CONFIG") or None,
        variables=os.environ,
        loopback=is_loopback(os.environ.get("LANEWAY_LISTEN_HOST", "127.0.0.1")),
    )


def serve(gateway: Gateway, listening: Listening, on_start: Callable[[], None]) -> None:
    """Serves until told to stop. `on_start` is called when the socket listens."""
    proxies = gateway.desk.loaded.layout.settings.server.trusted_proxies
    common: dict[str, Any] = {
        "host": listening.host,
        "port": listening.port,
        "http": FrontProtocol,
        "ws": "none",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": bool(proxies),
        "forwarded_allow_ips": list(proxies) or None,
        "timeout_graceful_shutdown": 30,
        "backlog": 4096,
    }
    if listening.workers > 1:
        os.environ["LANEWAY_LISTEN_HOST"] = listening.host
        if gateway.desk.loaded.path is not None:
            os.environ["LANEWAY_CONFIG"] = str(gateway.desk.loaded.path)
        on_start()
        uvicorn.run("laneway.serve:app", factory=True, workers=listening.workers, **common)
        return
    _Server(uvicorn.Config(gateway, **common), gateway, on_start).run()


class _Server(uvicorn.Server):
    """One process: says when it listens, and reloads on SIGHUP."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._on_start = on_start

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        if self.should_exit:
            return
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._gateway.reload_soon)
        self._on_start()
