"""A caller's request, read whole into the neutral conversation: for translation, never for bytes that pass.

Owns: what each field and item means, which items are one turn, and the list of those that nothing neutral can say
(`unknown`), which a writer refuses.
Refuses: defaults, and dropping anything: a field is meaning, a hint, harmless by its value, or listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from laneway.chat import (
    ChatRequest,
    Document,
    Format,
    Image,
    Json,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)
from laneway.dialects.responses import schema, tools
from laneway.dialects.responses.items import read_sealed
from laneway.dialects.responses.schema import Body, Item, kind_of
from laneway.dialects.responses.view import check_item, check_tools, read_whole
from laneway.pictures import Carried, read_data_url
from laneway.unsayable import SERIAL
from laneway.wire.malformed import missing

_MODES = {"none": ToolMode.NONE, "auto": ToolMode.AUTO, "required": ToolMode.ANY}
_CALLS = frozenset(("function_call", "custom_tool_call"))
_RESULTS = frozenset(("function_call_output", "custom_tool_call_output"))


def read_request(body: bytes) -> ChatRequest:
    tree, said = read_whole(body)
    check_tools(said.tools or [])
    given = said.input if isinstance(said.input, list) else []
    for index, item in enumerate(given):
        check_item(item, index)
    system, first = _read_system(given)
    if said.instructions:
        system.insert(0, Text(said.instructions))
    turns = (Message(Role.USER, (Text(said.input),)),) if isinstance(said.input, str) else _read_turns(given, first)
    limit, stream = said.max_output_tokens, said.stream is True
    return ChatRequest(
        model=said.model,
        messages=turns,
        system=tuple(system),
        stream=stream,
        stream_usage=stream,
        max_tokens=limit if limit is not None and limit > 0 else None,
        temperature=said.temperature,
        top_p=said.top_p,
        logprobs=_read_logprobs(said),
        tools=tuple(_read_tools(said.tools or ())),
        tool_choice=_read_choice(said.tool_choice),
        parallel_tools=said.parallel_tool_calls,
        format=_read_format(said.text),
        reasoning=_read_reasoning(said.reasoning),
        user=said.user,
        hints=dict(_list_hints(tree)),
        unknown=(*schema.strangers(tree), *_list_odd(said)),
    )


# --- items -------------------------------------------------------------------------------------------------


def _read_system(items: Sequence[Item]) -> tuple[list[Text], int]:
    """Instructions before the first turn, and where the first turn is."""
    texts: list[Text] = []
    for index, item in enumerate(items):
        if item.role not in ("system", "developer") or kind_of(item) != "message":
            return texts, index
        texts += [part for part in _read_content(item.content, f"input[{index}]") if type(part) is Text]
    return texts, len(items)


def _read_turns(items: Sequence[Item], first: int) -> tuple[Message, ...]:
    """What a model said in one go, thoughts and calls included, is one turn; so are the results behind it."""
    turns: list[Message] = []
    said: list[Part] = []
    role, results = Role.USER, False
    for index in range(first, len(items)):
        item = items[index]
        kind, path = kind_of(item), f"input[{index}]"
        speaker, brings = _speaker(item, kind), kind in _RESULTS
        if said and (speaker is not role or brings is not results or not (brings or role is Role.ASSISTANT)):
            turns.append(Message(role, tuple(said)))
            said = []
        role, results = speaker, brings
        said += _read_item(item, kind, path)
        if not said and kind == "message":
            turns.append(Message(role, ()))
    if said:
        turns.append(Message(role, tuple(said)))
    return tuple(turns)


def _speaker(item: Item, kind: str) -> Role:
    if kind in _CALLS or kind == "reasoning" or item.role == "assistant":
        return Role.ASSISTANT
    return Role.SYSTEM if item.role in ("system", "developer") else Role.USER


def _read_item(item: Item, kind: str, path: str) -> list[Part]:
    """Nothing for an item whose type `strangers` will list."""
    if kind == "message":
        return _read_content(item.content, path)
    if kind in _CALLS:
        said = str(item.arguments) if kind == "function_call" else tools.write_arguments(str(item.input))
        return [ToolCall(item.call_id or "", tools.join_name(item.namespace, item.name or ""), said)]
    if kind in _RESULTS:
        if item.call_id is None:
            # OpenAI itself takes the result of a call by the function's name alone.
            raise missing(f"{path}.call_id")
        output = item.output if isinstance(item.output, str | list) else None
        shown = [part for part in _read_content(output, path, "output") if isinstance(part, Text | Image)]
        return [ToolResult(item.call_id, tuple(shown), name=item.name)]
    if kind == "reasoning":
        thought = "\n\n".join([part.text for part in item.summary or () if part.text])
        if not thought and isinstance(item.content, list):
            thought = "".join([part.text for part in item.content if part.text])
        return [read_sealed(thought, item.encrypted_content)]
    return []


def _read_content(content: str | list[schema.Part] | None, path: str, field: str = "content") -> list[Part]:
    if content is None or isinstance(content, str):
        return [Text(content)] if content else []
    places = (f"{path}.{field}[{at}]" for at in range(len(content)))
    return [read for part, place in zip(content, places, strict=True) if (read := _read_part(part, place)) is not None]


def _read_part(part: schema.Part, path: str) -> Part | None:
    if part.type in schema.TEXTS:
        if part.text is None:
            raise missing(f"{path}.text")
        return Text(part.text)
    if part.type == "refusal":
        return Text(part.refusal or "")
    if part.type == "input_image":
        if part.image_url is None:
            if part.file_id is None:
                raise missing(f"{path}.image_url")
            return None
        carried = read_data_url(part.image_url)
        if carried is None:
            return Image(url=part.image_url, detail=part.detail)
        return Image(media_type=carried.media_type, data=carried.data, detail=part.detail)
    if part.type == "input_file" and part.file_data is not None:
        # Bare base64 is a PDF: the one kind of file that OpenAI's API has always read.
        file = read_data_url(part.file_data) or Carried("application/pdf", part.file_data)
        return Document(file.media_type, file.data, part.filename)
    if part.type == "input_file" and part.file_id is None and part.file_url is None:
        raise missing(f"{path}.file_data")
    return None


def _list_odd(said: Body) -> Iterator[str]:
    """What fits the schema and has no neutral meaning where it stands."""
    choice = said.tool_choice
    if isinstance(choice, str) and choice not in _MODES:
        yield "tool_choice"
    form = said.text.format if said.text is not None else None
    if form is not None and form.type not in ("text", "json_object", "json_schema"):
        yield "text.format.type"
    for index, item in enumerate(said.input if isinstance(said.input, list) else ()):
        if kind_of(item) != "message" or item.role not in ("system", "developer") or isinstance(item.content, str):
            continue
        for at, part in enumerate(item.content or ()):
            if part.type not in schema.TEXTS:
                yield f"input[{index}].content[{at}].type"


# --- settings ----------------------------------------------------------------------------------------------


def _read_tools(given: Sequence[schema.Tool], space: tuple[str, str] | None = None) -> Iterator[Tool]:
    """A tool that runs at the provider is left to `strangers`, which lists it."""
    for tool in given:
        name = tools.join_name(space[0] if space is not None else "", tool.name or "")
        if tool.type == "function":
            # Only a strict tool differs from what other formats do unasked.
            yield Tool(name, tool.description, tool.parameters, tool.strict or None, space=space)
        elif tool.type == "custom":
            form = {} if tool.format is None or tool.format.get("type") == "text" else tool.format
            yield Tool(name, tool.description, tools.schema_of(form), free=form, space=space)
        elif tool.type == "namespace":
            yield from _read_tools(tool.tools or (), (name, tool.description or ""))


def _read_choice(choice: schema.Choice | str | None) -> ToolChoice | None:
    if isinstance(choice, str):
        mode = _MODES.get(choice)
        return None if mode is None else ToolChoice(mode)
    if choice is None or choice.type not in ("function", "custom"):
        return None
    if not choice.name:
        raise missing("tool_choice.name")
    return ToolChoice(ToolMode.ONE, choice.name)


def _read_format(text: schema.TextBody | None) -> Format | None:
    form = text.format if text is not None else None
    if form is None or form.type == "text":
        return None
    if form.type == "json_schema":
        if form.schema is None:
            raise missing("text.format.schema")
        return Format(form.schema, form.name, form.strict)
    return Format() if form.type == "json_object" else None


def _read_reasoning(said: schema.ReasoningView | None) -> Reasoning | None:
    effort = said.effort if said is not None else None
    if effort == "none":
        return Reasoning(enabled=False)
    return None if effort is None else Reasoning(effort=effort)


def _read_logprobs(said: Body) -> int | None:
    if said.top_logprobs or (said.include and schema.LOGPROBS in said.include):
        return said.top_logprobs or 0
    return None


def _list_hints(tree: dict[str, Any]) -> Iterator[tuple[str, Json]]:
    for name in sorted(schema.HINTS & tree.keys()):
        if not schema.is_harmless(name, tree[name]):
            yield name, tree[name]
    if tree.get("parallel_tool_calls") is False:
        # Codex says so of every model that it does not know, and takes several calls all the same.
        yield SERIAL, False
    text, reasoning = tree.get("text") or {}, tree.get("reasoning") or {}
    form = text.get("format") or {}
    for path, value in (
        ("text.verbosity", text.get("verbosity")),
        ("text.format.description", form.get("description")),
        ("reasoning.summary", reasoning.get("summary") or reasoning.get("generate_summary")),
        ("reasoning.context", reasoning.get("context")),
    ):
        if value is not None:
            yield path, value
    for path, tool in schema.each_tool(tree):
        if tool["type"] == "custom" and (tool.get("format") or {}).get("type") not in (None, "text"):
            # Told in words, and kept to by nobody.
            yield f"{path}.format", True
        elif tool["type"] == "namespace" and tool.get("description"):
            # A group is a beginning of names elsewhere.
            yield f"{path}.description", True
    for index, item in enumerate(tree["input"] if isinstance(tree.get("input"), list) else ()):
        if item.get("phase"):
            yield f"input[{index}].phase", item["phase"]
        for field in ("content", "output"):
            for at, part in enumerate(item[field] if isinstance(item.get(field), list) else ()):
                for name in schema.PART_HINTS & part.keys():
                    if part[name]:
                        yield f"input[{index}].{field}[{at}].{name}", True
