"""A line to a target: how it is called, and with what.

Owns: what is the same for every call of one target, made once and kept; and composing a call: patched bytes where the
target speaks the caller's own format, a translation where it speaks another.
Refuses: calling, and credentials that are made anew for each call (signers do).
"""

from __future__ import annotations

from typing import NamedTuple

from laneway.attempt import Running
from laneway.chat import ChatRequest, EmbedRequest, Op
from laneway.dialects import Dialect, Front, dialect
from laneway.exchange import Exchange
from laneway.ports import Call
from laneway.route import Target

PASSED_HEADERS = (b"anthropic-version", b"anthropic-beta", b"openai-beta", b"http-referer", b"x-title")
"""Request headers that belong to a dialect and go to a provider of the same dialect as they came."""
MOST_LINES = 4096
_PASSED = frozenset(PASSED_HEADERS)


class Line(NamedTuple):
    """What is the same for every call of one target that comes in by one front: made once, kept."""

    target: Target
    front: Front
    speaks: Dialect
    origin: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    passes: bool
    """Same dialect on both sides: bytes pass as they came."""


class Lines:
    """The lines of one configuration."""

    def __init__(self, agent: str) -> None:
        self._agent = agent.encode()
        self._lines: dict[tuple[int, int, bool], Line] = {}

    def find(self, exchange: Exchange, target: Target) -> Line:
        front, view = exchange.front, exchange.view
        stream = view is not None and view.stream
        key = (id(target), id(front), stream)
        found = self._lines.get(key)
        # The line holds both, so that an id can never come to mean another one.
        if found is not None and found.target is target and found.front is front:
            return found
        if len(self._lines) > MOST_LINES:
            self._lines.clear()
        provider = target.provider
        speaks = dialect(provider.dialect)
        path = provider.path + speaks.path(front.op, target.upstream, stream=stream)
        headers = ((b"content-type", b"application/json"), (b"user-agent", self._agent), *provider.headers)
        passes = exchange.dialect is speaks and front.passes and bool(path)
        line = self._lines[key] = Line(target, front, speaks, provider.origin, path, headers, passes)
        return line


def compose(exchange: Exchange, running: Running, line: Line) -> Call:
    """The caller's request, for this target."""
    view, target = exchange.view, running.target
    if view is None or not line.passes:
        return translate(read_request(exchange), running, line)
    body = exchange.body or b""
    model = None if view.model == target.upstream else target.upstream
    ask = view.stream and not view.wants_usage and target.provider.asks_usage
    if model is not None or ask:
        body = line.speaks.patch(exchange.op, body, model, ask_usage=ask)
    headers = line.headers
    if not _PASSED.isdisjoint(exchange.headers):
        own = [(name, exchange.headers[name]) for name in PASSED_HEADERS if name in exchange.headers]
        headers = (*_without(headers, own), *own)
    return Call("POST", line.origin, line.path, headers, body)


def translate(request: ChatRequest | EmbedRequest, running: Running, line: Line) -> Call:
    """A neutral request in the target's format. UNSUPPORTED names what that cannot say."""
    write = line.speaks.write_embed_request if isinstance(request, EmbedRequest) else line.speaks.write_request
    outgoing = write(request, running.target.upstream)  # type: ignore[arg-type]
    running.omitted = outgoing.omitted
    path = running.target.provider.path + outgoing.path
    return Call("POST", line.origin, path, (*line.headers, *outgoing.headers), outgoing.body)


def keeping(call: Call, keep_s: float) -> Call:
    """The call as a host takes it whose models must stay: only an Ollama's memory is ever protected."""
    from laneway.dialects.ollama.residence import keep

    return Call(call.method, call.origin, call.target, call.headers, keep(call.body, keep_s))


def read_request(exchange: Exchange) -> ChatRequest | EmbedRequest:
    """The neutral request, read on the first translation and kept for the next target."""
    if exchange.request is None:
        read = exchange.dialect.read_embed_request if exchange.op is Op.EMBED else exchange.dialect.read_request
        exchange.request = read(exchange.op, exchange.body or b"")
    return exchange.request


def _without(
    headers: tuple[tuple[bytes, bytes], ...], names: list[tuple[bytes, bytes]]
) -> tuple[tuple[bytes, bytes], ...]:
    taken = {name for name, _ in names}
    return tuple(header for header in headers if header[0] not in taken)
