"""A neutral request written for a provider of this format.

Owns: saying everything the format can say, naming the field where it cannot, and listing what it leaves out.
Left out and listed: cache marks (providers of this format cache by themselves), the error flag of a tool result (its
words say it), thinking from earlier turns (DeepSeek refuses it, the others ignore it), the context window, the exact
number of a thinking budget, and other formats' hints.
Said although OpenAI itself lacks it: `top_k`, `min_p` and a repeat penalty, because vLLM, llama.cpp and OpenRouter take
them; for OpenAI's own model ids they are refused here.
Refuses: several choices, because their answers have no neutral form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from laneway.chat import (
    ChatRequest,
    Document,
    EmbedRequest,
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
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from laneway.dialects import Outgoing
from laneway.dialects.openai.schema import HINTS, SERVICE_TIERS
from laneway.failure import Kind, fail
from laneway.pictures import sniff_type, write_data_url
from laneway.thinking import USUAL, name_effort
from laneway.unsayable import SERIAL, unsayable
from laneway.wire.json import encode

# Ids may carry an aggregator's prefix (openai/gpt-5). gpt-oss is served by everybody else.
_OWN = re.compile(r"(?:^|/)(?:gpt-(?!oss)|chatgpt-|o\d)")
# Models that refuse `max_tokens`; compatible servers know no other name.
_RENAMED_LIMIT = re.compile(r"(?:^|/)(?:o\d|gpt-[5-9])")
# Models that serve /completions only. Every other one is asked as a chat: hosted chat models have no /completions.
_COMPLETES = re.compile(r"(?:^|/)(?:gpt-3\.5-turbo-instruct|davinci-002|babbage-002)")

_CHOICES = {ToolMode.AUTO: "auto", ToolMode.NONE: "none", ToolMode.ANY: "required"}


def write_request(request: ChatRequest, model: str) -> Outgoing:
    if request.unknown:
        raise unsayable(request.unknown[0])
    if request.choices is not None and request.choices != 1:
        raise unsayable("n")
    if request.op is Op.COMPLETE and _COMPLETES.search(model):
        return _Writing(request, model).write_completion()
    if request.op in (Op.CHAT, Op.COMPLETE):
        return _Writing(request, model).write_chat()
    raise unsayable("op")


class _Writing:
    """One request being written. `omitted` grows as listed omissions are made."""

    def __init__(self, request: ChatRequest, model: str) -> None:
        self._request = request
        self._model = model
        self._omitted: dict[str, None] = {}

    def write_chat(self) -> Outgoing:
        request = self._request
        body: dict[str, Any] = {"model": self._model, "messages": self._write_messages()}
        self._add_sampling(body)
        if request.logprobs is not None:
            body["logprobs"] = True
            if request.logprobs:
                body["top_logprobs"] = request.logprobs
        if request.tools:
            # Without tools OpenAI refuses the two other fields, and they say nothing.
            body["tools"] = self._write_tools()
            if request.tool_choice is not None:
                body["tool_choice"] = _write_choice(request.tool_choice)
            if request.parallel_tools is not None:
                body["parallel_tool_calls"] = request.parallel_tools
        if request.format is not None:
            body["response_format"] = _write_format(request.format)
        if request.reasoning is not None:
            self._add_reasoning(body, request.reasoning)
        return self._finish("/chat/completions", body)

    def write_completion(self) -> Outgoing:
        request = self._request
        for field in ("system", "tools", "format", "reasoning"):
            if getattr(request, field):
                raise unsayable(field)
        if len(request.messages) != 1 or any(type(part) is not Text for part in request.messages[0].parts):
            raise unsayable("messages")
        prompt = "".join(part.text for part in request.messages[0].parts if isinstance(part, Text))
        body: dict[str, Any] = {"model": self._model, "prompt": prompt}
        self._add_sampling(body)
        if request.logprobs is not None:
            body["logprobs"] = request.logprobs
        return self._finish("/completions", body)

    def _finish(self, path: str, body: dict[str, Any]) -> Outgoing:
        for name, value in self._request.hints.items():
            if _takes(name, value):
                body[name] = value
            elif name != SERIAL:
                self._omit(name)
        return Outgoing(path=path, body=encode(body), omitted=tuple(self._omitted))

    def _omit(self, name: str) -> None:
        self._omitted[name] = None

    def _add_sampling(self, body: dict[str, Any]) -> None:
        request = self._request
        limit = "max_completion_tokens" if _RENAMED_LIMIT.search(self._model) else "max_tokens"
        said = (
            (limit, request.max_tokens),
            ("temperature", request.temperature),
            ("top_p", request.top_p),
            ("seed", request.seed),
            ("presence_penalty", request.presence_penalty),
            ("frequency_penalty", request.frequency_penalty),
            ("n", request.choices),
            ("user", request.user),
        )
        body |= {name: value for name, value in said if value is not None}
        if request.stop:
            body["stop"] = list(request.stop)
        if request.logit_bias is not None:
            # OpenAI's reference wants integers.
            body["logit_bias"] = {
                token: int(bias) if bias.is_integer() else bias for token, bias in request.logit_bias.items()
            }
        for field in ("top_k", "min_p", "repeat_penalty"):
            value = getattr(request, field)
            if value is not None:
                if _OWN.search(self._model):
                    raise unsayable(field)
                body[field] = value
        if request.repeat_penalty is not None:
            # llama.cpp reads repeat_penalty; vLLM and OpenRouter call the same thing so.
            body["repetition_penalty"] = request.repeat_penalty
        if request.stream:
            body["stream"] = True
            # What was used has to be known whether or not the caller wants to see it.
            body["stream_options"] = {"include_usage": True}
        if request.window is not None:
            self._omit("window")

    def _add_reasoning(self, body: dict[str, Any], reasoning: Reasoning) -> None:
        effort = reasoning.effort
        if reasoning.enabled is False:
            effort = "none"
        elif effort is None and reasoning.budget is not None:
            effort = name_effort(reasoning.budget)
            self._omit("reasoning.budget")
        elif effort is None and reasoning.enabled:
            effort = USUAL
        if effort is not None:
            body["reasoning_effort"] = effort

    def _write_tools(self) -> list[dict[str, Any]]:
        written: list[dict[str, Any]] = []
        for tool in self._request.tools:
            said = (("description", tool.description), ("parameters", tool.schema), ("strict", tool.strict))
            function = {"name": tool.name, **{name: value for name, value in said if value is not None}}
            written.append({"type": "function", "function": function})
            if tool.cache is not None:
                self._omit("cache")
        return written

    # --- messages ------------------------------------------------------------------------------------------

    def _write_messages(self) -> list[dict[str, Any]]:
        written: list[dict[str, Any]] = []
        if self._request.system:
            # One message however many texts: many chat templates take a system message only once, at the top.
            written.append({"role": "system", "content": self._write_texts(self._request.system, "system")})
        for index, message in enumerate(self._request.messages):
            self._write_turn(written, message, f"messages[{index}]")
        return written

    def _write_turn(self, written: list[dict[str, Any]], message: Message, path: str) -> None:
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        others = [part for part in message.parts if not isinstance(part, ToolResult)]
        # Results come first: they have to follow the turn that called.
        written += [self._write_result(result, path) for result in results]
        if results and not others:
            return
        turn: dict[str, Any] = {"role": message.role.value}
        if message.name is not None:
            turn["name"] = message.name
        if message.role is Role.ASSISTANT:
            self._add_reply(turn, others, path)
        elif message.role is Role.SYSTEM:
            turn["content"] = self._write_texts(others, path)
        else:
            turn["content"] = self._write_parts(others, path)
        written.append(turn)

    def _add_reply(self, turn: dict[str, Any], parts: Sequence[Part], path: str) -> None:
        calls = [part for part in parts if isinstance(part, ToolCall)]
        if any(isinstance(part, Thinking) for part in parts):
            self._omit("thinking")
        said = [part for part in parts if not isinstance(part, ToolCall | Thinking)]
        turn["content"] = self._write_texts(said, path) if said or not calls else None
        if calls:
            turn["tool_calls"] = [self._write_call(call) for call in calls]

    def _write_call(self, call: ToolCall) -> dict[str, Any]:
        if call.cache is not None:
            self._omit("cache")
        # Servers parse the arguments, and an empty text is no JSON.
        function = {"name": call.name, "arguments": call.arguments or "{}"}
        return {"id": call.id, "type": "function", "function": function}

    def _write_result(self, result: ToolResult, path: str) -> dict[str, Any]:
        if result.is_error:
            self._omit("is_error")
        if result.cache is not None:
            self._omit("cache")
        written: dict[str, Any] = {"role": "tool", "tool_call_id": result.call_id}
        if result.name is not None:
            written["name"] = result.name
        written["content"] = self._write_texts(result.parts, f"{path}.tool_result")
        return written

    def _write_texts(self, parts: Sequence[Part], path: str) -> str | list[dict[str, Any]]:
        """The content of a turn that may hold nothing but words."""
        for part in parts:
            if type(part) is not Text:
                raise unsayable(f"{path}.{_name(part)}")
        return self._write_parts(parts, path)

    def _write_parts(self, parts: Sequence[Part], path: str) -> str | list[dict[str, Any]]:
        if not parts:
            return ""
        written = [self._write_part(part, path) for part in parts]
        # A plain string is what every server takes.
        return str(written[0]["text"]) if len(written) == 1 and "text" in written[0] else written

    def _write_part(self, part: Part, path: str) -> dict[str, Any]:
        if isinstance(part, Text | Image | Document) and part.cache is not None:
            self._omit("cache")
        if isinstance(part, Text):
            return {"type": "text", "text": part.text}
        if isinstance(part, Image):
            url = part.url
            if part.data is not None:
                media_type = part.media_type or sniff_type(part.data)
                if media_type is None:
                    message = f"{path}: the picture's format is not known; send PNG, JPEG, GIF or WebP as base64."
                    raise fail(Kind.UNSUPPORTED, message, field=f"{path}.image.media_type")
                url = write_data_url(media_type, part.data)
            image = {"url": url} if part.detail is None else {"url": url, "detail": part.detail}
            return {"type": "image_url", "image_url": image}
        if isinstance(part, Document):
            file = {"file_data": write_data_url(part.media_type, part.data)}
            return {"type": "file", "file": file if part.name is None else {"filename": part.name, **file}}
        raise unsayable(f"{path}.{_name(part)}")


def _takes(name: str, hint: Json) -> bool:
    return name in HINTS and (name != "service_tier" or (isinstance(hint, str) and hint in SERVICE_TIERS))


def _name(part: Part) -> str:
    return str(type(part).__struct_config__.tag)


def _write_choice(choice: ToolChoice) -> object:
    if choice.mode is ToolMode.ONE:
        return {"type": "function", "function": {"name": choice.name}}
    return _CHOICES[choice.mode]


def _write_format(form: Format) -> dict[str, Any]:
    if form.schema is None:
        return {"type": "json_object"}
    # OpenAI demands a name; callers of other formats have none to give.
    schema: dict[str, Any] = {"name": form.name or "answer", "schema": form.schema}
    if form.strict is not None:
        schema["strict"] = form.strict
    return {"type": "json_schema", "json_schema": schema}


def write_embed_request(request: EmbedRequest, model: str) -> Outgoing:
    """`truncate` has no field here and is listed; what is too long is the provider's own error."""
    if request.unknown:
        raise unsayable(request.unknown[0])
    body: dict[str, Any] = {"model": model, "input": list(request.texts or request.tokens)}
    said = (("dimensions", request.dimensions), ("encoding_format", request.encoding), ("user", request.user))
    body |= {name: value for name, value in said if value is not None}
    omitted = [] if request.truncate is None else ["truncate"]
    for name, hint in request.hints.items():
        if _takes(name, hint):
            body[name] = hint
        else:
            omitted.append(name)
    return Outgoing(path="/embeddings", body=encode(body), omitted=tuple(omitted))
