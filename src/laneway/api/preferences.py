"""Preferences: asking several models the same, teaching how well each did, and what callers say of single answers.

Owns: /v1/router/preferences/compare, judge and rank, and /v1/feedback. Refuses: saying what may be taught (policy
does), and any call that does not walk the gateway's own stack in the caller's name.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from laneway.api.desk import body_of, caller_of, desk_of, endpoint, json, visitor_of
from laneway.chat import ChatRequest
from laneway.config import nearest
from laneway.errand import Brought, Errand, run_all
from laneway.failure import FailureError, Kind, fail
from laneway.jury import Judge
from laneway.layout import Layout
from laneway.learning.opinion import judge_for, opine
from laneway.learning.samples import Asked, Sample, conversation, drafts, read_body, read_samples, sight_of
from laneway.learning.teaching import Teacher, rolls_of
from laneway.policy.permit import permitted
from laneway.policy.price import nanos_to_usd
from laneway.ports import Receipt, Search
from laneway.route import Target, Tenant
from laneway.wire.json import decode, decode_object

MOST_MODELS = 16
AT_ONCE = 4
"""Calls of one comparison that run at the same time."""
MOST_TAUGHT = 16 << 20
LONG_BODY = 1 << 16
"""A longer body is read beside the loop."""
MOST_COMMENT = 500
MOMENT_S = 0.001
"""Receipt and record are of the same instant, as far as numbers say."""
FIRST_LESSON_S = 3.0
"""How long who teaches first waits for what comes of it."""


class Comparison(Asked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    models: tuple[str, ...]


class Answered(Asked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question with its answers, each under the name of its model."""

    answers: dict[str, str]
    judge: str | None = None


class Feedback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    decision: str
    score: float | None = None
    thumbs: Literal["up", "down"] | None = None
    model: str | None = None
    comment: str = ""


_comparison = msgspec.json.Decoder(Comparison)
_answered = msgspec.json.Decoder(Answered)
_feedback = msgspec.json.Decoder(Feedback)


# --- comparing ---------------------------------------------------------------------------------------------


@endpoint
async def compare(request: Request) -> Response:
    """POST /v1/router/preferences/compare {"prompt", "models"}: asks each of them; one that fails sinks no other."""
    tenant, key = await caller_of(request)
    asked = decode(_comparison, await body_of(request))
    desk = desk_of(request)
    targets = _targets(asked.models, desk.loaded.layout, tenant)
    said = conversation(asked)
    key_id, project = (key.id if key is not None else None), request.headers.get("x-laneway-project")
    errands = [_errand(said, target, tenant, key_id, project) for target in targets]
    brought = await run_all(desk.stack, errands, at_once=AT_ONCE)
    answers = [_answer(name, target, each) for name, target, each in zip(asked.models, targets, brought, strict=True)]
    total = sum(each.cost_nanos for each in brought)
    return json({"object": "laneway.comparison", "answers": answers, "cost_usd": nanos_to_usd(total)})


def _targets(models: tuple[str, ...], layout: Layout, tenant: Tenant) -> list[Target]:
    """One target for each name. Nothing is asked before all are known, allowed, and different."""
    if not 1 <= len(models) <= MOST_MODELS:
        raise fail(Kind.BAD_REQUEST, f"models: name from 1 to {MOST_MODELS} models.", field="models")
    found: dict[str, str] = {}
    targets: list[Target] = []
    for at, name in enumerate(models):
        where = f"models[{at}]"
        meaning = layout.names.meaning(name)
        if meaning is None or not meaning.targets or meaning.is_lane or meaning.pool is not None:
            hint = nearest(name, layout.names.models)
            raise fail(Kind.UNKNOWN_MODEL, f"{where}: there is no model '{name[:120]}'{hint}.", field=where)
        target = meaning.targets[0]
        if not _may_use(tenant, target, layout):
            raise fail(Kind.FORBIDDEN, f"{where}: this key may not use the model '{name[:120]}'.", field=where)
        before = found.setdefault(target.name, name)
        if len(found) == at:
            raise fail(Kind.BAD_REQUEST, f"{where}: means the same model as '{before}', {target.name}.", field=where)
        targets.append(target)
    return targets


def _may_use(tenant: Tenant, target: Target, layout: Layout) -> bool:
    """As the lane room would have it: who is given lanes and no models may use what those lanes hold."""
    if tenant.lanes is not None and tenant.models is None:
        return any(target in layout.lanes[lane].targets for lane in tenant.lanes if lane in layout.lanes)
    return bool(permitted(tenant, (target,)))


