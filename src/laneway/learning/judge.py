"""Judging in the background: a sample of served answers is scored by models, and the scores are taught.

Owns: drawing the sample, the bounded queue of answers that wait, asking a second candidate now and then, asking the
judges, and what is remembered of how that went.
Refuses: the request path (nobody waits for a judge), more money than a judge's budget, prompts and scores that make no
sense (policy reads them), and keeping an answer's text any longer than it takes to judge it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar, cast

from laneway.chat import ChatRequest, Finish, Op, TextDelta
from laneway.edge import App
from laneway.errand import Brought, Errand, run, text_of
from laneway.exchange import Exchange
from laneway.failure import FailureError, Kind
from laneway.jury import Judge
from laneway.learning.case import is_dry
from laneway.learning.credit import Credit
from laneway.learning.teaching import add_labels, decided, subject_of
from laneway.policy.judging import pair_request, read_pair, read_score, score_request, settle, transcript
from laneway.policy.permit import permitted
from laneway.policy.teaching import MOST_CHARS
from laneway.policy.usage import day_of
from laneway.ports import Audit, Audited, Examples
from laneway.ports.examples import PLAIN, Example, Filter, Label, Setting
from laneway.route import Member, Pool, Target, Tenant

T = TypeVar("T")

JUDGED = "memory.judge"
FATES = ("judged", "paired", "unread", "failed", "refused", "dropped", "unfit")
REST_S = 60.0
"""How long a judge draws nothing of a tenant when the money for it is gone."""
PAUSE_S = 1.0
"""After something that cannot be, such as a store that does not answer."""
MOST_BODY = 1 << 20
"""A longer request is not judged: what waits is held in memory."""
MOST_KNOWN = 4096
"""Tenants and candidates whose labels are counted."""
log = logging.getLogger("laneway")


class Drawn(NamedTuple):
    """An answer that waits to be judged."""

    judge: Judge
    paired: bool
    exchange: Exchange
    body: bytes


class Case(NamedTuple):
    """The same, read: who asked what, and who answered how."""

    tenant: Tenant
    pool: Pool
    decision: str
    request: ChatRequest
    text: str
    tag: str
    setting: Setting
    shown: str
    """What the judge is shown of the question: the prompt, or the whole conversation that leads to it."""
    served: Member
    answer: str


class Judges:
    """Takes answers from the tap; what `start` begins judges them. Without judges it does nothing."""

    def __init__(
        self,
        examples: Examples,
        audit: Audit,
        *,
        chance: random.Random | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        """What became of answers, by judge and fate."""
        self.credit = Credit(examples)
        self._examples = examples
        self._audit = audit
        self._chance = chance or random.Random()
        self._clock = clock
        self._judges: Mapping[str, Judge] = {}
        self._app: App | None = None
        self._tenant: Callable[[str], Tenant] = lambda name: Tenant(name=name)
        self._queues: dict[str, deque[Drawn]] = {}
        self._rests: dict[tuple[str, str], float] = {}
        """By judge and who pays."""
        self._labels: dict[tuple[str, str], int] = {}
        """Of tenants and candidates that were met: how many labels there are."""
        self._uncounted: dict[tuple[str, str], None] = {}
        self._noted: set[tuple[str, str]] = set()
        self._came = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []
        self._running = False

    def use(self, judges: Mapping[str, Judge], app: App, tenant: Callable[[str], Tenant]) -> None:
        """Puts a configuration in force: its judges, the stack that their calls walk through, and who is who there."""
        others = judges != self._judges
        self._judges, self._app, self._tenant = judges, app, tenant
        self._queues = {name: self._queues.get(name) or deque() for name in judges}
        self._labels.clear()
        if self._running and others:
            self._hire()

    def told(self) -> list[dict[str, str | int | float | bool | None]]:
        """Each judge, what became of the answers that it drew in this process, and how far it is believed."""
        now_s = self._clock()
        return [
            {
                "judge": judge.name,
                "model": judge.target.name,
                "waiting": len(self._queues[judge.name]),
                "resting": any(until_s > now_s for (name, _), until_s in self._rests.items() if name == judge.name),
                "trust": self.credit.trust.get(judge.source),
                **{fate: self.counts[judge.name, fate] for fate in FATES},
            }
            for judge in self._judges.values()
        ]

    # --- beside the requests -------------------------------------------------------------------------------

    def draw(self, exchange: Exchange) -> Sequence[tuple[Judge, bool]]:
        """Which judges want the answer, and whether with another candidate's beside it."""
        pool = exchange.pool
        if pool is None or exchange.op is not Op.CHAT or is_dry(exchange) or len(exchange.body or b"") > MOST_BODY:
            return ()
        now_s = self._clock()
        found: list[tuple[Judge, bool]] = []
        for judge in self._judges.values():
            if (judge.pools is not None and pool.name not in judge.pools) or self._rests_for(
                judge, exchange.tenant, now_s
            ):
                continue
            chance = self._chance.random()
            if chance < judge.pairs or self._fresh(judge, exchange.tenant, pool) is not None:
                found.append((judge, True))
            elif chance < judge.pairs + judge.share:
                found.append((judge, False))
        return found

    def take(self, lot: object, exchange: Exchange, body: bytes) -> None:
        for judge, paired in cast("Sequence[tuple[Judge, bool]]", lot):
            queue = self._queues.get(judge.name)
            if queue is None or len(queue) >= judge.queue:
                self.counts[judge.name, "dropped"] += 1
            else:
                queue.append(Drawn(judge, paired, exchange, body))
                self._came.set()

    def _rests_for(self, judge: Judge, tenant: Tenant, now_s: float) -> bool:
        return self._rests.get((judge.name, judge.tenant or tenant.name), 0.0) > now_s

    def _fresh(self, judge: Judge, tenant: Tenant, pool: Pool) -> Member | None:
        """The candidate that a memory which knows others knows next to nothing of, if there is one."""
        if not judge.burst:
            return None
        places = [(tenant.name, member.label) for member in pool.members]
        unknown = [place for place in places if place not in self._labels]
        if unknown:
            # Counted in the background; the next request knows.
            self._uncounted.update(dict.fromkeys(unknown))
            self._came.set()
            return None
        counts = [self._labels[place] for place in places]
        if max(counts) < judge.burst or min(counts) >= judge.burst:
            return None
        return pool.members[counts.index(min(counts))]

    # --- running -------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._running = True
        self._hire()

    async def close(self) -> None:
        """What waits is not judged any more: nothing of an answer is kept."""
        self._running = False
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        for queue in self._queues.values():
            queue.clear()

    def _hire(self) -> None:
        for worker in self._workers:
            worker.cancel()
        loop = asyncio.get_running_loop()
        self._workers = [
            loop.create_task(self._work(judge)) for judge in self._judges.values() for _ in range(judge.workers)
        ]
        if self._judges:
            self._workers.append(loop.create_task(self._recall()))

    async def _recall(self) -> None:
        try:
            await self.credit.begin([judge.source for judge in self._judges.values()])
        except FailureError as error:
            log.warning("what judges are worth is not known yet: %s", error.failure.message)

    async def _work(self, judge: Judge) -> None:
        while True:
            queue = self._queues.get(judge.name)
            if queue is None:
                return
            try:
                await self._count()
                if queue:
                    await self._judge(queue.popleft())
                else:
                    self._came.clear()
                    await self._came.wait()
            except FailureError as error:
                log.warning("judge %s waits: %s", judge.name, error.failure.message)
                await asyncio.sleep(PAUSE_S)
            except Exception:
                log.exception("judge %s stumbled over an answer", judge.name)
                await asyncio.sleep(PAUSE_S)

    async def _count(self) -> None:
        while self._uncounted:
            place = next(iter(self._uncounted))
            del self._uncounted[place]
            if len(self._labels) >= MOST_KNOWN:
                self._labels.clear()
            self._labels[place] = await self._examples.count(place[0], where=Filter(candidate=place[1]))

    async def _judge(self, drawn: Drawn) -> None:
        judge = drawn.judge
        if self._rests_for(judge, drawn.exchange.tenant, self._clock()):
            self.counts[judge.name, "dropped"] += 1
            return
        case = read_case(drawn.exchange, drawn.body)
        if case is None or self._app is None:
            self.counts[judge.name, "unfit"] += 1
            return
        labels = await (self._pair(judge, case) if drawn.paired else self._score(judge, case))
        if not labels:
            return
        self.counts[judge.name, "paired" if drawn.paired else "judged"] += 1
        await self._teach(judge, case, labels)

    async def _score(self, judge: Judge, case: Case) -> tuple[Label, ...]:
        said = await self._asked(judge, score_request(case.shown, case.answer, judge.rubric), case)
        score = None if said is None else self._read(judge, read_score(said))
        return () if score is None else (Label(case.served.label, score, judge.source),)

    async def _pair(self, judge: Judge, case: Case) -> tuple[Label, ...]:
        """The same request to another candidate, and both answers judged in both orders."""
        other = self._other(judge, case)
        if other is None:
            return await self._score(judge, case)
        brought = await self._run(judge, case, case.request, other.targets[0], "pair")
        if brought is None or not brought.text:
            # A candidate that cannot be asked has had its try: no burst goes on for ever.
            self._met(case.tenant.name, other.label)
            return ()
        sides = (case.answer, brought.text)
        straight = await self._asked(judge, pair_request(case.shown, sides[0], sides[1], judge.rubric), case)
        swapped = await self._asked(judge, pair_request(case.shown, sides[1], sides[0], judge.rubric), case)
        if straight is None or swapped is None:
            return ()
        one, two = read_pair(straight), read_pair(swapped)
        scores = self._read(judge, settle(one, two) if one is not None and two is not None else None)
        if scores is None:
            return ()
        return Label(case.served.label, scores[0], judge.source), Label(other.label, scores[1], judge.source)

    def _other(self, judge: Judge, case: Case) -> Member | None:
        """A candidate that the tenant may use and that did not serve: a fresh one first, else any."""
        others = [
            member
            for member in case.pool.members
            if member is not case.served and permitted(case.tenant, member.targets[:1])
        ]
        fresh = self._fresh(judge, case.tenant, case.pool)
        return fresh if fresh in others else self._chance.choice(others) if others else None

    def _read(self, judge: Judge, found: T | None) -> T | None:
        if found is None:
            self.counts[judge.name, "unread"] += 1
        return found

    async def _asked(self, judge: Judge, request: ChatRequest, case: Case) -> str | None:
        brought = await self._run(judge, case, request, judge.target, "judge")
        return None if brought is None else brought.text

    async def _run(self, judge: Judge, case: Case, request: ChatRequest, target: Target, intent: str) -> Brought | None:
        assert self._app is not None
        payer = case.tenant if judge.tenant is None else self._tenant(judge.tenant)
        errand = Errand(request=request, target=target, tenant=payer, key_id=judge.source, intent=intent)
        brought = await run(self._app, errand)
        if brought.failure is None:
            return brought
        poor = brought.failure.kind is Kind.OVER_BUDGET
        self.counts[judge.name, "refused" if poor else "failed"] += 1
        if poor:
            if len(self._rests) >= MOST_KNOWN:
                self._rests.clear()
            self._rests[judge.name, payer.name] = self._clock() + REST_S
        return None

    async def _teach(self, judge: Judge, case: Case, labels: tuple[Label, ...]) -> None:
        now_s = self._clock()
        tenant, batch = case.tenant.name, f"{judge.source}:{day_of(now_s)}"
        if (tenant, batch) not in self._noted:
            # Once a day: each example says itself who taught it and when.
            if len(self._noted) >= MOST_KNOWN:
                self._noted.clear()
            self._noted.add((tenant, batch))
            detail = {"batch": batch, "model": judge.target.name}
            entry = Audited(at_s=now_s, actor=judge.source, action=JUDGED, subject=subject_of(tenant), detail=detail)
            await self._audit.note(entry)
        example = Example(
            text=case.text,
            tag=case.tag,
            setting=case.setting,
            labels=labels,
            task_id=decided(case.decision),
            batch=batch,
            taught_by=judge.source,
            at_s=now_s,
        )
        await add_labels(self._examples, tenant, example)
        await self.credit.heard(tenant, judge.source)
        for label in labels:
            self._met(tenant, label.candidate)

    def _met(self, tenant: str, candidate: str) -> None:
        if (tenant, candidate) in self._labels:
            self._labels[tenant, candidate] += 1


