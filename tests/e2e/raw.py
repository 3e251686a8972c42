"""A caller made of raw bytes.

Owns: one connection to a gateway, what is written to it, and reading answers off it one by one. Refuses: to be right
about HTTP where a test wants it wrong.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

from tests.harness.asgi import Answer
from tests.harness.gateway import PATIENCE_S

ASK = {"model": "sim-large", "messages": [{"role": "user", "content": "What is the capital of France?"}]}


class Raw:
    """`with Raw(port) as raw`: a connection that is closed at the end, if not before."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._held = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes | Iterable[bytes]) -> None:
        for piece in [data] if isinstance(data, bytes) else data:
            self._socket.sendall(piece)

    def drip(self, piece: bytes, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Sends the piece again and again, until the other side has had enough."""
        deadline = time.monotonic() + PATIENCE_S
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < deadline:
                self._socket.sendall(piece)
                meanwhile()
                self._socket.settimeout(0.02)
                with contextlib.suppress(TimeoutError):
                    if not self._read():
                        return
                self._socket.settimeout(PATIENCE_S)
            raise TimeoutError(f"still taking bytes after {PATIENCE_S:g} s")

    def close(self) -> None:
        self._socket.close()

    def reset(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def some(self) -> bytes:
        """What comes next, at least a byte of it."""
        if not self._held:
            self._read()
        held, self._held = self._held, b""
        return held

    def rest(self) -> bytes:
        """Everything until the other side closes."""
        self._socket.settimeout(PATIENCE_S)
        with contextlib.suppress(ConnectionError):
            while self._read():
                pass
        held, self._held = self._held, b""
        return held

    def answer(self, *, bodiless: bool = False) -> Answer:
        """The next whole answer."""
        head = self._until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        status = int(first.split(" ")[1])
        if bodiless or status == 100:
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self._until(b"\r\n"), 16):
                body += self._take(size + 2)[:-2]
            self._take(2)
            return Answer(status, headers, body)
        return Answer(status, headers, self._take(int(headers.get("content-length", "0"))))

    def _read(self) -> bool:
        piece = self._socket.recv(65_536)
        self._held += piece
        return bool(piece)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._held:
            if not self._read():
                raise EOFError(f"the connection ended in {self._held!r}")
        found, _, self._held = self._held.partition(mark)
        return found

    def _take(self, size: int) -> bytes:
        while len(self._held) < size:
            if not self._read():
                raise EOFError(f"the connection ended in {self._held!r}")
        taken, self._held = self._held[:size], self._held[size:]
        return taken


def head(path: str = "/v1/chat/completions", *lines: str, method: str = "POST") -> bytes:
    """A request's head without its empty line."""
    usual = [f"{method} {path} HTTP/1.1", "host: gateway.test", "content-type: application/json"]
    return "\r\n".join([*usual, *lines, ""]).encode("latin-1")


def request(path: str = "/v1/chat/completions", body: Mapping[str, object] | bytes = b"", *lines: str) -> bytes:
    """A whole request, its length declared."""
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head(path, *lines, f"content-length: {len(encoded)}") + b"\r\n" + encoded
