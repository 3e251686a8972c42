"""The neutral conversation written as a request to Bedrock.

Owns: what Converse cannot say, which is either UNSUPPORTED with the field's name in OpenAI's words, or harmless and
listed in `Outgoing.omitted`; what the families of models call things the format itself has no word for; and the path,
which holds the model.
Refuses: to invent. JSON without a schema is not imitated with a forced tool, and words are moved (system messages
after the first turn go into `system`) but never dropped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from laneway.calls import fit_id, replay_arguments
from laneway.chat import (
    ChatRequest,
    Document,
    Format,
    Image,
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
from laneway.dialects.converse import family
from laneway.dialects.converse.request import DOCUMENT_TYPES
from laneway.failure import Kind, fail
from laneway.pictures import sniff_type
from laneway.thinking import is_signed
from laneway.unsayable import must_call_once, refuse_settings, unsayable
from laneway.wire.json import encode

_FORMATS = {media_type: name for name, media_type in DOCUMENT_TYPES.items()}
_PICTURES = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp", "image/jpg": "jpeg"}
_SERVICE_TIERS = frozenset(("priority", "default", "flex", "reserved"))
_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
# The characters a document's name may have (botocore's model of DocumentBlock says which).
_NO_NAME = re.compile(r"[^a-zA-Z0-9\s()\[\]-]+")

Wire = dict[str, Any]


def path(model: str, verb: str) -> str:
    """The model is one segment: `:` and `/` of ids and ARNs are encoded, once, as botocore signs them."""
    return f"/model/{quote(model, safe='')}/{verb}"


def write_request(request: ChatRequest, model: str) -> Outgoing:
    if request.op is Op.COUNT:
        raise fail(Kind.UNSUPPORTED, "Counting tokens is not asked of Bedrock.", field="model")
    omitted: list[str] = []
    _refuse(request)
    # Best effort by its own definition, the provider's to choose, and a label: none changes what was asked.
    harmless = (("seed", request.seed), ("num_ctx", request.window), ("user", request.user))
    omitted += [name for name, value in harmless if value is not None]
    writer = _Turns(omitted)
    writer.add_system(request.system)
    for index, message in enumerate(request.messages):
        writer.add(index, message.role, message.parts)
        if message.name is not None:
            omitted.append(f"messages[{index}].name")
    if not writer.turns:
        raise fail(Kind.UNSUPPORTED, "This provider needs a user turn; the request has none.", field="messages")
    said: Wire = {"messages": writer.messages()}
    if writer.system:
        said["system"] = writer.system
    if settings := _write_settings(request):
        said["inferenceConfig"] = settings
    _write_tools(request, said, omitted)
    if request.format is not None:
        _write_format(request.format, said, omitted)
    family.write_extras(request, model, said, omitted)
    _write_hints(request, said, omitted)
    verb = "converse-stream" if request.stream else "converse"
    return Outgoing(path(model, verb), encode(said), omitted=tuple(dict.fromkeys(omitted)))


def _refuse(request: ChatRequest) -> None:
    refuse_settings(request)
    if request.tools and must_call_once(request):
        raise unsayable("parallel_tool_calls")


# --- turns -------------------------------------------------------------------------------------------------


class _Turns:
    """Messages of one role in a row become one turn, in their order."""

    def __init__(self, omitted: list[str]) -> None:
        # Role, tool results, everything else: results answer the calls of the turn before and stand first.
        self.turns: list[tuple[str, list[Wire], list[Wire]]] = []
        self.system: list[Wire] = []
        self._omitted = omitted
        self._names: set[str] = set()

    def add_system(self, parts: Sequence[Text]) -> None:
        for part in parts:
            if part.text:
                self.system += _cached({"text": part.text}, part.cache)

    def add(self, index: int, role: Role, parts: Sequence[Part]) -> None:
        if role is Role.SYSTEM:
            # Only a few models take a system turn after the first one.
            self._omitted.append(f"messages[{index}].role")
            for at, part in enumerate(parts):
                if type(part) is not Text:
                    raise unsayable(f"messages[{index}].content[{at}]")
                self.add_system((part,))
            return
        results: list[Wire] = []
        blocks = self._write_parts(f"messages[{index}]", parts, results)
        if not results and not blocks:
            return
        if not self.turns or self.turns[-1][0] != role.value:
            self.turns.append((role.value, [], []))
        _, held, rest = self.turns[-1]
        held += results
        rest += blocks

    def messages(self) -> list[Wire]:
        return [{"role": role, "content": results + blocks} for role, results, blocks in self.turns]

    def _write_parts(self, place: str, parts: Sequence[Part], results: list[Wire]) -> list[Wire]:
        blocks: list[Wire] = []
        wordless = all(type(part) is Text and not part.text.strip() for part in parts)
        for at, part in enumerate(parts):
            path = f"{place}.content[{at}]"
            if type(part) is Text:
                # Bedrock refuses blank text; beside other parts there are no words in it to lose.
                if part.text and (wordless or part.text.strip()):
                    blocks += _cached({"text": part.text}, part.cache)
            elif type(part) is Thinking:
                blocks += self._write_thinking(part, place)
            elif type(part) is ToolCall:
                blocks += _write_call(part, path)
            elif type(part) is ToolResult:
                results += self._write_result(part, path)
            elif type(part) is Image:
                blocks += self._write_image(part, path)
            elif type(part) is Document:
                blocks += self._write_document(part, path)
        return blocks

    def _write_thinking(self, part: Thinking, place: str) -> list[Wire]:
        if part.redacted is not None:
            return [{"reasoningContent": {"redactedContent": part.redacted}}]
        if is_signed(part.signature):
            said = {"text": part.text, "signature": part.signature}
            return [{"reasoningContent": {"reasoningText": said}}]
        # Unsigned thinking was another provider's, and the models that check it refuse it.
        self._omitted.append(f"{place}.reasoning_content")
        return []

    def _write_image(self, part: Image, path: str) -> list[Wire]:
        if part.detail not in (None, "auto"):
            self._omitted.append(f"{path}.image_url.detail")
        if part.data is None:
            raise fail(
                Kind.UNSUPPORTED,
                f"{path}: this provider does not fetch pictures; send the picture itself, as base64.",
                field=f"{path}.image_url.url",
            )
        name = _PICTURES.get(part.media_type or "") or _PICTURES.get(sniff_type(part.data) or "")
        if name is None:
            raise fail(Kind.UNSUPPORTED, f"{path}: this provider takes PNG, JPEG, GIF and WebP pictures.", field=path)
        return _cached({"image": {"format": name, "source": {"bytes": part.data}}}, part.cache)

    def _write_result(self, part: ToolResult, path: str) -> list[Wire]:
        content = self._write_parts(path, part.parts, [])
        if any("cachePoint" in block for block in content):
            # There is no place for a mark inside a result, and none is needed to be understood.
            self._omitted.append(f"{path}.content.cache_control")
            content = [block for block in content if "cachePoint" not in block]
        said: Wire = {"toolUseId": _write_id(part.call_id), "content": content}
        if part.is_error:
            said["status"] = "error"
        return _cached({"toolResult": said}, part.cache)

    def _write_document(self, part: Document, path: str) -> list[Wire]:
        name = _FORMATS.get(part.media_type.partition(";")[0].strip())
        if name is None:
            raise fail(Kind.UNSUPPORTED, f"{path}: this provider does not read {part.media_type}.", field=path)
        said = {"format": name, "name": self._name(part.name), "source": {"bytes": part.data}}
        return _cached({"document": said}, part.cache)

    def _name(self, given: str | None) -> str:
        """A name Bedrock takes: few characters, no two spaces in a row, and no other document of that name."""
        base = " ".join(_NO_NAME.sub("-", given or "").split())[:190] or "document"
        name, count = base, 1
        while name in self._names:
            count += 1
            name = f"{base} {count}"
        self._names.add(name)
        return name


def _cached(block: Wire, cache: str | None) -> list[Wire]:
    if cache is None:
        return [block]
    # Five minutes is what saying no time means, and older models know no other.
    point = {"type": "default"} if cache == "5m" else {"type": "default", "ttl": cache}
    return [block, {"cachePoint": point}]


def _write_call(part: ToolCall, path: str) -> list[Wire]:
    arguments = replay_arguments(part, f"{path}.function.arguments")
    said = {"toolUseId": _write_id(part.id), "name": part.name, "input": arguments}
    return _cached({"toolUse": said}, part.cache)


def _write_id(call_id: str) -> str:
    """Ids of other providers' calls may be longer, or hold other characters, than Bedrock's pattern allows."""
    return fit_id(call_id, _ID, "tooluse_")


# --- settings ----------------------------------------------------------------------------------------------


def _write_settings(request: ChatRequest) -> Wire:
    said: Wire = {
        "maxTokens": request.max_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "stopSequences": request.stop or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def _write_tools(request: ChatRequest, said: Wire, omitted: list[str]) -> None:
    choice = request.tool_choice
    mode = choice.mode if choice else None
    if not request.tools:
        return
    if mode is ToolMode.NONE:
        # The format cannot say "none". Without tools none can be called, but a history of calls needs them described.
        if any(isinstance(part, ToolCall | ToolResult) for message in request.messages for part in message.parts):
            raise unsayable("tool_choice")
        omitted.append("tools")
        return
    tools: list[Wire] = []
    for tool in request.tools:
        tools += _cached(_write_tool(tool), tool.cache)
    config: Wire = {"tools": tools}
    if choice is not None:
        named = {"tool": {"name": choice.name}}
        config["toolChoice"] = named if mode is ToolMode.ONE else {"any" if mode is ToolMode.ANY else "auto": {}}
    said["toolConfig"] = config


def _write_tool(tool: Tool) -> Wire:
    spec: Wire = {"name": tool.name}
    # An empty description is refused.
    if tool.description:
        spec["description"] = tool.description
    shape: object = {"type": "object", "properties": {}} if tool.schema is None else tool.schema
    spec["inputSchema"] = {"json": shape}
    if tool.strict is not None:
        spec["strict"] = tool.strict
    return {"toolSpec": spec}


def _write_format(shape: Format, said: Wire, omitted: list[str]) -> None:
    # Here a schema is a string of JSON (https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html).
    wire = {"schema": encode(shape.schema).decode()}
    if shape.name is not None:
        wire["name"] = shape.name
    said["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": wire}}}
    if shape.strict is False:
        omitted.append("response_format.json_schema.strict")


def _write_hints(request: ChatRequest, said: Wire, omitted: list[str]) -> None:
    for name, hint in request.hints.items():
        if name == "service_tier" and isinstance(hint, str) and hint in _SERVICE_TIERS:
            said["serviceTier"] = {"type": hint}
        elif name in ("performanceConfig", "requestMetadata") and isinstance(hint, dict):
            said[name] = hint
        else:
            omitted.append(name)
