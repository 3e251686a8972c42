"""The neutral conversation written as a request to Anthropic.

Owns: what Messages cannot say, which is either UNSUPPORTED with the field's name in OpenAI's words, or harmless and
listed in `Outgoing.omitted`; and the shape it wants of turns (user and assistant in alternation, results before words).
Refuses: to invent. JSON without a schema is not imitated with a forced tool, and words are moved (system messages
after the first turn go into `system`) but never dropped.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

from laneway.calls import fit_id, replay_arguments
from laneway.chat import (
    ChatRequest,
    Document,
    Format,
    Image,
    Json,
    Op,
    Part,
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
from laneway.pictures import sniff_type
from laneway.thinking import ANSWER_TOKENS, BUDGETS, USUAL, fit_budget, is_signed, map_efforts, takes_budget_only
from laneway.unsayable import SERIAL, refuse_settings, unsayable
from laneway.wire.json import encode

_EFFORTS = map_efforts("low", "medium", "high", "xhigh", "max")
_SERVICE_TIERS = frozenset(("auto", "standard_only"))
_ID = re.compile(r"[a-zA-Z0-9_-]+")


def write_request(request: ChatRequest, model: str) -> Outgoing:
    omitted: list[str] = []
    refuse_settings(request)
    # Best effort by its own definition, and a window is the provider's to choose: neither changes what was asked.
    omitted += [name for name, said in (("seed", request.seed), ("num_ctx", request.window)) if said is not None]
    writer = _Turns(omitted)
    for part in request.system:
        writer.add_system(part)
    for index, message in enumerate(request.messages):
        writer.add(index, message.role, message.parts)
        if message.name is not None:
            omitted.append(f"messages[{index}].name")
    if not writer.turns:
        raise fail(Kind.UNSUPPORTED, "This provider needs a user turn; the request has none.", field="messages")
    said: dict[str, Any] = {"model": model}
    if request.op is not Op.COUNT:
        # Messages must say how long an answer may be.
        said["max_tokens"] = ANSWER_TOKENS if request.max_tokens is None else request.max_tokens
    said["messages"] = [{"role": role, "content": _shorten(blocks)} for role, blocks in writer.turns]
    if writer.system:
        said["system"] = _shorten(writer.system)
    _write_tools(request, said)
    _write_thinking(request, model, said, omitted)
    if request.format is not None:
        _write_format(request.format, said, omitted)
    if request.op is Op.COUNT:
        return Outgoing("/v1/messages/count_tokens", encode(said), omitted=tuple(dict.fromkeys(omitted)))
    _write_settings(request, said, omitted)
    return Outgoing("/v1/messages", encode(said), omitted=tuple(dict.fromkeys(omitted)))


# --- turns -------------------------------------------------------------------------------------------------

Wire = dict[str, Any]


class _Turns:
    """Messages of one role in a row become one turn, in their order."""

    def __init__(self, omitted: list[str]) -> None:
        self.turns: list[tuple[str, list[Wire]]] = []
        self.system: list[Wire] = []
        self._omitted = omitted

    def add_system(self, part: Text) -> None:
        if part.text:
            self.system.append(_write_text(part))

    def add(self, index: int, role: Role, parts: Sequence[Part]) -> None:
        if role is Role.SYSTEM:
            # Only a few models take a system turn after the first one
            # (https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages).
            self._omitted.append(f"messages[{index}].role")
            for at, part in enumerate(parts):
                if type(part) is not Text:
                    raise unsayable(f"messages[{index}].content[{at}]")
                self.add_system(part)
            return
        blocks = self._write_parts(f"messages[{index}]", parts)
        if not blocks:
            return
        if self.turns and self.turns[-1][0] == role.value:
            self.turns[-1][1].extend(blocks)
        else:
            self.turns.append((role.value, blocks))
        # Results answer the calls of the turn before and stand first, whatever else the user says
        # (https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use).
        if role is Role.USER:
            self.turns[-1][1].sort(key=lambda block: block["type"] != "tool_result")

    def _write_parts(self, place: str, parts: Sequence[Part]) -> list[Wire]:
        blocks: list[Wire] = []
        wordless = all(type(part) is Text and not part.text.strip() for part in parts)
        for at, part in enumerate(parts):
            path = f"{place}.content[{at}]"
            if type(part) is Text:
                # Anthropic refuses blank text; beside other parts there are no words in it to lose.
                if part.text and (wordless or part.text.strip()):
                    blocks.append(_write_text(part))
            elif type(part) is Thinking:
                if part.redacted is not None:
                    blocks.append({"type": "redacted_thinking", "data": part.redacted})
                elif is_signed(part.signature):
                    blocks.append({"type": "thinking", "thinking": part.text, "signature": part.signature})
                else:
                    # Thinking of another provider's model: Anthropic takes back only what it signed.
                    self._omitted.append(f"{place}.reasoning_content")
            elif type(part) is ToolCall:
                blocks.append(_write_call(part, path))
            elif type(part) is ToolResult:
                blocks.append(self._write_result(part, path))
            elif type(part) is Image:
                blocks.append(self._write_image(part, path))
            elif type(part) is Document:
                blocks.append(_write_document(part, path))
        return blocks

    def _write_image(self, part: Image, path: str) -> Wire:
        if part.detail not in (None, "auto"):
            self._omitted.append(f"{path}.image_url.detail")
        if part.data is None:
            source: Wire = {"type": "url", "url": part.url}
        else:
            media_type = part.media_type or sniff_type(part.data)
            if media_type is None:
                raise fail(Kind.UNSUPPORTED, f"{path}: the picture's format is not known.", field=path)
            source = {"type": "base64", "media_type": media_type, "data": part.data}
        return _cached({"type": "image", "source": source}, part.cache)

    def _write_result(self, part: ToolResult, path: str) -> Wire:
        block: Wire = {"type": "tool_result", "tool_use_id": _write_id(part.call_id)}
        blocks = self._write_parts(path, part.parts)
        if blocks:
            block["content"] = _shorten(blocks)
        if part.is_error:
            block["is_error"] = True
        return _cached(block, part.cache)


def _cached(block: Wire, cache: str | None) -> Wire:
    if cache is not None:
        # Five minutes is what saying no time means.
        block["cache_control"] = {"type": "ephemeral"} if cache == "5m" else {"type": "ephemeral", "ttl": cache}
    return block


def _write_text(part: Text) -> Wire:
    return _cached({"type": "text", "text": part.text}, part.cache)


def _shorten(blocks: list[Wire]) -> str | list[Wire]:
    """The short form, for plain words without a mark."""
    if len(blocks) == 1 and blocks[0]["type"] == "text" and len(blocks[0]) == 2:
        return str(blocks[0]["text"])
    return blocks


def _write_call(part: ToolCall, path: str) -> Wire:
    arguments = replay_arguments(part, f"{path}.function.arguments")
    block = {"type": "tool_use", "id": _write_id(part.id), "name": part.name, "input": arguments}
    return _cached(block, part.cache)


def _write_id(call_id: str) -> str:
    """Ids of other providers' calls may hold characters, or none at all, that Anthropic's pattern refuses."""
    return fit_id(call_id, _ID, "toolu_")


def _write_document(part: Document, path: str) -> Wire:
    if part.media_type == "application/pdf":
        source = {"type": "base64", "media_type": part.media_type, "data": part.data}
    elif part.media_type == "text/plain":
        try:
            words = b64decode(part.data, validate=True).decode()
        except ValueError:
            raise fail(Kind.UNSUPPORTED, f"{path}: the document is not base64 of UTF-8 text.", field=path) from None
        source = {"type": "text", "media_type": part.media_type, "data": words}
    else:
        raise fail(
            Kind.UNSUPPORTED,
            f"{path}: this provider reads PDF and plain text, not {part.media_type}.",
            field=path,
        )
    block: Wire = {"type": "document", "source": source}
    if part.name is not None:
        block["title"] = part.name
    return _cached(block, part.cache)


# --- settings ----------------------------------------------------------------------------------------------


def _write_tools(request: ChatRequest, said: Wire) -> None:
    if request.tools:
        said["tools"] = [_write_tool(tool) for tool in request.tools]
    choice = request.tool_choice
    mode = choice.mode if choice else None
    if not request.tools:
        return
    if mode is ToolMode.NONE:
        said["tool_choice"] = {"type": "none"}
        return
    wire: Wire = {"type": "tool" if mode is ToolMode.ONE else "any" if mode is ToolMode.ANY else "auto"}
    if choice and mode is ToolMode.ONE:
        wire["name"] = choice.name
    if request.parallel_tools is not None:
        wire["disable_parallel_tool_use"] = not request.parallel_tools
    if choice is not None or request.parallel_tools is not None:
        said["tool_choice"] = wire


def _write_tool(tool: Tool) -> Wire:
    wire: Wire = {"name": tool.name}
    if tool.description is not None:
        wire["description"] = tool.description
    wire["input_schema"] = {"type": "object", "properties": {}} if tool.schema is None else tool.schema
    if tool.strict is not None:
        wire["strict"] = tool.strict
    return _cached(wire, tool.cache)


def _write_thinking(request: ChatRequest, model: str, said: Wire, omitted: list[str]) -> None:
    reasoning = request.reasoning
    if reasoning is None:
        return
    if reasoning.enabled is False or reasoning.effort == "none":
        said["thinking"] = {"type": "disabled"}
        return
    effort = reasoning.effort
    if effort is not None and effort not in _EFFORTS:
        raise fail(
            Kind.UNSUPPORTED,
            f"This provider knows the efforts {', '.join(_EFFORTS)}, not this one.",
            field="reasoning_effort",
        )
    budget_only = takes_budget_only(model)
    if reasoning.budget is not None:
        said["thinking"] = {"type": "enabled", "budget_tokens": reasoning.budget}
        if budget_only and effort is not None:
            omitted.append("reasoning_effort")
    elif budget_only:
        budget = fit_budget(effort, request.max_tokens)
        if budget is None:
            omitted.append("reasoning_effort")
            return
        said["thinking"] = {"type": "enabled", "budget_tokens": budget}
    else:
        said["thinking"] = {"type": "adaptive"}
    if not budget_only and effort is not None:
        said["output_config"] = {"effort": _EFFORTS[effort]}
    if request.max_tokens is None and "max_tokens" in said:
        # Thinking counts towards `max_tokens`; a default must leave room for the answer.
        said["max_tokens"] += said["thinking"].get("budget_tokens", BUDGETS[effort or USUAL])
    display = request.hints.get("thinking.display")
    if display is not None:
        said["thinking"]["display"] = display


def _write_format(shape: Format, said: Wire, omitted: list[str]) -> None:
    # https://platform.claude.com/docs/en/build-with-claude/structured-outputs
    said.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": shape.schema}
    # A label only, and the schema is always kept to.
    if shape.name is not None:
        omitted.append("response_format.json_schema.name")
    if shape.strict is False:
        omitted.append("response_format.json_schema.strict")


def _write_settings(request: ChatRequest, said: Wire, omitted: list[str]) -> None:
    if request.stream:
        said["stream"] = True
    for name in ("temperature", "top_p", "top_k"):
        if (value := getattr(request, name)) is not None:
            said[name] = value
    if request.stop:
        said["stop_sequences"] = request.stop
    if request.user is not None:
        said["metadata"] = {"user_id": request.user}
    for name, hint in request.hints.items():
        if _knows(name, hint):
            said[name] = hint
        elif name not in ("thinking.display", SERIAL):
            omitted.append(name)


def _knows(name: str, hint: Json) -> bool:
    """Hints of other formats may have the name of one of ours and mean other values."""
    if name == "service_tier":
        return isinstance(hint, str) and hint in _SERVICE_TIERS
    return name == "cache_control" and isinstance(hint, dict)
