"""The neutral conversation: what every wire format is read into and written from.

Owns: requests, message parts, tools, answers, stream events and usage, as frozen values. A dialect reads its
bytes into these and writes these into its bytes, so that D dialects need D translations.
Refuses: I/O, defaults that belong to a provider, and guesses. What a reader did not understand is listed in
`unknown`; what a writer cannot express is an error naming the field or a listed omission, never silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeAlias

import msgspec

from laneway.failure import Failure

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"


class Op(StrEnum):
    """What a caller asks for, whatever the wire format calls it."""

    CHAT = "chat"
    COMPLETE = "complete"
    EMBED = "embed"
    COUNT = "count"


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


# --- parts of a message ------------------------------------------------------------------------------------


class Text(msgspec.Struct, frozen=True, tag="text"):
    """Words. `cache` marks the end of a reusable prompt prefix: "5m" or "1h"."""

    text: str
    cache: str | None = None


class Image(msgspec.Struct, frozen=True, tag="image"):
    """A picture: either base64 `data` with its `media_type`, or a `url` the provider fetches."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    detail: str | None = None
    cache: str | None = None


class Document(msgspec.Struct, frozen=True, tag="document"):
    """A file such as a PDF, base64."""

    media_type: str
    data: str
    name: str | None = None
    cache: str | None = None


class Thinking(msgspec.Struct, frozen=True, tag="thinking"):
    """Reasoning shown by a model; `signature` and `redacted` must return unchanged to the model that made them."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call"):
    """`arguments` is JSON text exactly as the model wrote it ("" when it wrote none)."""

    id: str
    name: str
    arguments: str
    cache: str | None = None


class ToolResult(msgspec.Struct, frozen=True, tag="tool_result"):
    call_id: str
    parts: tuple[Text | Image, ...]
    is_error: bool = False
    name: str | None = None
    cache: str | None = None


Part: TypeAlias = Text | Image | Document | Thinking | ToolCall | ToolResult


class Message(msgspec.Struct, frozen=True):
    """One turn. Tool results are parts of a user turn; consecutive ones stay in one message."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


# --- tools, formats, thinking ------------------------------------------------------------------------------


class Tool(msgspec.Struct, frozen=True):
    """A function the model may call; `schema` is its JSON Schema as parsed JSON, None when none was given.

    With `free` ({}: any) it takes plain text, elsewhere its schema's field `input`; `space`: its group's name and use.
    """

    name: str
    description: str | None = None
    schema: dict[str, Json] | None = None
    strict: bool | None = None
    cache: str | None = None
    free: dict[str, Json] | None = None
    space: tuple[str, str] | None = None


class ToolMode(StrEnum):
    AUTO = "auto"
    NONE = "none"
    ANY = "any"
    ONE = "one"


class ToolChoice(msgspec.Struct, frozen=True):
    """`name` only with ToolMode.ONE."""

    mode: ToolMode
    name: str | None = None


class Format(msgspec.Struct, frozen=True):
    """The answer must be JSON; with `schema`, JSON of that shape."""

    schema: dict[str, Json] | None = None
    name: str | None = None
    strict: bool | None = None


class Reasoning(msgspec.Struct, frozen=True):
    """How much to think: on or off, a named effort, or a budget in tokens; None means unsaid."""

    enabled: bool | None = None
    effort: str | None = None
    budget: int | None = None


# --- requests ----------------------------------------------------------------------------------------------


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation to continue. None always means "the caller did not say"."""

    model: str
    messages: tuple[Message, ...]
    op: Op = Op.CHAT
    system: tuple[Text, ...] = ()
    stream: bool = False
    stream_usage: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None
    choices: int | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    format: Format | None = None
    reasoning: Reasoning | None = None
    user: str | None = None
    window: int | None = None
    hints: dict[str, Json] = {}
    """Named fields that change no word of the answer (metadata, store, keep_alive, service tier ...)."""
    unknown: tuple[str, ...] = ()
    """Top-level fields, and nested ones by path, that the reader does not know; a translation refuses them."""


class EmbedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Texts, or token lists where `tokens` is set, to be turned into vectors."""

    model: str
    texts: tuple[str, ...] = ()
    tokens: tuple[tuple[int, ...], ...] = ()
    dimensions: int | None = None
    encoding: str | None = None
    truncate: bool | None = None
    user: str | None = None
    one: bool = False
    """The caller used a wire format's one-text form, whose answer has a shape of its own."""
    hints: dict[str, Json] = {}
    unknown: tuple[str, ...] = ()


