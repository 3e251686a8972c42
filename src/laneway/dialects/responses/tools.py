"""Tools whose input is plain text ("custom" in this format), told to those who know functions only.

Owns: the schema of the function that stands for such a tool, and the way between a call's text and its arguments.
Refuses: to hold a model to a grammar where its provider does not; the model is told of it in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from laneway.chat import ChatRequest, Json
from laneway.wire.json import UNREADABLE, decode_any, encode

FIELD: Final = "input"


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


def free_tools(request: object) -> frozenset[str]:
    """The names of a request's tools that take plain text."""
    if not isinstance(request, ChatRequest):
        return frozenset()
    return frozenset(tool.name for tool in request.tools if tool.free is not None)
