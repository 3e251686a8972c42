"""A caller's request, read whole into the neutral conversation: for translation, never for bytes that pass.

Owns: what each field means, and the list of those that nothing neutral can say (`unknown`), which a writer refuses.
Refuses: defaults, and dropping anything: a field is meaning, a hint, harmless by its value, or listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

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
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from laneway.dialects.openai.schema import (
    HARMLESS,
    HINTS,
    CacheControl,
    ChatBody,
    ChoiceBody,
    CompletionBody,
    EmbeddingBody,
    Extra,
    FormatBody,
    ImageUrl,
    MessageBody,
    PartBody,
    Prompt,
    ToolBody,
    list_strays,
)
from laneway.dialects.openai.view import unknown_op
from laneway.failure import Kind, fail
from laneway.pictures import Carried, read_data_url
from laneway.wire.json import UNREADABLE, decode_any
from laneway.wire.malformed import malformed, missing

_Body = TypeVar("_Body", ChatBody, CompletionBody, EmbeddingBody)

_MODES = {"none": ToolMode.NONE, "auto": ToolMode.AUTO, "required": ToolMode.ANY}
_SPOKEN_BY = {
    "tool_calls": "assistant",
    "refusal": "assistant",
    "reasoning_content": "assistant",
    "reasoning": "assistant",
    "tool_call_id": "tool",
}


def read_request(op: Op, body: bytes) -> ChatRequest:
    if op is Op.CHAT:
        tree, asked = _read(body, ChatBody)
        return _Chat(tree, asked).read()
    if op is Op.COMPLETE:
        return _read_completion(*_read(body, CompletionBody))
    raise unknown_op(op)


def _read(body: bytes, shape: type[_Body]) -> tuple[dict[str, Any], _Body]:
    """The body parsed once: as it is, to see what is unknown, and typed; both share their strings."""
    try:
        tree = decode_any(body)
        asked = msgspec.convert(tree, shape)
    except UNREADABLE as error:
        raise malformed(error, body) from None
    if not asked.model:
        raise missing("model")
    return tree, asked


def _list_unknown(tree: dict[str, Any], shape: type[msgspec.Struct]) -> list[str]:
    return [
        path
        for path in list_strays(tree, shape)
        if path not in HINTS and not (path in HARMLESS and tree[path] == HARMLESS[path])
    ]


def _read_sampling(tree: dict[str, Any], asked: Extra) -> dict[str, Any]:
    """The fields that chat and completions share, under their neutral names."""
    options, limit = asked.stream_options, asked.max_tokens
    return {
        "model": asked.model,
        "stream": asked.stream is True,
        "stream_usage": options is not None and options.include_usage is True,
        # Some clients say "no limit" as -1.
        "max_tokens": None if limit is not None and limit < 0 else limit,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "top_k": asked.top_k,
        "min_p": asked.min_p,
        "stop": (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
        "seed": asked.seed,
        "presence_penalty": asked.presence_penalty,
        "frequency_penalty": asked.frequency_penalty,
        "repeat_penalty": asked.repeat_penalty if asked.repetition_penalty is None else asked.repetition_penalty,
        "choices": asked.n,
        "logit_bias": asked.logit_bias,
        "user": asked.user,
        "hints": _list_hints(tree),
    }


def _list_hints(tree: dict[str, Any]) -> dict[str, Json]:
    return {name: tree[name] for name in sorted(HINTS & tree.keys()) if tree[name] is not None}


class _Chat:
    """One chat body being read. `unknown` grows as places are found that have no neutral meaning."""

    def __init__(self, tree: dict[str, Any], asked: ChatBody) -> None:
        if not asked.messages:
            raise missing("messages")
        self._tree = tree
        self._asked = asked
        self._unknown = _list_unknown(tree, ChatBody)

    def read(self) -> ChatRequest:
        asked = self._asked
        shared = _read_sampling(self._tree, asked)
        if asked.max_completion_tokens is not None:
            shared["max_tokens"] = None if asked.max_completion_tokens < 0 else asked.max_completion_tokens
        system, first = self._read_system()
        return ChatRequest(
            messages=self._read_turns(first),
            system=system,
            logprobs=(asked.top_logprobs or 0) if asked.logprobs else None,
            tools=self._read_tools(asked.tools or ()),
            tool_choice=self._read_choice(asked.tool_choice),
            parallel_tools=asked.parallel_tool_calls,
            format=self._read_format(asked.response_format),
            reasoning=_read_reasoning(asked),
            unknown=tuple(self._unknown),
            **shared,
        )

    def _read_system(self) -> tuple[tuple[Text, ...], int]:
        """Instructions before the first turn, and where the first turn is."""
        texts: list[Text] = []
        for index, message in enumerate(self._asked.messages):
            if message.role not in ("system", "developer"):
                return tuple(texts), index
            self._look_for_misplaced(message, index)
            parts = self._read_content(message, index)
            texts += [part for part in parts if isinstance(part, Text)]
            if any(not isinstance(part, Text) for part in parts):
                self._unknown.append(f"messages[{index}].content")
            if message.name is not None:
                self._unknown.append(f"messages[{index}].name")
        return tuple(texts), len(self._asked.messages)

    def _read_turns(self, first: int) -> tuple[Message, ...]:
        turns: list[Message] = []
        results: list[Part] = []
        for index in range(first, len(self._asked.messages)):
            message = self._asked.messages[index]
            self._look_for_misplaced(message, index)
            if message.role == "tool":
                results.append(self._read_result(message, index))
                continue
            if results:
                turns.append(Message(Role.USER, tuple(results)))
                results = []
            turns.append(self._read_turn(message, index))
        if results:
            turns.append(Message(Role.USER, tuple(results)))
        return tuple(turns)

    def _look_for_misplaced(self, message: MessageBody, index: int) -> None:
        """What only one role says means nothing in another's message, and is not to be lost there."""
        for name, role in _SPOKEN_BY.items():
            if message.role != role and getattr(message, name):
                self._unknown.append(f"messages[{index}].{name}")

    def _read_turn(self, message: MessageBody, index: int) -> Message:
        parts = self._read_content(message, index)
        if message.role == "assistant":
            thought = message.reasoning_content or message.reasoning
            before: list[Part] = [Thinking(thought)] if thought else []
            refused: list[Part] = [Text(message.refusal)] if message.refusal else []
            return Message(Role.ASSISTANT, (*before, *parts, *refused, *self._read_calls(message, index)), message.name)
        if message.role == "function":
            # The legacy form has no call ids, and its caller expects a legacy answer.
            self._unknown.append(f"messages[{index}].role")
        role = Role.SYSTEM if message.role in ("system", "developer") else Role.USER
        return Message(role, tuple(parts), message.name)

    def _read_content(self, message: MessageBody, index: int) -> list[Part]:
        content = message.content
        if content is None:
            if message.role not in ("assistant", "function"):
                raise missing(f"messages[{index}].content")
            return []
        if isinstance(content, str):
            return [Text(content)] if content else []
        paths = (f"messages[{index}].content[{place}]" for place in range(len(content)))
        return [read for part, path in zip(content, paths, strict=True) if (read := self._read_part(part, path))]

    def _read_part(self, part: PartBody, path: str) -> Part | None:
        cache = _read_mark(part.cache_control)
        if part.type in ("text", "refusal"):
            words = part.text if part.type == "text" else part.refusal
            if words is None:
                raise missing(f"{path}.{part.type}")
            return Text(words, cache)
        if part.type == "image_url":
            if part.image_url is None:
                raise missing(f"{path}.image_url")
            # Some clients send the url itself.
            image = ImageUrl(part.image_url) if isinstance(part.image_url, str) else part.image_url
            carried = read_data_url(image.url)
            if carried is None:
                return Image(url=image.url, detail=image.detail, cache=cache)
            return Image(media_type=carried.media_type, data=carried.data, detail=image.detail, cache=cache)
        if part.type == "file" and part.file is not None and part.file.file_data is not None:
            # Bare base64 is a PDF: the one kind of file that OpenAI's API reads.
            file = read_data_url(part.file.file_data) or Carried("application/pdf", part.file.file_data)
            return Document(file.media_type, file.data, part.file.filename, cache)
        # Audio and what comes next are listed by their own field; a part without one is listed by its type.
        if not any(name.startswith(f"{path}.") for name in self._unknown):
            self._unknown.append(f"{path}.type")
        return None

    def _read_calls(self, message: MessageBody, index: int) -> list[ToolCall]:
        calls: list[ToolCall] = []
        for place, call in enumerate(message.tool_calls or ()):
            if call.function is None:
                self._unknown.append(f"messages[{index}].tool_calls[{place}].type")
            else:
                calls.append(ToolCall(call.id or "", call.function.name, call.function.arguments))
        return calls

    def _read_result(self, message: MessageBody, index: int) -> ToolResult:
        if message.tool_call_id is None:
            raise missing(f"messages[{index}].tool_call_id")
        parts: list[Text | Image] = []
        for part in self._read_content(message, index):
            if isinstance(part, Text | Image):
                parts.append(part)
            else:
                self._unknown.append(f"messages[{index}].content")
        return ToolResult(message.tool_call_id, tuple(parts), name=message.name)

    def _read_tools(self, tools: Sequence[ToolBody]) -> tuple[Tool, ...]:
        found: list[Tool] = []
        for index, tool in enumerate(tools):
            function = tool.function
            if function is None:
                self._unknown.append(f"tools[{index}].type")
            else:
                found.append(Tool(function.name, function.description, function.parameters, function.strict))
        return tuple(found)

    def _read_choice(self, choice: ChoiceBody | str | None) -> ToolChoice | None:
        if choice is None:
            return None
        if isinstance(choice, str):
            mode = _MODES.get(choice)
            if mode is not None:
                return ToolChoice(mode)
        elif choice.function is not None:
            return ToolChoice(ToolMode.ONE, choice.function.name)
        self._unknown.append("tool_choice")
        return None

    def _read_format(self, form: FormatBody | None) -> Format | None:
        if form is None or form.type == "text":
            return None
        if form.type == "json_object":
            return Format()
        if form.type == "json_schema" and form.json_schema is not None:
            schema = form.json_schema
            return Format(schema.schema, schema.name, schema.strict)
        self._unknown.append("response_format.type")
        return None


