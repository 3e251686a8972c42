"""The bodies callers post, as types: what OpenAI's reference names, and what compatible servers add to it.

Owns: two depths of the same schema. The *view* depth types what every room may need and what a caller most often gets
wrong, and skips the rest of the bytes; the *whole* depth, for translation, adds everything the neutral chat can say.
Refuses: meaning. What a field stands for is said in `request`; a field that is not here is unknown.
Source: the chat, completions and embeddings pages of OpenAI's API reference.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

# Beyond any model's window, and small enough that prices times tokens stay in 64 bits.
Count: TypeAlias = Annotated[int, msgspec.Meta(le=2**31 - 1)]
Prompt: TypeAlias = str | list[str | int | list[int]]


class StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Sampling(msgspec.Struct, kw_only=True, gc=False):
    """What chat and completions share."""

    model: str
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: Count | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Count | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    user: str | None = None


# --- the view depth ----------------------------------------------------------------------------------------


class PartView(msgspec.Struct, gc=False):
    type: str
    text: str | None = None


class FunctionView(msgspec.Struct, gc=False):
    name: str
    arguments: str = ""


class CallView(msgspec.Struct, gc=False):
    """A custom tool's call has no `function`."""

    function: FunctionView | None = None


class MessageView(msgspec.Struct, gc=False):
    role: Literal["system", "user", "assistant", "tool", "developer", "function"]
    content: str | list[PartView] | None = None
    tool_calls: list[CallView] | None = None


class ToolView(msgspec.Struct, gc=False):
    type: str | None = None


class FormatView(msgspec.Struct, gc=False):
    type: str


class ChatView(Sampling, kw_only=True, gc=False):
    messages: list[MessageView]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    tools: list[ToolView] | None = None
    response_format: FormatView | None = None
    reasoning_effort: str | None = None


class CompletionView(Sampling, kw_only=True, gc=False):
    prompt: Prompt
    best_of: Count | None = None
    logprobs: Count | None = None


class EmbeddingBody(msgspec.Struct, kw_only=True, gc=False):
    """One depth is enough here."""

    model: str
    input: Prompt
    dimensions: Count | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


# --- the whole depth ---------------------------------------------------------------------------------------


class ImageUrl(msgspec.Struct):
    url: str
    detail: str | None = None


class FileBody(msgspec.Struct):
    file_data: str | None = None
    filename: str | None = None


class CacheControl(msgspec.Struct):
    """Not OpenAI's own: aggregators take Anthropic's cache marks on text parts."""

    type: str
    ttl: str | None = None


class PartBody(PartView):
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    file: FileBody | None = None
    cache_control: CacheControl | None = None


class FunctionBody(msgspec.Struct):
    name: str
    arguments: str = ""


class CallBody(msgspec.Struct):
    id: str | None = None
    type: str | None = None
    function: FunctionBody | None = None


class MessageBody(msgspec.Struct):
    role: Literal["system", "user", "assistant", "tool", "developer", "function"]
    content: str | list[PartBody] | None = None
    tool_calls: list[CallBody] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class ToolFunction(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolBody(msgspec.Struct):
    type: str | None = None
    function: ToolFunction | None = None


class Named(msgspec.Struct):
    name: str


class ChoiceBody(msgspec.Struct):
    type: str | None = None
    function: Named | None = None


class JsonSchema(msgspec.Struct):
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class FormatBody(msgspec.Struct):
    type: str
    json_schema: JsonSchema | None = None


class ReasoningBody(msgspec.Struct):
    """OpenRouter's form of `reasoning_effort`."""

    enabled: bool | None = None
    effort: str | None = None
    max_tokens: Count | None = None


class Extra(Sampling, kw_only=True):
    """Sampling fields OpenAI lacks and vLLM, llama.cpp and OpenRouter take; the two last ones are one thing."""

    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    repeat_penalty: float | None = None
    logit_bias: dict[str, float] | None = None


class ChatBody(Extra, kw_only=True):
    messages: list[MessageBody]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Count | None = None
    tools: list[ToolBody] | None = None
    tool_choice: ChoiceBody | str | None = None
    parallel_tool_calls: bool | None = None
    response_format: FormatBody | None = None
    reasoning_effort: str | None = None
    reasoning: ReasoningBody | None = None


class CompletionBody(Extra, kw_only=True):
    prompt: Prompt
    logprobs: Count | None = None


# Fields that change no word of the answer: translations carry them as hints, and list those they have to leave out.
HINTS = frozenset(
    {
        "metadata",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
    }
)

# Other formats have a field of this name with words of their own.
SERVICE_TIERS = frozenset({"auto", "default", "fast", "flex", "priority", "scale"})

# Values of otherwise unknown fields that ask for what happens anyway.
HARMLESS: dict[str, object] = {"best_of": 1, "echo": False, "modalities": ["text"], "suffix": ""}

_Shape: TypeAlias = type[msgspec.Struct]

_CHAT_PARTS: dict[str, _Shape] = {
    "messages": MessageBody,
    "tools": ToolBody,
    "tool_choice": ChoiceBody,
    "response_format": FormatBody,
    "reasoning": ReasoningBody,
    "stream_options": StreamOptions,
}

_INSIDE: dict[_Shape, dict[str, _Shape]] = {
    ChatBody: _CHAT_PARTS,
    CompletionBody: {"stream_options": StreamOptions},
    MessageBody: {"content": PartBody, "tool_calls": CallBody},
    PartBody: {"image_url": ImageUrl, "file": FileBody, "cache_control": CacheControl},
    CallBody: {"function": FunctionBody},
    ToolBody: {"function": ToolFunction},
    ChoiceBody: {"function": Named},
    FormatBody: {"json_schema": JsonSchema},
}


def list_strays(value: object, shape: _Shape, at: str = "") -> list[str]:
    """Paths of the fields that the whole depth does not know. A null says nothing, so it is no stray."""
    found: list[str] = []
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += list_strays(item, shape, f"{at}[{index}]")
    elif isinstance(value, dict):
        known, inside = shape.__struct_fields__, _INSIDE.get(shape, {})
        for name, inner in value.items():
            path = f"{at}.{name}" if at else name
            if name in inside:
                found += list_strays(inner, inside[name], path)
            elif name not in known and inner is not None:
                found.append(path)
    return found
