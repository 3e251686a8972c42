"""Errands: requests that the gateway makes of itself, for somebody, through its own stack.

Owns: what an errand is (a conversation, the one target that is asked, whose money it is), walking it through the rooms
like any request that came over a socket, and what it brought back. So it is recorded, held against budgets and stopped
by kills like any other.
Refuses: a way around any room but two: who asks is known already, and so is the target.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec

from laneway.chat import Answer, ChatRequest, Finish, Op, Text, Usage
from laneway.dialects import FRONTS, dialect
from laneway.edge import WATCH, App, Message
from laneway.exchange import SLOT, Exchange, Scope
from laneway.failure import Failure, FailureError, Kind
from laneway.route import Target, Tenant

PATH = "/v1/chat/completions"
_OPENAI = dialect("openai")


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, of whom, and in whose name."""

    request: ChatRequest
    target: Target
    tenant: Tenant
    key_id: str | None = None
    project: str | None = None
    intent: str
    """What for, as records show it: compare, judge, pair, eval."""


class Brought(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an errand; with a failure there is no text, and maybe a cost all the same."""

    request_id: str
    text: str = ""
    usage: Usage = Usage()
    cost_nanos: int = 0
    elapsed_s: float = 0.0
    finish: Finish | None = None
    failure: Failure | None = None


async def run(app: App, errand: Errand, *, clock: Callable[[], float] = time.monotonic) -> Brought:
    """Asks, and always answers: whatever went wrong is a failure in what was brought."""
    exchange = Exchange.begin(FRONTS[PATH], {b"content-type": b"application/json"})
    exchange.tenant, exchange.key_id = errand.tenant, errand.key_id
    exchange.project, exchange.intent = errand.project or errand.tenant.project, errand.intent
    exchange.candidates = (errand.target,)
    began_s = clock()
    try:
        asked = msgspec.structs.replace(errand.request, op=Op.CHAT, stream=False, stream_usage=False)
        exchange.body = _OPENAI.write_request(asked, errand.target.model or errand.target.upstream).body
        exchange.view = _OPENAI.view(Op.CHAT, exchange.body)
    except FailureError as error:
        return Brought(request_id=exchange.request_id, failure=error.failure)
    heard = Ear()
    await app(scope_of(exchange, PATH, _unwatched), silence, heard)
    answer, failure = _read(exchange, heard)
    attempts = exchange.attempts
    return Brought(
        request_id=exchange.request_id,
        text=text_of(answer) if answer is not None else "",
        usage=attempts[-1].usage if attempts else Usage(),
        cost_nanos=exchange.cost_nanos(),
        elapsed_s=clock() - began_s,
        finish=answer.finish if answer is not None else None,
        failure=failure,
    )


async def run_all(app: App, errands: Sequence[Errand], *, at_once: int) -> list[Brought]:
    """Each as `run` does, so many at a time; in their order, whatever became of the others."""
    seats = asyncio.Semaphore(at_once)

    async def seated(errand: Errand) -> Brought:
        async with seats:
            return await run(app, errand)

    return await asyncio.gather(*map(seated, errands))


def text_of(answer: Answer) -> str:
    return "".join(part.text for part in answer.parts if isinstance(part, Text))


class Ear:
    """Hears a whole response."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.body += message.get("body", b"")


def scope_of(exchange: Exchange, path: str, watch: Callable[[Callable[[], None] | None], None]) -> Scope:
    """The scope of a request that came over no socket; `watch` is how its sender tells that nobody waits any more."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(exchange.headers.items()),
        "client": None,
        "server": None,
        SLOT: exchange,
        WATCH: watch,
    }


def _unwatched(_: Callable[[], None] | None) -> None:
    """Whoever sent an errand waits for it."""


async def silence() -> Message:
    """The `receive` of a request whose body is on the Exchange already."""
    await asyncio.Event().wait()
    raise AssertionError("the body of an errand is read before it leaves")


def _read(exchange: Exchange, heard: Ear) -> tuple[Answer | None, Failure | None]:
    if heard.status != 200:
        last = exchange.attempts[-1].failure if exchange.attempts else None
        unknown = Failure(kind=Kind.INTERNAL, message=f"The gateway answered {heard.status}.")
        return None, exchange.failure or last or unknown
    try:
        return _OPENAI.read_answer(Op.CHAT, heard.body), None
    except FailureError as error:
        return None, error.failure
