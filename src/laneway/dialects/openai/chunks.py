"""An answer written as a stream for a caller of this format: chat.completion.chunk, or text_completion.

Owns: the order OpenAI's clients rely on: the role first, then deltas, the finish, usage if it was wanted, `[DONE]`.
Thinking goes out as `reasoning_content`; signatures have no place and stay out, as does thinking in completions.
Refuses: `[DONE]` after a fault, or before a finish.
"""

from __future__ import annotations

from typing import Any

from laneway.chat import (
    Event,
    Faulted,
    Finished,
    Op,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolBegan,
    ToolDelta,
    Usage,
    Used,
)
from laneway.dialects import Stamp, StreamReader
from laneway.dialects.objects.fault import write_error
from laneway.dialects.openai.stream import ChunkReader
from laneway.dialects.openai.usage import write_finish, write_logprobs, write_token_lists, write_usage
from laneway.failure import Failure
from laneway.wire import sse
from laneway.wire.json import encode

_DONE = b"data: [DONE]\n\n"


class ChunkWriter:
    """Writes one stream. Who does not ask for usage gets no usage chunk, and no `usage` field in the others."""

    __slots__ = (
        "_begun",
        "_chat",
        "_chars",
        "_created_s",
        "_finished",
        "_head",
        "_id",
        "_over",
        "_spoken",
        "_stamp",
        "_tail",
        "_usage",
        "_wants_usage",
    )

    def __init__(self, op: Op, stamp: Stamp, *, usage: bool) -> None:
        self._chat = op is not Op.COMPLETE
        self._stamp = stamp
        self._wants_usage = usage
        self._tail = b',"usage":null}\n\n' if usage else b"}\n\n"
        self._id = ""
        self._created_s = stamp.now_s
        self._head = self._write_head("")
        self._begun = False
        self._finished = False
        self._over = False
        self._usage = Usage()
        self._chars = 0
        self._spoken: dict[int, bool] = {}
        """Tool calls begun, and whether any argument text came."""

    def write(self, event: Event) -> bytes:
        if self._over:
            return b""
        kind = type(event)
        if kind is TextDelta:
            return self._write_text(event)  # type: ignore[arg-type]
        if isinstance(event, Started):
            if not self._id:
                self._name(event, name_answer(event.id, self._stamp, chat=self._chat))
            self._head = self._write_head(event.model)
            return self._begin()
        if isinstance(event, ThinkingDelta):
            return self._write_delta({"reasoning_content": event.text}) if event.text and self._chat else b""
        if isinstance(event, ToolBegan | ToolDelta):
            return self._write_call(event) if self._chat else b""
        if isinstance(event, Used):
            self._usage = self._usage.merged(event.usage)
            return b""
        if isinstance(event, Finished):
            return self._write_finish(event)
        if isinstance(event, Faulted):
            return self.fault(event.failure)
        return b""

    def fault(self, failure: Failure) -> bytes:
        if self._over:
            return b""
        self._over = True
        return sse.encode(write_error(failure))

    def end(self) -> bytes:
        if self._over or not self._finished:
            return b""
        self._over = True
        usage = write_usage(self._usage) if self._wants_usage else None
        if usage is None:
            return _DONE
        return self._head + b'[],"usage":' + encode(usage) + b"}\n\n" + _DONE

    def follow(self, reader: StreamReader) -> bool:
        assert isinstance(reader, ChunkReader)
        self._begun = True
        self._spoken = dict.fromkeys(range(reader.tools), True)
        if reader.started is not None:
            # Clients have seen this id, whatever it looks like.
            self._name(reader.started, reader.started.id)
            self._head = self._write_head(reader.started.model)
        return not reader.odd

    def _name(self, started: Started, name: str) -> None:
        self._id = name
        if started.created_s is not None:
            self._created_s = started.created_s

    def _write_head(self, model: str) -> bytes:
        """Everything before the choices, the same in every chunk."""
        head = {
            "id": self._id or name_answer("", self._stamp, chat=self._chat),
            "object": "chat.completion.chunk" if self._chat else "text_completion",
            "created": self._created_s,
            "model": model or self._stamp.model,
        }
        return b"data: " + encode(head)[:-1] + b',"choices":'

    def _begin(self) -> bytes:
        if self._begun or not self._chat:
            return b""
        self._begun = True
        return self._write_choice({"delta": {"role": "assistant", "content": ""}})

    def _write_text(self, event: TextDelta) -> bytes:
        if event.logprobs or not self._chat:
            return self._write_rare_text(event)
        if not event.text:
            return b""
        head = self._head if self._begun else self._begin() + self._head
        words = encode(event.text)
        return b'%b[{"index":0,"delta":{"content":%b},"logprobs":null,"finish_reason":null}]%b' % (
            head,
            words,
            self._tail,
        )

    def _write_rare_text(self, event: TextDelta) -> bytes:
        if self._chat:
            logprobs = write_logprobs(event.logprobs)
            return self._begin() + self._write_choice({"delta": {"content": event.text}, "logprobs": logprobs})
        logprobs = write_token_lists(event.logprobs, self._chars)
        self._chars += len(event.text)
        return self._write_choice({"text": event.text, "logprobs": logprobs})

    def _write_call(self, event: ToolBegan | ToolDelta) -> bytes:
        if isinstance(event, ToolDelta):
            self._spoken[event.index] = True
            return self._write_delta(
                {"tool_calls": [{"index": event.index, "function": {"arguments": event.arguments}}]}
            )
        self._spoken[event.index] = False
        function = {"name": event.name, "arguments": ""}
        call = {"index": event.index, "id": event.id, "type": "function", "function": function}
        return self._write_delta({"tool_calls": [call]})

    def _write_finish(self, event: Finished) -> bytes:
        self._finished = True
        # A call without arguments is `{}` to clients that parse what they joined.
        silent = [index for index, spoken in self._spoken.items() if not spoken]
        before = b"".join(self._write_call(ToolDelta(index, "{}")) for index in silent)
        choice: dict[str, Any] = {"delta": {}} if self._chat else {"text": ""}
        choice["finish_reason"] = write_finish(event.finish, tools=bool(self._spoken))
        if event.stop_sequence is not None:
            choice["stop_reason"] = event.stop_sequence
        return self._begin() + before + self._write_choice(choice)

    def _write_delta(self, delta: dict[str, Any]) -> bytes:
        return self._begin() + self._write_choice({"delta": delta})

    def _write_choice(self, choice: dict[str, Any]) -> bytes:
        whole = {"index": 0, "logprobs": None, "finish_reason": None} | choice
        return self._head + b"[" + encode(whole) + b"]" + self._tail


def name_answer(own: str, stamp: Stamp, *, chat: bool) -> str:
    """The answer's own id where it is one of this format, else one made from the request's."""
    prefix = "chatcmpl-" if chat else "cmpl-"
    if own.startswith(prefix):
        return own
    return stamp.id if stamp.id.startswith(prefix) else prefix + stamp.id