# --- answers -----------------------------------------------------------------------------------------------


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens really used. None is "not reported", 0 is zero.

    `input` counts every prompt token, cached ones included, whatever the provider's own convention is; the
    cache figures are parts of it. `output` includes `reasoning`.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    service: str | None = None
    """The tier of service that is billed, where it is not the usual one: batch, flex or priority."""

    def merged(self, later: Usage) -> Usage:
        """Streams report in pieces (Anthropic: input first, output last); a later figure replaces an earlier one."""
        return Usage(
            input=self.input if later.input is None else later.input,
            output=self.output if later.output is None else later.output,
            cache_read=self.cache_read if later.cache_read is None else later.cache_read,
            cache_write_5m=self.cache_write_5m if later.cache_write_5m is None else later.cache_write_5m,
            cache_write_1h=self.cache_write_1h if later.cache_write_1h is None else later.cache_write_1h,
            reasoning=self.reasoning if later.reasoning is None else later.reasoning,
            service=self.service if later.service is None else later.service,
        )


class Finish(StrEnum):
    """Why a model stopped."""

    STOP = "stop"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    TOOLS = "tools"
    FILTERED = "filtered"
    REFUSED = "refused"
    PAUSED = "paused"


class TokenLogprob(msgspec.Struct, frozen=True):
    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[TokenLogprob, ...] = ()


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Durations some providers report, in nanoseconds."""

    total_ns: int | None = None
    load_ns: int | None = None
    prompt_ns: int | None = None
    answer_ns: int | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One whole answer. `parts` are Text, Thinking and ToolCall in the order the model gave them."""

    model: str
    parts: tuple[Part, ...]
    finish: Finish
    id: str = ""
    created_s: int | None = None
    stop_sequence: str | None = None
    usage: Usage = Usage()
    logprobs: tuple[TokenLogprob, ...] = ()
    timings: Timings = Timings()


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    """Vectors in the order of the texts."""

    model: str
    vectors: tuple[tuple[float, ...], ...]
    usage: Usage = Usage()
    timings: Timings = Timings()


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway itself needs from an answer that passes as it came.

    `failure` is set when a 200 carries an error, is no answer of this dialect at all, or is not finished.
    """

    usage: Usage = Usage()
    finish: Finish | None = None
    failure: Failure | None = None


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a model list."""

    id: str
    provider: str = ""
    created_s: int | None = None
    modified: str | None = None
    display: str | None = None
    size_bytes: int | None = None
    digest: str | None = None
    family: str | None = None
    parameters: str | None = None
    quantization: str | None = None
    window: int | None = None
    output: int | None = None
    kind: str = "chat"
    abilities: tuple[str, ...] = ()


# --- what a stream brings ----------------------------------------------------------------------------------


class Started(msgspec.Struct, frozen=True):
    id: str
    model: str
    created_s: int | None = None


class TextDelta(msgspec.Struct, frozen=True):
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


class ThinkingDelta(msgspec.Struct, frozen=True):
    """`signature` and `redacted` arrive on their own, with empty text."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


class ToolBegan(msgspec.Struct, frozen=True):
    """`index` numbers the tool calls of this answer from 0."""

    index: int
    id: str
    name: str


class ToolDelta(msgspec.Struct, frozen=True):
    index: int
    arguments: str


class Used(msgspec.Struct, frozen=True):
    usage: Usage


class Finished(msgspec.Struct, frozen=True):
    finish: Finish
    stop_sequence: str | None = None
    timings: Timings | None = None


class Faulted(msgspec.Struct, frozen=True):
    """The stream itself said that it failed, or ended without saying that it was whole."""

    failure: Failure


class Repeated(msgspec.Struct, frozen=True):
    """Words of an answer that its caller has from a target before: counted, not passed on."""

    chars: int


class Skipped(msgspec.Struct, frozen=True):
    """One chunk that could not be read in a stream that otherwise can: counted, not passed on."""

    size_bytes: int


Event: TypeAlias = (
    Started | TextDelta | ThinkingDelta | ToolBegan | ToolDelta | Used | Finished | Faulted | Skipped | Repeated
)


def bears_content(event: Event) -> bool:
    """True for events that commit a stream: the caller would see something of the answer."""
    kind = type(event)
    if kind is TextDelta or kind is ThinkingDelta:
        return True if kind is ThinkingDelta else bool(event.text)  # type: ignore[union-attr]
    return kind is ToolBegan or kind is ToolDelta


def last_user_text(request: ChatRequest) -> str:
    """The words of the last user turn, which is what a router looks at."""
    for message in reversed(request.messages):
        if message.role is Role.USER:
            words = [part.text for part in message.parts if type(part) is Text]
            if words:
                return "\n".join(words)
    return ""
