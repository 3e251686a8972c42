"""Sessions of browsers in memory.

Owns: which token stands for which key, and forgetting those past their time. Refuses: surviving a restart.
"""

from __future__ import annotations

from collections import OrderedDict

MOST = 10_000


class MemorySessions:
    """Sessions by digest, the oldest forgotten first."""

    def __init__(self) -> None:
        self._held: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()

    async def begin(self, digest: bytes, of: bytes, expires_s: float) -> None:
        self._held[digest] = (of, expires_s)
        while len(self._held) > MOST:
            self._held.popitem(last=False)

    async def find(self, digest: bytes, now_s: float) -> bytes | None:
        held = self._held.get(digest)
        return held[0] if held is not None and held[1] > now_s else None

    async def end(self, digest: bytes) -> None:
        self._held.pop(digest, None)
