"""Serving a call: which dialect it is in, what its model's name asks for, and how the answer comes or fails.

Owns: `Simulated`, the `ports.Upstream` of `simulated://` providers. The dialect is chosen by the path; its own verbs
for callers read the request and write the answer, so that every dialect can be the provider.
Refuses: sockets, and knowing what a good answer is (`answers` does).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeVar
from urllib.parse import unquote

import msgspec

from laneway.chat import Answer, ChatRequest, Embedding, EmbedRequest, Event, Finish, Op, Text, Usage, bears_content
from laneway.dialects import Dialect, Stamp, StreamWriter, Written, dialect
from laneway.dialects.ollama import write_load
from laneway.failure import Failure, FailureError, Kind
from laneway.ports import Call, Clocks, Reply
from laneway.upstream.simulated.answers import list_events, make_answer, pieces, prompt_tokens, tokens
from laneway.upstream.simulated.models import Behaviour, behaviour, cards
from laneway.upstream.simulated.reply import FOREVER, SimulatedReply, Step
from laneway.upstream.simulated.vectors import DIMENSIONS, embed

T = TypeVar("T")

# 2026-01-01T00:00:00Z: answers are dated, and the same every time.
_DATED_S = 1_767_225_600
# Callers make names up, and counting them all would never end.
_MOST_NAMES = 4096
_HASHED_BYTES = 65_536

_ROUTES: tuple[tuple[str, str, Op], ...] = (
    ("/api/chat", "ollama", Op.CHAT),
    ("/api/generate", "ollama", Op.COMPLETE),
    ("/api/embed", "ollama", Op.EMBED),
    ("/api/embeddings", "ollama", Op.EMBED),
    ("/chat/completions", "openai", Op.CHAT),
    ("/completions", "openai", Op.COMPLETE),
    ("/embeddings", "openai", Op.EMBED),
    ("/responses", "responses", Op.CHAT),
    ("/messages", "anthropic", Op.CHAT),
    ("/messages/count_tokens", "anthropic", Op.COUNT),
    ("/converse", "converse", Op.CHAT),
    ("/converse-stream", "converse", Op.CHAT),
    ("/invoke", "converse", Op.EMBED),
)
_LISTS = (("/api/tags", "ollama"), ("/foundation-models", "converse"), ("/models", "openai"))

_KINDS = {
    400: Kind.BAD_REQUEST,
    401: Kind.UNAUTHENTICATED,
    402: Kind.OVER_BUDGET,
    403: Kind.FORBIDDEN,
    404: Kind.UNKNOWN_MODEL,
    408: Kind.BODY_TIMEOUT,
    413: Kind.TOO_LARGE,
    429: Kind.RATE_LIMITED,
    502: Kind.UPSTREAM_ERROR,
    503: Kind.OVERLOADED,
    504: Kind.TIMEOUT,
    529: Kind.OVERLOADED,
}
_DOWN = Failure(kind=Kind.CONNECT, message="the provider refused the connection; is it running, and is its url right?")
_RESET = Failure(kind=Kind.RESET, message="the connection was lost before the provider answered")
_CUT = Failure(kind=Kind.CUT, message="the provider's connection ended before its answer did")
_BROKE = Failure(kind=Kind.UPSTREAM_ERROR, message="The simulated model failed, as its name asks.")
_BLOCKED = Failure(kind=Kind.REFUSED, message="The content policy of the simulated provider refuses the request.")
_PAGE = Written(200, b"<!doctype html><title>Welcome</title><p>This is no model.\n", b"text/html; charset=utf-8")


class _Told(Exception):
    """The provider answers with a failure, or (None) with a web page; `status` where the kind's own is not meant."""

    def __init__(self, failure: Failure | None, status: int | None = None) -> None:
        super().__init__(failure)
        self.failure = failure
        self.status = status


class Asked(msgspec.Struct, frozen=True):
    """One call, understood: who speaks how, to which model, and how the answer is wanted."""

    speaks: Dialect
    op: Op
    name: str
    stamp: Stamp
    does: Behaviour


