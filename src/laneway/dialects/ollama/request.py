"""Ollama requests coming in: what every room may want to know of them, and what they mean neutrally.

Owns: `view`, `patch`, and reading /api/chat, /api/generate, /api/embed and /api/embeddings. A request without
prompt or messages asks only that the model be loaded (docs/api.md, "Load a model"): its View has `turns` 0.
Refuses: guessing. What changes the words of an answer and has no neutral name is listed in `unknown`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from laneway.chat import ChatRequest, EmbedRequest, Format, Json, Message, Op, Part, Reasoning, Role, Text, Tool
from laneway.dialects import Asked, View
from laneway.dialects.ollama import schema
from laneway.dialects.ollama.history import Turns, read_image
from laneway.dialects.ollama.schema import CHAT, EMBED, GENERATE, Chat, Generate, Options, Settings
from laneway.wire import json
from laneway.wire.malformed import mistyped

_NOTHING: frozenset[str] = frozenset()
_UNBOUNDED = 2**31 - 1
"""Beyond any model's window, and small enough to be reckoned with: a longer limit is as good as this one."""
_OBJECTS: msgspec.json.Decoder[list[dict[str, Raw]]] = msgspec.json.Decoder(list[dict[str, Raw]])
_VALUE = msgspec.json.Decoder()


