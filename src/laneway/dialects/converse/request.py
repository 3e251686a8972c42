"""Requests that callers send in Converse's format, to a simulated or recorded Bedrock.

Owns: the view of a body and its reading into the neutral conversation. What the neutral conversation has no word for
is listed in `unknown`, by path.
Refuses: to know the model and whether to stream, because the path of this format says both: `View.model` and
`ChatRequest.model` are "" and `stream` is False until whoever knows the path says otherwise.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import msgspec

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
from laneway.dialects import View
from laneway.dialects.converse import schema
from laneway.dialects.converse.schema import Block, Body, CachePoint
from laneway.wire import json

DOCUMENT_TYPES = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
}
"""Media types by the names of Bedrock's formats."""


def view(body: bytes) -> View:
    said = json.decode(schema.chat_body, body)
    chars = sum(len(block.text or "") for block in said.system or ())
    images = documents = 0
    for index, turn in enumerate(said.messages):
        more = _weigh(turn.content, f"messages[{index}].content")
        chars, images, documents = chars + more[0], images + more[1], documents + more[2]
    settings, tools = said.inference_config, said.tool_config
    needs = {
        "tools": tools is not None,
        "vision": images > 0,
        "documents": documents > 0,
        "schema": bool(said.output_config and said.output_config.text_format),
        "thinking": bool((reasoning := _read_reasoning(said)) and reasoning.enabled is not False),
    }
    return View(
        op=Op.CHAT,
        model="",
        stream=False,
        max_tokens=settings.max_tokens if settings else None,
        # Every stream of this format ends with its usage.
        wants_usage=True,
        text_chars=chars,
        images=images,
        tools=sum(entry.tool_spec is not None for entry in tools.tools) if tools else 0,
        turns=len(said.messages),
        needs=frozenset(word for word, asked in needs.items() if asked),
    )


def _weigh(blocks: list[Block], path: str) -> tuple[int, int, int]:
    """Characters, pictures and documents of a list of blocks."""
    chars = images = documents = 0
    for index, block in enumerate(blocks):
        if block.text is not None:
            chars += len(block.text)
        elif block.image is not None:
            images += 1
        elif block.document is not None:
            documents += 1
            chars += len(block.document.source.text or "")
        elif block.tool_result is not None:
            more = _weigh(block.tool_result.content, f"{path}[{index}].toolResult.content")
            chars, images, documents = chars + more[0], images + more[1], documents + more[2]
    return chars, images, documents


# --- reading -----------------------------------------------------------------------------------------------


def read_request(body: bytes) -> ChatRequest:
    said = json.decode(schema.chat_body, body)
    settings = said.inference_config or schema.InferenceConfig()
    more = said.additional_model_request_fields or schema.More()
    nova = more.inference_config
    tree = json.read_tree(body)
    return ChatRequest(
        model="",
        messages=tuple(Message(Role(turn.role), tuple(_read_blocks(turn.content))) for turn in said.messages),
        system=tuple(part for part in _read_blocks(said.system or []) if type(part) is Text),
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=more.top_k if more.top_k is not None or nova is None else nova.top_k,
        stop=tuple(settings.stop_sequences or ()),
        tools=tuple(_read_tools(said.tool_config)),
        tool_choice=_read_choice(said.tool_config),
        format=_read_format(said.output_config),
        reasoning=_read_reasoning(said),
        hints=_read_hints(said, tree),
        unknown=schema.strangers(tree),
    )


def _read_blocks(blocks: list[Block]) -> list[Part]:
    """A cache point is a block of its own here and a mark on the part before it in the neutral conversation."""
    parts: list[Part] = []
    for block in blocks:
        if block.cache_point is not None:
            if parts and not isinstance(parts[-1], Thinking):
                parts[-1] = msgspec.structs.replace(parts[-1], cache=_read_ttl(block.cache_point))
        elif (part := _read_block(block)) is not None:
            parts.append(part)
    return parts


