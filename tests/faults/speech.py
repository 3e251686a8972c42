"""What a provider of each dialect says, as bytes written by hand: answers, pieces of answers, and errors.

Owns: the spelling of one well-known answer and of each error in the four dialects that have a front, and reading
what a caller of a front was told. Refuses: the gateway's own readers and writers, which are what is being tested.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

WORDS = ("One ", "two ", "three ", "four ", "five.")
FULL = "".join(WORDS)
BEGUN = "".join(WORDS[:2])
"""What has been said when something happens in the middle."""
INPUT, OUTPUT = 11, 5
"""Tokens that a whole answer reports."""
SECRET = "stack trace of node-7"
"""A provider's own words about itself, which no caller may see."""
REFUSAL = "This request was refused by our content policy."
CREATED = "2026-01-01T00:00:00Z"


class Speech(NamedTuple):
    """One dialect. Each takes the model's name; frames are what one write to the wire holds."""

    stream_type: bytes
    lead: Callable[[str], list[bytes]]
    words: Callable[[str, str], bytes]
    tail: Callable[[str], list[bytes]]
    error: Callable[[str], bytes]
    """An error in the middle of a stream, by its message."""
    whole: Callable[[str, bool], bytes]
    """A whole answer, finished or not."""
    failed: Callable[[str], bytes]
    """The body of an error."""
    garbage: bytes
    """A frame of a stream that nobody can read."""


def _sse(event: Mapping[str, object], name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(event)}\n\n".encode()


# --- OpenAI ------------------------------------------------------------------------------------------------


def _chunk(model: str, delta: Mapping[str, object], finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _sse(
        {"id": f"c-{model}", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]}
        | more
    )


