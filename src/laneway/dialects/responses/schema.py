"""The bodies callers post to the Responses API, as types (https://platform.openai.com/docs/api-reference/responses).

Owns: two depths of the same schema. The *view* depth types what every room may need and what a caller most often gets
wrong, and skips the rest; the *whole* depth, for translation, adds everything the neutral chat can say. Also the list
of what a well-formed body says beyond that, by path.
Refuses: to judge items and tools that run at a provider: they pass as they came, or are named in that list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from laneway.wire.strangers import list_beyond

# Beyond any model's window, and small enough to be reckoned with.
Count: TypeAlias = Annotated[int, msgspec.Meta(le=2**31 - 1)]
Other: TypeAlias = dict[str, Any]
"""What some item of a provider's own has under a name that ours have, too."""

ROLES: Final = frozenset(("user", "assistant", "system", "developer"))
TEXTS: Final = frozenset(("input_text", "output_text"))
LOGPROBS: Final = "message.output_text.logprobs"
ENCRYPTED: Final = "reasoning.encrypted_content"


# --- the view depth ----------------------------------------------------------------------------------------


class PartView(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    file_id: str | None = None
    file_url: str | None = None


class ItemView(msgspec.Struct, gc=False):
    """Any item. One flat struct, because a tagged union would refuse the items of tomorrow."""

    type: str | None = None
    role: str | None = None
    content: str | list[PartView] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | Other | None = None
    input: str | Other | None = None
    output: str | list[PartView] | Other | None = None


class FormatView(msgspec.Struct, gc=False):
    type: str | None = None


class TextView(msgspec.Struct, gc=False):
    format: FormatView | None = None


class ReasoningView(msgspec.Struct, gc=False):
    effort: str | None = None


class ToolView(msgspec.Struct, gc=False):
    type: str
    name: str | None = None


class Settings(msgspec.Struct, kw_only=True, gc=False):
    """What both depths share."""

    model: str
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Count | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: Count | None = None
    parallel_tool_calls: bool | None = None
    include: list[str] | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    prompt: Any = None
    user: str | None = None
    metadata: Any = None


class View(Settings, kw_only=True, gc=False):
    input: str | list[ItemView] | None = None
    tools: list[ToolView] | None = None
    text: TextView | None = None
    reasoning: ReasoningView | None = None


# --- the whole depth ---------------------------------------------------------------------------------------


class Part(PartView, gc=False):
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_data: str | None = None
    filename: str | None = None


class Item(msgspec.Struct, gc=False):
    type: str | None = None
    role: str | None = None
    content: str | list[Part] | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | Other | None = None
    input: str | Other | None = None
    output: str | list[Part] | Other | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None


class Tool(msgspec.Struct, gc=False):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    format: dict[str, Any] | None = None
    tools: list[Tool] | None = None


class Choice(msgspec.Struct, gc=False):
    type: str
    name: str | None = None


class Format(msgspec.Struct, gc=False):
    type: str
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class TextBody(msgspec.Struct, gc=False):
    format: Format | None = None
    verbosity: str | None = None


class Body(Settings, kw_only=True, gc=False):
    input: str | list[Item] | None = None
    tools: list[Tool] | None = None
    tool_choice: Choice | str | None = None
    text: TextBody | None = None
    reasoning: ReasoningView | None = None


# --- what a translation cannot carry -----------------------------------------------------------------------

HINTS: Final = frozenset(
    {
        "client_metadata",
        "max_tool_calls",
        "metadata",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "truncation",
    }
)
"""Top-level fields that change no word of an answer that is given; `max_tool_calls` counts a provider's own tools."""

SERVICE_TIERS: Final = frozenset({"auto", "default", "fast", "flex", "priority", "scale"})
"""Other formats have a field of this name with words of their own."""

# Said, and asking for what happens anyway.
_HARMLESS: Mapping[str, tuple[object, ...]] = {"background": (False,), "truncation": ("disabled",), "store": (False,)}
_ELSEWHERE = frozenset(("previous_response_id", "conversation", "prompt", "background"))
_TOP = (frozenset(Body.__struct_fields__) | HINTS | {"stream_options"}) - _ELSEWHERE
# What says nothing, and what clients hand back that had it from a provider.
_IDLE: tuple[object, ...] = (None, [], {}, {"type": "direct"}, ["direct"])

_SAME = frozenset(("type", "id", "status"))
_ITEMS: Mapping[str, frozenset[str]] = {
    "message": _SAME | {"role", "content", "phase"},
    "function_call": _SAME | {"call_id", "name", "namespace", "arguments"},
    "function_call_output": _SAME | {"call_id", "name", "output"},
    "custom_tool_call": _SAME | {"call_id", "name", "namespace", "input"},
    "custom_tool_call_output": _SAME | {"call_id", "name", "output"},
    "reasoning": _SAME | {"summary", "content", "encrypted_content"},
}
PART_HINTS: Final = frozenset(("annotations", "logprobs", "prompt_cache_breakpoint"))
"""Of a part: where its words came from, how likely they were, and that they end a reusable beginning."""
_PARTS: Mapping[str, frozenset[str]] = {
    "input_text": PART_HINTS | {"type", "text"},
    "output_text": PART_HINTS | {"type", "text"},
    "refusal": PART_HINTS | {"type", "refusal"},
    "input_image": PART_HINTS | {"type", "image_url", "detail"},
    "input_file": PART_HINTS | {"type", "file_data", "filename", "detail"},
}
_IN_OUTPUT = frozenset(("input_text", "output_text", "input_image"))
_IN_REASONING: Mapping[str, frozenset[str]] = {
    "summary_text": frozenset(("type", "text")),
    "reasoning_text": frozenset(("type", "text")),
}
_TOOLS: Mapping[str, frozenset[str]] = {
    "function": frozenset(("type", "name", "description", "parameters", "strict")),
    "custom": frozenset(("type", "name", "description", "format")),
    "namespace": frozenset(("type", "name", "description", "tools")),
}
_REASONING = frozenset(("effort", "summary", "generate_summary", "context"))


def kind_of(item: ItemView | Item) -> str:
    """Bare `{role, content}` is a message."""
    return item.type or ("message" if item.role is not None else "")


def is_harmless(name: str, value: object) -> bool:
    return value is None or value in _HARMLESS.get(name, ())


def strangers(tree: Mapping[str, Any]) -> Iterator[str]:
    """The paths of everything said in a well-formed body that the neutral conversation has no word for."""
    for path in list_beyond(tree, _TOP, "", _IDLE):
        if not is_harmless(path, tree[path]):
            yield path
    for index, item in enumerate(tree["input"] if isinstance(tree.get("input"), list) else ()):
        yield from _in_item(item, f"input[{index}]")
    for path, tool in each_tool(tree):
        if tool["type"] in _TOOLS:
            yield from list_beyond(tool, _TOOLS[tool["type"]], f"{path}.", (*_IDLE, False))
        else:
            yield f"{path}.type"
    choice = tree.get("tool_choice")
    if isinstance(choice, Mapping):
        known = frozenset(("type", "name"))
        yield from list_beyond(choice, known, "tool_choice.") if choice["type"] in _TOOLS else ("tool_choice.type",)
    text = tree.get("text") or {}
    yield from list_beyond(text, frozenset(TextBody.__struct_fields__), "text.", _IDLE)
    yield from list_beyond(text.get("format") or {}, frozenset(Format.__struct_fields__), "text.format.", _IDLE)
    yield from list_beyond(tree.get("reasoning") or {}, _REASONING, "reasoning.", (*_IDLE, "standard"))


def each_tool(tree: Mapping[str, Any], place: str = "tools") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every tool with its path, a group before what is in it."""
    for index, tool in enumerate(tree.get("tools") or ()):
        path = f"{place}[{index}]"
        yield path, tool
        if tool["type"] == "namespace":
            yield from each_tool(tool, f"{path}.tools")


def _in_item(item: Mapping[str, Any], path: str) -> Iterator[str]:
    kind = item.get("type") or "message"
    if kind not in _ITEMS:
        yield f"{path}.type"
        return
    yield from list_beyond(item, _ITEMS[kind], f"{path}.", _IDLE)
    if kind == "reasoning":
        yield from _in_parts(item.get("summary"), f"{path}.summary", _IN_REASONING)
        yield from _in_parts(item.get("content"), f"{path}.content", _IN_REASONING)
    elif kind == "message":
        yield from _in_parts(item.get("content"), f"{path}.content", _PARTS)
    else:
        taken = {name: known for name, known in _PARTS.items() if name in _IN_OUTPUT}
        yield from _in_parts(item.get("output"), f"{path}.output", taken)


def _in_parts(parts: object, path: str, known: Mapping[str, frozenset[str]]) -> Iterator[str]:
    if not isinstance(parts, Sequence) or isinstance(parts, str):
        return
    for index, part in enumerate(parts):
        place, kind = f"{path}[{index}]", part.get("type")
        if kind in known:
            yield from list_beyond(part, known[kind], f"{place}.", _IDLE)
        else:
            yield f"{place}.type"
