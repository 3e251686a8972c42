"""The doorway: one caller's connection, and the requests that come in by it, one after the other.

Owns: the protocol under uvicorn's server, what a connection may cost (how long a head and what comes after an early
answer may take; bounds on heads and on what is read ahead), turning callers away before a request was made of their
bytes, letting the others wait for their turn, and telling who left. It stands instead of uvicorn's own, which makes a
timer and two writes of each request.
Refuses: running clocks (patience), routing, the words of an answer (turn), and other protocols than HTTP/1.1.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import httptools

from laneway._core import read_request, read_target
from laneway.dialects import FRONTS, Front
from laneway.edge import ENDING, WATCH, WHOLE, App
from laneway.exchange import Scope
from laneway.patience import Patience
from laneway.pressure import ADMITTED, PRESSURE, Pressure
from laneway.threshold import AWAY, INVALID, NOWHERE, TOO_LONG, TOO_SLOW, kept_plain, parts, words
from laneway.turn import Turn, encoded

HEAD_S = 20.0
"""How long a request's head may take to arrive, from the first byte or the connection on."""
MOST_HEAD = 64 * 1024
"""Bytes of a request's head; what came in one read with its end is not counted."""
SURPLUS_S = 30.0
"""How long a caller may go on sending a body that has been answered already."""
ASK_S = 0.2
"""Between two looks, while a server stops, whether an answer can be ended."""

_FRONTS: dict[bytes, tuple[str, Front]] = {path.encode(): (path, front) for path, front in FRONTS.items()}
_FROM_A_PAGE = b"origin"
"""Who asks with it needs headers that are made further in."""
_ASGI = {"version": "3.0", "spec_version": "2.3"}
log = logging.getLogger("laneway")


