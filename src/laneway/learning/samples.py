"""Samples: examples as people write them down, one JSON object each, in a body or in lines of a file.

Owns: their two forms (a prompt with a score per model; an example as it was exported), reading them with the place of
whatever is wrong, and what a written prompt looks like to the rule that will compare it with live ones.
Refuses: knowing which candidates there are (the teacher does), and any guess at a field it does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from laneway.chat import ChatRequest, Message, Op, Role, Text
from laneway.dialects import dialect
from laneway.failure import Failure, FailureError, Kind, fail
from laneway.learning.teaching import Draft, Kept, Sight
from laneway.policy.advice import setting_of
from laneway.policy.tags import tag_of
from laneway.ports import Case
from laneway.ports.examples import HUMAN, Setting
from laneway.route import Decision, Pool
from laneway.wire.json import decode, encode

T = TypeVar("T")

MOST_SAMPLES = 5000
"""In one body; a file is sent in several, under the name of one batch."""
_OPENAI = dialect("openai")
_NO_POOL, _NO_PLAN = Pool(name="", members=(), default=""), Decision(ranked=(), by="")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question to models: its words, or a whole conversation in OpenAI's form."""

    prompt: str | None = None
    messages: msgspec.Raw = msgspec.Raw(b"")
    system: str | None = None
    max_tokens: int | None = None


class Sample(Asked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question with how well each model answered it, from 0 to 1."""

    scores: dict[str, float]
    task_id: str = ""
    label_source: str = HUMAN
    label_sources: dict[str, str] = {}
    """Who scored single models, where it was somebody else: a judge whose suggestion was left as it was."""
    tag: str | None = None
    pool: str | None = None


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Several, taught together or not at all."""

    examples: list[Sample]
    batch: str | None = None


_sample = msgspec.json.Decoder(Sample)
_batch = msgspec.json.Decoder(Batch)
_kept = msgspec.json.Decoder(Kept)
_is_batch = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_body(body: bytes) -> tuple[list[tuple[str, Sample]], str | None]:
    """One sample, or a batch of them, each with its place; and the batch's name if it has one."""
    if "examples" not in decode(_is_batch, body):
        return [("", decode(_sample, body))], None
    batch = decode(_batch, body)
    if not batch.examples:
        raise fail(Kind.BAD_REQUEST, "examples: is empty; there is nothing to learn.", field="examples")
    return [(f"examples[{at}].", sample) for at, sample in enumerate(_bounded(batch.examples))], batch.batch


def read_samples(body: bytes, first: int = 1) -> list[tuple[str, Sample]]:
    """A sample a line."""
    return list(_lines(body, _sample, first))


def read_kept(body: bytes, first: int = 1) -> list[tuple[str, Kept]]:
    """An exported example a line."""
    return list(_lines(body, _kept, first))


def _lines(body: bytes, decoder: msgspec.json.Decoder[T], first: int) -> Iterator[tuple[str, T]]:
    lines = [(number, line) for number, line in enumerate(body.split(b"\n"), first) if line.strip()]
    if not lines:
        raise fail(Kind.MALFORMED_REQUEST, "The body is empty; send one JSON object a line.")
    for number, line in _bounded(lines):
        try:
            yield f"line {number}: ", decode(decoder, line)
        except FailureError as error:
            raise FailureError(placed(error.failure, f"line {number}: ")) from None


def _bounded(found: list[T]) -> list[T]:
    if len(found) > MOST_SAMPLES:
        raise fail(Kind.TOO_LARGE, f"There are {len(found)} examples; send at most {MOST_SAMPLES} at once.")
    return found


def placed(failure: Failure, place: str) -> Failure:
    return msgspec.structs.replace(failure, message=f"{place}{failure.message}")


def conversation(asked: Asked, place: str = "") -> ChatRequest:
    """The question as a request that could be sent."""
    if (asked.prompt is None) is (not bytes(asked.messages)):
        raise fail(Kind.BAD_REQUEST, f"{place}prompt: give either a prompt or messages.", field=f"{place}prompt")
    if asked.prompt is not None:
        said = (Message(Role.USER, (Text(asked.prompt),)),)
        return ChatRequest(model="any", messages=said, system=_instructions(asked), max_tokens=asked.max_tokens)
    try:
        read = _OPENAI.read_request(Op.CHAT, encode({"model": "any", "messages": asked.messages}))
    except FailureError as error:
        raise FailureError(placed(error.failure, place)) from None
    system = (*_instructions(asked), *read.system)
    return msgspec.structs.replace(read, system=system, max_tokens=asked.max_tokens)


def _instructions(asked: Asked) -> tuple[Text, ...]:
    return (Text(asked.system),) if asked.system else ()


def drafts(samples: Iterable[tuple[str, Sample]], sight: Sight) -> list[Draft]:
    """As they will be compared. `sight` is how a live request is seen."""
    made: list[Draft] = []
    for place, sample in samples:
        text, tag, setting = sight(conversation(sample, place), sample.tag)
        made.append(
            Draft(
                text=text,
                tag=tag,
                setting=setting,
                scores=sample.scores,
                source=sample.label_source,
                others=sample.label_sources,
                task_id=sample.task_id,
                pool=sample.pool,
                place=place,
            )
        )
    return made


def sight_of(key_id: str | None) -> Sight:
    """How a request of this key is seen: through the very functions of the live path."""

    def sight(request: ChatRequest, said: str | None) -> tuple[str, str, Setting]:
        body = _OPENAI.write_request(request, request.model).body
        asked = _OPENAI.asked(Op.CHAT, body)
        view = _OPENAI.view(Op.CHAT, body)
        case = Case(id="", at_s=0.0, tenant="", pool=_NO_POOL, view=view, asked=asked, plan=_NO_PLAN)
        return asked.text, tag_of(said or asked.tag, asked.system, asked.tools, key_id), setting_of(case)

    return sight
