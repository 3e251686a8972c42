"""What a stream costs in memory that goes on for long: many at once, each with a word every few seconds.

`python -m bench.slow_streams [--streams 5000]` starts the whole stack before a provider that drips, opens the streams,
and says by how much the gateway's resident memory has grown, for each of them. Refuses: more than fit into the open
files that this process may have.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import tempfile
from pathlib import Path
from typing import cast

import uvloop

from bench.peers.contestants import CONTESTANTS, Place
from bench.peers.load import request
from bench.peers.race import CPUS, end, free_port, resident_mib, start
from bench.peers.upstream import CHUNK, STREAM_HEAD, chunked

EVERY_S = 5.0


class Drip(asyncio.Protocol):
    """A provider's connection: the head and a word at once, then one every few seconds."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"POST"):
            self.transport.write(STREAM_HEAD)
            self.drip()

    def drip(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(chunked(CHUNK))
            asyncio.get_running_loop().call_later(EVERY_S, self.drip)


class Reader(asyncio.Protocol):
    """A caller who reads on and on."""

    begun = 0
    refused = b""

    def __init__(self) -> None:
        self.heard = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.WriteTransport, transport).write(request("stream", {}))

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 200"):
            Reader.refused = data
        if not self.heard and b"word " in data:
            self.heard = True
            Reader.begun += 1


async def measure(streams: int) -> None:
    loop = asyncio.get_running_loop()
    provider_port = free_port()
    await loop.create_server(Drip, "127.0.0.1", provider_port, backlog=4096)
    contestant = next(each for each in CONTESTANTS if each.name == "laneway, full stack")
    with tempfile.TemporaryDirectory() as folder:
        place = Place(free_port(), provider_port, Path(folder))
        process = await asyncio.to_thread(start, contestant.command(place), CPUS[0], place.port)
        try:
            await _open(place.port, 50)
            before = resident_mib(process.pid)
            await _open(place.port, streams)
            await asyncio.sleep(2 * EVERY_S)
            after = resident_mib(process.pid)
        finally:
            await asyncio.to_thread(end, process)
    each = (after - before) * 1024 / streams
    print(f"{streams} streams: {before:.0f} MiB before, {after:.0f} MiB with them, {each:.1f} KiB each")


async def _open(port: int, streams: int) -> None:
    """Each has brought its first word when this returns."""
    loop, wanted = asyncio.get_running_loop(), Reader.begun + streams
    for _ in range(streams):
        await loop.create_connection(Reader, "127.0.0.1", port)
    async with asyncio.timeout(120):
        while Reader.begun < wanted:
            await asyncio.sleep(0.05)
            if Reader.refused:
                sys.exit(f"refused after {Reader.begun} streams: {Reader.refused[:400]!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory of slow streams.")
    parser.add_argument("--streams", type=int, default=5000)
    asked = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if asked.streams * 3 > most:
        sys.exit(f"{asked.streams} streams need {asked.streams * 3} open files; this process may have {most}.")
    resource.setrlimit(resource.RLIMIT_NOFILE, (asked.streams * 3, most))
    uvloop.run(measure(asked.streams))


if __name__ == "__main__":
    main()
