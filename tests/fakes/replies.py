"""A provider inside the process, played from a script: what the innermost rooms are shown of the world.

Owns: `Scripted`, an Upstream that answers each call with the next of its scripts, and notes every read, its time limit
and every close; and provider bytes for a conversation in any dialect.
Refuses: sockets (fakes/upstream has those), time, and models that do as their name says (the simulated provider).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from laneway.chat import Answer, Event, Finish, Finished, Op, Started, Text, TextDelta, Usage, Used
from laneway.dialects import Stamp, dialect
from laneway.failure import Failure, FailureError, Kind
from laneway.ports import Call, Clocks
from laneway.route import Clocks as Limits
from laneway.route import Price, Provider, Target

STAMP = Stamp(id="up-1", model="up", now_s=1_700_000_000)
USED = Usage(input=100, output=20)


def used(speaks: str) -> Usage:
    """The same as a dialect reads it that always names every part."""
    return Usage(input=100, output=20, cache_read=0, cache_write_5m=0, reasoning=0) if speaks == "responses" else USED


HANG = "hang"
"""Nothing comes, until the one who waits is cancelled."""
Step: TypeAlias = bytes | Failure | Exception | str


class Given:
    """One response: its status, its headers, and what reading it brings."""

    def __init__(self, steps: Iterable[Step], status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self.steps = list(steps)
        self.status = status
        self.headers = list(headers)


Script: TypeAlias = Given | Failure | Exception | str


class ScriptedReply:
    """Notes the limit of each read, and when it was closed."""

    def __init__(self, given: Given) -> None:
        self.status = given.status
        self.headers = given.headers
        self.limits: list[float] = []
        self.closed = 0
        self._steps = list(given.steps)

    @property
    def reads(self) -> int:
        return len(self.limits)

    async def read(self, limit_s: float) -> bytes:
        self.limits.append(limit_s)
        if not self._steps:
            return b""
        step = self._steps.pop(0)
        if isinstance(step, str):
            await asyncio.Event().wait()
        if isinstance(step, Failure):
            raise FailureError(step)
        if isinstance(step, Exception):
            raise step
        assert isinstance(step, bytes)
        return step

    async def close(self) -> None:
        self.closed += 1


class Scripted:
    """An Upstream. The scripts are played in the order of the calls; the last one serves all that follow."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self.calls: list[Call] = []
        self.clocks: list[Clocks] = []
        self.replies: list[ScriptedReply] = []
        self.opened = asyncio.Event()

    async def open(self, call: Call, clocks: Clocks) -> ScriptedReply:
        self.calls.append(call)
        self.clocks.append(clocks)
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        self.opened.set()
        if isinstance(script, str):
            await asyncio.Event().wait()
        if isinstance(script, Failure):
            raise FailureError(script)
        if isinstance(script, Exception):
            raise script
        assert isinstance(script, Given)
        reply = ScriptedReply(script)
        self.replies.append(reply)
        return reply

    async def close(self) -> None:
        """Nothing is held open."""

    def called(self) -> list[str]:
        """The names of the providers, as `target` made them, in the order of the calls."""
        return [call.origin.removeprefix("http://").removesuffix(".test") for call in self.calls]


def target(
    dialect: str = "openai",
    name: str = "box",
    *,
    price: Price | None = None,
    clocks: Limits | None = None,
    **fields: object,
) -> Target:
    """A target whose own id differs from what callers say."""
    provider = Provider(name=name, dialect=dialect, origin=f"http://{name}.test", path="/p")
    return Target(
        provider=provider,
        model="asked",
        upstream="own-id",
        price=price,
        clocks=clocks or Limits(),
        **fields,  # type: ignore[arg-type]
    )


def failure(kind: Kind, **fields: object) -> Failure:
    return Failure(kind=kind, message=f"It was {kind}.", **fields)  # type: ignore[arg-type]


def events(*texts: str, usage: Usage | None = USED, finish: bool = True) -> list[Event]:
    """A stream as it should be, unless told to leave something out."""
    told: list[Event] = [Started("up-1", "own-id"), *(TextDelta(text) for text in texts)]
    if finish:
        told.append(Finished(Finish.STOP))
    if usage is not None:
        told.append(Used(usage))
    return told


def frames(speaks: str, told: Iterable[Event], *, end: bool = True, op: Op = Op.CHAT) -> list[bytes]:
    """The events as a provider of that dialect sends them, one piece each."""
    writer = dialect(speaks).writer(op, STAMP, usage=True)
    pieces = [writer.write(event) for event in told]
    if end:
        pieces.append(writer.end())
    return [piece for piece in pieces if piece]


def whole(speaks: str, text: str = "7 * 8 = 56.", *, usage: Usage = USED, op: Op = Op.CHAT) -> Given:
    """A whole answer of that dialect."""
    answer = Answer(model="own-id", parts=(Text(text),), finish=Finish.STOP, usage=usage)
    return Given(
        [dialect(speaks).write_answer(op, answer, STAMP).body], headers=[(b"content-type", b"application/json")]
    )


def refused(speaks: str, kind: Kind, status: int | None = None, retry_after_s: float | None = None) -> Given:
    """A failure as a provider of that dialect answers it."""
    written = dialect(speaks).write_failure(failure(kind, retry_after_s=retry_after_s), "")
    return Given([written.body], status or written.status, [(name.lower(), value) for name, value in written.headers])
