"""A neutral request written for a provider of this format.

Owns: saying everything the format can say, naming the field where it cannot, and listing what it leaves out.
Left out and listed: cache marks (its providers cache by themselves), the error flag of a tool result (its words say
it), thoughts that no model behind this format sealed, a seed (best effort by definition), the context window, the
exact number of a thinking budget, names of speakers, and other formats' hints.
Refuses: to have anything stored that nobody asked to store, and stop sequences and sampling that the format lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from laneway.chat import (
    ChatRequest,
    Document,
    Image,
    Json,
    Message,
    Op,
    Part,
    Reasoning,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from laneway.dialects import Outgoing
from laneway.dialects.responses import schema
from laneway.dialects.responses.items import write_reasoning, write_seal
from laneway.dialects.responses.response import write_choice, write_format, write_tools
from laneway.dialects.responses.tools import is_free, own_tools, read_arguments, split_name
from laneway.failure import Kind, fail
from laneway.pictures import sniff_type, write_data_url
from laneway.thinking import ENCRYPTED, USUAL, name_effort
from laneway.unsayable import SERIAL, unsayable
from laneway.wire.json import encode

Wire = dict[str, Any]


def write_request(request: ChatRequest, model: str) -> Outgoing:
    _refuse(request)
    return _Writing(request, model).write()


def _refuse(request: ChatRequest) -> None:
    if request.unknown:
        raise unsayable(request.unknown[0])
    if request.op is Op.COUNT:
        raise unsayable("op")
    wanted = {
        "n": request.choices not in (None, 1),
        "stop": request.stop,
        "top_k": request.top_k is not None,
        "min_p": request.min_p,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "repeat_penalty": request.repeat_penalty not in (None, 1),
        "logit_bias": request.logit_bias,
    }
    for field, said in wanted.items():
        if said:
            raise unsayable(field)


class _Writing:
    """One request being written. `omitted` grows as listed omissions are made."""

    def __init__(self, request: ChatRequest, model: str) -> None:
        self._request = request
        self._model = model
        self._own = own_tools(request)
        # A result is told as its call was, which stands before it.
        self._free_calls: set[str] = set()
        self._omitted: dict[str, None] = {}

    def write(self) -> Outgoing:
        request = self._request
        body: Wire = {"model": self._model}
        items: list[Wire] = []
        if len(request.system) == 1 and request.system[0].text:
            body["instructions"] = self._said(request.system[0])
        elif request.system:
            items.append({"role": "system", "content": self._write_texts(request.system, "system", "input_text")})
        for index, message in enumerate(request.messages):
            self._write_turn(items, message, f"messages[{index}]")
        body["input"] = items
        self._add_settings(body)
        if request.tools:
            body["tools"] = write_tools(request.tools)
            if any(tool.cache is not None for tool in request.tools):
                self._omit("cache")
            if request.tool_choice is not None:
                body["tool_choice"] = write_choice(request.tool_choice, request.tools)
            if request.parallel_tools is not None:
                body["parallel_tool_calls"] = request.parallel_tools
        if request.format is not None:
            body["text"] = {"format": write_format(request)}
        if request.reasoning is not None:
            self._add_reasoning(body, request.reasoning)
        for name, hint in request.hints.items():
            self._add_hint(body, name, hint)
        return Outgoing("/responses", encode(body), omitted=tuple(self._omitted))

    def _omit(self, name: str) -> None:
        self._omitted[name] = None

    def _add_settings(self, body: Wire) -> None:
        request = self._request
        said = (
            ("max_output_tokens", request.max_tokens),
            ("temperature", request.temperature),
            ("top_p", request.top_p),
            ("user", request.user),
        )
        body |= {name: value for name, value in said if value is not None}
        if request.stream:
            body["stream"] = True
        # Unsaid, the provider would keep what was said for a month.
        body["store"] = False
        if request.logprobs is not None:
            body["include"] = [schema.LOGPROBS]
            if request.logprobs:
                body["top_logprobs"] = request.logprobs
        for name, value in (("seed", request.seed), ("window", request.window)):
            if value is not None:
                self._omit(name)

    def _add_reasoning(self, body: Wire, reasoning: Reasoning) -> None:
        effort = reasoning.effort
        if reasoning.enabled is False:
            effort = "none"
        elif effort is None and reasoning.budget is not None:
            effort = name_effort(reasoning.budget)
            self._omit("reasoning.budget")
        elif effort is None and reasoning.enabled:
            effort = USUAL
        if effort is not None:
            body["reasoning"] = {"effort": effort}
        if effort not in (None, "none"):
            # What is not stored can only be gone on from where it is told; models that do not reason refuse the wish.
            body.setdefault("include", []).append(schema.ENCRYPTED)

    def _add_hint(self, body: Wire, name: str, hint: Json) -> None:
        if name == "text.verbosity":
            body.setdefault("text", {})["verbosity"] = hint
        elif name in ("reasoning.summary", "reasoning.context"):
            body.setdefault("reasoning", {})[name.removeprefix("reasoning.")] = hint
        elif name in ("text.format.description", SERIAL) or name.startswith("tools["):
            # Said in its own place.
            return
        elif name in schema.HINTS and (name != "service_tier" or hint in schema.SERVICE_TIERS):
            body[name] = hint
        else:
            self._omit(name)

    # --- items ---------------------------------------------------------------------------------------------

    def _write_turn(self, items: list[Wire], message: Message, path: str) -> None:
        if message.name is not None:
            self._omit(f"{path}.name")
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        items += [self._write_result(result, path) for result in results]
        others = [part for part in message.parts if not isinstance(part, ToolResult)]
        if message.role is Role.ASSISTANT:
            self._write_reply(items, others, path)
        elif others or not results:
            content = (
                self._write_texts(others, path, "input_text")
                if message.role is Role.SYSTEM
                else self._write_parts(others, path)
            )
            items.append({"role": message.role.value, "content": content})

    def _write_reply(self, items: list[Wire], parts: Sequence[Part], path: str) -> None:
        """What a model said in one go is several items here."""
        words: list[Part] = []
        for part in (*parts, None):
            if isinstance(part, Text):
                words.append(part)
                continue
            if words:
                content = self._write_texts(words, path, "output_text")
                items.append({"type": "message", "role": "assistant", "content": content})
                words = []
            if isinstance(part, Thinking):
                items += self._write_thinking(part)
            elif isinstance(part, ToolCall):
                items.append(self._write_call(part))
            elif part is not None:
                raise unsayable(f"{path}.{_name(part)}")
        if not parts:
            items.append({"role": "assistant", "content": ""})

    def _write_thinking(self, part: Thinking) -> list[Wire]:
        if part.signature is None or not part.signature.startswith(ENCRYPTED):
            # Only what a model behind this format sealed is taken back by one.
            self._omit("thinking")
            return []
        texts = [part.text] if part.text else []
        written = write_reasoning("", texts, write_seal(part.signature, None))
        # A name stands for what is stored, and this is told.
        del written["id"]
        return [written]

    def _write_call(self, call: ToolCall) -> Wire:
        if call.cache is not None:
            self._omit("cache")
        tool = self._own.get(call.name)
        space, name = split_name(tool, call.name)
        said = {"call_id": call.id, "name": name, **({"namespace": space} if space else {})}
        if is_free(tool):
            self._free_calls.add(call.id)
            return {"type": "custom_tool_call", **said, "input": read_arguments(call.arguments)}
        # Servers parse the arguments, and an empty text is no JSON.
        return {"type": "function_call", **said, "arguments": call.arguments or "{}"}

    def _write_result(self, result: ToolResult, path: str) -> Wire:
        if result.is_error:
            self._omit("is_error")
        if result.cache is not None:
            self._omit("cache")
        kind = "custom_tool_call_output" if result.call_id in self._free_calls else "function_call_output"
        output = self._write_parts(result.parts, f"{path}.tool_result")
        return {"type": kind, "call_id": result.call_id, "output": output}

    def _said(self, part: Text) -> str:
        if part.cache is not None:
            self._omit("cache")
        return part.text

    def _write_texts(self, parts: Sequence[Part], path: str, kind: str) -> str | list[Wire]:
        """The content of a turn that may hold nothing but words."""
        for part in parts:
            if type(part) is not Text:
                raise unsayable(f"{path}.{_name(part)}")
        written = [{"type": kind, "text": self._said(part)} for part in parts if isinstance(part, Text)]
        return _shorten(written)

    def _write_parts(self, parts: Sequence[Part], path: str) -> str | list[Wire]:
        return _shorten([self._write_part(part, path) for part in parts])

    def _write_part(self, part: Part, path: str) -> Wire:
        if isinstance(part, Text):
            return {"type": "input_text", "text": self._said(part)}
        if isinstance(part, Image | Document) and part.cache is not None:
            self._omit("cache")
        if isinstance(part, Image):
            url = part.url
            if part.data is not None:
                media_type = part.media_type or sniff_type(part.data)
                if media_type is None:
                    message = f"{path}: the picture's format is not known; send PNG, JPEG, GIF or WebP as base64."
                    raise fail(Kind.UNSUPPORTED, message, field=f"{path}.image.media_type")
                url = write_data_url(media_type, part.data)
            detail = {} if part.detail is None else {"detail": part.detail}
            return {"type": "input_image", "image_url": url, **detail}
        if isinstance(part, Document):
            named = {} if part.name is None else {"filename": part.name}
            return {"type": "input_file", **named, "file_data": write_data_url(part.media_type, part.data)}
        raise unsayable(f"{path}.{_name(part)}")


def _shorten(parts: list[Wire]) -> str | list[Wire]:
    """A plain string is what every server takes."""
    if not parts:
        return ""
    return str(parts[0]["text"]) if len(parts) == 1 and "text" in parts[0] else parts


def _name(part: Part) -> str:
    return str(type(part).__struct_config__.tag)
