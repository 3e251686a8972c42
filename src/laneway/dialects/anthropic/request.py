"""Requests that callers send in Anthropic's format.

Owns: the view of a caller's body, the patch of its model, and the reading into the neutral conversation. What the
neutral conversation has no word for is listed in `unknown`, by path.
Refuses: to judge values the provider judges better (ranges, limits, which model takes which field).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from laneway.chat import (
    ChatRequest,
    Document,
    Format,
    Image,
    Json,
    Message,
    Op,
    Part,
    Reasoning,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from laneway.dialects import Asked, View
from laneway.dialects.anthropic import schema
from laneway.dialects.anthropic.schema import Block, Body, Source
from laneway.wire import json
from laneway.wire.malformed import missing

# What each block type cannot be without. Types that are not here are not ours to judge.
_NEEDS = {
    "text": ("text",),
    "image": ("source",),
    "document": ("source",),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id",),
}

_ABILITIES = ("tools", "vision", "documents", "schema", "thinking")
_ABILITY_SETS = tuple(
    frozenset(word for bit, word in enumerate(_ABILITIES) if mask >> bit & 1) for mask in range(1 << len(_ABILITIES))
)
_TOOLS, _VISION, _DOCUMENTS, _SCHEMA, _THINKING = (1 << bit for bit in range(len(_ABILITIES)))

# --- the view ----------------------------------------------------------------------------------------------


def decode(op: Op, body: bytes) -> Body:
    if op is Op.CHAT:
        return json.decode(schema.chat_body, body)
    return json.decode(schema.count_body, body)


def view(op: Op, body: bytes) -> View:
    said = decode(op, body)
    chars = images = documents = 0
    system = said.system
    if system is not None:
        chars = len(system) if type(system) is str else _weigh(system, "system")[0]  # type: ignore[arg-type]
    if said.tools:
        check_tools(said.tools)
    turns = said.messages
    for index, turn in enumerate(turns):
        content = turn.content
        if type(content) is str:
            chars += len(content)
        else:
            more = _weigh(content, "messages", index)  # type: ignore[arg-type]
            chars += more[0]
            images += more[1]
            documents += more[2]
    if op is Op.COUNT:
        chars += _weigh_tools(said)
    config, thinking = said.output_config, said.thinking
    mask = (
        (_TOOLS if said.tools else 0)
        | (_VISION if images else 0)
        | (_DOCUMENTS if documents else 0)
        | (_SCHEMA if said.output_format or (config and config.format) else 0)
        | (_THINKING if thinking and thinking.type != "disabled" else 0)
    )
    return View(
        op=op,
        model=said.model,
        stream=bool(said.stream),
        max_tokens=said.max_tokens,
        # A stream of this format always reports usage.
        wants_usage=True,
        text_chars=chars,
        images=images,
        tools=len(said.tools) if said.tools else 0,
        turns=len(turns),
        needs=_ABILITY_SETS[mask],
    )


def _weigh_tools(said: Body) -> int:
    """Characters of the tools and their calls: clients ask for a count to know when a conversation is too long."""
    chars = sum(
        len(tool.name or "") + len(tool.description or "") + len(tool.input_schema) for tool in said.tools or ()
    )
    for turn in said.messages:
        if type(turn.content) is list:
            chars += sum(len(block.name or "") + len(block.input) for block in turn.content if block.type == "tool_use")
    return chars


def _weigh(blocks: list[Block], field: str, turn: int = -1) -> tuple[int, int, int]:
    """Characters, pictures and documents of a list of blocks, each of which is checked."""
    chars = images = documents = 0
    for index, block in enumerate(blocks):
        kind = block.type
        if kind == "text":
            if block.text is None:
                raise missing(f"{_place(field, turn, index)}.text")
            chars += len(block.text)
            continue
        check(block, field, turn, index)
        if kind == "image":
            images += 1
        elif kind == "document":
            documents += 1
            source = block.source
            if type(source) is Source and source.type == "text":
                chars += len(source.data or "")
        elif kind == "tool_result":
            content = block.content
            if type(content) is str:
                chars += len(content)
            elif type(content) is list:
                more = _weigh(content, f"{_place(field, turn, index)}.content")
                chars, images, documents = chars + more[0], images + more[1], documents + more[2]
    return chars, images, documents


def check(block: Block, field: str, turn: int, index: int) -> None:
    """Raises for a block of a known type that lacks what its type needs."""
    for name in _NEEDS.get(block.type, ()):
        value = getattr(block, name)
        if value is None or (name == "input" and not value):
            raise missing(f"{_place(field, turn, index)}.{name}")
    if block.type in ("image", "document"):
        source = block.source
        if type(source) is not Source:
            raise missing(f"{_place(field, turn, index)}.source.type")
        needed = {"base64": ("media_type", "data"), "text": ("data",), "url": ("url",)}.get(source.type, ())
        for name in needed:
            if getattr(source, name) is None:
                raise missing(f"{_place(field, turn, index)}.source.{name}")


def check_tools(tools: list[schema.Tool]) -> None:
    for index, tool in enumerate(tools):
        if tool.type is None or tool.type == "custom":
            for name in ("name", "input_schema"):
                if not getattr(tool, name):
                    raise missing(f"tools[{index}].{name}")


def _place(field: str, turn: int, index: int) -> str:
    return f"{field}[{turn}].content[{index}]" if turn >= 0 else f"{field}[{index}]"


def asked(op: Op, body: bytes) -> Asked:
    said = decode(op, body)
    opening = text = ""
    for turn in said.messages:
        if turn.role == "user" and (words := _words(turn.content)):
            opening, text = opening or words, words
    config = said.output_config
    return Asked(
        text=text,
        opening=opening,
        system=_words(said.system or ""),
        tools=tuple([tool.name for tool in said.tools if tool.name is not None]) if said.tools else (),
        structured=bool(said.output_format or (config and config.format)),
    )


def _words(content: str | list[Block]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join([block.text for block in content if block.type == "text" and block.text is not None])


def patch(body: bytes, model: str | None) -> bytes:
    """Usage needs no asking in this format."""
    return body if model is None else json.patch(body, "model", model)


# --- reading -----------------------------------------------------------------------------------------------


def read_request(op: Op, body: bytes) -> ChatRequest:
    said = decode(op, body)
    check_tools(said.tools or [])
    messages = tuple(
        Message(Role(turn.role), _read_content(turn.content, "messages", index))
        for index, turn in enumerate(said.messages)
    )
    choice = said.tool_choice
    mode = {"auto": ToolMode.AUTO, "any": ToolMode.ANY, "tool": ToolMode.ONE, "none": ToolMode.NONE}
    if choice and choice.type == "tool" and choice.name is None:
        raise missing("tool_choice.name")
    disabled = choice.disable_parallel_tool_use if choice else None
    config = said.output_config
    shape = (config.format if config else None) or said.output_format
    stream = bool(said.stream)
    tree = json.read_tree(body)
    return ChatRequest(
        model=said.model,
        messages=messages,
        op=op,
        system=tuple(part for part in _read_content(said.system or (), "system") if type(part) is Text),
        stream=stream,
        stream_usage=stream,
        max_tokens=said.max_tokens,
        temperature=said.temperature,
        top_p=said.top_p,
        top_k=said.top_k,
        stop=tuple(said.stop_sequences or ()),
        tools=tuple(_read_tools(said.tools or [])),
        tool_choice=ToolChoice(mode[choice.type], choice.name if choice.type == "tool" else None) if choice else None,
        parallel_tools=None if disabled is None else not disabled,
        format=Format(schema=json.read_schema(shape.schema, "output_config.format.schema")) if shape else None,
        reasoning=_read_reasoning(said),
        user=said.metadata.user_id if said.metadata else None,
        hints=_read_hints(said, tree),
        unknown=schema.strangers(tree),
    )


def _read_content(content: str | list[Block] | tuple[Block, ...], field: str, turn: int = -1) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    parts = (_read_block(block, field, turn, index) for index, block in enumerate(content))
    return tuple(part for part in parts if part is not None)


def _read_block(block: Block, field: str, turn: int, index: int) -> Part | None:
    """None for a block whose type or source `strangers` will list."""
    check(block, field, turn, index)
    cache = block.cache_control.ttl if block.cache_control else None
    kind, source = block.type, block.source
    if kind == "text":
        return Text(block.text or "", cache)
    if kind == "thinking":
        return Thinking(block.thinking or "", block.signature)
    if kind == "redacted_thinking":
        return Thinking(redacted=block.data)
    if kind == "tool_use":
        return ToolCall(block.id or "", block.name or "", bytes(block.input).decode(), cache)
    if kind == "tool_result":
        return _read_result(block, cache, f"{_place(field, turn, index)}.content")
    if kind == "image" and type(source) is Source:
        if source.type == "base64":
            return Image(media_type=source.media_type, data=source.data, cache=cache)
        return Image(url=source.url, cache=cache) if source.type == "url" else None
    if kind == "document" and type(source) is Source and source.data is not None:
        if source.type == "base64":
            return Document(source.media_type or "", source.data, block.title, cache)
        if source.type == "text":
            return Document("text/plain", b64encode(source.data.encode()).decode(), block.title, cache)
    return None


def _read_result(block: Block, cache: str | None, path: str) -> ToolResult:
    content = block.content
    parts = _read_content(content, path) if isinstance(content, str | list) else ()
    shown = tuple(part for part in parts if isinstance(part, Text | Image))
    return ToolResult(block.tool_use_id or "", shown, bool(block.is_error), cache=cache)


def _read_tools(tools: list[schema.Tool]) -> Iterator[Tool]:
    """A tool that runs at Anthropic is left to `strangers`, which lists it."""
    for index, tool in enumerate(tools):
        if tool.name is not None and tool.input_schema:
            cache = tool.cache_control.ttl if tool.cache_control else None
            shape = json.read_schema(tool.input_schema, f"tools[{index}].input_schema")
            yield Tool(tool.name, tool.description, shape, tool.strict, cache)


def _read_reasoning(said: Body) -> Reasoning | None:
    effort = said.output_config.effort if said.output_config else None
    thinking = said.thinking
    if thinking is None:
        return Reasoning(effort=effort) if effort else None
    enabled = {"enabled": True, "adaptive": True, "disabled": False}.get(thinking.type)
    return Reasoning(enabled, effort, thinking.budget_tokens if thinking.type == "enabled" else None)


def _read_hints(said: Body, tree: dict[str, Any]) -> dict[str, Json]:
    hints: dict[str, Json] = {name: tree[name] for name in schema.HINTS if tree.get(name) is not None}
    if said.thinking and said.thinking.display:
        hints["thinking.display"] = said.thinking.display
    return hints
