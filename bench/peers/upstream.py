"""The provider in a race: a raw protocol that answers a chat completion, whole or streamed, as cheaply as Python can.

`python -m bench.peers.upstream PORT [CHUNKS]`. It understands just enough HTTP for the contestants: a head, a body
with a Content-Length. Nothing here is for use outside a benchmark.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

WHOLE = (
    b'{"id":"chatcmpl-race","object":"chat.completion","created":1700000000,"model":"race-model","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":120,"completion_tokens":80,"total_tokens":200}}' % (b"word " * 74)
)
CHUNK = (
    b'data: {"id":"chatcmpl-race","object":"chat.completion.chunk","created":1700000000,"model":"race-model",'
    b'"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
)
LAST = (
    b'data: {"id":"chatcmpl-race","object":"chat.completion.chunk","created":1700000000,"model":"race-model",'
    b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(WHOLE)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Provider(asyncio.Protocol):
    """One connection. Streams are written chunk by chunk, each in its own turn of the loop."""

    chunks = 100

    def __init__(self) -> None:
        self.buffer = b""
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            self.answer(body)

    def answer(self, body: bytes) -> None:
        assert self.transport is not None
        if b'"stream":true' in body:
            self.transport.write(STREAM_HEAD)
            self.stream(self.chunks)
        else:
            self.transport.write(HEAD + WHOLE)

    def stream(self, left: int) -> None:
        assert self.transport is not None
        if self.transport.is_closing():
            return
        if left:
            self.transport.write(chunked(CHUNK))
            asyncio.get_running_loop().call_soon(self.stream, left - 1)
        else:
            self.transport.write(chunked(LAST) + b"0\r\n\r\n")


async def main(port: int, chunks: int) -> None:
    Provider.chunks = chunks
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port, backlog=4096)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100))