def read_case(exchange: Exchange, body: bytes) -> Case | None:
    """What there is to judge, or None: an answer that was cut, refused, called a tool, or has no words."""
    pool, view, asked = exchange.pool, exchange.view, exchange.body
    last = exchange.attempts[-1] if exchange.attempts else None
    if pool is None or view is None or asked is None or last is None or last.failure is not None:
        return None
    served = next((member for member in pool.members if last.target in member.targets), None)
    if served is None or last.finish not in (Finish.STOP, Finish.STOP_SEQUENCE):
        return None
    try:
        request = exchange.dialect.read_request(exchange.op, asked)
        answer = _words(exchange, body, stream=view.stream)
    except FailureError:
        return None
    seen = exchange.receipt
    text = (exchange.asked or exchange.dialect.asked(exchange.op, asked)).text
    if not text.strip() or not answer.strip() or len(text) > MOST_CHARS:
        return None
    tag, setting = (seen.tag, seen.setting) if seen is not None else ("", PLAIN)
    shown = transcript(request) or text
    return Case(exchange.tenant, pool, exchange.request_id, request, text, tag, setting, shown, served, answer)


def _words(exchange: Exchange, body: bytes, *, stream: bool) -> str:
    if not stream:
        return text_of(exchange.dialect.read_answer(exchange.op, body))
    reader = exchange.dialect.reader(exchange.op)
    frames = [*reader.feed(body), *reader.end()]
    return "".join(event.text for frame in frames for event in frame.events if isinstance(event, TextDelta))
