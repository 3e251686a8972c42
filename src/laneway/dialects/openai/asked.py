"""What a choice of models looks at in a caller's body: the prompt itself, which the view skips.

Owns: a decode of its own, made only for requests that somebody is to choose for.
Refuses: checking, which the view has done.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from laneway.chat import Op
from laneway.dialects import Asked
from laneway.dialects.openai.schema import FormatView, PartView, Prompt


class _Function(msgspec.Struct, gc=False):
    name: str = ""


class _Tool(msgspec.Struct, gc=False):
    function: _Function | None = None


class _Turn(msgspec.Struct, gc=False):
    role: str
    content: str | list[PartView] | None = None


class _Chat(msgspec.Struct, gc=False):
    messages: list[_Turn]
    tools: list[_Tool] | None = None
    response_format: FormatView | None = None
    metadata: Any = None


class _Completion(msgspec.Struct, gc=False):
    prompt: Prompt
    metadata: Any = None


_read_chat: Final = msgspec.json.Decoder(_Chat).decode
_read_completion: Final = msgspec.json.Decoder(_Completion).decode


def read_asked(op: Op, body: bytes) -> Asked:
    if op is Op.COMPLETE:
        said = _read_completion(body)
        text = said.prompt if isinstance(said.prompt, str) else "\n".join(p for p in said.prompt if isinstance(p, str))
        return Asked(text=text, opening=text, tag=_tag(said.metadata))
    if op is not Op.CHAT:
        return Asked()
    chat = _read_chat(body)
    opening = text = ""
    system: list[str] = []
    for turn in chat.messages:
        role, content = turn.role, turn.content
        words = content if isinstance(content, str) else _words(content)
        if not words:
            continue
        if role == "user":
            opening, text = opening or words, words
        elif role in ("system", "developer"):
            system.append(words)
    shape = chat.response_format
    return Asked(
        text=text,
        opening=opening,
        system="\n".join(system) if system else "",
        tools=tuple([tool.function.name for tool in chat.tools if tool.function is not None]) if chat.tools else (),
        structured=shape is not None and shape.type in ("json_object", "json_schema"),
        tag=_tag(chat.metadata),
    )


def _words(content: list[PartView] | None) -> str:
    return "\n".join([part.text for part in content if part.text is not None]) if content else ""


def _tag(metadata: object) -> str:
    tag = metadata.get("tag") if isinstance(metadata, dict) else None
    return tag if isinstance(tag, str) else ""