_USAGE = {"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT}


def _openai_whole(model: str, finished: bool) -> bytes:
    message = {"role": "assistant", "content": FULL}
    choice = {"index": 0, "message": message, "finish_reason": "stop" if finished else None}
    head = {"id": "c1", "object": "chat.completion", "created": 1, "model": model}
    return json.dumps(head | {"choices": [choice], "usage": _USAGE}).encode()


_OPENAI = Speech(
    stream_type=b"text/event-stream",
    lead=lambda model: [_chunk(model, {"role": "assistant", "content": ""})],
    words=lambda model, words: _chunk(model, {"content": words}),
    tail=lambda model: [_chunk(model, {}, "stop"), _chunk(model, {}, choices=[], usage=_USAGE), b"data: [DONE]\n\n"],
    error=lambda words: _sse({"error": {"message": words, "type": "server_error", "code": None}}),
    whole=_openai_whole,
    failed=lambda words: json.dumps(
        {"error": {"message": words, "type": "error", "code": "content_policy_violation" if words == REFUSAL else None}}
    ).encode(),
    garbage=b'data: {"id":"c1","choices":[{"del\n\n',
)

# --- Responses ---------------------------------------------------------------------------------------------


def _event(kind: str, **said: object) -> bytes:
    return _sse({"type": kind, **said}, kind)


def _item(words: str, status: str) -> dict[str, object]:
    content = [{"type": "output_text", "text": words, "annotations": []}] if words else []
    return {"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": content}


def _response(model: str, status: str) -> dict[str, object]:
    head = {
        "id": f"resp_{model}",
        "object": "response",
        "created_at": 1,
        "model": model,
        "status": status,
        "error": None,
    }
    if status == "in_progress":
        return head | {"output": [], "usage": None}
    usage = {"input_tokens": INPUT, "output_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT}
    return head | {"output": [_item(FULL, status)], "usage": usage}


def _responses_lead(model: str) -> list[bytes]:
    part = {"type": "output_text", "text": "", "annotations": []}
    return [
        _event("response.created", response=_response(model, "in_progress")),
        _event("response.output_item.added", output_index=0, item=_item("", "in_progress")),
        _event("response.content_part.added", item_id="msg_1", output_index=0, content_index=0, part=part),
    ]


def _responses_tail(model: str) -> list[bytes]:
    return [
        _event("response.output_text.done", item_id="msg_1", output_index=0, content_index=0, text=FULL),
        _event("response.output_item.done", output_index=0, item=_item(FULL, "completed")),
        _event("response.completed", response=_response(model, "completed")),
    ]


_RESPONSES = Speech(
    stream_type=b"text/event-stream",
    lead=_responses_lead,
    words=lambda _, words: _event(
        "response.output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta=words
    ),
    tail=_responses_tail,
    error=lambda words: _event("error", code="server_error", message=words, param=None),
    whole=lambda model, finished: json.dumps(
        _response(model, "completed") | ({} if finished else {"status": "in_progress"})
    ).encode(),
    failed=_OPENAI.failed,
    garbage=b'event: response.output_text.delta\ndata: {"type":"response.outp\n\n',
)

# --- Anthropic ---------------------------------------------------------------------------------------------


def _anthropic_lead(model: str) -> list[bytes]:
    message: dict[str, object] = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": []}
    usage = {"input_tokens": INPUT, "output_tokens": 1}
    message |= {"stop_reason": None, "stop_sequence": None, "usage": usage}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    return [
        _sse({"type": "message_start", "message": message}, "message_start"),
        _sse(block, "content_block_start"),
    ]


def _anthropic_words(_: str, words: str) -> bytes:
    delta = {"type": "text_delta", "text": words}
    return _sse({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")


def _anthropic_tail(_: str) -> list[bytes]:
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    return [
        _sse({"type": "content_block_stop", "index": 0}, "content_block_stop"),
        _sse({"type": "message_delta", "delta": stop, "usage": {"output_tokens": OUTPUT}}, "message_delta"),
        _sse({"type": "message_stop"}, "message_stop"),
    ]


def _anthropic_error(words: str) -> dict[str, object]:
    kind = "invalid_request_error" if words == REFUSAL else "api_error"
    return {"type": "error", "error": {"type": kind, "message": words}}


def _anthropic_whole(model: str, finished: bool) -> bytes:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": model}
    usage = {"input_tokens": INPUT, "output_tokens": OUTPUT}
    said = {"content": [{"type": "text", "text": FULL}], "usage": usage, "stop_sequence": None}
    return json.dumps(head | said | {"stop_reason": "end_turn" if finished else None}).encode()


_ANTHROPIC = Speech(
    stream_type=b"text/event-stream",
    lead=_anthropic_lead,
    words=_anthropic_words,
    tail=_anthropic_tail,
    error=lambda words: _sse(_anthropic_error(words), "error"),
    whole=_anthropic_whole,
    failed=lambda words: json.dumps(_anthropic_error(words)).encode(),
    garbage=b'event: content_block_delta\ndata: {"type":"content_block_del\n\n',
)

# --- Ollama ------------------------------------------------------------------------------------------------


def _line(model: str, words: str, **more: object) -> bytes:
    head = {"model": model, "created_at": CREATED, "message": {"role": "assistant", "content": words}, "done": False}
    return json.dumps(head | more).encode() + b"\n"


_COUNTS = {"done": True, "done_reason": "stop", "prompt_eval_count": INPUT, "eval_count": OUTPUT, "total_duration": 9}

_OLLAMA = Speech(
    stream_type=b"application/x-ndjson",
    lead=lambda model: [],
    words=_line,
    tail=lambda model: [_line(model, "", **_COUNTS)],
    error=lambda words: json.dumps({"error": words}).encode() + b"\n",
    whole=lambda model, finished: _line(model, FULL, **(_COUNTS if finished else {})),
    failed=lambda words: json.dumps({"error": words}).encode(),
    garbage=b'{"model":"m","message":{"ro\n',
)

SPEECHES = {"openai": _OPENAI, "responses": _RESPONSES, "anthropic": _ANTHROPIC, "ollama": _OLLAMA}

# --- what a caller was told --------------------------------------------------------------------------------


class Heard:
    """An answer as a caller of one front reads it, byte for byte."""

    def __init__(self) -> None:
        self.text = ""
        self.finish: str | None = None
        self.ended = False
        """The format's own sign of a whole answer: `[DONE]`, `message_stop`, `done: true`."""
        self.error: Any = None
        self.models: set[str] = set()
        self.ids: set[str] = set()
        self.starts = 0
        """How often the format's own beginning of an answer came, where it has one."""
        self.usage: tuple[int, int] | None = None
        """Tokens of prompt and answer, as they were said last."""
        self.blocks: list[int | None] = []
        """Of Anthropic's format the blocks, of Responses the items that were begun; None once they have ended."""
        self.ordered = True
        """They are numbered one after the other, and nothing is said outside of them."""
        self.after_error = 0
        """Events behind the error."""

    def _event(self, front: str, event: Mapping[str, Any]) -> None:
        if event.get("type") == "response.failed" and self.error is not None:
            # Some clients end at the error, some at the response that failed of it.
            return
        self.after_error += self.error is not None
        if event.get("error"):
            self.error = event["error"]
        elif front == "openai":
            self.models.add(event["model"])
            self.ids.add(event["id"])
            if event.get("usage"):
                self.usage = (event["usage"]["prompt_tokens"], event["usage"]["completion_tokens"])
            for choice in event["choices"]:
                said = choice["delta"] if "delta" in choice else choice["message"]
                self.starts += "role" in said
                self.text += said.get("content") or ""
                self.finish = choice["finish_reason"] or self.finish
        elif front == "ollama":
            self.models.add(event["model"])
            self.text += event["message"]["content"]
            self.starts += event["done"]
            self.ended = event["done"]
            if event["done"]:
                self.usage = (event.get("prompt_eval_count", 0), event.get("eval_count", 0))
            self.finish = event.get("done_reason") or self.finish
        elif front == "responses":
            self._responses(event)
        else:
            self._anthropic(event)

    def _responses(self, event: Mapping[str, Any]) -> None:
        kind, index = event.get("type", "whole"), event.get("output_index")
        if kind == "response.output_item.added":
            self.ordered = self.ordered and index == len(self.blocks)
            self.blocks.append(index)
        elif index is not None:
            self.ordered = self.ordered and self.blocks[-1:] == [index]
        if kind == "response.output_item.done" and self.blocks:
            self.blocks[-1] = None
        self.text += event["delta"] if kind == "response.output_text.delta" else ""
        response = event if kind == "whole" else event.get("response")
        if response is None:
            return
        self.ids.add(response["id"])
        self.models.add(response["model"])
        self.starts += kind in ("whole", "response.created")
        if response["status"] == "completed":
            whole = "".join(part["text"] for item in response["output"] for part in item["content"])
            self.text = self.text or whole
            self.ordered = self.ordered and self.text == whole and not any(each is not None for each in self.blocks)
            if used := response["usage"]:
                self.usage = (used["input_tokens"], used["output_tokens"])
            self.finish, self.ended = "completed", kind == "response.completed"

    def _anthropic(self, event: Mapping[str, Any]) -> None:
        message = event.get("message", event)
        if message["type"] == "message":
            self.starts += 1
            self.ids.add(message["id"])
            self.models.add(message["model"])
            self.text += "".join(block["text"] for block in message["content"])
        self._block(event)
        said = message.get("usage") or {}
        if (said.get("input_tokens") is not None and self.usage is None) or event["type"] == "message_delta":
            before = self.usage or (0, 0)
            self.usage = (said.get("input_tokens", before[0]), said["output_tokens"])
        self.text += event.get("delta", {}).get("text", "")
        self.finish = message.get("stop_reason") or event.get("delta", {}).get("stop_reason") or self.finish
        self.ended = self.ended or event["type"] == "message_stop"

    def _block(self, event: Mapping[str, Any]) -> None:
        """Clients keep what is said by the number of its block."""
        kind, index = event["type"], event.get("index")
        if kind == "content_block_start":
            self.ordered = self.ordered and index == len(self.blocks)
            self.blocks.append(index)
        elif kind in ("content_block_delta", "content_block_stop"):
            self.ordered = self.ordered and self.blocks[-1:] == [index]
            if kind == "content_block_stop" and self.blocks:
                self.blocks[-1] = None

    @classmethod
    def stream(cls, front: str, body: bytes) -> Heard:
        heard = cls()
        for line in body.split(b"\n"):
            data = line if front == "ollama" else line.removeprefix(b"data: ") if line[:5] == b"data:" else b""
            if data == b"[DONE]":
                heard.ended = True
                heard.after_error += heard.error is not None
            elif data.strip():
                heard._event(front, json.loads(data))
        return heard

    @classmethod
    def whole(cls, front: str, body: bytes) -> Heard:
        heard = cls()
        heard._event(front, json.loads(body))
        heard.ended = heard.error is None and heard.finish is not None
        return heard
