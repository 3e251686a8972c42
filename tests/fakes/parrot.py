"""A provider that repeats whatever it is told, where a decent one would not: prompts and keys, in errors and answers.

Owns: a thread with an HTTP server on loopback that speaks OpenAI's format; the model's name says the status. Refuses:
discretion.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class Parrot:
    """`with Parrot() as parrot`: `parrot-400` fails with 400; `parrot-html`, `-odd` and `-cut` are 200s."""

    def __init__(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                words = f"{body} {self.headers.get('authorization')}"
                asked = json.loads(body)
                how = asked["model"].removeprefix("parrot-")
                status = int(how) if how.isdigit() else 200
                kind, text = "application/json", json.dumps({"error": {"message": words, "type": words, "code": words}})
                if how == "html":
                    kind, text = "text/html", f"<html>{words}</html>"
                elif how == "odd":
                    text = json.dumps({"choices": words})
                elif how == "cut":
                    chunk = {"choices": [{"index": 0, "delta": {"content": words}, "finish_reason": None}]}
                    kind, text = "text/event-stream", f"data: {json.dumps(chunk)}\n\ndata: {words}\n\n"
                told = text.encode()
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(told) + (how == "cut")))
                self.end_headers()
                self.wfile.write(told)
                self.close_connection = how == "cut"

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="parrot")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