def _read_reasoning(asked: ChatBody) -> Reasoning | None:
    """`reasoning_effort` and OpenRouter's `reasoning` object; "none" is how this format switches thinking off."""
    more = asked.reasoning
    effort = more.effort if more is not None and more.effort is not None else asked.reasoning_effort
    if effort == "none":
        return Reasoning(enabled=False)
    if more is not None:
        return Reasoning(more.enabled, effort, more.max_tokens)
    return None if effort is None else Reasoning(effort=effort)


def _read_mark(mark: CacheControl | None) -> str | None:
    return None if mark is None else mark.ttl or "5m"


def _read_completion(tree: dict[str, Any], asked: CompletionBody) -> ChatRequest:
    """The legacy form: its prompt is one user turn. Several prompts, or tokens, have no neutral form."""
    unknown = _list_unknown(tree, CompletionBody)
    prompt = asked.prompt
    texts = [prompt] if isinstance(prompt, str) else [item for item in prompt if isinstance(item, str)]
    if not isinstance(prompt, str) and (len(prompt) != 1 or not texts):
        unknown.append("prompt")
    return ChatRequest(
        op=Op.COMPLETE,
        messages=(Message(Role.USER, tuple(Text(text) for text in texts)),),
        logprobs=asked.logprobs,
        unknown=tuple(unknown),
        **_read_sampling(tree, asked),
    )


def read_embed_request(op: Op, body: bytes) -> EmbedRequest:
    if op is not Op.EMBED:
        raise unknown_op(op)
    tree, asked = _read(body, EmbeddingBody)
    texts, tokens = _sort_input(asked.input)
    return EmbedRequest(
        model=asked.model,
        texts=texts,
        tokens=tokens,
        dimensions=asked.dimensions,
        encoding=asked.encoding_format,
        user=asked.user,
        hints=_list_hints(tree),
        unknown=tuple(_list_unknown(tree, EmbeddingBody)),
    )


def _sort_input(given: Prompt) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Texts and token lists: a string, strings, one token list, or several."""
    if not given:
        raise missing("input")
    if isinstance(given, str):
        return (given,), ()
    texts = tuple(item for item in given if isinstance(item, str))
    lists = tuple(tuple(item) for item in given if isinstance(item, list))
    numbers = tuple(item for item in given if isinstance(item, int))
    if len(given) not in (len(texts), len(lists), len(numbers)):
        raise fail(Kind.MALFORMED_REQUEST, "`input` mixes texts and tokens; send one kind.", field="input")
    return texts, (numbers,) if numbers else lists