class _Offered(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Offer(msgspec.Struct):
    function: _Offered


_TOOLS = msgspec.json.Decoder(list[_Offer])

_FIELDS = {
    Op.CHAT: frozenset(Chat.__struct_fields__),
    Op.COMPLETE: frozenset(Generate.__struct_fields__),
    Op.EMBED: frozenset(schema.Embed.__struct_fields__),
}
_TURN = frozenset(schema.Turn.__struct_fields__)
_OFFER = frozenset(schema.Offer.__struct_fields__)
_OFFERED = frozenset(schema.OfferedFunction.__struct_fields__)
_OPTIONS = frozenset(Options.__struct_fields__)
# How a model is laid out in memory, not what it says (api/types.go, Runner).
_LAYOUT = frozenset(
    ("embedding_only", "low_vram", "main_gpu", "num_batch", "num_gpu", "num_thread", "numa", "use_mlock", "use_mmap")
)


# --- the light reading -------------------------------------------------------------------------------------


def view(op: Op, body: bytes) -> View:
    """Checks and reads a caller's body in one decode."""
    if op is Op.CHAT:
        return _view_chat(json.decode(CHAT, body))
    if op is Op.COMPLETE:
        return _view_generate(json.decode(GENERATE, body))
    embed = json.decode(EMBED, body)
    texts = _embed_texts(embed)
    return View(op, embed.model, False, text_chars=sum(map(len, texts)), turns=len(texts))


def _view_chat(wire: Chat) -> View:
    chars = images = 0
    turns = wire.messages or ()
    for index, turn in enumerate(turns):
        if turn.content is not None:
            chars += len(turn.content)
        if turn.images is not None:
            images += len(turn.images)
        if turn.tool_calls is not None:
            for nth, call in enumerate(turn.tool_calls):
                arguments = bytes(call.function.arguments)
                if arguments and not arguments.startswith((b"{", b"null")):
                    raise mistyped(f"messages[{index}].tool_calls[{nth}].function.arguments", "an object")
                chars += len(arguments)
    tools = len(wire.tools) if wire.tools is not None else 0
    return View(
        Op.CHAT,
        wire.model,
        wire.stream is not False,
        _limit(wire.options),
        True,
        chars,
        images,
        tools,
        len(turns),
        _needs(wire, images, tools),
    )


def _view_generate(wire: Generate) -> View:
    images = len(wire.images) if wire.images is not None else 0
    return View(
        Op.COMPLETE,
        wire.model,
        wire.stream is not False,
        _limit(wire.options),
        True,
        len(wire.prompt or "") + len(wire.system or ""),
        images,
        0,
        1 if wire.prompt else 0,
        _needs(wire, images, 0),
    )


def _limit(options: Options | None) -> int | None:
    # -1 is "no limit" and -2 "until the window is full"; 0 stops nothing either.
    if options is None or options.num_predict is None or options.num_predict <= 0:
        return None
    return int(min(options.num_predict, _UNBOUNDED))


def _needs(wire: Settings, images: int, tools: int) -> frozenset[str]:
    shape = bytes(wire.format)
    if not (images or tools or shape or wire.think or wire.logprobs):
        return _NOTHING
    needs = set()
    if images:
        needs.add("vision")
    if tools:
        needs.add("tools")
    if shape.startswith(b"{"):
        needs.add("schema")
    elif shape == b'"json"':
        needs.add("json")
    elif shape not in (b"", b'""', b"null"):
        raise mistyped("format", '"json" or a JSON Schema')
    if wire.think:
        needs.add("thinking")
    if wire.logprobs:
        needs.add("logprobs")
    return frozenset(needs)


def asked(op: Op, body: bytes) -> Asked:
    if op is Op.COMPLETE:
        generate = json.decode(GENERATE, body)
        text = generate.prompt or ""
        return Asked(text=text, opening=text, system=generate.system or "", structured=_is_structured(generate))
    if op is not Op.CHAT:
        return Asked()
    chat = json.decode(CHAT, body)
    opening = text = ""
    for turn in chat.messages or ():
        if turn.role == "user" and turn.content:
            opening, text = opening or turn.content, turn.content
    return Asked(
        text=text,
        opening=opening,
        system="\n".join([turn.content for turn in chat.messages or () if turn.role == "system" and turn.content]),
        tools=tuple([tool.function.name for tool in chat.tools]) if chat.tools else (),
        structured=_is_structured(chat),
    )


def _is_structured(wire: Settings) -> bool:
    return bytes(wire.format) not in (b"", b'""', b"null")


def patch(body: bytes, model: str | None) -> bytes:
    """The body with another model id, every other field as it came."""
    return body if model is None else json.patch(body, "model", model)


# --- the full reading --------------------------------------------------------------------------------------


def read_request(op: Op, body: bytes) -> ChatRequest:
    """Raises FailureError MALFORMED_REQUEST."""
    fields = json.read_fields(body)
    unknown = _strangers("", fields, _FIELDS[op])
    if op is Op.CHAT:
        chat = json.decode(CHAT, body)
        _view_chat(chat)  # the checks that types alone do not make
        if chat.messages:
            unknown += _strangers_in("messages", fields["messages"], _TURN)
        request = _settings(op, chat, fields, unknown)
        turns = Turns(unknown)
        system, messages = turns.read(chat.messages or [])
        tools = _tools(fields["tools"], unknown) if chat.tools else ()
        return msgspec.structs.replace(request, system=system, messages=messages, tools=tools, unknown=tuple(unknown))
    generate = json.decode(GENERATE, body)
    _view_generate(generate)
    # Each of these changes what the model reads, and no other format has a word for it.
    unknown += [name for name in ("suffix", "template", "context", "raw") if getattr(generate, name)]
    request = _settings(op, generate, fields, unknown)
    parts: tuple[Part, ...] = (Text(generate.prompt or ""), *map(read_image, generate.images or ()))
    return msgspec.structs.replace(
        request,
        system=(Text(generate.system),) if generate.system else (),
        messages=(Message(Role.USER, parts),) if generate.prompt else (),
        unknown=tuple(unknown),
    )


def _settings(op: Op, wire: Settings, fields: dict[str, Raw], unknown: list[str]) -> ChatRequest:
    """Everything but the words."""
    hints: dict[str, Json] = {}
    for name in ("keep_alive", "truncate", "shift"):
        if (said := getattr(wire, name)) is not None:
            hints[name] = said
    if wire.options is not None:
        _sort_options(json.read_fields(fields["options"]), hints, unknown)
    options = wire.options or Options()
    stream = wire.stream is not False
    return ChatRequest(
        model=wire.model,
        messages=(),
        op=op,
        stream=stream,
        stream_usage=stream,
        max_tokens=_limit(options),
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=schema.whole(options.top_k),
        min_p=options.min_p,
        stop=(options.stop,) if isinstance(options.stop, str) else tuple(options.stop or ()),
        # A negative seed asks for a random one, which is what saying nothing does.
        seed=None if options.seed is None or options.seed < 0 else int(options.seed),
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        repeat_penalty=options.repeat_penalty,
        logprobs=(wire.top_logprobs or 0) if wire.logprobs else None,
        format=_format(bytes(wire.format)),
        reasoning=_reasoning(wire.think),
        window=schema.whole(options.num_ctx),
        hints=hints,
    )


def _strangers(place: str, raw: dict[str, Raw], known: frozenset[str]) -> list[str]:
    return [f"{place}{name}" for name, value in raw.items() if name not in known and bytes(value) != b"null"]


def _strangers_in(place: str, raw: Raw, known: frozenset[str]) -> list[str]:
    found: list[str] = []
    items = json.decode(_OBJECTS, raw)
    for index, item in enumerate(items):
        found += _strangers(f"{place}[{index}].", item, known)
    return found


def _sort_options(raw: dict[str, Raw], hints: dict[str, Json], unknown: list[str]) -> None:
    for name, value in raw.items():
        if name in _OPTIONS or bytes(value) == b"null":
            continue
        if name in _LAYOUT:
            hints[f"options.{name}"] = json.decode(_VALUE, value)
        else:
            unknown.append(f"options.{name}")


def _tools(raw: Raw, unknown: list[str]) -> tuple[Tool, ...]:
    unknown += _strangers_in("tools", raw, _OFFER)
    offers = json.decode(_OBJECTS, raw)
    for index, offer in enumerate(offers):
        unknown += _strangers(f"tools[{index}].function.", json.read_fields(offer["function"]), _OFFERED)
    return tuple(
        Tool(
            name=offer.function.name,
            description=offer.function.description,
            schema=offer.function.parameters,
            strict=offer.function.strict,
        )
        for offer in json.decode(_TOOLS, raw)
    )


def _format(raw: bytes) -> Format | None:
    if raw.startswith(b"{"):
        return Format(schema=json.read_tree(raw))
    return Format() if raw == b'"json"' else None


def _reasoning(think: bool | str | None) -> Reasoning | None:
    if think is None or think == "":
        return None
    return Reasoning(effort=think) if isinstance(think, str) else Reasoning(enabled=think)


# --- embeddings --------------------------------------------------------------------------------------------


def _embed_texts(wire: schema.Embed) -> tuple[str, ...]:
    if wire.input is None:
        return (wire.prompt,) if wire.prompt else ()
    return (wire.input,) if isinstance(wire.input, str) else tuple(wire.input)


def read_embed_request(body: bytes) -> EmbedRequest:
    """Raises FailureError MALFORMED_REQUEST. The older form, with `prompt`, is read as `one`."""
    wire = json.decode(EMBED, body)
    fields = json.read_fields(body)
    hints: dict[str, Json] = {}
    if wire.keep_alive is not None:
        hints["keep_alive"] = wire.keep_alive
    for name, value in (wire.options or {}).items():
        # No option of a running model changes a vector; they say how the model is laid out.
        hints[f"options.{name}"] = json.decode(_VALUE, value)
    return EmbedRequest(
        model=wire.model,
        texts=_embed_texts(wire),
        dimensions=wire.dimensions,
        truncate=wire.truncate,
        one=wire.input is None and wire.prompt is not None,
        hints=hints,
        unknown=tuple(_strangers("", fields, _FIELDS[Op.EMBED])),
    )
