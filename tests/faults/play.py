"""Playing the table: one gateway under its own server protocol, the faults behind it, all cells at once.

Owns: the configuration in which every cell has a lane and a failing model of its own, the fakes, the calls, and
writing down what the caller heard, what the providers saw and what the record says. Refuses: judging any of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import uvicorn

from laneway.doorway import FrontProtocol
from laneway.gateway import Gateway, build
from laneway.route import Outcome
from laneway.store import open_store
from laneway.stores.memory import MemoryJournal
from tests.fakes.providers import PATHS
from tests.fakes.upstream import FakeUpstream, Wire
from tests.faults.speech import SPEECHES, Heard
from tests.faults.table import FRONTS, GAP_S, GOING_ON, PATIENT_S, RESCUES, SCALE, Asked, Cell, Do, Steps, well

AT_ONCE = 120
PRICE = {"input": 2, "output": 10}
"""USD per million tokens, of every model."""
FRONT_PATHS = {
    "openai": "/v1/chat/completions",
    "responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "ollama": "/api/chat",
}
PROMPT = "Count to five."
HEALTHY = "healthy"
HEADED = "anthropic"
"""The front whose callers say in a header how a stream is to be saved."""
LIMIT_S = 300.0
"""For everything together, where a machine is busy."""
_LOOKS = 500
CLOSED_S = 5.0
"""How long a provider waits to see its caller leave, on a busy machine."""


class Answered(NamedTuple):
    """What came back to a caller."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool
    """The answer came to its HTTP end."""

    def heard(self, cell: Cell) -> Heard:
        kind = self.headers.get("content-type", "")
        streamed = kind.startswith(("text/event-stream", "application/x-ndjson"))
        return (Heard.stream if streamed else Heard.whole)(cell.front, self.body)


class Seen(NamedTuple):
    """Everything that one cell led to."""

    answered: Answered | None
    """None: it did not end while any clock of the row could still have been running."""
    calls: int
    """Of the failing target, as its provider counted them."""
    healthy_calls: int
    healthy_begun: str
    """The beginning of an answer that the healthy target was given."""
    left_open: int
    """Connections that the caller of a silent provider still held."""
    outcome: Outcome | None
    again: Answered | None = None
    """The answer to a second request, where the row has one."""
    calls_again: int = 0


class Providers:
    """All that stands behind the gateway. Which cell a call belongs to is its model's name."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._cells = {cell.name: cell for cell in cells}
        self.calls: Counter[str] = Counter()
        self.healthy_calls: Counter[str] = Counter()
        self.begun: dict[str, str] = {}
        self._going_on = {f"{HEALTHY}-{cell.name}": GOING_ON[cell.manner] for cell in cells if cell.manner}
        self.held: Counter[str] = Counter()

    async def serve(self, wire: Wire) -> None:
        request = await wire.request()
        body = json.loads(request.body)
        model = body["model"]
        speaks = next(name for name in FRONTS if request.target.startswith(f"/{name}/"))
        last = (body.get("messages") or body["input"])[-1]
        begun = last["content"] if last["role"] == "assistant" else ""
        asked = Asked(SPEECHES[speaks], model, body.get("stream", speaks == "ollama"), self.calls[model], begun)
        if model not in self._cells:
            self.healthy_calls[model] += 1
            self.begun[model] = begun
            does: Callable[[Asked], Steps] = self._going_on.get(model, well)
        else:
            self.calls[model] += 1
            does = self._cells[model].row.does
        for step in does(asked):
            if isinstance(step, bytes):
                await wire.send(step)
            elif step is Do.WAIT:
                await asyncio.sleep(GAP_S)
            elif step is Do.RESET:
                wire.reset()
            else:
                self.held[model] += 1
                await wire.gone()
                self.held[model] -= 1


class Kept(MemoryJournal):
    """A journal that gives outcomes back as they are, by their lane."""

    def __init__(self) -> None:
        super().__init__(most=100_000)
        self.by_lane: dict[str | None, Outcome] = {}

    def record(self, outcome: Outcome) -> None:
        super().record(outcome)
        self.by_lane.setdefault(outcome.lane, outcome)


def configuration(cells: Sequence[Cell], places: Mapping[str, str]) -> str:
    """A lane for each cell; TOML takes JSON's strings, numbers and lists as they are."""
    lines = ['[server]\nstore = "memory:"\nrefresh = 3600']
    for place, origin in places.items():
        for speaks in FRONTS:
            url = f"{origin}/{speaks}{PATHS[speaks]}"
            lines.append(f'[providers.{place}-{speaks}]\ndialect = "{speaks}"\nurl = "{url}"\nlists = false')
    clocks = dict.fromkeys(("connect", "headers", "first_content", "between_chunks"), PATIENT_S)
    lines.append(f"[timeouts]\n{_pairs(clocks)}")
    price = f"price = {{ input = {PRICE['input']}, output = {PRICE['output']} }}"
    for cell in cells:
        lines.append(f'[models."{cell.name}"]\nprovider = "{cell.row.place}-{cell.speaks}"\n{price}')
        first = f'{{ target = "{cell.name}", timeouts = {{ {_pairs(cell.row.clocks, ", ")} }} }}'
        behind = f"{HEALTHY}-{cell.name}"
        if cell.beside:
            abilities = '\nabilities = ["prefill"]' if cell.manner == "prefill" else ""
            lines.append(f'[models."{behind}"]\nprovider = "bad-{cell.healthy}"\n{price}{abilities}')
        targets = f'{first}, "{behind}"' if cell.beside else first
        # The callers of one front say by a header what the lanes of the others say for theirs.
        rescue = f'\nrescue = "{cell.rescue}"' if cell.front != HEADED else ""
        lines.append(f'[lanes."{lane(cell)}"]\ntargets = [{targets}]{rescue}')
    return "\n".join(lines) + "\n"


