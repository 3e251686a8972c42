"""The shapes of Ollama's wire format, as typed structs, and the one way of decoding them.

Owns: what a request, an answer line and a model list may hold, and the words in which a body that does not fit is
refused. Facts are from ollama/ollama `docs/api.md`, `docs/openapi.yaml` and `api/types.go`.
Refuses: meaning. Fields nobody here knows are skipped; whoever translates looks for them by name.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from laneway.failure import Failure, FailureError, Kind

T = TypeVar("T")

NAME = "ollama"
Name = Annotated[str, Meta(min_length=1)]
# Go reads every JSON number as a float and cuts it, so 42.0 is a good integer there (api/types.go, FromMap).
Number = int | float
NONE = Raw(b"")


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


class Logprob(Struct, gc=False):
    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[Logprob] | None = None


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
    logprobs: list[Logprob] | None = None
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


FIELDS = msgspec.json.Decoder(dict[str, Raw])
CHAT = msgspec.json.Decoder(Chat)
GENERATE = msgspec.json.Decoder(Generate)
EMBED = msgspec.json.Decoder(Embed)
LINE = msgspec.json.Decoder(Line)
VECTORS = msgspec.json.Decoder(Vectors)

encode = msgspec.json.Encoder().encode
_NAMES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_PYTHON = re.compile(r"\b(?:str|int|float|bool)\b")
BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Everything decoding a stranger's bytes may raise."""


def decode(decoder: msgspec.json.Decoder[T], body: bytes | Raw) -> T:
    """A caller's body or a part of it, or MALFORMED_REQUEST saying what is wrong at which path."""
    try:
        # What a typed decode skips or keeps raw it does not check, and a provider would be handed it.
        if type(body) is bytes and not body.isascii():
            str(body, "utf-8")
        return decoder.decode(body)
    except BROKEN as error:
        raise malformed(error) from None


def malformed(error: Exception) -> FailureError:
    """The refusal of a body. msgspec's words name types and places, never values."""
    place: str | None = None
    if isinstance(error, msgspec.ValidationError):
        what, _, path = str(error).partition(" - at `$")
        place = path.rstrip("`").lstrip(".")
        if "missing required field" in what:
            missing = what.rpartition(" `")[2].rstrip("`")
            place = f"{place}.{missing}" if place else missing
            what = "this field is required"
        what = _PYTHON.sub(lambda found: _NAMES[found[0]], what).replace(" | null", "")
        message = f"The request body does not fit the Ollama API: {what} (at {place or 'the top level'})."
    elif isinstance(error, UnicodeDecodeError):
        message = "The request body is not valid UTF-8."
    elif isinstance(error, RecursionError):
        message = "The request body is nested too deeply."
    else:
        message = f"The request body is not valid JSON: {error}."
    return FailureError(Failure(kind=Kind.MALFORMED_REQUEST, message=message, field=place or None))


def at(place: str, what: str) -> FailureError:
    """The refusal of one field whose type is right and whose value is not."""
    return FailureError(
        Failure(
            kind=Kind.MALFORMED_REQUEST,
            message=f"The request body does not fit the Ollama API: {what} (at {place}).",
            field=place,
        )
    )


def arguments(call: Call) -> str:
    """What a tool is called with, as JSON text; nothing at all is an empty object."""
    raw = bytes(call.function.arguments)
    return "{}" if raw in (b"", b"null") else raw.decode("utf-8", "replace")


def whole(number: Number | None) -> int | None:
    return None if number is None else int(number)