class FrontProtocol(Patience):
    """Made for each connection, with the arguments that uvicorn's server gives."""

    __slots__ = (
        "_app", "_client", "_gone", "_parser", "_pressure", "_root", "_scheme",
        "_server", "_server_state", "_state", "_watch", "_whole",
        "_asks_leave", "_head_bytes", "_headers", "_in_body", "_in_head", "_last", "_serving",
        "_turn", "_url", "_waiting",
    )  # fmt: skip

    def __init__(
        self,
        config: Any,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        scale: float = 1.0,
    ) -> None:
        if not config.loaded:
            config.load()
        super().__init__(_loop or asyncio.get_running_loop(), scale)
        self._app: App = config.loaded_app
        self._root: str = config.root_path
        self._state = app_state
        self._server_state = server_state
        self._pressure: Pressure | None = app_state.get(PRESSURE)
        self._parser: Any = httptools.HttpRequestParser(self)
        # A request may follow on one that asked for the end; its answer goes out, and then nothing more.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        # The connection.
        self._server: tuple[str, int | None] | None = None
        self._client: tuple[str, int] | None = None
        self._scheme = "http"
        self._watch: Callable[[Callable[[], None] | None], None] | None = self._set_gone
        self._whole: Callable[[], bytes | None] | None = self._take_whole
        self._gone: Callable[[], None] | None = None
        # The request.
        self._turn: Any = None
        """The one whose bytes come in; what is answered may be one before it."""
        self._serving: Turn | None = None
        self._waiting: list[Turn] = []
        self._in_head = True
        self._in_body = False
        self._head_bytes = 0
        self._last = False
        self._url = b""
        self._asks_leave = False
        self._headers: list[tuple[bytes, bytes]] = []

    # --- the connection ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._server_state.connections.add(self)
        ours, theirs = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        self._server = (str(ours[0]), int(ours[1])) if isinstance(ours, tuple) else (ours, None) if ours else None
        self._client = (str(theirs[0]), int(theirs[1])) if isinstance(theirs, tuple) else None
        if transport.get_extra_info("sslcontext"):
            self._scheme = "https"
        self._start_clock(HEAD_S)
        if getattr(self._server_state, "stopping", False):
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._server_state.connections.discard(self)
        if self._serving is not None:
            self._serving.leave()
        self._waiting.clear()
        # All of these hold this, and would wait for the garbage collector; a turn that still runs has what it needs.
        self._parser = self._turn = self._serving = self._watch = self._whole = None
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()

    def shutdown(self) -> None:
        """The server stops: what is under way may end, nothing new begins."""
        # It tells those it knows; who was let in a moment before is made known to it only now.
        self._server_state.stopping = True
        turn = self._serving
        if turn is None:
            self.close()
            return
        turn.keep_alive = False
        ending = turn.scope.get(ENDING)
        if ending is not None:
            ending()
        elif not self._lost:
            # An app that has only begun says later how its answer is ended.
            self.loop.call_later(ASK_S, self.shutdown)

    def _set_gone(self, callback: Callable[[], None] | None) -> None:
        self._gone = callback
        if callback is not None and self._lost:
            callback()

    def _take_whole(self) -> bytes | None:
        return self._serving.whole() if self._serving is not None else None

    def spoken(self) -> tuple[bytes, int]:
        return encoded(self._server_state.default_headers)

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()

    # --- bytes ---------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._serving is None and not self._in_body and not (self._in_head and self._head_bytes):
            pressure = self._pressure
            if pressure is not None and (reason := pressure.full()) and self._turned_away(pressure, reason, data):
                return
            read = read_request(data)
            if read is not None:
                self._take(*read)
                return
        if not self._in_body and b"pgrade" in data:
            data = kept_plain(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._not_understood()
            return
        except httptools.HttpParserUpgrade:
            # CONNECT: it is answered like any other method that is not served, and nothing after it is.
            self._turn.keep_alive = False
        # One timer per slow head, none for a head that came in one piece.
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD:
                self._hang_up(TOO_LONG)
            elif self._clock is None and not self.transport.is_closing():
                self._start_clock(HEAD_S)
        elif self._in_body and self._turn is AWAY and self._clock is None:
            self._start_clock(SURPLUS_S)

    def _take(self, url: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """A plain request that came in one piece, between two that the parser has seen or not."""
        self._head_is_here()
        turn = self._asked(b"POST", url, headers, "1.1", keep_alive=True, asks_leave=False)
        if turn is not None:
            turn.fill(body)
        else:
            self._rest_now()

    def _turned_away(self, pressure: Pressure, reason: str, data: bytes) -> bool:
        """As most of those are for whom there is too much to do: by bytes alone, without a request being made."""
        target = read_target(data, _FROM_A_PAGE)
        known = _FRONTS.get(target) if target is not None else None
        if known is None or self.transport.is_closing():
            return False
        self._head_is_here()
        self.write_now(words(*pressure.turn_away(known[1], reason)))
        self._rest_now()
        self._silence(pressure)
        return True

    def _silence(self, pressure: Pressure) -> None:
        """Where so many are turned away that those who ask again at once had better wait for that."""
        if pressure.silences(self._listen):
            self.pause_reading()

    def _listen(self) -> None:
        if not self.transport.is_closing():
            self.resume_reading()

    def _head_is_here(self) -> None:
        self._in_head = False
        if self._clock is not None:
            self._stop_clock()

    def on_message_begin(self) -> None:
        if self._clock is not None:
            self._stop_clock()
        self._in_head = True
        self._head_bytes = 0
        self._url = b""
        self._asks_leave = False
        self._headers = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self._asks_leave = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._head_is_here()
        self._in_body = True
        headers = self._headers
        # Trailers may be discarded (RFC 9110, section 6.5.1), and must not grow a request that is being served.
        self._headers = NOWHERE
        version: str = self._parser.get_http_version()
        turn = self._asked(
            self._parser.get_method(),
            self._url,
            headers,
            version,
            keep_alive=version != "1.0" and self._parser.should_keep_alive(),
            asks_leave=self._asks_leave,
        )
        self._turn = AWAY if turn is None else turn

    def on_body(self, body: bytes) -> None:
        if not self._turn.complete:
            self._turn.feed(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        turn = self._turn
        if not turn.complete:
            turn.end()
        elif self._last and turn is AWAY:
            self.close()
        else:
            # The surplus of a body answered early has come to its end.
            self._stop_clock()
            self._rest_now()

    # --- requests ------------------------------------------------------------------------------------------

    def _asked(
        self,
        method: bytes,
        url: bytes,
        headers: list[tuple[bytes, bytes]],
        version: str,
        *,
        keep_alive: bool,
        asks_leave: bool,
    ) -> Turn | None:
        """The turn of a request whose head is here; None where it gets none."""
        known = _FRONTS.get(url)
        if known is not None:
            path, raw, query = known[0], url, b""
        else:
            path, raw, query = parts(url)
        if self.transport.is_closing():
            return None
        admitted = None
        if self._pressure is not None and method == b"POST":
            front = known[1] if known is not None else FRONTS.get(path)
            if front is not None and self._serving is None:
                admitted = self._admitted(self._pressure, front, headers, last=asks_leave or not keep_alive)
                if admitted is False:
                    return None
        root = self._root
        scope: Scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "method": method.decode("ascii"),
            "scheme": self._scheme,
            "path": root + path if root else path,
            "raw_path": root.encode() + raw if root else raw,
            "query_string": query,
            "root_path": root,
            "headers": headers,
            "server": self._server,
            "client": self._client,
            "state": self._state.copy(),
            WATCH: self._watch,
            WHOLE: self._whole,
        }
        turn = Turn(self, scope, keep_alive, asks_leave, method == b"HEAD")
        if admitted and self._pressure is not None:
            scope[ADMITTED] = True
            turn.over = self._pressure.leave
        if self._serving is None:
            self._serving = turn
            if admitted and self._pressure is not None and not self._pressure.begins():
                self._pressure.wait(partial(self._begin, turn))
            else:
                self._start(turn)
        else:
            # An answer must not overtake those before it.
            self.pause_reading()
            self._waiting.append(turn)
        return turn

    def _begin(self, turn: Turn) -> None:
        if not turn.gone:
            self._start(turn)
        elif turn.over is not None:
            turn.over()

    def _start(self, turn: Turn) -> None:
        self._serving = turn
        tasks = self._server_state.tasks
        turn.task = task = self.loop.create_task(turn.run(self._app, tasks))
        tasks.add(task)

    def answered(self) -> None:
        """The answer of the turn that was served is out."""
        self._serving = None
        self._server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._waiting:
            self._start(self._waiting.pop(0))
        elif self._in_body:
            # Answered early. Closing now would take the answer away from a caller who is still sending.
            self._start_clock(SURPLUS_S)
        else:
            self._rest_now()
        if not self._reading:
            self.resume_reading()

    def _admitted(
        self, pressure: Pressure, front: Front, headers: list[tuple[bytes, bytes]], *, last: bool
    ) -> bool | None:
        """Whether it may come in; False where it is answered already, as there is too much to do for making even a task
        of it; None where that is asked again further in."""
        reason = pressure.full()
        if reason is None:
            pressure.enter()
            return True
        if any(name == _FROM_A_PAGE for name, _ in headers):
            return None
        # What stays unsaid of a body that waits for leave to come would be taken for the next request.
        self._last = last
        self.write(words(*pressure.turn_away(front, reason), last=last))
        self._silence(pressure)
        return False

    def _not_understood(self) -> None:
        serving = self._serving
        if serving is not None and not (self._in_body and self._turn is serving):
            # What follows a request that is being answered takes nothing away from that answer.
            serving.keep_alive = False
            self._waiting.clear()
            self.pause_reading()
            return
        if not self.transport.is_closing():
            if serving is None or not serving.begun:
                self.write(INVALID)
            self.close()

    # --- clocks --------------------------------------------------------------------------------------------

    def is_busy(self) -> bool:
        return self._serving is not None or self._in_head or self._in_body

    def too_slow(self) -> None:
        self._hang_up(TOO_SLOW if self._in_head else b"")

    def _hang_up(self, words: bytes) -> None:
        if not self.transport.is_closing():
            if words and self._serving is None:
                self.write(words)
            self.close()
