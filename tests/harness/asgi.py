"""One caller of an ASGI app, message by message.

Owns: the scope, the body in whatever pieces, a `send` that holds the app to ASGI's HTTP specification and can be
stalled, and leaving at a chosen moment, with or without the hook by which our own server tells of it.
Refuses: sockets, servers, and knowing what a body means.

    caller = Caller("/v1/messages", {"model": "m", ...})
    answer = run(caller.call(app))

or, to be there while it is answered: `task = caller.start(app)`, `await caller.until(2)`, `caller.leave()`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple

from laneway.edge import WATCH, WHOLE, App
from laneway.exchange import Scope

Message = MutableMapping[str, Any]

TEXT = "What is 7*8?"
ASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("/v1/chat/completions", {"messages": [{"role": "user", "content": TEXT}], "max_tokens": 1000}),
    "responses": ("/v1/responses", {"input": TEXT, "max_output_tokens": 1000}),
    "anthropic": ("/v1/messages", {"messages": [{"role": "user", "content": TEXT}], "max_tokens": 1000}),
    "ollama": ("/api/chat", {"messages": [{"role": "user", "content": TEXT}], "stream": False}),
}
"""A small conversation in each front's own format; `ask` adds the model."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """Sends one request. `body` is bytes, or becomes JSON; `pieces` sends it in these messages instead.

    With `more` the body never ends. `hook` offers our own server's way to tell that the caller left.
    """

    whole = False
    """Offers its way to a body that is there already, too."""

    def __init__(
        self,
        path: str = "/v1/chat/completions",
        body: object = b"",
        *,
        headers: Mapping[str, str] | None = None,
        pieces: Sequence[bytes] | None = None,
        more: bool = False,
        hook: bool = False,
        **scope: Any,
    ) -> None:
        whole = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._pieces = list(pieces) if pieces is not None else [whole]
        self._more = more
        self._over = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        self._came = asyncio.Condition()
        self._callback: Callable[[], None] | None = None
        self.left = False
        self.received = 0
        """How often the app asked for a message of the request."""
        self.sent: list[Message] = []
        self.broken: list[str] = []
        """Ways in which the app broke the specification."""
        self.on_send: Callable[[Message], None] = lambda _: None
        """Called with each message before it counts as sent; may raise, as a server may."""
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [
                (name.lower().encode(), value.encode("latin-1"))
                for name, value in {"content-type": "application/json", **(headers or {})}.items()
            ],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8080),
            **scope,
        }
        if hook:
            self.scope[WATCH] = self._hook
        if self.whole:
            self.scope[WHOLE] = self._take
            self.scope["headers"].append((b"content-length", str(sum(map(len, self._pieces))).encode()))

    # --- the app's side ------------------------------------------------------------------------------------

    def _take(self) -> bytes | None:
        return self._pieces.pop() if len(self._pieces) == 1 and not self._more else None

    async def receive(self) -> Message:
        self.received += 1
        if self._pieces:
            piece = self._pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self._pieces) or self._more}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self._check(message)
        self.on_send(message)
        await self._open.wait()
        self.sent.append(message)
        if self.finished:
            # As servers do: nothing more will come of a request that has been answered.
            self._over.set()
        async with self._came:
            self._came.notify_all()

    def _check(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            if self.sent:
                self.broken.append("a second start")
            if not all(name == name.lower() for name, _ in message.get("headers", ())):
                self.broken.append("a header name in capitals")
        elif kind == "http.response.body":
            if not self.sent:
                self.broken.append("a body before the start")
            elif self.finished:
                self.broken.append("a body behind the last one")
            if not isinstance(message.get("body", b""), bytes):
                self.broken.append("a body that is not bytes")
        else:
            self.broken.append(f"an unknown message {kind}")

    def _hook(self, callback: Callable[[], None] | None) -> None:
        self._callback = callback
        if callback is not None and self.left:
            callback()

    # --- the test's side -----------------------------------------------------------------------------------

    async def call(self, app: App) -> Answer:
        """Runs the app to its end; fails if it broke the specification."""
        await app(self.scope, self.receive, self.send)
        assert not self.broken, self.broken
        return self.answer

    async def hand(self, app: App, scope: Scope) -> None:
        """Hands the app a scope of the test's own, and asks nothing of what it does."""
        await app(scope, self.receive, self.send)

    def start(self, app: App) -> asyncio.Task[Answer]:
        return asyncio.get_running_loop().create_task(self.call(app))

    def leave(self) -> None:
        """Goes away: the request is over, and whoever watches is told."""
        self.left = True
        self._over.set()
        if self._callback is not None:
            self._callback()

    def stall(self) -> None:
        """From here on, messages wait in `send`, as behind a full socket."""
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    async def until(self, count: int) -> None:
        """Waits until so many messages were sent."""
        async with self._came:
            await self._came.wait_for(lambda: len(self.sent) >= count)

    @property
    def finished(self) -> bool:
        last = self.sent[-1] if self.sent else None
        return last is not None and last["type"] == "http.response.body" and not last.get("more_body", False)

    @property
    def answer(self) -> Answer:
        """What came so far; status 0 when nothing did."""
        start: Message = self.sent[0] if self.sent else {"status": 0}
        headers = {name.decode(): value.decode("latin-1") for name, value in start.get("headers", ())}
        body = b"".join(message.get("body", b"") for message in self.sent[1:])
        return Answer(start["status"], headers, body)


def ask(
    front: str, model: str, *, headers: Mapping[str, str] | None = None, hook: bool = False, **fields: Any
) -> Caller:
    """A caller with a small conversation in the front's own format; `fields` go into its body."""
    path, body = ASKS[front]
    return Caller(path, {"model": model, **body, **fields}, headers=headers, hook=hook)


async def turns(count: int = 5) -> None:
    """Lets everything that is ready run, and what that makes ready, `count` times over."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Lets everything run until something has happened; the test's own time limit ends the patience."""
    while not condition():  # noqa: ASYNC110 - what is waited for happens inside the app, which sets no event
        await asyncio.sleep(0)
