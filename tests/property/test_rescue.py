"""A stream that is cut anywhere and gone on with is the stream that was not cut.

The first provider's bytes end at any place, in any format; the second one says what the first one would have said:
from the beginning it is given, or all of it again.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from laneway.chat import Event, Faulted, Finished, Op, Started, TextDelta
from laneway.dialects import NAMES, dialect
from laneway.exchange import SLOT, Exchange
from laneway.failure import Failure, Kind
from laneway.forward import Forward
from laneway.middleware.fallback import FallbackMiddleware
from laneway.ports import Call, Clocks
from laneway.route import Target
from tests.fakes.replies import Given, ScriptedReply, Step, events, failure, frames, target
from tests.harness.asgi import ASKS, ask
from tests.harness.loop import run

FAULTS = [failure(Kind.CUT), failure(Kind.RESET), failure(Kind.TIMEOUT), failure(Kind.UPSTREAM_ERROR)]


class Story(NamedTuple):
    """An answer, how each of two providers cuts it into pieces, and where the first one breaks off."""

    words: str
    first: list[str]
    sizes: list[int]
    place: float
    fault: Failure


def split(words: str, sizes: list[int]) -> list[str]:
    pieces: list[str] = []
    at = 0
    while at < len(words):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(words[at : at + size])
        at += size
    return pieces


@st.composite
def stories(draw: st.DrawFn) -> Story:
    letters = st.characters(codec="utf-8", exclude_characters="\x00")
    words = draw(st.text(st.one_of(st.sampled_from(" \n\ta"), letters), min_size=1, max_size=30))
    sizes = st.lists(st.integers(1, 7), min_size=1, max_size=4)
    return Story(words, split(words, draw(sizes)), draw(sizes), draw(st.floats(0, 1)), draw(st.sampled_from(FAULTS)))


class Providers:
    """The first call is broken off; the second one goes on from what it is given, or begins anew."""

    def __init__(self, story: Story, speaks: tuple[str, str]) -> None:
        self.story = story
        self.speaks = speaks
        self.calls: list[Call] = []
        self.begun: str | None = None

    async def open(self, call: Call, clocks: Clocks) -> ScriptedReply:
        self.calls.append(call)
        story = self.story
        if len(self.calls) == 1:
            whole = b"".join(frames(self.speaks[0], events(*story.first)))
            place = round(story.place * len(whole))
            steps: list[Step] = [whole[:place]] if place else []
            return ScriptedReply(Given([*steps, story.fault]))
        self.begun = begun(json.loads(call.body))
        rest = story.words[len(self.begun) :]
        return ScriptedReply(Given([*frames(self.speaks[1], events(*split(rest, story.sizes)))]))

    async def close(self) -> None:
        pass


def begun(body: dict[str, Any]) -> str:
    turns = body.get("messages") or body["input"]
    last = turns[-1] if isinstance(turns, list) else {"role": "user"}
    if last["role"] != "assistant":
        return ""
    content = last["content"]
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


def told(front: str, body: bytes) -> list[Event]:
    reader = dialect(front).reader(Op.CHAT)
    return [event for frame in reader.feed(body) + reader.end() for event in frame.events]


pairs = st.tuples(st.sampled_from(sorted(ASKS)), st.sampled_from(NAMES), st.sampled_from(NAMES), st.booleans())


@given(stories(), pairs)
def test_a_cut_anywhere_is_not_seen(story: Story, pair: tuple[str, str, str, bool]) -> None:
    front, first, second, prefills = pair
    abilities = frozenset({"prefill"}) if prefills else frozenset[str]()
    behind = msgspec.structs.replace(target(second, name="behind"), abilities=abilities)
    answered(story, front, Providers(story, (first, second)), (target(first, name="before"), behind))


def answered(story: Story, front: str, providers: Providers, targets: tuple[Target, ...]) -> None:
    caller = ask(front, "asked", stream=True)
    answer = run(caller.call(FallbackMiddleware(Forward(providers), targets=targets, rescue="continue")))
    seen = told(front, answer.body)
    text = "".join(event.text for event in seen if isinstance(event, TextDelta))
    exchange: Exchange = caller.scope[SLOT]
    assert len([event for event in seen if isinstance(event, Started)]) == 1
    if exchange.attempts[0].finish is not None:
        # Who has said already that it was finished is not gone on with: it is whole, or is told to have failed.
        assert len(providers.calls) == 1
        return
    assert not any(isinstance(event, Faulted) for event in seen)
    assert text == story.words
    assert len([event for event in seen if isinstance(event, Finished)]) == 1
    assert exchange.attempts[-1].failure is None
    if resumed := exchange.attempts[1].resumed:
        assert resumed == ("prefill" if providers.begun else "again")
