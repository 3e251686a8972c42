"""Events inside a stream: where they stand, however the stream is cut, and that nobody else is touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from laneway.edge import Message, Receive, Send
from laneway.exchange import Scope
from laneway.middleware.observe import ObserveMiddleware
from tests.harness.asgi import Answer, ask
from tests.harness.loop import run

ASK = {"x-laneway-events": "inline"}
STREAMS = {
    "openai": b'data: {"choices":[{"delta":{"content":"say \\"data: [DONE]\\" twice"}}]}\n\ndata: [DONE]\n\n',
    "anthropic": (
        b'event: message_start\ndata: {"type":"message_start"}\n\n'
        b'event: content_block_delta\ndata: {"text":"event: message_stop"}\n\n'
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    ),
}
LAST = {"openai": b"data: [DONE]\n\n", "anthropic": b'event: message_stop\ndata: {"type":"message_stop"}\n\n'}


def told(front: str, pieces: list[bytes], headers: Mapping[str, str], kind: bytes = b"text/event-stream") -> Answer:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        for place, piece in enumerate(pieces, 1):
            message: Message = {"type": "http.response.body", "body": piece, "more_body": place < len(pieces)}
            await send(message)

    return run(ask(front, "asked", stream=True, headers=headers).call(ObserveMiddleware(app)))


def frames(body: bytes) -> list[bytes]:
    return [frame for frame in body.split(b"\n\n") if frame]


@pytest.mark.parametrize("front", STREAMS)
def test_frames_come_as_they_were_and_the_event_before_the_last(front: str) -> None:
    """At whichever frame the stream is cut into messages."""
    whole = [frame + b"\n\n" for frame in frames(STREAMS[front])]
    for pieces in (whole, [*whole, b""], [b"".join(whole)], [b"".join(whole), b""], [whole[0], b"".join(whole[1:])]):
        answer = told(front, pieces, ASK)
        found = frames(answer.body)
        own = [frame for frame in found if frame.startswith(b"event: run.")]
        assert [frame.splitlines()[0] for frame in own] == [b"event: run.completed"]
        assert [frame for frame in found if frame not in own] == frames(STREAMS[front])
        assert found.index(own[0]) == len(found) - 2


@pytest.mark.parametrize("front", STREAMS)
def test_a_stream_that_faults_gets_no_end_it_did_not_have(front: str) -> None:
    cut = STREAMS[front].removesuffix(LAST[front])
    answer = told(front, [cut, b'event: error\ndata: {"error":{}}\n\n'], ASK)
    assert LAST[front] not in answer.body
    assert frames(answer.body)[-1].startswith(b"event: run.completed")


@pytest.mark.parametrize("front", [*STREAMS, "ollama"])
def test_who_did_not_ask_gets_every_byte_as_it_came(front: str) -> None:
    stream = STREAMS.get(front, b'{"done":true}\n')
    for headers in ({}, {"x-laneway-events": "no"}, ASK if front == "ollama" else {}):
        assert told(front, [stream[:9], stream[9:]], headers).body == stream


def test_what_is_no_stream_is_left_alone() -> None:
    body = b'{"text":"data: [DONE]"}'
    assert told("openai", [body], ASK, b"application/json").body == body


def test_an_app_that_breaks_off_is_not_finished_for_it() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"data: {}\n\n", "more_body": True})
        raise RuntimeError("bug")

    caller: Any = ask("openai", "asked", stream=True, headers=ASK)
    with pytest.raises(RuntimeError):
        run(caller.call(ObserveMiddleware(app)))
    assert not caller.finished
    assert caller.answer.body == b"data: {}\n\n"
