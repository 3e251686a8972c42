"""The entrance: how callers who have connected become connections of the loop.

Owns: accepting several of them in one turn of the loop. uvloop accepts one, so that a loop whose turns take 25 ms lets
40 callers in each second, and everybody else, health checks too, waits unseen in the system's queue. Workers who share
a socket take few at a time, so that one does not take what the others are free for.
Refuses: to know what is spoken; and to spin when there are no files left for a caller.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import socket
from collections.abc import Callable
from typing import Any

import uvloop

ALONE = 256
SHARED = 8
PAUSE_S = 0.5
"""How long nobody is let in when the system gives no more sockets."""
log = logging.getLogger("laneway")


class FrontLoop(uvloop.Loop):
    """uvloop, with an entrance of ours for sockets that listen already."""

    async def create_server(self, protocol_factory: Any, *args: Any, sock: Any = None, **more: Any) -> Any:
        if sock is None or more.get("ssl") is not None:
            return await super().create_server(protocol_factory, *args, sock=sock, **more)
        return Entrance(self, sock, protocol_factory)


class Entrance:
    """What a server of asyncio is to who started it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, listener: socket.socket, protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._protocol = protocol
        self._at_once = ALONE if multiprocessing.parent_process() is None else SHARED
        self._greeting: set[asyncio.Task[Any]] = set()
        self._pause: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._open()

    def close(self) -> None:
        """Nobody is let in any more. The socket is its owner's to close."""
        if self._pause is not None:
            self._pause.cancel()
        elif self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        await asyncio.gather(*self._greeting, return_exceptions=True)

    def _open(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._let_in)

    def _let_in(self) -> None:
        for _ in range(self._at_once):
            try:
                caller, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("nobody is let in for %g s: %s", PAUSE_S, error.strerror)
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(PAUSE_S, self._open)
                return
            greeting = self._loop.create_task(self._greet(caller))
            self._greeting.add(greeting)
            greeting.add_done_callback(self._greeting.discard)

    async def _greet(self, caller: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, caller)
        except OSError:
            # Gone before anything was said.
            caller.close()
