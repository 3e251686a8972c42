"""Anthropic's Messages format as types, and the reading of a request body into them.

Owns: the structs a request is decoded into, which are the schema, and the list of fields the neutral conversation has
no word for (https://docs.claude.com/en/api/messages).
Refuses: to reject what it does not know. A same-format target receives unknown fields as they came; only a
translation needs the list that `strangers` gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from laneway.wire.json import NONE
from laneway.wire.strangers import list_beyond


class Cache(msgspec.Struct, gc=False):
    type: Literal["ephemeral"] = "ephemeral"
    ttl: Literal["5m", "1h"] = "5m"


class Source(msgspec.Struct, gc=False):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class Block(msgspec.Struct, gc=False):
    """Any content block. One flat struct, because a tagged union would refuse the block types of tomorrow."""

    type: str
    text: str | None = None
    source: Source | str | None = None
    cache_control: Cache | None = None
    title: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = NONE
    tool_use_id: str | None = None
    content: str | list[Block] | dict[str, msgspec.Raw] | None = None
    is_error: bool | None = None


class Turn(msgspec.Struct, gc=False):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class Tool(msgspec.Struct, gc=False):
    """A caller's own tool, of type "custom" or none; a tool of any other type runs at Anthropic."""

    name: str | None = None
    type: str | None = None
    description: str | None = None
    input_schema: msgspec.Raw = NONE
    strict: bool | None = None
    cache_control: Cache | None = None


class ToolChoice(msgspec.Struct, gc=False):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(msgspec.Struct, gc=False):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class OutputFormat(msgspec.Struct, gc=False):
    type: Literal["json_schema"]
    schema: msgspec.Raw


class OutputConfig(msgspec.Struct, gc=False):
    effort: str | None = None
    format: OutputFormat | None = None


# Beyond any model's window, and small enough to be reckoned with.
Limit: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class Metadata(msgspec.Struct, gc=False):
    user_id: str | None = None


class Body(msgspec.Struct, kw_only=True, gc=False):
    """A request to count tokens; a chat request has the same fields and must name `max_tokens`."""

    model: str
    messages: Annotated[list[Turn], msgspec.Meta(min_length=1)]
    max_tokens: Limit | None = None
    system: str | list[Block] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    # The name structured outputs had while in beta (header structured-outputs-2025-11-13); still accepted.
    output_format: OutputFormat | None = None
    metadata: Metadata | None = None


class ChatBody(Body, kw_only=True, gc=False):
    max_tokens: Limit


count_body = msgspec.json.Decoder(Body)
chat_body = msgspec.json.Decoder(ChatBody)


# --- what a translation cannot carry -----------------------------------------------------------------------

HINTS = ("service_tier", "speed", "cache_control", "context_management", "diagnostics", "user_profile_id")
"""Top-level fields that change no word of the answer. Of a long conversation whose beginning Anthropic may leave out
(`context_management`), others read all."""

_TOP = frozenset(Body.__struct_fields__) | frozenset(HINTS)
_TURN = frozenset(("role", "content"))
_BLOCKS: Mapping[str, frozenset[str]] = {
    "text": frozenset(("type", "text", "cache_control")),
    "image": frozenset(("type", "source", "cache_control")),
    "document": frozenset(("type", "source", "title", "cache_control")),
    "thinking": frozenset(("type", "thinking", "signature")),
    "redacted_thinking": frozenset(("type", "data")),
    "tool_use": frozenset(("type", "id", "name", "input", "cache_control")),
    "tool_result": frozenset(("type", "tool_use_id", "content", "is_error", "cache_control")),
}
_SOURCES: Mapping[str, frozenset[str]] = {
    "image": frozenset(("base64", "url")),
    "document": frozenset(("base64", "text")),
}
_IN_RESULT = frozenset(("text", "image"))
_TOOL = frozenset(Tool.__struct_fields__) | {"eager_input_streaming"}
_THINKING_TYPES = frozenset(("enabled", "disabled", "adaptive"))
# Said on every block by clients that send back what they received, and meaning nothing there.
_IDLE: tuple[object, ...] = (None, {"enabled": False}, {"type": "direct"}, [])


def strangers(tree: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths of everything said in a well-formed body that the neutral conversation has no word for."""
    return tuple(_strangers(tree))


def _beyond(said: Mapping[str, Any], known: frozenset[str], path: str) -> Iterator[str]:
    return list_beyond(said, known, path, _IDLE)


def _strangers(tree: Mapping[str, Any]) -> Iterator[str]:
    yield from _beyond(tree, _TOP, "")
    yield from _in_blocks(tree.get("system"), "system", frozenset(("text",)))
    for index, turn in enumerate(tree["messages"]):
        path = f"messages[{index}]"
        yield from _beyond(turn, _TURN, f"{path}.")
        yield from _in_blocks(turn["content"], f"{path}.content", _BLOCKS)
    for index, tool in enumerate(tree.get("tools") or ()):
        if tool.get("type") not in (None, "custom"):
            yield f"tools[{index}].type"
        else:
            yield from _beyond(tool, _TOOL, f"tools[{index}].")
    thinking = tree.get("thinking") or {}
    if thinking and thinking["type"] not in _THINKING_TYPES:
        yield "thinking.type"
    yield from _beyond(thinking, frozenset(Thinking.__struct_fields__), "thinking.")
    yield from _beyond(tree.get("output_config") or {}, frozenset(OutputConfig.__struct_fields__), "output_config.")
    yield from _beyond(tree.get("metadata") or {}, frozenset(Metadata.__struct_fields__), "metadata.")


def _in_blocks(content: object, path: str, allowed: Mapping[str, Any] | frozenset[str]) -> Iterator[str]:
    if not isinstance(content, Sequence) or isinstance(content, str):
        return
    for index, block in enumerate(content):
        place, kind = f"{path}[{index}]", block["type"]
        if kind not in allowed or kind not in _BLOCKS:
            yield f"{place}.type"
            continue
        yield from _beyond(block, _BLOCKS[kind], f"{place}.")
        if kind in _SOURCES and block["source"]["type"] not in _SOURCES[kind]:
            yield f"{place}.source.type"
        elif kind == "tool_result":
            yield from _in_blocks(block.get("content"), f"{place}.content", _IN_RESULT)
