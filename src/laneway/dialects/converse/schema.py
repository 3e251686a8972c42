"""Bedrock's Converse format as types, and the reading of a request body into them.

Owns: the structs a request is decoded into, and the list of fields the neutral conversation has no word for
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html).
Refuses: to reject what it does not know; only a translation needs the list that `strangers` gives. The model is in
the path of this format and never in a body.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec

from laneway.wire.json import NONE
from laneway.wire.strangers import list_beyond


class Wire(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """Names of this format are camelCase; a block is a union by the one name it has."""


class Bytes(Wire):
    """A source: base64 in `bytes`, or plain `text` for documents; other kinds of source are not read."""

    bytes: str | None = None
    text: str | None = None


class Image(Wire):
    format: str
    source: Bytes


class Document(Wire):
    name: str
    source: Bytes
    format: str | None = None


class ToolUse(Wire):
    tool_use_id: str
    name: str
    input: msgspec.Raw


class ToolResult(Wire):
    tool_use_id: str
    content: list[Block]
    status: Literal["success", "error"] | None = None


class ReasoningText(Wire):
    text: str
    signature: str | None = None


class ReasoningContent(Wire):
    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None


class CachePoint(Wire):
    type: Literal["default"]
    ttl: Literal["5m", "1h"] | None = None


class Block(Wire):
    text: str | None = None
    image: Image | None = None
    document: Document | None = None
    tool_use: ToolUse | None = None
    tool_result: ToolResult | None = None
    reasoning_content: ReasoningContent | None = None
    cache_point: CachePoint | None = None
    json: msgspec.Raw = NONE


class Turn(Wire):
    role: Literal["user", "assistant", "system"]
    content: list[Block]


class InferenceConfig(Wire):
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] | None = None


class InputSchema(Wire):
    json: msgspec.Raw


class ToolSpec(Wire):
    name: str
    input_schema: InputSchema
    description: str | None = None
    strict: bool | None = None


class ToolEntry(Wire):
    tool_spec: ToolSpec | None = None
    cache_point: CachePoint | None = None


class NamedTool(Wire):
    name: str


class ToolChoice(Wire):
    auto: dict[str, msgspec.Raw] | None = None
    any: dict[str, msgspec.Raw] | None = None
    tool: NamedTool | None = None


class ToolConfig(Wire):
    tools: list[ToolEntry]
    tool_choice: ToolChoice | None = None


class JsonSchema(Wire):
    schema: str
    name: str | None = None


class Structure(Wire):
    json_schema: JsonSchema


class TextFormat(Wire):
    type: Literal["json_schema"]
    structure: Structure


class OutputConfig(Wire):
    effort: str | None = None
    text_format: TextFormat | None = None


class Thinking(Wire, rename=None):
    """What Claude takes inside `additionalModelRequestFields`, by Anthropic's own names."""

    type: str
    budget_tokens: int | None = None


class NovaReasoning(Wire):
    type: str
    max_reasoning_effort: str | None = None


class NovaInference(Wire):
    top_k: int | None = None


class More(Wire, rename=None):
    """`additionalModelRequestFields`: what each family of models calls things the format itself has no word for."""

    top_k: int | None = None
    thinking: Thinking | None = None
    reasoning_effort: str | None = None
    reasoning_config: NovaReasoning | None = msgspec.field(default=None, name="reasoningConfig")
    inference_config: NovaInference | None = msgspec.field(default=None, name="inferenceConfig")


class ServiceTier(Wire):
    type: str


class Body(Wire):
    messages: Annotated[list[Turn], msgspec.Meta(min_length=1)]
    system: list[Block] | None = None
    inference_config: InferenceConfig | None = None
    tool_config: ToolConfig | None = None
    additional_model_request_fields: More | None = None
    output_config: OutputConfig | None = None
    service_tier: ServiceTier | None = None


chat_body = msgspec.json.Decoder(Body)


# --- what a translation cannot carry -----------------------------------------------------------------------

HINTS = ("performanceConfig", "requestMetadata")
"""Top-level fields that change no word of the answer; `serviceTier` is read into the hint that other formats share."""


def _names(of: type[msgspec.Struct], *more: str) -> frozenset[str]:
    return frozenset(of.__struct_encode_fields__) | frozenset(more)


_TOP = _names(Body, *HINTS)
_TURN = _names(Turn)
# `json` is a block of tool results only, and what it says is read as text.
_SYSTEM = frozenset(("text", "cachePoint"))
_RESULT = frozenset(("text", "json", "image"))
_BLOCK = _names(Block) - {"json"}
_INNER: Mapping[str, frozenset[str]] = {
    "image": _names(Image),
    "document": _names(Document),
    "toolUse": _names(ToolUse),
    "toolResult": _names(ToolResult),
    "reasoningContent": _names(ReasoningContent),
}
_SOURCES: Mapping[str, frozenset[str]] = {"image": frozenset(("bytes",)), "document": frozenset(("bytes", "text"))}
_SECTIONS: Mapping[str, frozenset[str]] = {
    "inferenceConfig": _names(InferenceConfig),
    "additionalModelRequestFields": _names(More),
    "outputConfig": _names(OutputConfig),
    "toolConfig": _names(ToolConfig),
    "serviceTier": _names(ServiceTier),
}
_IDLE: tuple[object, ...] = (None, [], {}, {"enabled": False})


def strangers(tree: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths of everything said in a well-formed body that the neutral conversation has no word for."""
    return tuple(_strangers(tree))


def _beyond(said: Mapping[str, Any], known: frozenset[str], path: str) -> Iterator[str]:
    return list_beyond(said, known, path, _IDLE)


def _strangers(tree: Mapping[str, Any]) -> Iterator[str]:
    yield from _beyond(tree, _TOP, "")
    for name, known in _SECTIONS.items():
        yield from _beyond(tree.get(name) or {}, known, f"{name}.")
    yield from _in_blocks(tree.get("system") or (), "system", _SYSTEM)
    for index, turn in enumerate(tree["messages"]):
        path = f"messages[{index}]"
        yield from _beyond(turn, _TURN, f"{path}.")
        yield from _in_blocks(turn["content"], f"{path}.content", _BLOCK)
    for index, tool in enumerate((tree.get("toolConfig") or {}).get("tools") or ()):
        path = f"toolConfig.tools[{index}]."
        yield from _beyond(tool, _names(ToolEntry), path)
        yield from _beyond(tool.get("toolSpec") or {}, _names(ToolSpec), f"{path}toolSpec.")


def _in_blocks(blocks: Any, path: str, allowed: frozenset[str]) -> Iterator[str]:
    for index, block in enumerate(blocks):
        place = f"{path}[{index}]."
        for name, inner in block.items():
            if inner is None:
                continue
            if name not in allowed:
                yield f"{place}{name}"
                continue
            if name in _INNER:
                yield from _beyond(inner, _INNER[name], f"{place}{name}.")
            if name in _SOURCES:
                yield from _beyond(inner["source"], _SOURCES[name], f"{place}{name}.source.")
            elif name == "toolResult":
                yield from _in_blocks(inner["content"], f"{place}toolResult.content", _RESULT)
