"""The light reading of a caller's body, and its patching where bytes pass as they came.

Owns: one typed decode per request, from which every room gets its facts; what a choice of models looks at; and the
replacement of a model id with every other field's bytes untouched.
Refuses: what asks for an answer that nobody could fetch (`background`), and judging any other value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from laneway.chat import Op
from laneway.dialects import Asked
from laneway.dialects import View as Facts
from laneway.dialects.responses import schema
from laneway.dialects.responses.schema import ItemView, PartView, View, kind_of
from laneway.failure import FailureError, Kind, fail
from laneway.wire import json
from laneway.wire.json import UNREADABLE
from laneway.wire.malformed import malformed, missing, mistyped

_decode: Final = msgspec.json.Decoder(View)
_read: Final = _decode.decode
_NO_NEEDS: Final[frozenset[str]] = frozenset()
_FORMAT_NEEDS = {"json_object": "json", "json_schema": "schema"}
_MESSAGE = (None, "message")
_OWN_TOOLS = frozenset(("function", "custom", "namespace"))
# What each type of item cannot be without, and what it is. Types that are not here are not ours to judge.
_NEEDS: Final = {
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("output",),
    "custom_tool_call": ("call_id", "name", "input"),
    "custom_tool_call_output": ("call_id", "output"),
}


class _Tally(msgspec.Struct, gc=False):
    """What is counted while the items are gone through."""

    chars: int
    images: int = 0
    stored: bool = False


def read_view(body: bytes) -> Facts:
    said = json.decode(_decode, body)
    check(said, said.input)
    needs: list[str] = []
    tally = _Tally(len(said.instructions or ""), stored=_is_stored(said))
    given, turns = said.input, 1
    if isinstance(given, str):
        tally.chars += len(given)
    elif given is not None:
        turns = len(given)
        for index, item in enumerate(given):
            content = item.content
            # Nearly every item of nearly every conversation that is no agent's.
            if type(content) is str and item.role in schema.ROLES and item.type in _MESSAGE:
                tally.chars += len(content)
            else:
                _weigh(item, index, tally, needs)
    tools = said.tools
    if tools:
        needs.append("tools")
        check_tools(tools)
        # What a provider's own tool finds becomes a part of the prompt.
        tally.stored = tally.stored or any(tool.type not in _OWN_TOOLS for tool in tools)
    _list_needs(said, needs)
    limit = said.max_output_tokens
    return Facts(
        op=Op.CHAT,
        model=said.model,
        stream=said.stream is True,
        max_tokens=limit if limit is not None and limit > 0 else None,
        # A stream of this format always reports usage.
        wants_usage=True,
        text_chars=tally.chars,
        images=tally.images,
        tools=len(tools) if tools else 0,
        turns=turns,
        needs=frozenset(needs) if needs else _NO_NEEDS,
        stored=tally.stored,
    )


def check(said: schema.Settings, given: object) -> None:
    """What both depths refuse."""
    if not said.model:
        raise missing("model")
    if said.background:
        raise fail(
            Kind.UNSUPPORTED,
            "Laneway keeps no responses to be fetched later; leave `background` out, or post the request to /v1/runs.",
            field="background",
        )
    if not given and not _is_stored(said):
        raise missing("input")


def _is_stored(said: schema.Settings) -> bool:
    """Whether the conversation's beginning rests at the provider."""
    return bool(said.previous_response_id or said.conversation or said.prompt)


def _list_needs(said: View, needs: list[str]) -> None:
    form = said.text.format if said.text is not None else None
    if form is not None and form.type in _FORMAT_NEEDS:
        needs.append(_FORMAT_NEEDS[form.type])
    if said.top_logprobs or (said.include and schema.LOGPROBS in said.include):
        needs.append("logprobs")
    if said.reasoning is not None and said.reasoning.effort not in (None, "none"):
        needs.append("thinking")


