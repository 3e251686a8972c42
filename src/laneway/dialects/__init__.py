"""Wire formats. One module per dialect, each serving both as ingress and as provider.

Owns: the Protocol every dialect fulfils, the table of dialects, and the table of front paths. A dialect has a
verb pair (read, write) for each of: request, answer, stream, embedding, failure, models; plus `view` and `glance`
for traffic that passes as it came.
Refuses: I/O, clocks, provider names. Dialects never import each other; they meet in `chat`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import NamedTuple, Protocol, TypeAlias

import msgspec

from laneway.chat import Answer, Card, ChatRequest, Embedding, EmbedRequest, Event, Glance, Op, Role, Text
from laneway.failure import Failure

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]


class View(msgspec.Struct, frozen=True):
    """The few facts of a request that every room may need, read in one pass over the body.

    The body has been checked against the dialect's schema when a View exists. `text_chars` is the length of the
    prompt in characters over all turns, `images` how many pictures it holds.
    """

    op: Op
    model: str
    stream: bool
    max_tokens: int | None = None
    wants_usage: bool = False
    text_chars: int = 0
    images: int = 0
    tools: int = 0
    turns: int = 1
    needs: frozenset[str] = frozenset()
    """Abilities the request asks of a model: tools, vision, schema, json, documents, logprobs, thinking."""
    choices: int = 1
    """How many answers are asked for, each of which may be as long as `max_tokens`."""
    stored: bool = False
    """A part of the prompt rests at the provider, so that nobody here knows how long it is."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a choice of models looks at, beyond the View: read only where somebody chooses."""

    text: str = ""
    """The words of the last user turn that has any."""
    opening: str = ""
    """Those of the first one, which tell one conversation from another."""
    system: str = ""
    tools: tuple[str, ...] = ()
    """Names of the tools it may call."""
    structured: bool = False
    """An answer in a prescribed format is asked for."""
    tag: str = ""
    """What kind of task it is, where the caller says so in the body."""


def asked_of(request: ChatRequest) -> Asked:
    """The same of a request that was read whole."""
    words = [
        "\n".join([part.text for part in message.parts if type(part) is Text])
        for message in request.messages
        if message.role is Role.USER
    ]
    said = [text for text in words if text]
    return Asked(
        text=said[-1] if said else "",
        opening=said[0] if said else "",
        system="\n".join([part.text for part in request.system]),
        tools=tuple([tool.name for tool in request.tools]),
        structured=request.format is not None,
    )


class Outgoing(msgspec.Struct, frozen=True):
    """A request in a provider's format. `path` goes behind the provider's url; `omitted` names listed omissions."""

    path: str
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    omitted: tuple[str, ...] = ()


class Written(msgspec.Struct, frozen=True):
    """A whole response in the caller's format."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Frame(NamedTuple):
    """One frame of a stream: its bytes exactly as they came, and what they mean (often one event, maybe none)."""

    raw: bytes
    events: tuple[Event, ...]


class StreamReader(Protocol):
    """Bytes from a provider in, frames out, in order, wherever the pieces are cut."""

    def feed(self, data: bytes) -> list[Frame]: ...

    def end(self) -> list[Frame]:
        """The connection ended properly. Adds Faulted(CUT) unless the dialect's own end was seen."""


class StreamWriter(Protocol):
    """Events in, bytes for the caller out. After `fault` no success terminator is ever written.

    A second Started is another target that goes on with the answer: only the model's name changes.
    """

    def write(self, event: Event) -> bytes: ...

    def fault(self, failure: Failure) -> bytes: ...

    def end(self) -> bytes:
        """What follows the last event of a whole answer (a usage chunk, `[DONE]`, message_stop)."""

    def follow(self, reader: StreamReader) -> bool:
        """Stands, before anything was written, where a reader of this format stands whose bytes the caller was given
        as they came. False where they held what has no neutral form, so that no other target can go on from it."""


class Stamp(msgspec.Struct, frozen=True):
    """Facts the caller's format wants in an answer and the answer itself may lack."""

    id: str
    model: str
    now_s: int
    request: ChatRequest | EmbedRequest | None = None
    elapsed_ns: int = 0


