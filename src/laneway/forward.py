"""Forward: the innermost app. One attempt at one target, always answered.

Owns: opening the provider's answer, reading a whole one, the heads of both kinds of answers, and the Attempt that says
what happened and what was used. A failure is a response in the caller's dialect plus a typed Failure in
`exchange.attempts`; where an attempt before this one had begun the answer, it is only the latter.
Refuses: choosing or repeating (Fallback does), what a call holds (lines do), and the stream itself (relay does).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from laneway.allowance import Reach, who_of
from laneway.attempt import Running, body_chars, parts_chars
from laneway.chat import Answer, ChatRequest, Embedding, Op
from laneway.dialects import Stamp, View, Written
from laneway.edge import (
    LEFT,
    CallerGoneError,
    Receive,
    Send,
    Watch,
    answer,
    deliver,
    ingest,
    left,
    made,
    own_marks,
    refuse,
    stream_head,
    usual_marks,
)
from laneway.exchange import SEAT, TARGET, Exchange, Scope
from laneway.failure import Failure, FailureError, Kind, fail
from laneway.lines import Line, Lines, compose, keeping, read_request, translate
from laneway.policy.budgets import stopped, told_of
from laneway.policy.check import flaw
from laneway.policy.rescue import begun
from laneway.ports import Call, Clocks, Kill, Reply, Upstream
from laneway.relay import Relay
from laneway.rescue import RESCUE, Rescue, Rest
from laneway.route import Target

MOST_ANSWER = 64 * 1024 * 1024
Sign = Callable[[Call], Awaitable[Call]]


class Forward:
    """The innermost app. Mounted without Fallback it serves the decided target, or its own `target`."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        target: Target | None = None,
        signers: Mapping[str, Sign] | None = None,
        clock: Callable[[], float] = time.monotonic,
        agent: str = "laneway",
        killed: Callable[[], Mapping[str, Kill]] | None = None,
    ) -> None:
        self.upstream = upstream
        self.target = target
        self.signers = signers or {}
        self.clock = clock
        self.killed = killed
        self.lines = Lines(agent)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        target = _target(scope, exchange, self.target)
        if exchange is None or target is None:
            await _nothing_here(exchange, scope, receive, send)
            return
        if exchange.view is None:
            try:
                receive = await ingest(exchange, receive)
            except FailureError as error:
                await refuse(exchange, send, error.failure)
                return
            except CallerGoneError:
                return
        failure = await self.attempt(exchange, target, scope, receive, send)
        if failure is None or (RESCUE in scope and scope[RESCUE].open):
            return
        if TARGET in scope:
            # An outer room holds this answer back, and it alone knows what the caller is told in the end.
            await deliver(exchange, send, exchange.dialect.write_failure(failure, exchange.request_id))
        else:
            await refuse(exchange, send, failure)

    async def attempt(
        self, exchange: Exchange, target: Target, scope: Scope, receive: Receive, send: Send
    ) -> Failure | None:
        """Makes one attempt and records it. What is returned has still to be told to the caller."""
        running = Running(target, self.clock())
        if SEAT in scope:
            running.keep_s = scope[SEAT].keep_s
        if RESCUE in scope:
            running.rescue = scope[RESCUE]
        watch = Watch(scope, receive)
        fault: Failure | None = LEFT
        try:
            with watch:
                fault = await self._serve(exchange, running, send)
        except FailureError as error:
            # Before the first byte: who left meanwhile is told nothing, and nothing else is tried for them.
            if not watch.gone:
                self._record(exchange, running, error.failure)
                return error.failure
        except asyncio.CancelledError:
            self._record(exchange, running, _STOPPED)
            raise
        except Exception as error:
            # ASGI's HTTP specification, "Disconnected Client": a server's `send` may raise an OSError then.
            if not (isinstance(error, OSError) and exchange.status):
                self._record(exchange, running, _BROKEN)
                raise
        finally:
            if running.reply is not None:
                await running.reply.close()
        if fault is not None:
            if fault is LEFT:
                left(exchange)
            elif not (running.rescue is not None and running.rescue.open):
                exchange.failure = fault
        if not running.recorded:
            self._record(exchange, running, fault)
        return None

    async def _serve(self, exchange: Exchange, running: Running, send: Send) -> Failure | None:
        """Answers, and returns the fault that ended a stream; raises whatever happens before the first byte."""
        view = exchange.view
        # Whoever says anything asks something of a model, but for a count.
        asks = view is not None and view.turns and exchange.front.op is not Op.COUNT
        written = None if asks else self._local(exchange, running)
        if written is None:
            if view is not None and view.stream:
                return await self._stream(exchange, running, view, send)
            written = await self._whole(exchange, running)
        self._record(exchange, running, None)
        usual = usual_marks(exchange, running.target)
        await answer(exchange, send, written, _served(exchange, running), usual=usual)
        return None

    def _record(self, exchange: Exchange, running: Running, failure: Failure | None) -> None:
        if not running.recorded:
            running.recorded = True
            exchange.attempts.append(running.ended(exchange.view, self.clock(), failure))

    def _local(self, exchange: Exchange, running: Running) -> Written | None:
        """The answer that needs no provider, where the target's cannot be asked in the caller's own format."""
        view = exchange.view
        if view is None or self.lines.find(exchange, running.target).passes:
            return None
        return exchange.dialect.local(exchange.op, exchange.body or b"", view, _stamp(exchange, running, self.clock()))

    # --- one whole answer ----------------------------------------------------------------------------------

    async def _whole(self, exchange: Exchange, running: Running) -> Written:
        line = self.lines.find(exchange, running.target)
        clocks = running.target.clocks
        reply = running.reply = await self._open(exchange, running, compose(exchange, running, line), clocks)
        running.status = reply.status
        body = await reply.read(clocks.between_chunks_s)
        if body and (more := await reply.read(clocks.between_chunks_s)):
            body = await _read(reply, clocks.between_chunks_s, body, more)
        if not 200 <= reply.status < 300:
            raise FailureError(line.speaks.read_failure(reply.status, reply.headers, body))
        if line.passes:
            seen = line.speaks.glance(exchange.op, body)
            if seen.failure is not None:
                raise FailureError(seen.failure)
            running.usage, running.finish = seen.usage, seen.finish
            if seen.usage.output is None and exchange.op in (Op.CHAT, Op.COMPLETE):
                running.chars = body_chars(line.speaks, exchange.op, body)
            if _is_checked(exchange, running):
                _check(exchange, line.speaks.read_answer(exchange.op, body))
            return Written(200, body, _json_type(reply))
        stamp = _stamp(exchange, running, self.clock())
        if exchange.op is Op.EMBED:
            embedding: Embedding = line.speaks.read_embedding(body)
            running.usage = embedding.usage
            return exchange.dialect.write_embedding(embedding, stamp)
        whole: Answer = line.speaks.read_answer(Op.CHAT, body)
        running.usage, running.finish = whole.usage, whole.finish
        if whole.usage.output is None:
            running.chars = parts_chars(whole.parts)
        if _is_checked(exchange, running):
            _check(exchange, whole)
        return exchange.dialect.write_answer(exchange.op, whole, stamp)

    # --- a stream ------------------------------------------------------------------------------------------

    async def _stream(self, exchange: Exchange, running: Running, view: View, send: Send) -> Failure | None:
        rescue = running.rescue
        if rescue is not None and rescue.open:
            return await self._go_on(exchange, running, rescue, send)
        line = self.lines.find(exchange, running.target)
        clocks = running.target.clocks
        passing = line.passes
        reply = await self._open_stream(exchange, running, line, compose(exchange, running, line))
        reader = line.speaks.reader(exchange.op if passing else Op.CHAT)
        relay = Relay(
            running=running,
            reply=reply,
            reader=reader,
            writer=exchange.dialect.writer(
                exchange.op, _stamp(exchange, running, self.clock()), usage=view.wants_usage
            ),
            passing=passing,
            hides_usage=passing and not view.wants_usage,
            clock=self.clock,
        )
        if exchange.allowance is not None:
            relay.reach = Reach(exchange.allowance, view)
        held = await relay.hold(running.started_s + clocks.first_content_s, clocks.first_content_s)
        if rescue is not None and rescue.holds:
            held = await relay.keep(held, clocks.between_chunks_s)
        exchange.status = 200
        head = [*stream_head(exchange), *usual_marks(exchange, running.target), *_served(exchange, running)]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        return await relay.run(held, send, clocks.between_chunks_s)

    async def _go_on(self, exchange: Exchange, running: Running, rescue: Rescue, send: Send) -> Failure | None:
        """The rest of an answer that another target has begun; the caller has its head and its first words."""
        line = self.lines.find(exchange, running.target)
        clocks = running.target.clocks
        call = self._begun(exchange, running, line, rescue)
        again = call is None
        reply = await self._open_stream(exchange, running, line, call or compose(exchange, running, line))
        reader = line.speaks.reader(exchange.op if again and line.passes else Op.CHAT)
        writer = rescue.writer
        assert writer is not None
        relay = Relay(
            running=running,
            reply=reply,
            reader=reader,
            writer=writer if again else Rest(writer, running.begun_chars),
            passing=False,
            hides_usage=False,
            clock=self.clock,
        )
        if exchange.allowance is not None and exchange.view is not None:
            relay.reach = Reach(exchange.allowance, exchange.view)
        held = await relay.hold(running.started_s + clocks.first_content_s, clocks.first_content_s)
        return await relay.run(held, send, clocks.between_chunks_s)

    @staticmethod
    def _begun(exchange: Exchange, running: Running, line: Line, rescue: Rescue) -> Call | None:
        """The call of a target that goes on from what was said; None where it has to say it again."""
        running.resumed = "again"
        said = rescue.said()
        if said is None:
            return None
        try:
            request = read_request(exchange)
            asked = begun(request, said, running.target) if isinstance(request, ChatRequest) else None
            call = translate(asked, running, line) if asked is not None else None
        except FailureError:
            # What cannot be said in the neutral form may still pass as it came.
            return None
        if call is not None:
            running.resumed, running.begun_chars = "prefill", len(said)
        return call

    async def _open_stream(self, exchange: Exchange, running: Running, line: Line, call: Call) -> Reply:
        clocks = running.target.clocks
        reply = running.reply = await self._open(exchange, running, call, _stream_clocks(clocks))
        running.status = reply.status
        if not 200 <= reply.status < 300:
            body = await _read(reply, clocks.between_chunks_s)
            raise FailureError(line.speaks.read_failure(reply.status, reply.headers, body))
        return reply

    # --- calling -------------------------------------------------------------------------------------------

    def _open(self, exchange: Exchange, running: Running, call: Call, clocks: Clocks) -> Awaitable[Reply]:
        """The provider's answer. No coroutine of its own, where the call need not be signed."""
        if running.keep_s is not None:
            call = keeping(call, running.keep_s)
        sign = self.signers.get(running.target.provider.name)
        if sign is not None:
            return self._sign(sign, exchange, running, call, clocks)
        return self._call(exchange, running, call, clocks)

    async def _sign(self, sign: Sign, exchange: Exchange, running: Running, call: Call, clocks: Clocks) -> Reply:
        return await self._call(exchange, running, await sign(call), clocks)

    def _call(self, exchange: Exchange, running: Running, call: Call, clocks: Clocks) -> Awaitable[Reply]:
        """The last door: whatever was configured, decided or asked for, nothing paid is called behind a kill."""
        target, kills = running.target, self.killed() if self.killed is not None else None
        if kills and (kill := stopped(kills, who_of(exchange), target)) is not None:
            raise fail(Kind.OVER_BUDGET, f"{target.name} was not called: {told_of(kill)}.")
        if exchange.witness is not None:
            call = exchange.witness.calling(call, target)
        running.sent = True
        return self.upstream.open(call, clocks)