class Simulated:
    """An `Upstream` without sockets. `piece_bytes` cuts bodies into pieces of that size, wherever that falls."""

    def __init__(self, *, now_s: int = _DATED_S, piece_bytes: int | None = None) -> None:
        self.asked: Counter[str] = Counter()
        """How often each model was asked."""
        self.abandoned = 0
        """How many answers were closed before their end."""
        self._now_s = now_s
        self._piece_bytes = piece_bytes

    async def open(self, call: Call, clocks: Clocks) -> Reply:
        path = _path(call)
        route = next((route for route in _ROUTES if path.endswith(route[0])), None)
        if call.method != "POST" or route is None:
            return self._whole(self._look_up(call, path))
        _, name, op = route
        speaks = dialect(name)
        try:
            if op is Op.EMBED:
                return await self._embed(call, clocks, speaks)
            return await self._chat(call, clocks, speaks, op)
        except _Told as told:
            return self._told(speaks, told)

    async def close(self) -> None:
        """Nothing is held open."""

    # --- conversations -------------------------------------------------------------------------------------

    async def _chat(self, call: Call, clocks: Clocks, speaks: Dialect, op: Op) -> Reply:
        request = _said(lambda: speaks.read_request(op, call.body))
        asked = await self._ask(call, clocks, speaks, op, request)
        if asked.does.model.kind != "chat" or "embed" in asked.does.talents:
            raise _Told(Failure(kind=Kind.BAD_REQUEST, message=f"{asked.name} does not support chat"))
        if speaks.name == "ollama" and not request.messages:
            return self._whole(write_load(op, call.body, asked.stamp))
        counted = prompt_tokens(request)
        if counted > asked.does.model.window:
            raise _Told(_too_long(counted, asked.does.model.window))
        if op is Op.COUNT:
            count = Answer(model=asked.name, parts=(), finish=Finish.STOP, usage=Usage(input=counted))
            return self._whole(speaks.write_answer(op, count, asked.stamp))
        if request.choices is not None and request.choices > 1:
            raise _Told(Failure(kind=Kind.BAD_REQUEST, message="A simulated model answers once: n is 1.", field="n"))
        answer = make_answer(request, asked.does, asked.name)
        if request.stream or _path(call).endswith("-stream"):
            writer = speaks.writer(op, asked.stamp, usage=request.stream_usage)
            steps = _stream(writer, list_events(answer, self._now_s), asked.does)
            return self._reply(200, [(b"content-type", speaks.stream_type)], steps)
        await _think_over(answer, asked.does, clocks)
        if asked.does.fault == "error-in-stream":
            raise _Told(_BROKE, 500)
        written = _said(lambda: speaks.write_answer(op, answer, asked.stamp))
        return self._whole(written, _broken(written.body, asked.does))

    async def _embed(self, call: Call, clocks: Clocks, speaks: Dialect) -> Reply:
        request = _said(lambda: speaks.read_embed_request(Op.EMBED, call.body))
        asked = await self._ask(call, clocks, speaks, Op.EMBED, request)
        if asked.does.model.kind != "embed":
            raise _Told(Failure(kind=Kind.BAD_REQUEST, message=f"{asked.name} does not support embeddings"))
        texts = [*request.texts, *(" ".join(map(str, ids)) for ids in request.tokens)]
        dimensions = request.dimensions or DIMENSIONS
        if not 1 <= dimensions <= 1024:
            raise _Told(Failure(kind=Kind.BAD_REQUEST, message="dimensions is 1 to 1024", field="dimensions"))
        embedding = Embedding(
            model=asked.name,
            vectors=tuple(embed(text, dimensions) for text in texts),
            usage=Usage(input=sum(tokens(len(text)) for text in texts)),
        )
        written = _said(lambda: speaks.write_embedding(embedding, asked.stamp))
        return self._whole(written, _broken(written.body, asked.does))

    async def _ask(
        self, call: Call, clocks: Clocks, speaks: Dialect, op: Op, request: ChatRequest | EmbedRequest
    ) -> Asked:
        """Who is asked, or how that fails before there is an answer."""
        name = request.model or _named_in(call)
        does = behaviour(name)
        if does is None:
            raise _Told(Failure(kind=Kind.UNKNOWN_MODEL, message=f"model '{name}' not found", field="model"))
        if name in self.asked or len(self.asked) < _MOST_NAMES:
            self.asked[name] += 1
        if does.fault == "down":
            raise FailureError(_DOWN)
        if does.fault == "reset":
            raise FailureError(_RESET)
        if does.fault == "hang-headers":
            await _silence(clocks)
        if does.status is not None and not (does.once and self.asked[name] > 1):
            message = f"{name} fails with status {does.status}, as its name asks."
            kind = _KINDS.get(does.status, Kind.BAD_REQUEST if does.status < 500 else Kind.INTERNAL)
            wait_s = None if does.retry_after_s is None else float(does.retry_after_s)
            raise _Told(Failure(kind=kind, message=message, retry_after_s=wait_s), does.status)
        if does.fault == "blocked":
            raise _Told(_BLOCKED)
        if does.fault == "context-too-long":
            raise _Told(_too_long(does.model.window + 1, does.model.window))
        if does.fault == "html":
            raise _Told(None)
        id_ = f"sim-{hashlib.blake2b(call.body[-_HASHED_BYTES:], digest_size=8).hexdigest()}"
        stamp = Stamp(id=id_, model=name, now_s=self._now_s, request=request)
        return Asked(speaks, op, name, stamp, does)

    # --- lists ---------------------------------------------------------------------------------------------

    def _look_up(self, call: Call, path: str) -> Written:
        """What is not asked of a model."""
        names = {name for name, _ in call.headers}
        for suffix, name in _LISTS:
            if path.endswith(suffix) and call.method == "GET":
                return dialect("anthropic" if b"anthropic-version" in names else name).write_models(cards())
        if path.endswith("/api/version"):
            return Written(200, b'{"version":"0.0.0-simulated"}')
        failure = Failure(kind=Kind.UNKNOWN_PATH, message=f"the simulated provider has nothing at {path[:200]}")
        return dialect("openai").write_failure(failure, "")

    # --- replies -------------------------------------------------------------------------------------------

    def _told(self, speaks: Dialect, told: _Told) -> Reply:
        if told.failure is None:
            return self._whole(_PAGE)
        written = speaks.write_failure(told.failure, "")
        if told.status is not None:
            written = msgspec.structs.replace(written, status=told.status)
        return self._whole(written)

    def _whole(self, written: Written, steps: Iterator[Step] | None = None) -> Reply:
        headers = [
            (b"content-type", written.content_type),
            (b"content-length", str(len(written.body)).encode()),
            *((name.lower(), value) for name, value in written.headers),
        ]
        return self._reply(written.status, headers, iter((written.body,)) if steps is None else steps)

    def _reply(self, status: int, headers: list[tuple[bytes, bytes]], steps: Iterator[Step]) -> Reply:
        return SimulatedReply(status, headers, steps, piece_bytes=self._piece_bytes, on_close=self._closed)

    def _closed(self, whole: bool) -> None:
        self.abandoned += not whole