class Dialect(Protocol):
    """One wire format, both directions, pure. Readers raise FailureError, with `field` naming the place."""

    name: str
    stream_type: bytes
    """Content type of a stream in this format."""
    models_path: str
    """Where a provider lists its models, behind its url; "" where the format has no list."""

    def view(self, op: Op, body: bytes) -> View:
        """Checks and reads a caller's body. MALFORMED_REQUEST says what is wrong at which path."""

    def asked(self, op: Op, body: bytes) -> Asked:
        """Reads what a choice of models looks at, from a body that `view` has checked."""

    def patch(self, op: Op, body: bytes, model: str | None, *, ask_usage: bool) -> bytes:
        """The body with another model id (None: as it is) and, if asked, with usage wanted in the stream;
        every other field stays as it came."""

    def read_request(self, op: Op, body: bytes) -> ChatRequest: ...

    def write_request(self, request: ChatRequest, model: str) -> Outgoing:
        """UNSUPPORTED with the field's name where this format cannot say it."""

    def read_answer(self, op: Op, body: bytes) -> Answer: ...

    def write_answer(self, op: Op, answer: Answer, stamp: Stamp) -> Written: ...

    def reader(self, op: Op) -> StreamReader: ...

    def writer(self, op: Op, stamp: Stamp, *, usage: bool) -> StreamWriter: ...

    def read_embed_request(self, op: Op, body: bytes) -> EmbedRequest: ...

    def write_embed_request(self, request: EmbedRequest, model: str) -> Outgoing: ...

    def read_embedding(self, body: bytes) -> Embedding: ...

    def write_embedding(self, embedding: Embedding, stamp: Stamp) -> Written: ...

    def glance(self, op: Op, body: bytes) -> Glance: ...

    def local(self, op: Op, body: bytes, view: View, stamp: Stamp) -> Written | None:
        """The answer to what asks nothing of a model (a token count, a load request); None for everything else."""

    def read_failure(self, status: int, headers: Headers, body: bytes) -> Failure: ...

    def write_failure(self, failure: Failure, request_id: str) -> Written: ...

    def read_models(self, body: bytes) -> list[Card]: ...

    def write_models(self, cards: Sequence[Card]) -> Written: ...

    def path(self, op: Op, model: str, *, stream: bool) -> str:
        """Where a body of this dialect is sent, behind the provider's url; "" when the operation is unknown."""

    def credentials(self, key: str) -> tuple[tuple[bytes, bytes], ...]:
        """Headers that carry a provider's key in this dialect."""


class Front(NamedTuple):
    """A path a caller may post to: which dialect it speaks and what it asks.

    `variant` is the wire's own name; `passes` is False for an old form that even providers of the same dialect are
    asked in the new one.
    """

    dialect: str
    op: Op
    variant: str
    passes: bool = True


FRONTS: Mapping[str, Front] = {
    "/v1/chat/completions": Front("openai", Op.CHAT, "chat"),
    "/v1/completions": Front("openai", Op.COMPLETE, "completions"),
    "/v1/embeddings": Front("openai", Op.EMBED, "embeddings"),
    "/v1/responses": Front("responses", Op.CHAT, "responses"),
    "/v1/messages": Front("anthropic", Op.CHAT, "messages"),
    "/v1/messages/count_tokens": Front("anthropic", Op.COUNT, "count_tokens"),
    "/api/chat": Front("ollama", Op.CHAT, "chat"),
    "/api/generate": Front("ollama", Op.COMPLETE, "generate"),
    "/api/embed": Front("ollama", Op.EMBED, "embed"),
    "/api/embeddings": Front("ollama", Op.EMBED, "embeddings", passes=False),
}

NAMES = ("openai", "responses", "anthropic", "ollama", "converse")

_made: dict[str, Dialect] = {}


def dialect(name: str) -> Dialect:
    """The dialect of that name, made on first use so that a process pays only for those it speaks."""
    found = _made.get(name)
    if found is None:
        if name not in NAMES:
            raise KeyError(name)
        make: Callable[[], Dialect] = import_module(f"laneway.dialects.{name}").make
        found = _made[name] = make()
    return found