def _is_checked(exchange: Exchange, running: Running) -> bool:
    """Whether a cascade may still ask somebody else."""
    receipt, decision = exchange.receipt, exchange.decision
    if receipt is None or receipt.rule != "cascade" or receipt.declined is not None or decision is None:
        return False
    return running.target is not decision.ranked[-1]


def _check(exchange: Exchange, whole: Answer) -> None:
    """Raises FailureError for an answer that does not do."""
    pool = exchange.pool
    if pool is not None and (reason := flaw(pool.check, whole)) is not None:
        raise fail(Kind.UNFIT, f"The answer did not pass the check of the pool '{pool.name}': {reason}.")


_STOPPED = Failure(kind=Kind.STOPPING, message="The gateway was stopped while it served this request.")
_BROKEN = Failure(kind=Kind.INTERNAL, message="The gateway failed to serve this request; its log says why.")


def _target(scope: Scope, exchange: Exchange | None, own: Target | None) -> Target | None:
    chosen: Target | None = scope.get(TARGET)
    if chosen is not None or exchange is None:
        return chosen
    if exchange.decision is not None and exchange.decision.ranked:
        return exchange.decision.ranked[0]
    return next(iter(exchange.remaining()), own)


async def _nothing_here(exchange: Exchange | None, scope: Scope, receive: Receive, send: Send) -> None:
    """Innermost and not ours: say so, for a stack that is mounted with nothing else inside."""
    if exchange is not None:
        await refuse(exchange, send, Failure(kind=Kind.NO_TARGET, message="No target is configured."))
    elif scope["type"] == "lifespan":
        # Nobody further inside is left to say that there is nothing to start and nothing to stop.
        for _ in ("startup", "shutdown"):
            await send({"type": f"{(await receive())['type']}.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
    else:
        body = b'{"error":{"message":"There is nothing at this path.","type":"not_found_error"}}'
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})