# --- how it goes wrong -------------------------------------------------------------------------------------


def _said(verb: Callable[[], T]) -> T:
    """What a dialect's verb gives; a request or answer it refuses is answered as a provider would."""
    try:
        return verb()
    except FailureError as error:
        raise _Told(error.failure) from None


def _path(call: Call) -> str:
    return call.target.partition("?")[0]


def _named_in(call: Call) -> str:
    """The model in a Bedrock path: /model/{id}/converse."""
    path = _path(call)
    return unquote(path.rsplit("/", 2)[1]) if "/model/" in path else ""


def _too_long(counted: int, window: int) -> Failure:
    message = f"the prompt is too long: {counted} tokens, and this model's context length is {window}"
    return Failure(kind=Kind.CONTEXT_TOO_LONG, message=message)


async def _silence(clocks: Clocks) -> None:
    await asyncio.sleep(clocks.headers_s)
    message = f"the provider sent no response head within headers={clocks.headers_s:g} s"
    raise FailureError(Failure(kind=Kind.TIMEOUT, message=message, clock="headers"))


async def _think_over(answer: Answer, does: Behaviour, clocks: Clocks) -> None:
    """A slow model that does not stream is silent for as long as its deltas would have taken."""
    if does.slow_ms:
        count = sum(len(pieces(part.text)) for part in answer.parts if isinstance(part, Text))
        wait_s = does.slow_ms * count / 1000
        if wait_s > clocks.headers_s:
            await _silence(clocks)
        await asyncio.sleep(wait_s)


def _stream(writer: StreamWriter, events: Iterator[Event], does: Behaviour) -> Iterator[Step]:
    fault, deltas = does.fault, 0
    fault_at = {"hang-first": 0, "error-in-stream": 3}.get(fault, does.at_delta)
    for event in events:
        if bears_content(event):
            if fault and deltas >= fault_at:
                break
            deltas += 1
            if does.slow_ms:
                yield does.slow_ms / 1000
        if data := writer.write(event):
            yield data
    if fault == "error-in-stream":
        yield writer.fault(_BROKE)
    elif fault:
        yield _CUT if fault == "cut" else FOREVER
    else:
        yield writer.end()


def _broken(body: bytes, does: Behaviour) -> Iterator[Step]:
    """A whole body, as far as the name lets it come."""
    if does.fault == "hang-first":
        yield FOREVER
    elif does.fault in ("cut", "stall"):
        yield body[: len(body) // 2]
        yield _CUT if does.fault == "cut" else FOREVER
    else:
        yield body
