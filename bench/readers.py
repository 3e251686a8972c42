"""Readers of streams, to see how long they wait for the next words while something else goes on.

`python -m bench.readers PORT MODEL EVERY_MS` reads some streams of a simulated model that says something every so many
milliseconds, until its input ends, and then tells by how much words came late.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

KEY = "read-key-0123456789abcdef"
READERS = 20


def request(model: str) -> bytes:
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": "Go on."}]}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n"
    return f"{head}authorization: Bearer {KEY}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def read(port: int, model: str, gaps_s: list[float]) -> None:
    """Whole streams, one after the other. How long the first words of one take is another matter."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            writer.write(request(model))
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"no stream: {head!r}")
            held, at = b"", 0.0
            while not held.endswith(b"0\r\n\r\n"):
                more = await reader.read(65_536)
                if not more:
                    raise RuntimeError("a stream was cut off")
                now = time.perf_counter()
                if at:
                    gaps_s.append(now - at)
                held, at = held[-8:] + more, now
    finally:
        writer.close()


async def main(port: int, model: str, every_ms: float) -> None:
    gaps_s: list[float] = []
    reading = [asyncio.ensure_future(read(port, model, gaps_s)) for _ in range(READERS)]
    over = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    ended, _ = await asyncio.wait([*reading, over], return_when=asyncio.FIRST_COMPLETED)
    for task in ended:
        task.result()
    for task in reading:
        task.cancel()
    late_ms = sorted(gap * 1000 - every_ms for gap in gaps_s)
    told = {"p50": late_ms[len(late_ms) // 2], "p99": late_ms[int(len(late_ms) * 0.99)], "most": late_ms[-1]}
    print(json.dumps({name: max(figure, 0.0) for name, figure in told.items()}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
