"""What this format has in tools and others lack, told to those who know functions only: tools whose input is plain text
("custom"), and groups of tools ("namespace").

Owns: the schema of the function that stands for a tool of plain text, the way between a call's text and its arguments,
and the name by which a tool of a group is known where there are no groups.
Refuses: to hold a model to a grammar where its provider does not; the model is told of it in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from laneway.chat import ChatRequest, Json, Tool
from laneway.wire.json import UNREADABLE, decode_any, encode

FIELD: Final = "input"
BETWEEN: Final = "__"
"""Between a group's name and its tool's: every provider takes it in a name."""


def schema_of(form: Mapping[str, Any]) -> dict[str, Json]:
    """The schema of a function that takes what a free tool takes."""
    field: dict[str, Json] = {"type": "string"}
    if form.get("definition"):
        field["description"] = f"Text that fits this {form.get('syntax') or 'grammar'}:\n{form['definition']}"
    return {"type": "object", "properties": {FIELD: field}, "required": [FIELD], "additionalProperties": False}


def write_arguments(text: str) -> str:
    return encode({FIELD: text}).decode()


def read_arguments(arguments: str) -> str:
    """The text in a call's arguments. A model that wrote something else meant that."""
    try:
        said = decode_any(arguments)
    except UNREADABLE:
        return arguments
    text = said.get(FIELD) if isinstance(said, dict) and len(said) == 1 else None
    return text if isinstance(text, str) else arguments


def join_name(space: str | None, name: str) -> str:
    return f"{space}{BETWEEN}{name}" if space else name


def split_name(tool: Tool | None, name: str) -> tuple[str, str]:
    """The group and the name in it, of what this tool or one that nobody knows is called."""
    if tool is None or tool.space is None:
        return "", name
    return tool.space[0], name.removeprefix(tool.space[0] + BETWEEN)


def own_tools(request: object) -> Mapping[str, Tool]:
    """A request's tools that only this format has, by the names by which all others know them."""
    if not isinstance(request, ChatRequest):
        return {}
    return {tool.name: tool for tool in request.tools if tool.free is not None or tool.space is not None}


def is_free(tool: Tool | None) -> bool:
    return tool is not None and tool.free is not None