def lane(cell: Cell) -> str:
    return f"lane-{cell.name}"


def _pairs(clocks: Mapping[str, float], between: str = "\n") -> str:
    return between.join(f"{name} = {limit_s / SCALE:g}" for name, limit_s in clocks.items())


async def play(cells: Sequence[Cell], folder: Path) -> dict[str, Seen]:
    """Plays all cells against one gateway, in a folder for its configuration; what was seen, by the cell's name."""
    providers, journal = Providers(cells), Kept()
    async with FakeUpstream(providers.serve) as fake, _closed() as closed, _deaf() as deaf:
        path = folder / "faults.toml"
        path.write_text(configuration(cells, {"bad": fake.origin, "closed": closed, "deaf": deaf}))
        store = msgspec.structs.replace(open_store("memory:"), journal=journal, reports=journal)
        gateway = build(path, variables={"LANEWAY_TIMEOUT_SCALE": str(SCALE)}, store=store)
        async with _served(gateway) as port:
            played = partial(_played, providers, journal, port, asyncio.Semaphore(AT_ONCE))
            seen = await asyncio.gather(*map(played, cells))
    return {cell.name: each for cell, each in zip(cells, seen, strict=True)}


async def _played(providers: Providers, journal: Kept, port: int, turn: asyncio.Semaphore, cell: Cell) -> Seen:
    async with turn:
        answered = await _ask(port, cell)
        name, behind = cell.name, f"{HEALTHY}-{cell.name}"
        # Providers learn that a connection was closed a moment after the caller has his answer.
        for _ in range(_LOOKS):
            if not providers.held[name] and lane(cell) in journal.by_lane:
                break
            await asyncio.sleep(CLOSED_S / _LOOKS)
        seen = Seen(
            answered=answered,
            calls=providers.calls[name],
            healthy_calls=providers.healthy_calls[behind],
            healthy_begun=providers.begun.get(behind, ""),
            left_open=providers.held[name],
            outcome=journal.by_lane.get(lane(cell)),
        )
        if cell.row.recovers and cell.beside:
            again = await _ask(port, cell)
            seen = seen._replace(again=again, calls_again=providers.calls[name])
        return seen


async def _ask(port: int, cell: Cell) -> Answered | None:
    turns = "input" if cell.front == "responses" else "messages"
    body: dict[str, object] = {"model": lane(cell), turns: [{"role": "user", "content": PROMPT}], "stream": cell.stream}
    if cell.front == "anthropic":
        body["max_tokens"] = 64
    try:
        async with asyncio.timeout(PATIENT_S / 2):
            return await _post(port, cell, json.dumps(body).encode())
    except TimeoutError:
        return None


async def _post(port: int, cell: Cell, body: bytes) -> Answered:
    """One call on a connection of its own, read until the gateway closes it."""
    path = FRONT_PATHS[cell.front]
    head = f"POST {path} HTTP/1.1\r\nhost: gateway.test\r\nconnection: close\r\ncontent-type: application/json\r\n"
    if cell.front == HEADED and cell.rescue != RESCUES[0]:
        head += f"X-Laneway-Rescue: {cell.rescue}\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.encode() + b"content-length: %d\r\n\r\n%b" % (len(body), body))
        received = b""
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65_536):
                received += piece
    finally:
        writer.close()
    top, _, rest = received.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        told, whole = _unchunked(rest)
    else:
        told, whole = rest, headers.get("content-length") == str(len(rest))
    return Answered(int(first.split(" ")[1]), headers, told, whole)


def _unchunked(rest: bytes) -> tuple[bytes, bool]:
    """A chunked body (RFC 9112, section 7.1), and whether its last chunk came."""
    told = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return told, rest == b"\r\n"
        told += rest[:length]
        rest = rest[length + 2 :]
    return told, False


@contextlib.asynccontextmanager
async def _served(gateway: Gateway) -> AsyncIterator[int]:
    """The gateway behind its own protocol, on this loop."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        config = uvicorn.Config(
            gateway,
            http=partial(FrontProtocol, scale=1.0),  # type: ignore[arg-type]
            ws="none",
            log_config=None,
            access_log=False,
        )
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server.serve([listening]))
        try:
            while not server.started:
                await asyncio.sleep(0.01)
                assert not serving.done(), "the gateway did not start"
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


@contextlib.asynccontextmanager
async def _closed() -> AsyncIterator[str]:
    """An address that is taken and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextlib.asynccontextmanager
async def _deaf() -> AsyncIterator[str]:
    """An address where connections are never completed: the queue of those to be accepted is full (listen(2))."""
    with contextlib.ExitStack() as opened:
        deaf = opened.enter_context(socket.socket())
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(deaf.getsockname())
        yield f"http://127.0.0.1:{deaf.getsockname()[1]}"