def _weigh(item: ItemView, index: int, tally: _Tally, needs: list[str]) -> None:
    """Adds to the characters, the pictures and what rests at the provider."""
    check_item(item, index)
    for name in ("content", "output", "arguments", "input"):
        said = getattr(item, name)
        if type(said) is str:
            tally.chars += len(said)
        elif type(said) is list:
            _weigh_parts(said, f"input[{index}].{name}", tally, needs)
    if item.type == "item_reference":
        tally.stored = True


def _weigh_parts(parts: list[PartView], place: str, tally: _Tally, needs: list[str]) -> None:
    for at, part in enumerate(parts):
        if part.text is not None:
            tally.chars += len(part.text)
        elif part.type in schema.TEXTS:
            raise missing(f"{place}[{at}].text")
        elif part.type == "input_image":
            tally.images += 1
            needs.append("vision")
        elif part.type == "input_file":
            needs.append("documents")
        if part.file_id is not None or part.file_url is not None:
            tally.stored = True


def check_item(item: ItemView | schema.Item, index: int) -> None:
    """Raises for an item of a known type that lacks what its type needs."""
    kind = kind_of(item)
    if kind == "message":
        if item.role is None:
            raise missing(f"input[{index}].role")
        if item.role not in schema.ROLES:
            message = f"Wrong value: unknown value '{item.role[:40]}' at input[{index}].role."
            raise fail(Kind.MALFORMED_REQUEST, message, field=f"input[{index}].role")
        if item.content is None:
            raise missing(f"input[{index}].content")
    elif not kind:
        # Neither a message nor anything else; a bare message is what people forget the role of.
        raise missing(f"input[{index}].role")
    for name in _NEEDS.get(kind, ()):
        value = getattr(item, name)
        if value is None:
            raise missing(f"input[{index}].{name}")
        if type(value) is dict:
            raise mistyped(f"input[{index}].{name}", "text")


def check_tools(tools: Sequence[schema.ToolView | schema.Tool], place: str = "tools") -> None:
    for index, tool in enumerate(tools):
        if tool.type in _OWN_TOOLS and not tool.name:
            raise missing(f"{place}[{index}].name")
        if isinstance(tool, schema.Tool) and tool.tools:
            check_tools(tool.tools, f"{place}[{index}].tools")


def patch_body(body: bytes, model: str | None) -> bytes:
    """Usage needs no asking in this format."""
    return body if model is None else json.patch(body, "model", model)


# --- what a choice looks at --------------------------------------------------------------------------------


def read_asked(body: bytes) -> Asked:
    said = _read(body)
    opening = text = ""
    system = [said.instructions] if said.instructions else []
    given = said.input
    if isinstance(given, str):
        opening = text = given
    for item in given if isinstance(given, list) else ():
        role, words = item.role, _words(item.content)
        if not words:
            continue
        if role == "user":
            opening, text = opening or words, words
        elif role in ("system", "developer"):
            system.append(words)
    form = said.text.format if said.text is not None else None
    tag = said.metadata.get("tag") if isinstance(said.metadata, dict) else None
    return Asked(
        text=text,
        opening=opening,
        system="\n".join(system),
        tools=tuple([tool.name for tool in said.tools if tool.name is not None]) if said.tools else (),
        structured=form is not None and form.type in _FORMAT_NEEDS,
        tag=tag if isinstance(tag, str) else "",
    )


def _words(content: str | list[PartView] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join([part.text for part in content if part.text is not None])


def read_whole(body: bytes) -> tuple[dict[str, Any], schema.Body]:
    """The body parsed once: as it is, to see what is unknown, and typed; both share their strings."""
    try:
        tree = json.decode_object(body)
        said = msgspec.convert(tree, schema.Body)
    except UNREADABLE as error:
        raise malformed(error, body) from None
    check(said, said.input)
    return tree, said


def no_operation(op: Op) -> FailureError:
    return fail(Kind.UNSUPPORTED, f"The Responses format has no {op.value} requests.", field="model")
