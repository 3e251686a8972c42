"""An ordinary HTTP server on loopback in a thread of its own, for fakes that a gateway in another process calls.

Owns: its thread and its port, reading each POST whole, hanging up after the answer, and silence on the terminal.
Refuses: to know what is answered, which each fake says; and faults on the wire, which `tests.fakes.upstream` has.
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self


class Posted(NamedTuple):
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Answer(NamedTuple):
    status: int = 200
    kind: str = ""
    """The content type, where there is one."""
    body: bytes = b""
    cut: bool = False
    """Whether it ends a byte before it said it would."""


class Server(ABC):
    """`with Hook() as hook: ... hook.origin`."""

    def __init__(self) -> None:
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"  # The connection ends with the answer, also with one that is cut.

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                made = answer(Posted(self.path, headers, body))
                self.send_response(made.status)
                if made.kind:
                    self.send_header("content-type", made.kind)
                self.send_header("content-length", str(len(made.body) + made.cut))
                self.end_headers()
                self.wfile.write(made.body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name=type(self).__name__)

    @abstractmethod
    def answer(self, posted: Posted) -> Answer:
        """Called in a thread of the request's own."""

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
