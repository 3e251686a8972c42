"""The light reading of a caller's body, and its patching where bytes pass as they came.

Owns: one typed decode per request, from which every room gets its facts; and the replacement of a model id (and of
the wish for usage) with every other field's bytes untouched.
Refuses: a second decode, and judging values: a temperature of 9 is between the caller and the model.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from laneway.chat import Op
from laneway.dialects import View
from laneway.dialects.openai.schema import ChatView, CompletionView, EmbeddingBody, MessageView, PartView, Prompt
from laneway.failure import Kind, fail
from laneway.wire.json import UNREADABLE, decode_fields, encode
from laneway.wire.malformed import malformed, missing

_read_chat: Final = msgspec.json.Decoder(ChatView).decode
_read_completion: Final = msgspec.json.Decoder(CompletionView).decode
_read_embedding: Final = msgspec.json.Decoder(EmbeddingBody).decode

_NO_NEEDS: frozenset[str] = frozenset()
_MAY_BE_SILENT = frozenset({"assistant", "function"})
_PART_NEEDS = {"image_url": "vision", "file": "documents"}
_FORMAT_NEEDS = {"json_object": "json", "json_schema": "schema"}

# A rule of thumb, used only where a caller sends tokens and there are no characters to count.
_CHARS_PER_TOKEN = 4


def read_view(op: Op, body: bytes) -> View:
    try:
        if op is Op.CHAT:
            return _view_chat(_read_chat(body))
        if op is Op.COMPLETE:
            return _view_completion(_read_completion(body))
        if op is Op.EMBED:
            return _view_embedding(_read_embedding(body))
    except UNREADABLE as error:
        raise malformed(error, body) from None
    raise unknown_op(op)


def unknown_op(op: Op) -> Exception:
    return fail(Kind.UNSUPPORTED, f"The OpenAI format has no request of the kind `{op}`.")


def _view_chat(asked: ChatView) -> View:
    if not asked.model:
        raise missing("model")
    messages = asked.messages
    if not messages:
        raise missing("messages")
    chars = images = 0
    needs: list[str] = []
    for index, message in enumerate(messages):
        content = message.content
        if isinstance(content, str):
            chars += len(content)
        elif content is None:
            _check_silent(message, index)
        else:
            more, pictures = _measure_parts(content, needs)
            chars += more
            images += pictures
        if message.tool_calls:
            for call in message.tool_calls:
                chars += len(call.function.arguments) if call.function else 0
    if asked.tools:
        needs.append("tools")
    if asked.response_format is not None and asked.response_format.type in _FORMAT_NEEDS:
        needs.append(_FORMAT_NEEDS[asked.response_format.type])
    if asked.logprobs:
        needs.append("logprobs")
    if asked.reasoning_effort is not None and asked.reasoning_effort != "none":
        needs.append("thinking")
    limit, newer = asked.max_tokens, asked.max_completion_tokens
    # Some servers know one of the two names only, so of both the answer may be as long as the larger one says.
    if newer is not None and (limit is None or newer <= 0 or 0 < limit < newer):
        limit = newer
    options = asked.stream_options
    return View(
        Op.CHAT,
        asked.model,
        asked.stream is True,
        # Some clients say "no limit" as -1.
        limit if limit is not None and limit > 0 else None,
        options is not None and options.include_usage is True,
        chars,
        images,
        len(asked.tools) if asked.tools else 0,
        len(messages),
        frozenset(needs) if needs else _NO_NEEDS,
        # Servers take fewer than one as one; below nothing, it would take money out of a hold.
        max(asked.n or 1, 1),
    )


def _check_silent(message: MessageView, index: int) -> None:
    if message.role not in _MAY_BE_SILENT:
        raise missing(f"messages[{index}].content")


def _measure_parts(parts: list[PartView], needs: list[str]) -> tuple[int, int]:
    chars = images = 0
    for part in parts:
        if part.text is not None:
            chars += len(part.text)
        elif part.type in _PART_NEEDS:
            needs.append(_PART_NEEDS[part.type])
            images += part.type == "image_url"
    return chars, images


def _view_completion(asked: CompletionView) -> View:
    if not asked.model:
        raise missing("model")
    options = asked.stream_options
    limit = asked.max_tokens
    return View(
        op=Op.COMPLETE,
        model=asked.model,
        stream=asked.stream is True,
        max_tokens=limit if limit is not None and limit > 0 else None,
        wants_usage=options is not None and options.include_usage is True,
        text_chars=_measure_prompt(asked.prompt),
        needs=_NO_NEEDS if asked.logprobs is None else frozenset({"logprobs"}),
        # Each prompt of a list is answered by itself.
        choices=max(asked.n or 1, asked.best_of or 1, 1) * _count_prompts(asked.prompt),
    )


def _view_embedding(asked: EmbeddingBody) -> View:
    if not asked.model:
        raise missing("model")
    if not asked.input:
        raise missing("input")
    return View(op=Op.EMBED, model=asked.model, stream=False, text_chars=_measure_prompt(asked.input))


def _count_prompts(prompt: Prompt) -> int:
    """A list of numbers is one prompt in tokens."""
    return 1 if isinstance(prompt, str) else max(sum(not isinstance(item, int) for item in prompt), 1)


def _measure_prompt(prompt: Prompt) -> int:
    if isinstance(prompt, str):
        return len(prompt)
    chars = 0
    for item in prompt:
        if isinstance(item, str):
            chars += len(item)
        else:
            chars += _CHARS_PER_TOKEN * (len(item) if isinstance(item, list) else 1)
    return chars


def patch_body(body: bytes, model: str | None, *, ask_usage: bool) -> bytes:
    """Usage is asked for only where the body streams: OpenAI refuses `stream_options` otherwise."""
    if model is None and not ask_usage:
        return body
    try:
        fields: dict[str, Any] = decode_fields(body)
        if model is not None:
            fields["model"] = model
        if ask_usage and _says(fields, "stream", b"true"):
            options: dict[str, Any] = {}
            if "stream_options" in fields and not _says(fields, "stream_options", b"null"):
                options = decode_fields(fields["stream_options"])
            options["include_usage"] = True
            fields["stream_options"] = options
    except UNREADABLE as error:
        raise malformed(error, body) from None
    return encode(fields)


def _says(fields: dict[str, msgspec.Raw], name: str, literal: bytes) -> bool:
    return name in fields and bytes(fields[name]).strip() == literal
