"""Neutral requests going out to an Ollama server.

Owns: writing /api/chat, /api/generate and /api/embed, and knowing what Ollama cannot say.
What would change the answer is refused as UNSUPPORTED with the field's name: several choices, logit bias, a forced
or single tool call, documents, pictures by url, token lists. What changes no word of it is left out and named in
`Outgoing.omitted`: `user`, `messages.name`, `cache`, `images.detail`, `thinking.signature`, `is_error`,
`tools.strict`, `format.name`, `format.strict`, `reasoning.effort` (mapped to the nearest), `reasoning.budget`,
and foreign hints.
Refuses: silence about either.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from laneway.calls import replay_arguments
from laneway.chat import (
    ChatRequest,
    Document,
    EmbedRequest,
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
    ToolMode,
    ToolResult,
)
from laneway.dialects import Outgoing
from laneway.failure import Kind, fail
from laneway.thinking import map_efforts
from laneway.unsayable import must_call_once, unsayable
from laneway.wire.json import encode

PATHS = {Op.CHAT: "/api/chat", Op.COMPLETE: "/api/generate", Op.EMBED: "/api/embed"}
_OWN_HINTS = frozenset(("keep_alive", "truncate", "shift"))
# docs/openapi.yaml, `think`: a level is low, medium or high (newer servers know max too).
_LEVELS = map_efforts("low", "medium", "high", "max")


def write_request(request: ChatRequest, model: str) -> Outgoing:
    """Raises FailureError UNSUPPORTED with the field's name."""
    _refuse(request)
    omitted: dict[str, None] = {}  # a set that keeps its order
    body: dict[str, Any] = {"model": model}
    prompt = _is_prompt(request)
    if prompt:
        _write_prompt(request, body, omitted)
    else:
        body["messages"] = _Turns(omitted).write(request)
        if request.tools:
            if request.tool_choice is not None and request.tool_choice.mode is ToolMode.NONE:
                # A model that is offered no tool calls none.
                omitted["tools"] = None
            else:
                body["tools"] = [_tool(tool, omitted) for tool in request.tools]
    body["stream"] = request.stream
    if options := _options(request):
        body["options"] = options
    if request.format is not None:
        body["format"] = "json" if request.format.schema is None else request.format.schema
        _omit(omitted, ("format.name", request.format.name), ("format.strict", request.format.strict))
    if request.reasoning is not None:
        _write_think(request.reasoning, body, omitted)
    if request.logprobs is not None:
        body["logprobs"] = True
        body["top_logprobs"] = request.logprobs
    _write_hints(request.hints, _OWN_HINTS, body, omitted)
    _omit(omitted, ("user", request.user))
    return Outgoing(PATHS[Op.COMPLETE if prompt else Op.CHAT], encode(body), omitted=tuple(omitted))


def _refuse(request: ChatRequest) -> None:
    if request.op is Op.COUNT:
        raise fail(Kind.UNSUPPORTED, "Ollama has no way to count tokens without answering.", field="model")
    if request.unknown:
        raise unsayable(request.unknown[0])
    if request.choices is not None and request.choices > 1:
        raise unsayable("choices", "it answers once; ask several times instead")
    if request.logit_bias:
        raise unsayable("logit_bias", "it has no such option")
    if request.tool_choice is not None and request.tool_choice.mode in (ToolMode.ANY, ToolMode.ONE):
        raise unsayable("tool_choice", "a model there decides itself whether to call a tool")
    if must_call_once(request):
        raise unsayable("parallel_tools", "a model there may always call several tools at once")


def _omit(omitted: dict[str, None], *named: tuple[str, object]) -> None:
    for name, value in named:
        if value is not None:
            omitted[name] = None


def _write_hints(
    hints: Mapping[str, Json], own: Collection[str], body: dict[str, Any], omitted: dict[str, None]
) -> None:
    for name, value in hints.items():
        if name in own:
            body[name] = value
        elif name.startswith("options."):
            body.setdefault("options", {})[name.removeprefix("options.")] = value
        else:
            omitted[name] = None


def _options(request: ChatRequest) -> dict[str, Any]:
    named = (
        ("temperature", request.temperature),
        ("top_k", request.top_k),
        ("top_p", request.top_p),
        ("min_p", request.min_p),
        ("num_predict", request.max_tokens),
        ("num_ctx", request.window),
        ("stop", request.stop or None),
        ("seed", request.seed),
        ("repeat_penalty", request.repeat_penalty),
        ("presence_penalty", request.presence_penalty),
        ("frequency_penalty", request.frequency_penalty),
    )
    return {name: value for name, value in named if value is not None}


def _write_think(reasoning: Reasoning, body: dict[str, Any], omitted: dict[str, None]) -> None:
    effort = reasoning.effort
    if reasoning.enabled is False or effort == "none":
        body["think"] = False
        return
    if effort is not None:
        level = _LEVELS.get(effort)
        body["think"] = level if level is not None else True
        if level != effort:
            omitted["reasoning.effort"] = None
    elif reasoning.enabled or reasoning.budget:
        body["think"] = True
    _omit(omitted, ("reasoning.budget", reasoning.budget))


