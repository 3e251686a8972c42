"""A conversation as an Ollama request tells it, read into neutral messages.

Owns: turns, pictures, tool calls and their results, and which result answers which call.
Refuses: roles beyond system, user, assistant and tool (docs/openapi.yaml, ChatMessage): they are listed as unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from laneway.chat import Image, Message, Part, Role, Text, Thinking, ToolCall, ToolResult
from laneway.dialects.ollama.schema import Turn, arguments
from laneway.pictures import sniff_type


def read_image(data: str) -> Image:
    return Image(media_type=sniff_type(data), data=data)


def _text(turn: Turn) -> tuple[Text, ...]:
    return (Text(turn.content),) if turn.content else ()


class Turns:
    """Reads one history. Calls got ids only lately (api/types.go), so missing ones are made: by their order in the
    history, which is the same when the next request repeats it."""

    def __init__(self, unknown: list[str]) -> None:
        self._unknown = unknown
        self._open: list[tuple[str, str]] = []
        self._made = 0

    def read(self, turns: Sequence[Turn]) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
        """The instructions at the beginning, and the conversation after them."""
        head = next((index for index, turn in enumerate(turns) if turn.role.lower() != "system"), len(turns))
        messages: list[Message] = []
        results: list[Part] = []
        for index, turn in enumerate(turns[:head]):
            self._look_for_misplaced(index, turn)
            if turn.images:
                self._unknown.append(f"messages[{index}].images")
        for index, turn in enumerate(turns[head:], head):
            role = turn.role.lower()  # as the server does (api/types.go, Message.UnmarshalJSON)
            if role != "assistant":
                self._look_for_misplaced(index, turn)
            if role == "tool":
                results.append(self._result(turn))
                continue
            if results:
                messages.append(Message(Role.USER, tuple(results)))
                results = []
            if role == "assistant":
                messages.append(Message(Role.ASSISTANT, tuple(self._assistant(turn))))
            elif role in ("user", "system"):
                messages.append(Message(Role(role), (*_text(turn), *map(read_image, turn.images or ()))))
            else:
                self._unknown.append(f"messages[{index}].role")
        if results:
            messages.append(Message(Role.USER, tuple(results)))
        return tuple(Text(turn.content or "") for turn in turns[:head]), tuple(messages)

    def _look_for_misplaced(self, index: int, turn: Turn) -> None:
        """What only an assistant says has no neutral place in another's turn."""
        for name in ("thinking", "tool_calls"):
            if getattr(turn, name):
                self._unknown.append(f"messages[{index}].{name}")

    def _assistant(self, turn: Turn) -> Iterable[Part]:
        if turn.thinking:
            yield Thinking(turn.thinking)
        yield from _text(turn)
        yield from map(read_image, turn.images or ())
        for call in turn.tool_calls or ():
            name = call.function.name
            id_ = call.id or self._new_id()
            self._open.append((id_, name))
            yield ToolCall(id_, name, arguments(call))

    def _result(self, turn: Turn) -> ToolResult:
        id_ = self._answered(turn.tool_call_id, turn.tool_name)
        return ToolResult(id_, (*_text(turn), *map(read_image, turn.images or ())), name=turn.tool_name)

    def _answered(self, id_: str | None, name: str | None) -> str:
        """The call a result answers: the one of its id, else of its name, else the first open one."""
        for nth, (open_id, called) in enumerate(self._open):
            if open_id == id_ if id_ else name is None or called == name:
                del self._open[nth]
                return open_id
        return id_ or self._new_id()

    def _new_id(self) -> str:
        self._made += 1
        return f"call_{self._made}"
