"""Teaching: what is done to a tenant's memory, and by whom. Everything is in the audit.

Owns: adding examples in batches that can be taken back whole, changing and deleting them, undoing, and what a caller's
feedback on a decision becomes.
Refuses: HTTP and terminals, searching, and judging what makes sense (policy does).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from laneway.chat import ChatRequest
from laneway.failure import FailureError, Kind, fail
from laneway.layout import Layout
from laneway.policy.teaching import (
    NOBODY,
    Rolls,
    Warmth,
    read_labels,
    read_name,
    read_others,
    read_score,
    read_source,
    read_text,
    warmth,
)
from laneway.policy.trust import FEEDBACK
from laneway.ports import Audit, Audited, Examples, Receipt, Shelf
from laneway.ports.examples import EVERY, HUMAN, PLAIN, Example, Filter, Label, Setting
from laneway.route import Pool, Tenant

PAGE = 500
MOST_UNDONE = 1000
"""So many of a tenant's last orders are looked through for a batch that can still be undone."""
TEACH, IMPORT, CHANGE, DELETE, UNDO, SAID = (
    f"memory.{verb}" for verb in ("teach", "import", "change", "delete", "undo", "feedback")
)


class Draft(NamedTuple):
    """An example as it was taught, with the place in the caller's words for what is wrong with it."""

    text: str
    tag: str
    setting: Setting
    scores: Mapping[str, float]
    source: str = HUMAN
    task_id: str = ""
    pool: str | None = None
    place: str = ""
    others: Mapping[str, str] = NOBODY
    """The sources of single scores, where they are not `source`."""


Sight: TypeAlias = Callable[[ChatRequest, str | None], tuple[str, str, Setting]]
"""What a rule sees of a request, where its tag is said or not: the prompt, the tag, the setting."""


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An example as it is exported, and imported again. Without an id: it gets a new one."""

    prompt: str
    tag: str = ""
    setting: Setting = PLAIN
    labels: tuple[KeptLabel, ...]
    task_id: str = ""
    taught_by: str = ""
    at_s: float = 0.0


class KeptLabel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    candidate: str
    score: float
    source: str = HUMAN


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of an example is to be another; what is unset stays. A score of null takes a candidate's labels away."""

    prompt: str | None = None
    tag: str | None = None
    task_id: str | None = None
    scores: dict[str, float | None] = {}
    label_source: str = HUMAN


