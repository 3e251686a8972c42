"""One connection to a provider.

Owns: the framing of one HTTP/1.1 response at a time (RFC 9112), back-pressure in both directions, and the one
silence clock of whoever waits for the provider. Refuses: names, pools, retries and TLS set-up (its owner's work),
pipelining, decoding, redirects. Nothing here is a task: the event loop calls the connection, and one reader at a
time waits on a bare future.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from laneway._core import read_answer
from laneway.failure import Failure, FailureError, Kind
from laneway.outbox import outbox_of
from laneway.upstream.reply import EngineReply

HEAD_LIMIT: Final = 64 * 1024
"""Bytes a provider may send without bringing any body: its head, chunk extensions, trailers."""
HIGH_WATER: Final = 64 * 1024
"""Unread body bytes above which the socket is left to fill, so that the provider feels a slow reader."""
SLICE: Final = 64 * 1024
"""Bodies up to this size leave together with their head; larger ones follow at the provider's pace."""

# Event loops convert a due time to integer milliseconds; a limit in years (or infinity) must not overflow that.
LONGEST_S: Final = 86_400.0
# uvloop's clock and timers have a resolution of one millisecond and may be early by that much.
_EARLY_S: Final = 0.001


class _Refused(Exception):
    """Raised inside a parser callback to stop the parser at this byte."""


class Owner(Protocol):
    """Whoever lends connections out."""

    def take_back(self, connection: Connection) -> None:
        """The holder is done with the connection; `usable` says whether it may serve again."""

    def forget(self, connection: Connection) -> None:
        """The transport is gone."""


