"""The switch: one Upstream out of several, by the scheme of a call's origin.

Owns: which client carries a call: the engine (own or httpx) for http and https, the simulated provider for its own
scheme; each is made when it is first needed. Refuses: everything else about a call.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from laneway.ports import Call, Clocks, Reply, Upstream


class Switch:
    """Give it `engine="own"` or `"httpx"`."""

    def __init__(self, engine: str = "own") -> None:
        self._makers: dict[str, Callable[[], Upstream]] = {
            "simulated": _simulated,
            "": _own if engine == "own" else _stock,
        }
        self._made: dict[str, Upstream] = {}

    def open(self, call: Call, clocks: Clocks) -> Coroutine[Any, Any, Reply]:
        # No coroutine of its own: each adds to what every step of a request passes through.
        return self._for("simulated" if call.origin.startswith("simulated:") else "").open(call, clocks)

    async def close(self) -> None:
        for upstream in self._made.values():
            await upstream.close()

    def _for(self, kind: str) -> Upstream:
        made = self._made.get(kind)
        if made is None:
            made = self._made[kind] = self._makers[kind]()
        return made


def _own() -> Upstream:
    from laneway.upstream.engine import Engine

    return Engine()


def _stock() -> Upstream:
    from laneway.upstream.stock import StockUpstream

    return StockUpstream()


def _simulated() -> Upstream:
    from laneway.upstream.simulated import Simulated

    return Simulated()