def _errand(said: ChatRequest, target: Target, tenant: Tenant, key_id: str | None, project: str | None) -> Errand:
    return Errand(request=said, target=target, tenant=tenant, key_id=key_id, project=project, intent="compare")


def _answer(name: str, target: Target, brought: Brought) -> dict[str, Any]:
    failure, usage = brought.failure, brought.usage
    return {
        "model": name,
        "candidate": target.name,
        "text": brought.text if failure is None else None,
        "finish": brought.finish,
        "usage": {"input_tokens": usage.input, "output_tokens": usage.output},
        "cost_usd": nanos_to_usd(brought.cost_nanos),
        "latency_ms": round(brought.elapsed_s * 1000, 1),
        "request_id": brought.request_id,
        "error": None if failure is None else {"kind": failure.kind, "message": failure.message},
    }


# --- a judge's opinion -------------------------------------------------------------------------------------


@endpoint
async def judge(request: Request) -> Response:
    """POST /v1/router/preferences/judge {"prompt", "answers"}: what a judge would score; nothing is taught."""
    tenant, _ = await caller_of(request)
    asked = decode(_answered, await body_of(request))
    if not 1 <= len(asked.answers) <= MOST_MODELS:
        raise fail(Kind.BAD_REQUEST, f"answers: give from 1 to {MOST_MODELS}, each by its model.", field="answers")
    desk, said = desk_of(request), conversation(asked)
    asked_of = _judge_of(desk.loaded.layout, asked)
    payer = tenant if asked_of.tenant is None else desk.gate.tenant(asked_of.tenant)
    opinion = await opine(desk.stack, asked_of, payer, said, asked.answers)
    if opinion.failure is not None:
        raise FailureError(opinion.failure)
    return json(
        {
            "object": "laneway.opinion",
            "judge": asked_of.name,
            "model": asked_of.target.name,
            "label_source": asked_of.source,
            "trust": desk.judges.credit.trust.get(asked_of.source),
            "scores": {name: round(score, 4) for name, score in opinion.scores.items()},
            "undecided": [name for name in asked.answers if name not in opinion.scores],
            "calls": opinion.calls,
            "cost_usd": nanos_to_usd(opinion.cost_nanos),
        }
    )


def _judge_of(layout: Layout, asked: Answered) -> Judge:
    if asked.judge is not None:
        found, known = layout.judges.get(asked.judge), ", ".join(layout.judges) or "none is configured"
        words = f"judge: there is no judge '{asked.judge[:80]}'. Judges: {known}."
    else:
        found = judge_for(layout.judges, layout.pools, asked.answers)
        words = "No judge scores these models' answers: a table [judges.NAME] with a model configures one."
    if found is None:
        raise fail(Kind.BAD_REQUEST, words, field="judge")
    return found


# --- teaching ----------------------------------------------------------------------------------------------


async def teacher_of(request: Request, *, mending: bool = False) -> tuple[Teacher, str | None]:
    """Whoever asks, as the teacher of his tenant's memory (an admin's: of `?tenant=`), and the id of his key. Where
    nobody needs a key all share one memory: everybody may add to it, and to mend it is an admin's."""
    visitor = await visitor_of(request)
    if visitor is None:
        await caller_of(request)  # says what is wrong with the key
        raise AssertionError("a caller without a visitor is refused")
    wanted = request.query_params.get("tenant")
    if wanted is not None and not visitor.admin and wanted != visitor.tenant.name:
        raise fail(Kind.FORBIDDEN, "tenant: here is only what your own tenant was taught.", field="tenant")
    if mending and visitor.key is None and not visitor.admin:
        raise fail(Kind.FORBIDDEN, "The memory of everybody is an admin's to change: send the admin key.")
    desk = desk_of(request)
    key = visitor.key
    actor = "admin" if visitor.admin else key.id if key is not None else "anybody"
    rolls = rolls_of(desk.loaded.layout, visitor.tenant)
    teacher = Teacher(desk.store.examples, desk.store.audit, visitor.tenant.name, rolls, actor=actor)
    return teacher, key.id if key is not None else None


