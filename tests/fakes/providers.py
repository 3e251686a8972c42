"""Providers as a gateway meets them: real sockets, each wire format, models of your naming.

Owns: a thread with an event loop on which fake providers live, what each was asked, and their bad days: killed,
revived on the same port, hanging. What they answer is the simulated provider's, under the names a test gave.
Refuses: bytes written by hand (tests/fakes/upstream.py is for those), and knowing any gateway.

    with Street() as street:
        studio = street.open("openai", {"gemma-3-4b-it": "sim-small"})
        ...  # point a gateway at studio.url; studio.asked() holds the requests that models were called with
        studio.kill()
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, unquote

from laneway.chat import Card
from laneway.dialects import dialect
from laneway.failure import FailureError, Kind
from laneway.ports import Call, Clocks, Reply
from laneway.upstream.simulated import Simulated, behaviour
from tests.fakes.upstream import FakeUpstream, Gone, Request, Wire, response

T = TypeVar("T")

PATHS = {"openai": "/v1", "responses": "/v1", "anthropic": "/v1", "ollama": "", "converse": ""}
"""What stands behind the address in a provider's url."""
_FOR_EVER_S = 3600.0
_PATIENT = Clocks(
    connect_s=_FOR_EVER_S, headers_s=_FOR_EVER_S, first_content_s=_FOR_EVER_S, between_chunks_s=_FOR_EVER_S
)
_LISTS = ("/models", "/api/tags", "/api/ps", "/api/show", "/api/version")


class Street:
    """`with Street() as street`: fake providers live here, on a loop of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="street")
        self._houses: list[FakeProvider] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for house in self._houses:
                house.kill()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def open(self, speaks: str, models: Mapping[str, str] | None = None) -> FakeProvider:
        """A provider of this dialect that lists `models`: its own name for each, and the simulated one behind it."""
        house = FakeProvider(self, speaks, models)
        self._houses.append(house)
        house.revive()
        return house

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs something on the street's loop, and waits for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30.0)


class FakeProvider:
    """One provider. Simulated names (`sim-fail-503`, ...) work beside those it lists."""

    def __init__(self, street: Street, speaks: str, models: Mapping[str, str] | None) -> None:
        self.speaks = speaks
        self.models = dict(models) if models is not None else {"sim-small": "sim-small", "sim-embed": "sim-embed"}
        self.hangs = False
        """While true, requests are read and never answered."""
        self.refuses_lists = False
        self.requests: list[Request] = []
        """Everything that arrived whole, in order."""
        self.left = 0
        """Answers whose caller closed the connection before their end."""
        self._street = street
        self._simulated = Simulated()
        self._port = 0
        self._server: FakeUpstream | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}{PATHS[self.speaks]}"

    def asked(self) -> list[Request]:
        """The requests that meant a model, without the looks at lists."""
        return [each for each in self.requests if not _path(each).endswith(_LISTS)]

    def open_connections(self) -> int:
        return self._server.open if self._server is not None else 0

    def body(self, place: int = -1) -> Any:
        return json.loads(self.asked()[place].body)

    def kill(self) -> None:
        """Nobody listens any more, and all connections end."""
        server, self._server = self._server, None
        if server is not None:
            self._street.do(server.__aexit__(None, None, None))

    def revive(self) -> None:
        """Listens, on the port it had before."""
        if self._server is None:
            self._server = FakeUpstream(self._serve, port=self._port)
            self._street.do(self._server.__aenter__())
            self._port = self._server.port

    # --- on the street's loop ------------------------------------------------------------------------------

    async def _serve(self, wire: Wire) -> None:
        while True:
            request = await wire.request()
            self.requests.append(request)
            if self.hangs:
                await wire.gone()
                self.left += 1
                return
            listed = self._listed(request)
            if listed is not None and self.refuses_lists:
                await wire.send(response(b'{"error":{"message":"not for this key"}}', status=403))
                continue
            if listed is not None:
                await wire.send(response(listed, b"content-type: application/json"))
                continue
            call, told, meant = self._call(request)
            try:
                reply = await self._simulated.open(call, _PATIENT)
            except FailureError:
                wire.reset()
                return
            if not await self._answer(wire, reply, told, meant):
                return

    async def _answer(self, wire: Wire, reply: Reply, told: bytes, meant: bytes) -> bool:
        """False when the connection is not to be used again."""
        head = [b"HTTP/1.1 %d Whatever" % reply.status, b"transfer-encoding: chunked"]
        head += [b"%b: %b" % (name, value) for name, value in reply.headers if name != b"content-length"]
        await wire.send(b"\r\n".join([*head, b"", b""]))
        gone = asyncio.ensure_future(wire.gone())
        try:
            while True:
                step = asyncio.ensure_future(reply.read(_FOR_EVER_S))
                await asyncio.wait({step, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not step.done():
                    step.cancel()
                    raise Gone
                piece = step.result()
                if not piece:
                    break
                piece = piece.replace(meant, told)
                await wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        except Gone:
            self.left += 1
            raise
        except FailureError as error:
            if error.failure.kind is not Kind.CUT:
                raise
            return False
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
        await wire.send(b"0\r\n\r\n")
        return True

    def _call(self, request: Request) -> tuple[Call, bytes, bytes]:
        """The call as the simulated provider takes it, and the model's name as told and as meant."""
        target, body = request.target, request.body
        if "/model/" in target:
            told = unquote(target.split("/")[2])
            meant = self._meant(told)
            target = target.replace(target.split("/")[2], quote(meant, safe=""))
        else:
            tree = json.loads(body)
            told = tree.get("model", "")
            tree["model"] = meant = self._meant(told)
            body = json.dumps(tree).encode()
        call = Call(request.method, "simulated://models", target, request.headers, body)
        return call, f'"{told}"'.encode(), f'"{meant}"'.encode()

    def _meant(self, told: str) -> str:
        return self.models.get(told, told)

    def _listed(self, request: Request) -> bytes | None:
        path = _path(request)
        if path.endswith(("/v1/models", "/api/tags")):
            return bytes(dialect(self.speaks).write_models([self._card(name) for name in self.models]).body)
        if path.endswith("/api/ps"):
            return json.dumps({"models": [{"name": name, "size_vram": 1 << 30} for name in self.models]}).encode()
        if path.endswith("/api/show"):
            return json.dumps(
                {"capabilities": ["completion"], "details": {"family": "fake"}, "model_info": {}}
            ).encode()
        return None

    def _card(self, name: str) -> Card:
        does = behaviour(self.models[name])
        return Card(id=name, kind=does.model.kind if does is not None else "chat")


def _path(request: Request) -> str:
    return request.target.partition("?")[0]