class Teacher:
    """Somebody who may change one tenant's memory."""

    def __init__(
        self,
        examples: Examples,
        audit: Audit,
        tenant: str,
        rolls: Rolls,
        *,
        actor: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.examples = examples
        self.audit = audit
        self.tenant = tenant
        self.rolls = rolls
        self.actor = actor
        self.clock = clock

    # --- adding --------------------------------------------------------------------------------------------

    def read(self, drafts: Sequence[Draft], batch: str = "") -> list[Example]:
        """What would be stored. Raises FailureError for the first that cannot be."""
        now_s = self.clock()
        return [
            Example(
                text=read_text(draft.text, f"{draft.place}prompt"),
                tag=read_name(draft.tag, f"{draft.place}tag"),
                setting=draft.setting,
                labels=self._labels(draft),
                task_id=read_name(draft.task_id, f"{draft.place}task_id"),
                batch=batch,
                taught_by=self.actor,
                at_s=now_s,
            )
            for draft in drafts
        ]

    def _labels(self, draft: Draft) -> tuple[Label, ...]:
        roll = self.rolls.of(draft.pool, draft.place)
        source, others = read_source(draft.source, draft.place), read_others(draft.scores, draft.others, draft.place)
        return read_labels(draft.scores, roll, source, draft.place, others=others)

    async def teach(
        self, drafts: Sequence[Draft], batch: str | None = None, *, first: bool = False
    ) -> tuple[str, Sequence[Example]]:
        """All of them, or none. A batch that is named goes on growing; it can be undone whole. `first`: only to who was
        never taught anything."""
        name = batch or new_batch()
        stored = await self.examples.add(self.tenant, self.read(drafts, name), first=first)
        if first and not stored:
            return name, stored
        await self._note(TEACH, batch=name, examples=len(stored), sources=", ".join(sorted(_sources(stored))))
        return name, stored

    async def restore(self, kept: Sequence[tuple[str, Kept]], batch: str | None = None) -> tuple[str, int]:
        """Puts exported examples back, each with the place it stood at: candidates nobody knows any more included."""
        name, now_s = batch or new_batch(), self.clock()
        examples = [
            Example(
                text=read_text(each.prompt, f"{place}prompt"),
                tag=read_name(each.tag, f"{place}tag"),
                setting=each.setting,
                labels=tuple(_label(label, f"{place}labels[{at}].") for at, label in enumerate(each.labels)),
                task_id=read_name(each.task_id, f"{place}task_id"),
                batch=name,
                taught_by=read_name(each.taught_by, f"{place}taught_by") or self.actor,
                at_s=each.at_s or now_s,
            )
            for place, each in kept
        ]
        stored = await self.examples.add(self.tenant, examples)
        await self._note(IMPORT, batch=name, examples=len(stored))
        return name, len(stored)

    async def warmth(self, pools: Mapping[str, Pool], shelf: Shelf | None = None) -> dict[str, Warmth]:
        """How far the tenant's memory is from routing each of the pools that he may use."""
        members = self.rolls.members
        wanted = {who.label for found in members.values() for who in found}
        if shelf is not None:
            counts, columns = shelf.totals()[1], shelf.columns
            labels = {label: counts[columns[label]] for label in wanted if label in columns}
        else:
            where = {label: Filter(candidate=label) for label in wanted}
            labels = {label: await self.examples.count(self.tenant, where=each) for label, each in where.items()}
        return {name: warmth([who.label for who in found], labels, pools[name].warm) for name, found in members.items()}

    # --- changing ------------------------------------------------------------------------------------------

    async def get(self, example_id: int) -> Example:
        found = await self.examples.get(self.tenant, example_id)
        if found is None:
            raise _nothing(example_id)
        return found

    async def change(self, example_id: int, asked: Change) -> Example:
        before = await self.get(example_id)
        source = read_source(asked.label_source)
        labels = {(label.candidate, label.source): label for label in before.labels}
        for name, score in asked.scores.items():
            where = f"scores.{name[:80]}"
            candidate = self._known(name, before, where)
            if score is None:
                labels = {pair: label for pair, label in labels.items() if pair[0] != candidate}
            else:
                labels[candidate, source] = Label(candidate, read_score(score, where), source)
        if not labels:
            raise fail(Kind.BAD_REQUEST, "scores: no label would be left; delete the example instead.", field="scores")
        after = msgspec.structs.replace(
            before,
            text=before.text if asked.prompt is None else read_text(asked.prompt, "prompt"),
            tag=before.tag if asked.tag is None else read_name(asked.tag, "tag"),
            task_id=before.task_id if asked.task_id is None else read_name(asked.task_id, "task_id"),
            labels=tuple(labels.values()),
        )
        if not await self.examples.change(self.tenant, after):
            raise _nothing(example_id)
        await self._note(CHANGE, id=example_id, scores=_told(before.labels), now=_told(after.labels))
        return after

    def _known(self, name: str, example: Example, where: str) -> str:
        """A candidate by its label on the example, for it may be none of today's, or by any of today's names."""
        if any(label.candidate == name for label in example.labels):
            return name
        return self.rolls.all.candidate(name, where)

    async def delete(self, ids: Sequence[int]) -> int:
        deleted = await self.examples.delete(self.tenant, ids)
        if not deleted and len(ids) == 1:
            raise _nothing(ids[0])
        await self._note(DELETE, examples=deleted, ids=", ".join(map(str, ids[:100])))
        return deleted

    async def undo(self, batch: str | None = None) -> tuple[str, int]:
        """Takes back everything that a batch added and is still there; the last one's, if none is named."""
        name = batch or await self._last_batch()
        deleted, where = 0, Filter(batch=name)
        while found := await self.examples.list(self.tenant, where=where, limit=PAGE):
            deleted += await self.examples.delete(self.tenant, [example.id for example in found])
        if not deleted:
            raise fail(Kind.UNKNOWN_PATH, f"Nothing is left of a batch '{name[:80]}'.", field="batch")
        await self._note(UNDO, batch=name, examples=deleted)
        return name, deleted

    async def _last_batch(self) -> str:
        entries = await self.audit.recent(MOST_UNDONE, subject=subject_of(self.tenant))
        tried: set[str] = set()
        for entry in entries:
            batch = str(entry.detail.get("batch") or "")
            if entry.action not in (TEACH, IMPORT) or not batch or batch in tried:
                continue
            tried.add(batch)
            if await self.examples.count(self.tenant, where=Filter(batch=batch)):
                return batch
        raise fail(Kind.UNKNOWN_PATH, "There is no batch to undo: nothing was taught, or nothing of it is left.")

    # --- what callers say of answers -----------------------------------------------------------------------

    async def hear(
        self, receipt: Receipt, score: float, comment: str, *, model: str | None, served: str | None
    ) -> tuple[Example, Label]:
        """A caller's word on a decision. Said again, it replaces what was said before. It is about the model that is
        named, else about who answered: `served` is the target, empty where none did, None where nobody knows."""
        if receipt.text is None:
            message = f"The pool '{receipt.pool}' keeps no prompts; with keep_prompts = true its answers can be scored."
            raise fail(Kind.CONFLICT, message)
        label = Label(self._about(receipt, model, served), read_score(score, "score"), FEEDBACK)
        about = Example(
            text=read_text(receipt.text, "decision"),
            tag=receipt.tag,
            setting=receipt.setting,
            labels=(label,),
            task_id=decided(receipt.id),
            batch=FEEDBACK,
            taught_by=self.actor,
            at_s=self.clock(),
        )
        stored = await add_labels(self.examples, self.tenant, about)
        await self._note(
            SAID, decision=receipt.id, candidate=label.candidate, score=label.score, comment=comment or None
        )
        return stored, label

    def _about(self, receipt: Receipt, model: str | None, served: str | None) -> str:
        if model is not None:
            return self.rolls.all.candidate(model, "model")
        if served == "":
            raise fail(Kind.CONFLICT, "No answer came of this decision; name the model that is meant.", field="model")
        target = served or receipt.served
        # As it was called then, for a candidate may have another version by now.
        stood = next((each.candidate for each in receipt.standings if each.target == target), None)
        found = stood or self.rolls.served(target)
        if found is None:
            raise fail(
                Kind.CONFLICT, "What answered is no candidate of a pool; name the model that is meant.", field="model"
            )
        return found

    async def _note(self, action: str, **detail: str | float | bool | None) -> None:
        await self.audit.note(
            Audited(at_s=self.clock(), actor=self.actor, action=action, subject=subject_of(self.tenant), detail=detail)
        )


def rolls_of(layout: Layout, tenant: Tenant) -> Rolls:
    """The candidates that a tenant may score, by all the names that mean them."""

    def resolve(name: str) -> str | None:
        meaning = layout.names.meaning(name)
        return meaning.targets[0].name if meaning is not None and meaning.targets and meaning.pool is None else None

    return Rolls(layout.pools.values(), tenant, resolve)


async def add_labels(examples: Examples, tenant: str, about: Example) -> Example:
    """Stores labels of one decision beside those it has already, so that trust can weigh its sources; the same source's
    are replaced."""
    before = await examples.list(tenant, where=Filter(task_id=about.task_id), limit=1)
    if not before:
        (stored,) = await examples.add(tenant, [about])
        return stored
    (found,) = before
    labels = {(label.candidate, label.source): label for label in (*found.labels, *about.labels)}
    merged = msgspec.structs.replace(found, labels=tuple(labels.values()))
    if merged.labels != found.labels and not await examples.change(tenant, merged):
        (merged,) = await examples.add(tenant, [about])  # deleted meanwhile
    return merged


def decided(request_id: str) -> str:
    """The task id of what was taught about one decision."""
    return f"decision:{request_id}"


async def every(examples: Examples, tenant: str, where: Filter = EVERY) -> AsyncIterator[Sequence[Example]]:
    """All of a tenant's examples, a page at a time."""
    after = 0
    while page := await examples.list(tenant, where=where, after=after, limit=PAGE):
        yield page
        after = page[-1].id


def new_batch() -> str:
    return f"batch_{secrets.token_hex(6)}"


def subject_of(tenant: str) -> str:
    """Under which the audit keeps what was done to a tenant's memory."""
    return f"memory:{tenant}"


def kept_of(example: Example) -> Kept:
    return Kept(
        prompt=example.text,
        tag=example.tag,
        setting=example.setting,
        labels=tuple(KeptLabel(*label) for label in example.labels),
        task_id=example.task_id,
        taught_by=example.taught_by,
        at_s=example.at_s,
    )


def _label(kept: KeptLabel, place: str) -> Label:
    candidate = read_name(kept.candidate, f"{place}candidate")
    if not candidate:
        raise fail(Kind.BAD_REQUEST, f"{place}candidate: is empty; a candidate is provider/id.")
    return Label(candidate, read_score(kept.score, f"{place}score"), read_source(kept.source, place))


def _sources(examples: Sequence[Example]) -> set[str]:
    return {label.source for example in examples for label in example.labels}


def _told(labels: Sequence[Label]) -> str:
    return ", ".join(f"{label.candidate}={label.score:g} ({label.source})" for label in labels)


def _nothing(example_id: int) -> FailureError:
    return fail(Kind.UNKNOWN_PATH, f"There is no example {example_id} in this memory.")