@endpoint
async def rank(request: Request) -> Response:
    """POST /v1/router/preferences/rank {"prompt", "scores"}: teaches an example, several, or NDJSON; all or nothing."""
    teacher, key_id = await teacher_of(request)
    samples, batch = await _samples(request)
    batch = batch or request.query_params.get("batch")
    learned = drafts(samples, sight_of(key_id))
    if request.query_params.get("check") in ("1", "true"):
        # What is right is said to be right, and nothing is kept.
        return json({"recorded": 0, "checked": len(teacher.read(learned)), **await warm_of(request, teacher)})
    name, stored = await teacher.teach(learned, read_batch(batch))
    ids = [example.id for example in stored]
    await known(request, teacher)
    return json({"recorded": len(stored), "batch": name, "ids": ids, **await warm_of(request, teacher)}, 201)


async def _samples(request: Request) -> tuple[list[tuple[str, Sample]], str | None]:
    body = await body_of(request, MOST_TAUGHT)
    if is_lines(request):
        first = read_first(request)
        if len(body) > LONG_BODY:
            return await asyncio.to_thread(read_samples, body, first), None
        return read_samples(body, first), None
    return await asyncio.to_thread(read_body, body) if len(body) > LONG_BODY else read_body(body)


def is_lines(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines")


def read_first(request: Request) -> int:
    """The number of a body's first line in the file it is a piece of, so that a refusal names the file's line."""
    text = request.query_params.get("first", "1")
    if not text.isdecimal() or not 0 < len(text) <= 9:
        raise fail(Kind.BAD_REQUEST, "first: expected the number of a line.", field="first")
    return int(text)


def read_batch(name: str | None) -> str | None:
    if name is None:
        return None
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise fail(Kind.BAD_REQUEST, "batch: expected a name of at most 64 visible characters.", field="batch")
    return name


async def known(request: Request, teacher: Teacher) -> None:
    """Waits until the next decision knows of a change. A first lesson is waited for, later ones are learned behind."""
    desk = desk_of(request)
    shelf = await desk.shelves.ready(teacher.tenant)
    if shelf is None:
        return
    for pool in desk.loaded.layout.pools.values():
        if desk.counsel.lessons.get(pool, shelf) is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_LESSON_S):
                    await desk.counsel.lessons.ready(teacher.tenant, pool)


async def warm_of(request: Request, teacher: Teacher) -> dict[str, Any]:
    """How many examples there are, and for each pool how many labels are still needed."""
    shelf = desk_of(request).shelves.get(teacher.tenant)
    found = await teacher.warmth(desk_of(request).loaded.layout.pools, shelf)
    warm = {name: {"warm": each.warm, "labels": each.labels, "needed": each.needed} for name, each in found.items()}
    records = len(shelf) if shelf is not None else await teacher.examples.count(teacher.tenant)
    return {"records": records, "warm": warm}


# --- feedback ----------------------------------------------------------------------------------------------


@endpoint
async def feedback(request: Request) -> Response:
    """POST /v1/feedback {"decision", "score" or "thumbs"}: what a caller says of an answer becomes a label."""
    teacher, _ = await teacher_of(request)
    said = decode(_feedback, await body_of(request))
    if (said.score is None) is (said.thumbs is None):
        raise fail(Kind.BAD_REQUEST, "score: give either a score from 0 to 1, or thumbs.", field="score")
    score = said.score if said.score is not None else float(said.thumbs == "up")
    if len(said.comment) > MOST_COMMENT:
        raise fail(Kind.BAD_REQUEST, f"comment: has more than {MOST_COMMENT} characters.", field="comment")
    receipt = await desk_of(request).store.receipts.get(teacher.tenant, said.decision[:128])
    if receipt is None:
        message = f"There is no decision '{said.decision[:80]}': it was not a pool's, or is forgotten."
        raise fail(Kind.UNKNOWN_PATH, message, field="decision")
    served = await _served(request, receipt)
    example, label = await teacher.hear(receipt, score, said.comment, model=said.model, served=served)
    await known(request, teacher)
    return json({"recorded": 1, "id": example.id, "candidate": label.candidate, "score": label.score}, 201)


async def _served(request: Request, receipt: Receipt) -> str | None:
    """The target that answered, by the record: who was ranked first may have failed. Empty where none did."""
    desk = desk_of(request)
    wanted = Search(1, {"request_id": receipt.id}, receipt.at_s - MOMENT_S, receipt.at_s + MOMENT_S)
    found = await desk.store.journal.search(wanted)
    if not found:
        return None
    record = decode_object(found[0].text)
    model = record.get("gen_ai.response.model")
    return f"{record.get(f'{desk.loaded.layout.settings.server.record_prefix}.endpoint')}/{model}" if model else ""
