"""The shapes of Ollama's wire format, as typed structs.

Owns: what a request, an answer line and a model list may hold. Facts are from ollama/ollama `docs/api.md`,
`docs/openapi.yaml` and `api/types.go`.
Refuses: meaning. Fields nobody here knows are skipped; whoever translates looks for them by name.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from laneway.wire.json import NONE
from laneway.wire.logprobs import TokenBody

NAME = "ollama"
Name = Annotated[str, Meta(min_length=1)]
# Go reads every JSON number as a float and cuts it, so 42.0 is a good integer there (api/types.go, FromMap).
Number = int | float


# --- requests ----------------------------------------------------------------------------------------------


class CalledFunction(Struct, gc=False):
    name: str
    arguments: Raw = NONE
    index: Number | None = None


class Call(Struct, gc=False):
    function: CalledFunction
    id: str | None = None
    type: str | None = None


class Turn(Struct, gc=False):
    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class OfferedFunction(Struct, gc=False):
    name: str
    description: str | None = None
    parameters: dict[str, Raw] | None = None
    strict: bool | None = None


class Offer(Struct, gc=False):
    function: OfferedFunction
    type: str | None = None


class Options(Struct, gc=False):
    temperature: float | None = None
    top_k: Number | None = None
    top_p: float | None = None
    min_p: float | None = None
    num_predict: Number | None = None
    num_ctx: Number | None = None
    stop: list[str] | str | None = None
    seed: Number | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class Settings(Struct, gc=False, kw_only=True):
    model: Name
    stream: bool | None = None
    format: Raw = NONE
    options: Options | None = None
    keep_alive: str | Number | None = None
    think: bool | str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    truncate: bool | None = None
    shift: bool | None = None


class Chat(Settings, gc=False, kw_only=True):
    messages: list[Turn] | None = None
    tools: list[Offer] | None = None


class Generate(Settings, gc=False, kw_only=True):
    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    context: list[int] | None = None
    raw: bool | None = None
    images: list[str] | None = None


class Embed(Struct, gc=False, kw_only=True):
    """Both forms: `input` of /api/embed, `prompt` of the older /api/embeddings."""

    model: Name
    input: str | list[str] | None = None
    prompt: str | None = None
    truncate: bool | None = None
    dimensions: int | None = None
    options: dict[str, Raw] | None = None
    keep_alive: str | Number | None = None


# --- answers -----------------------------------------------------------------------------------------------


class Said(Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None


class Line(Struct, gc=False):
    """One line of a stream, or a whole answer: the last line of a stream has the same shape as a whole answer."""

    message: Said | None = None
    response: str | None = None
    done: bool = False
    error: Any = None
    model: str = ""
    created_at: str = ""
    done_reason: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None
    logprobs: list[TokenBody] | None = None
    prompt_eval_count: Number | None = None
    prompt_eval_cached_count: Number | None = None
    eval_count: Number | None = None
    total_duration: Number | None = None
    load_duration: Number | None = None
    prompt_eval_duration: Number | None = None
    eval_duration: Number | None = None
    status: int | None = None


class Vectors(Struct, gc=False):
    model: str = ""
    embeddings: list[list[float]] | None = None
    embedding: list[float] | None = None
    prompt_eval_count: Number | None = None
    total_duration: Number | None = None
    load_duration: Number | None = None
    error: Any = None


CHAT = msgspec.json.Decoder(Chat)
GENERATE = msgspec.json.Decoder(Generate)
EMBED = msgspec.json.Decoder(Embed)
LINE = msgspec.json.Decoder(Line)
VECTORS = msgspec.json.Decoder(Vectors)


def arguments(call: Call) -> str:
    """What a tool is called with, as JSON text; nothing at all is an empty object."""
    raw = bytes(call.function.arguments)
    return "{}" if raw in (b"", b"null") else raw.decode("utf-8", "replace")


def whole(number: Number | None) -> int | None:
    return None if number is None else int(number)