class Connection(asyncio.Protocol):
    """Serves one exchange after the other: `exchange`, the reply is read or closed, `rest`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: Owner) -> None:
        self.owner = owner
        self.served = 0
        self.usable = False
        """True while connected and fit for another exchange after the present one."""
        self.aborted = False
        self.idle_since = 0.0
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._reply: EngineReply | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._deadline = self._limit_s = 0.0
        self._outbox = outbox_of(loop)
        self._waiting = b""
        self._unsent: memoryview | None = None
        self._read_paused = self._write_paused = False
        self._headless = self._framed = self._chunked = self._interim = False
        self._unfruitful = 0

    # What the holder asks

    async def exchange(self, method: str, head: bytes, body: bytes, headers_s: float) -> EngineReply:
        """Sends one request and waits for the head of its answer.

        `headers_s` bounds the provider's silence: it starts anew whenever the provider takes more of a large body.
        """
        reply = self._reply = EngineReply(self)
        self._headless = method == "HEAD"
        self._framed = self._chunked = self._interim = False
        self._unfruitful = 0
        transport = self._transport
        assert transport is not None
        if len(body) <= SLICE:
            self._waiting = head + body
            if not self._outbox.takes(self, self._loop):
                self.flush()
        else:
            transport.write(head)
            self._unsent = memoryview(body)
            self._send_more()
        expired = False
        while not reply.status:
            if reply.failure is not None:
                raise FailureError(reply.failure)
            if expired:
                raise FailureError(
                    Failure(
                        kind=Kind.TIMEOUT,
                        message=f"the provider sent no response head within headers={headers_s:g} s",
                        clock="headers",
                    )
                )
            expired = not await self.wait(headers_s)
        return reply

    def wait(self, limit_s: float) -> asyncio.Future[bool]:
        """Until the provider did something worth looking at; False when it was silent for `limit_s`."""
        if self._waiter is not None and not self._waiter.done():
            raise RuntimeError("one response is being read by two readers; give each its own call")
        self._limit_s = limit_s
        self._deadline = deadline = self._loop.time() + limit_s
        # One timer serves many waits: a deadline that moved later is looked at again when the timer rings.
        if self._timer is None or deadline < self._timer_at:
            self._set_timer()
        self._waiter = self._loop.create_future()
        return self._waiter

    def drained(self) -> None:
        """The reader took what was buffered."""
        if self._read_paused and self._transport is not None:
            self._read_paused = False
            self._transport.resume_reading()

    def rest(self) -> bool:
        """Ends the exchange; True when the connection may serve another."""
        self._reply = None
        self.served += 1
        if self._unsent is not None:
            # The answer came before the request was out: the rest of it would be taken for a new request.
            self._unsent = None
            self.usable = False
        if not self.usable:
            self.abort()
            return False
        if self._headless:
            # The parser cannot be told that HEAD has no body and still waits for one (RFC 9112 section 6.3, item 1).
            self._parser = HttpResponseParser(self)
        self.drained()
        return True

    def abort(self) -> None:
        """Closes at once, without flushing; the provider sees the end of the stream."""
        self.usable = False
        self.aborted = True
        self._waiting = b""
        if self._transport is not None:
            self._transport.abort()

    def let_go(self) -> None:
        """Whoever held it has all that there was."""
        self.owner.take_back(self)

    @property
    def connected(self) -> bool:
        return self._transport is not None

    # What the event loop tells: life, clock, writing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self.usable = True

    def eof_received(self) -> None:
        # A provider that has finished sending can answer nothing more; waiting to flush a request to it would hang.
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        reply = self._reply
        if reply is not None and not reply.whole and reply.failure is None:
            if not reply.status:
                reply.failure = _RESET if not self._unfruitful else _HEAD_CUT
            elif self._framed or exc is not None:
                reply.failure = _CUT
            else:
                # RFC 9112 section 6.3, item 8: without a declared length the close is the end of the body.
                reply.whole = True
        self._wake()
        del self._parser
        self.owner.forget(self)

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self._deadline = self._loop.time() + self._limit_s
        self._send_more()

    def flush(self) -> None:
        """What was to leave together with what others send."""
        waiting, self._waiting = self._waiting, b""
        if waiting and self._transport is not None:
            self._transport.write(waiting)

    def _send_more(self) -> None:
        while self._unsent is not None and not self._write_paused and self._transport is not None:
            self._transport.write(self._unsent[:SLICE])
            self._unsent = self._unsent[SLICE:] if len(self._unsent) > SLICE else None

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = min(self._deadline, self._loop.time() + LONGEST_S)
        self._timer = self._loop.call_at(self._timer_at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() + _EARLY_S < self._deadline:
            self._set_timer()
        else:
            self._waiter.set_result(False)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    # What the event loop tells: bytes

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None or self._waiting:
            # Nobody asked for this yet: whatever it is, it must not become the answer to the next call.
            self.abort()
            return
        if reply.whole or reply.failure is not None:
            self.usable = False
            return
        if not reply.status and len(data) > HEAD_LIMIT:
            # One read may bring more than a whole head may hold: the first part must have ended it.
            self.data_received(data[:HEAD_LIMIT])
            self.data_received(data[HEAD_LIMIT:])
            return
        if not self._unfruitful and self._unsent is None and not self._headless:
            read = read_answer(data)
            if read is not None:
                reply.status, reply.headers, body = read
                if body:
                    reply.pieces.append(body)
                reply.whole = True
                self._wake()
                return
        self._unfruitful += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._refuse(reply, str(error.__context__ if isinstance(error, HttpParserCallbackError) else error))
            return
        # A head that has not ended needs one byte more at least.
        if self._unfruitful + (not reply.status) > HEAD_LIMIT:
            self._refuse(reply, f"more than {HEAD_LIMIT} bytes of head, chunk extensions or trailers")

    def _refuse(self, reply: EngineReply, detail: str) -> None:
        if reply.whole:
            # What came after the end spoils the connection, not the answer.
            self.usable = False
            return
        reply.failure = Failure(
            kind=Kind.MALFORMED_ANSWER,
            message="the provider's answer is not well-formed HTTP/1.1; look at what listens at its url",
            detail=detail,
        )
        self.abort()
        self._wake()

    # What the parser tells

    def on_message_begin(self) -> None:
        if self._reply is None or self._reply.whole:
            raise _Refused("bytes after the end of the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        reply = self._reply
        if reply is None or reply.status:
            return  # A trailer field: nobody downstream can use it (RFC 9110 section 6.5.1).
        name = name.lower()
        if name == b"content-length":
            self._framed = True
        elif name == b"transfer-encoding":
            # We announce no other coding, so no other may come (RFC 9110 section 10.1.4).
            if self._chunked or value.lower() != b"chunked":
                raise _Refused("a transfer coding other than chunked")
            self._framed = self._chunked = True
        reply.headers.append((name, value))

    def on_headers_complete(self) -> None:
        reply = self._reply
        assert reply is not None
        status = self._parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101:
                raise _Refused(f"status {status} to a request that asked for no upgrade")
            self._interim = True
            return
        reply.status = status
        # RFC 9112 section 6.1: a chunked HTTP/1.0 message has faulty framing; read it, then close.
        if not self._parser.should_keep_alive() or (self._chunked and self._parser.get_http_version() != "1.1"):
            self.usable = False
        if status >= 400 and self._unsent is not None:
            # RFC 9112 section 9.5: refused while sending, so sending on is of no use to anybody.
            self._unsent = None
            self.usable = False
        if self._headless:
            reply.whole = True
        self._wake()

    def on_body(self, data: bytes) -> None:
        reply = self._reply
        if reply is None or reply.whole:
            raise _Refused("a body where there can be none")
        self._unfruitful = 0
        reply.pieces.append(data)
        reply.size += len(data)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)
        if reply.size > HIGH_WATER and not self._read_paused and self._transport is not None:
            self._read_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        reply = self._reply
        if reply is None:
            return
        if self._interim:
            # RFC 9110 section 15.2: any number of interim answers may come before the real one.
            self._interim = self._framed = self._chunked = False
            reply.headers.clear()
            return
        reply.whole = True
        self._wake()


_RESET: Final = Failure(kind=Kind.RESET, message="the provider closed the connection without answering")
_HEAD_CUT: Final = Failure(
    kind=Kind.MALFORMED_ANSWER, message="the provider closed the connection inside its response head"
)
_CUT: Final = Failure(kind=Kind.CUT, message="the provider closed the connection before the end of its answer")