def _read_ttl(point: CachePoint) -> str:
    return point.ttl or "5m"


def _read_block(block: Block) -> Part | None:
    """None for a block that `strangers` will list."""
    if block.text is not None:
        return Text(block.text)
    if block.json:
        return Text(bytes(block.json).decode())
    if block.image is not None:
        source = block.image.source
        return Image(media_type=f"image/{block.image.format}", data=source.bytes) if source.bytes is not None else None
    if block.document is not None:
        return _read_document(block.document)
    if block.tool_use is not None:
        return ToolCall(block.tool_use.tool_use_id, block.tool_use.name, bytes(block.tool_use.input).decode())
    if block.tool_result is not None:
        result = block.tool_result
        parts = tuple(part for part in _read_blocks(result.content) if isinstance(part, Text | Image))
        return ToolResult(result.tool_use_id, parts, result.status == "error")
    if block.reasoning_content is not None:
        return read_reasoning_content(block.reasoning_content)
    return None


def _read_document(said: schema.Document) -> Document | None:
    media_type = DOCUMENT_TYPES.get(said.format or "txt", f"application/{said.format}")
    if said.source.bytes is not None:
        return Document(media_type, said.source.bytes, said.name)
    if said.source.text is not None:
        return Document(media_type, b64encode(said.source.text.encode()).decode(), said.name)
    return None


def read_reasoning_content(said: schema.ReasoningContent) -> Thinking | None:
    if said.reasoning_text is not None:
        return Thinking(said.reasoning_text.text, said.reasoning_text.signature)
    return None if said.redacted_content is None else Thinking(redacted=said.redacted_content)


def _read_tools(config: schema.ToolConfig | None) -> Iterator[Tool]:
    held: Tool | None = None
    for index, entry in enumerate(config.tools if config else ()):
        if entry.cache_point is not None and held is not None:
            held = msgspec.structs.replace(held, cache=_read_ttl(entry.cache_point))
        elif (spec := entry.tool_spec) is not None:
            if held is not None:
                yield held
            path = f"toolConfig.tools[{index}].toolSpec.inputSchema.json"
            shape = json.read_schema(spec.input_schema.json, path)
            held = Tool(spec.name, spec.description, shape, spec.strict)
    if held is not None:
        yield held


def _read_choice(config: schema.ToolConfig | None) -> ToolChoice | None:
    choice = config.tool_choice if config else None
    if choice is None:
        return None
    if choice.tool is not None:
        return ToolChoice(ToolMode.ONE, choice.tool.name)
    return ToolChoice(ToolMode.ANY if choice.any is not None else ToolMode.AUTO)


def _read_format(config: schema.OutputConfig | None) -> Format | None:
    if config is None or config.text_format is None:
        return None
    said = config.text_format.structure.json_schema
    # Here a schema is a string of JSON.
    path = "outputConfig.textFormat.structure.jsonSchema.schema"
    return Format(schema=json.read_schema(said.schema, path), name=said.name)


def _read_reasoning(said: Body) -> Reasoning | None:
    """Each family of models has its own words for it; the format's own effort came last."""
    more = said.additional_model_request_fields or schema.More()
    effort = (said.output_config.effort if said.output_config else None) or more.reasoning_effort
    if more.thinking is not None:
        kind = more.thinking.type
        budget = more.thinking.budget_tokens if kind == "enabled" else None
        return Reasoning(kind != "disabled", effort, budget)
    if more.reasoning_config is not None:
        return Reasoning(more.reasoning_config.type != "disabled", more.reasoning_config.max_reasoning_effort)
    return Reasoning(effort=effort) if effort else None


def _read_hints(said: Body, tree: dict[str, Any]) -> dict[str, Json]:
    hints: dict[str, Json] = {name: tree[name] for name in schema.HINTS if tree.get(name) is not None}
    if said.service_tier is not None:
        hints["service_tier"] = said.service_tier.type
    return hints