def _stamp(exchange: Exchange, running: Running, now_s: float) -> Stamp:
    return Stamp(
        id=exchange.request_id,
        model=running.target.model,
        now_s=int(exchange.started_at_s),
        request=exchange.request,
        elapsed_ns=int((now_s - exchange.started_s) * 1_000_000_000),
    )


def _served(exchange: Exchange, running: Running) -> list[tuple[bytes, bytes]]:
    """What the head of this answer says of it, beside what is usual."""
    calls = made(exchange) if running.recorded else made(exchange) + running.sent
    headers = own_marks(exchange, running.target, calls=calls)
    if running.omitted:
        headers.append((b"x-laneway-omitted", ", ".join(running.omitted).encode("latin-1", "replace")))
    return headers


def _stream_clocks(clocks: Clocks) -> Clocks:
    """In a stream, the head may not take longer than the first content may."""
    if clocks.headers_s <= clocks.first_content_s:
        return clocks
    return Clocks(
        connect_s=clocks.connect_s,
        headers_s=clocks.first_content_s,
        first_content_s=clocks.first_content_s,
        between_chunks_s=clocks.between_chunks_s,
    )


def _json_type(reply: Reply) -> bytes:
    """As the provider says it, unless that is another type: clients go by it, and the body was read as JSON."""
    for name, value in reply.headers:
        if name == b"content-type" and value[:16].lower() == b"application/json":
            return value
    return b"application/json"


async def _read(reply: Reply, limit_s: float, *begun: bytes) -> bytes:
    """The whole body, within bounds, or the rest of one."""
    pieces = list(begun)
    size = sum(map(len, pieces))
    while piece := await reply.read(limit_s):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_ANSWER:
            raise fail(Kind.MALFORMED_ANSWER, f"The provider's answer is larger than {MOST_ANSWER} bytes.")
    return b"".join(pieces)
