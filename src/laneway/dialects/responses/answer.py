"""Whole answers, both ways, and the glance at one that passes as it came.

Owns: the output list of a response. A message's texts, thoughts and calls are parts in the order the model gave them; a
refusal is its words with a finish of its own.
Refuses: an answer that is not finished. Items of tools that run at a provider pass, and have no neutral form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from laneway.chat import Answer, Finish, Glance, Part, Text, Thinking, Tool, ToolCall, Usage
from laneway.dialects import Stamp, Written
from laneway.dialects.objects.fault import build_failure
from laneway.dialects.responses import items
from laneway.dialects.responses.items import CALL, FREE_CALL, MESSAGE, PREFIXES, REASONING
from laneway.dialects.responses.response import finish_response, frame, name_response
from laneway.dialects.responses.tools import is_free, join_name, own_tools, split_name, write_arguments
from laneway.dialects.responses.usage import Details, UsageBody, read_finish, read_usage
from laneway.failure import Failure, FailureError, Kind
from laneway.wire.fault import UNFINISHED, misfit
from laneway.wire.json import NONE, UNREADABLE, encode
from laneway.wire.logprobs import TokenBody


class PartBody(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    logprobs: list[TokenBody] | None = None


class ItemBody(msgspec.Struct, gc=False):
    """An item of one of the four kinds that have a neutral form."""

    type: str
    id: str | None = None
    content: list[PartBody] | None = None
    summary: list[PartBody] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None


class ResponseBody(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created_at: int | float | None = None
    status: str | None = None
    output: list[msgspec.Raw] | None = None
    incomplete_details: Details | None = None
    usage: UsageBody | None = None
    service_tier: Any = None
    error: Any = None


class PartGlance(msgspec.Struct, gc=False):
    type: str | None = None


class ItemGlance(msgspec.Struct, gc=False):
    type: str
    content: msgspec.Raw = NONE


class ResponseGlance(msgspec.Struct, gc=False):
    status: str | None = None
    output: list[ItemGlance] | None = None
    incomplete_details: Details | None = None
    usage: UsageBody | None = None
    service_tier: Any = None
    error: Any = None


_read_content: Final = msgspec.json.Decoder(list[PartGlance] | None).decode
_read_kind: Final = msgspec.json.Decoder(PartGlance).decode
_read_known: Final = msgspec.json.Decoder(ItemBody).decode
_read_body: Final = msgspec.json.Decoder(ResponseBody).decode
_read_glance: Final = msgspec.json.Decoder(ResponseGlance).decode

NO_JSON: Final = misfit("JSON of OpenAI's form")
NO_RESPONSE: Final = misfit("a response in its body")
CANCELLED: Final = Failure(kind=Kind.CUT, message="The provider's response was cancelled before it was complete.")


def glance(body: bytes) -> Glance:
    try:
        seen = _read_glance(body)
    except UNREADABLE:
        return Glance(failure=NO_JSON)
    usage = Usage() if seen.usage is None else read_usage(seen.usage, seen.service_tier)
    failure = _judge(seen)
    if failure is not None:
        return Glance(usage=usage, failure=failure)
    output = seen.output or []
    try:
        refused = any(
            part.type == "refusal"
            for item in output
            if item.type == MESSAGE and item.content
            for part in _read_content(item.content) or ()
        )
    except UNREADABLE:
        return Glance(usage=usage, failure=NO_JSON)
    return Glance(usage=usage, finish=_finish(seen, output, refused))


def _judge(said: ResponseGlance | ResponseBody) -> Failure | None:
    """Why a 200 is no answer, if it is none."""
    if said.error or said.status == "failed":
        return build_failure(said.error, 0)
    if said.status == "cancelled":
        return CANCELLED
    if said.output is None:
        return NO_RESPONSE
    return None if said.status in ("completed", "incomplete") else UNFINISHED


def _finish(
    said: ResponseGlance | ResponseBody, output: Sequence[ItemGlance] | Sequence[ItemBody], refused: bool
) -> Finish:
    return read_finish(
        said.status or "",
        said.incomplete_details.reason if said.incomplete_details is not None else None,
        called=any(item.type in (CALL, FREE_CALL) for item in output),
        refused=refused,
    )


def read_item(raw: msgspec.Raw) -> ItemBody | None:
    """None for an item of a tool that runs at the provider, or of tomorrow."""
    return _read_known(raw) if raw and _read_kind(raw).type in items.KINDS else None


def read_answer(body: bytes) -> Answer:
    try:
        said = _read_body(body)
        output = [item for raw in said.output or () if (item := read_item(raw)) is not None]
    except UNREADABLE:
        raise FailureError(NO_JSON) from None
    failure = _judge(said)
    if failure is not None:
        raise FailureError(failure)
    refused = any(part.type == "refusal" for item in output for part in item.content or ())
    logprobs = [one for item in output for part in item.content or () for one in part.logprobs or ()]
    return Answer(
        model=said.model or "",
        parts=tuple(part for item in output for part in _read_item(item)),
        finish=_finish(said, output, refused),
        id=said.id or "",
        created_s=None if said.created_at is None else int(said.created_at),
        usage=Usage() if said.usage is None else read_usage(said.usage, said.service_tier),
        logprobs=items.read_logprobs(logprobs),
    )


def _read_item(item: ItemBody) -> list[Part]:
    if item.type == MESSAGE:
        said = [part.refusal if part.type == "refusal" else part.text for part in item.content or ()]
        return [Text(text) for text in said if text]
    if item.type == REASONING:
        return [read_reasoning(item)]
    if item.type in (CALL, FREE_CALL):
        arguments = item.arguments or "" if item.type == CALL else write_arguments(item.input or "")
        return [ToolCall(item.call_id or item.id or "", join_name(item.namespace, item.name or ""), arguments)]
    return []


def read_reasoning(item: ItemBody) -> Thinking:
    """OpenAI summarizes; servers of open models tell the thoughts themselves."""
    thought = "\n\n".join([part.text for part in item.summary or () if part.text])
    return items.read_sealed(
        thought or "".join([part.text for part in item.content or () if part.text]), item.encrypted_content
    )


def write_answer(answer: Answer, stamp: Stamp) -> Written:
    created_s = stamp.now_s if answer.created_s is None else answer.created_s
    name = name_response(answer.id, stamp)
    framed = frame(name, answer.model or stamp.model, created_s, stamp.request)
    output = _write_output(answer, name.removeprefix("resp_"), own_tools(stamp.request))
    refused = answer.finish is Finish.REFUSED and any(type(part) is Text for part in answer.parts)
    # A refusal that has words is whole, and says in its words what it is.
    finish = Finish.STOP if refused else answer.finish
    return Written(200, encode(finish_response(framed, finish, output, answer.usage)))


def _write_output(answer: Answer, key: str, own: Mapping[str, Tool]) -> list[dict[str, Any]]:
    output: list[dict[str, Any]] = []
    logprobs = answer.logprobs
    for part in answer.parts:
        if type(part) is Text:
            if not output or output[-1]["type"] != MESSAGE:
                output.append(items.write_message(f"{PREFIXES[MESSAGE]}_{key}_{len(output)}", []))
            if answer.finish is Finish.REFUSED:
                written: dict[str, Any] = {"type": "refusal", "refusal": part.text}
            else:
                # Nobody knows which text they belong to, where there are several.
                written, logprobs = items.write_text(part.text, logprobs), ()
            output[-1]["content"].append(written)
        elif type(part) is Thinking:
            sealed = items.write_seal(part.signature, part.redacted)
            texts = [part.text] if part.text else []
            output.append(items.write_reasoning(f"{PREFIXES[REASONING]}_{key}_{len(output)}", texts, sealed))
        elif type(part) is ToolCall:
            tool = own.get(part.name)
            kind = FREE_CALL if is_free(tool) else CALL
            name, called = f"{PREFIXES[kind]}_{key}_{len(output)}", split_name(tool, part.name)
            output.append(items.write_call(kind, name, part.id, called, part.arguments, "completed"))
    if output and output[-1]["type"] == MESSAGE and answer.finish in (Finish.LENGTH, Finish.FILTERED, Finish.PAUSED):
        output[-1]["status"] = "incomplete"
    return output