def _tool(tool: Tool, omitted: dict[str, None]) -> dict[str, Any]:
    _omit(omitted, ("tools.strict", tool.strict), ("cache", tool.cache))
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.schema is not None:
        function["parameters"] = tool.schema
    return {"type": "function", "function": function}


def _is_prompt(request: ChatRequest) -> bool:
    """What /api/generate can carry: one prompt. A longer history, whatever the caller's path was, is a chat."""
    if request.op is not Op.COMPLETE or request.tools or len(request.messages) > 1:
        return False
    return all(
        message.role is Role.USER and all(isinstance(part, Text | Image) for part in message.parts)
        for message in request.messages
    )


def _write_prompt(request: ChatRequest, body: dict[str, Any], omitted: dict[str, None]) -> None:
    body["prompt"] = ""
    for turn in _Turns(omitted).write(request):
        if turn["role"] == "user":
            body["prompt"] = turn["content"]
            if "images" in turn:
                body["images"] = turn["images"]
    if request.system:
        body["system"] = "\n\n".join(text.text for text in request.system)


class _Turns:
    """Writes a history. A turn there is one text and its pictures; tool results are turns of their own."""

    def __init__(self, omitted: dict[str, None]) -> None:
        self._omitted = omitted
        self._names: dict[str, str] = {}

    def write(self, request: ChatRequest) -> list[dict[str, Any]]:
        turns: list[dict[str, Any]] = []
        for text in request.system:
            _omit(self._omitted, ("cache", text.cache))
            turns.append({"role": "system", "content": text.text})
        for index, message in enumerate(request.messages):
            _omit(self._omitted, ("messages.name", message.name))
            turns += self._message(message, f"messages[{index}]")
        return turns

    def _message(self, message: Message, place: str) -> Iterable[dict[str, Any]]:
        texts: list[str] = []
        turn: dict[str, Any] = {"role": message.role.value, "content": ""}
        results = []
        for nth, part in enumerate(message.parts):
            here = f"{place}.parts[{nth}]"
            _omit(self._omitted, ("cache", getattr(part, "cache", None)))
            if isinstance(part, Text):
                texts.append(part.text)
            elif isinstance(part, ToolResult):
                results.append(self._result(part, here))
            else:
                self._other(part, turn, here)
        yield from results
        turn["content"] = "\n".join(texts)
        if turn["content"] or len(turn) > 2 or not results:
            yield turn

    def _other(self, part: Part, turn: dict[str, Any], place: str) -> None:
        if isinstance(part, Image):
            turn.setdefault("images", []).append(self._image(part, place))
        elif isinstance(part, Thinking):
            _omit(self._omitted, ("thinking.signature", part.signature), ("thinking.redacted", part.redacted))
            if part.text:
                turn["thinking"] = turn.get("thinking", "") + part.text
        elif isinstance(part, ToolCall):
            calls = turn.setdefault("tool_calls", [])
            calls.append(self._call(part, len(calls), place))
        elif isinstance(part, Document):
            raise unsayable(place, "it reads no documents; send their text")

    def _image(self, image: Image, place: str) -> str:
        if image.data is None:
            raise unsayable(f"{place}.url", "it fetches no pictures; send the picture itself, base64-encoded")
        _omit(self._omitted, ("images.detail", image.detail))
        return image.data

    def _call(self, call: ToolCall, index: int, place: str) -> dict[str, Any]:
        self._names[call.id] = call.name
        arguments = pack(replay_arguments(call, f"{place}.arguments"))
        return {"id": call.id, "function": {"index": index, "name": call.name, "arguments": arguments}}

    def _result(self, result: ToolResult, place: str) -> dict[str, Any]:
        texts = [part.text for part in result.parts if isinstance(part, Text)]
        turn: dict[str, Any] = {"role": "tool", "content": "\n".join(texts), "tool_call_id": result.call_id}
        name = result.name or self._names.get(result.call_id)
        if name is not None:
            turn["tool_name"] = name
        if images := [self._image(part, place) for part in result.parts if isinstance(part, Image)]:
            turn["images"] = images
        if result.is_error:
            self._omitted["is_error"] = None
        return turn


def pack(arguments: msgspec.Raw) -> msgspec.Raw:
    """On one line, because a line is an event here."""
    return msgspec.Raw(msgspec.json.format(bytes(arguments), indent=-1))


# --- embeddings --------------------------------------------------------------------------------------------


def write_embed_request(request: EmbedRequest, model: str) -> Outgoing:
    """Raises FailureError UNSUPPORTED with the field's name."""
    if request.unknown:
        raise unsayable(request.unknown[0])
    if request.tokens:
        raise unsayable("tokens", "it embeds text, not token ids")
    omitted: dict[str, None] = {}
    body: dict[str, Any] = {"model": model}
    body["input"] = request.texts
    if request.truncate is not None:
        body["truncate"] = request.truncate
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    _write_hints(request.hints, ("keep_alive",), body, omitted)
    _omit(omitted, ("user", request.user))
    return Outgoing(PATHS[Op.EMBED], encode(body), omitted=tuple(omitted))
