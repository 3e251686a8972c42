"""A judge's opinion of answers that a person is looking at: asked for at once, and no label until somebody says so.

Owns: who is asked, showing each answer first and second beside others (in pairs, both orders of each), and what comes
of it: a score, or none where the order made the difference.
Refuses: teaching, drawing answers of live traffic (`judge` does both), and knowing whose answers they are: it is shown
texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import msgspec

from laneway.chat import ChatRequest, Text
from laneway.edge import App
from laneway.errand import Brought, Errand, run_all
from laneway.failure import Failure
from laneway.jury import Judge
from laneway.policy.judging import pair_request, read_pair, read_score, score_request, settle, transcript
from laneway.route import Pool, Tenant


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    scores: Mapping[str, float]
    """By answer; of the others the judge has no opinion."""
    calls: int
    cost_nanos: int
    failure: Failure | None
    """Why there is none at all, if a call failed."""


def judge_for(judges: Mapping[str, Judge], pools: Mapping[str, Pool], models: Iterable[str]) -> Judge | None:
    """The first whose business these models are: one of any pool, or of a pool that one of them is a candidate of."""
    named = list(models)

    def knows(judge: Judge) -> bool:
        if judge.pools is None:
            return True
        theirs = [pool for name, pool in pools.items() if name in judge.pools]
        return any(pool.member(model) for pool in theirs for model in named)

    return next(filter(knows, judges.values()), None)


async def opine(app: App, judge: Judge, payer: Tenant, asked: ChatRequest, answers: Mapping[str, str]) -> Opinion:
    """As many calls as there are answers, twice; one for a single answer, two for a pair."""
    names, texts, shown = list(answers), list(answers.values()), shown_of(asked)
    pairs = paired(len(texts))
    orders = list(chain.from_iterable(((one, other), (other, one)) for one, other in pairs))
    requests = [pair_request(shown, texts[one], texts[other], judge.rubric) for one, other in orders]
    if len(texts) == 1:
        requests = [score_request(shown, texts[0], judge.rubric)]
    errands = [
        Errand(request=request, target=judge.target, tenant=payer, key_id=judge.source, intent="judge")
        for request in requests
    ]
    brought = await run_all(app, errands, at_once=judge.workers)
    found = _settled(pairs, brought) if pairs else _alone(brought)
    failed = next((each.failure for each in brought if each.failure is not None), None)
    return Opinion(
        scores={name: sum(found[at]) / len(found[at]) for at, name in enumerate(names) if found.get(at)},
        calls=len(brought),
        cost_nanos=sum(each.cost_nanos for each in brought),
        failure=None if any(found.values()) else failed,
    )


def paired(count: int) -> list[tuple[int, int]]:
    """Each with the next one, in a ring: everybody stands beside two others, where there are so many."""
    if count < 3:
        return [(0, 1)] if count == 2 else []
    return [(at, (at + 1) % count) for at in range(count)]


def shown_of(asked: ChatRequest) -> str:
    """What led to the answers: the prompt, or the whole conversation."""
    last = asked.messages[-1].parts if asked.messages else ()
    return transcript(asked) or "\n".join(part.text for part in last if isinstance(part, Text))


def _settled(pairs: Sequence[tuple[int, int]], brought: Sequence[Brought]) -> dict[int, list[float]]:
    """The scores of each answer, one from each pair whose two orders agree."""
    found: dict[int, list[float]] = {}
    for (one, other), straight, swapped in zip(pairs, brought[::2], brought[1::2], strict=True):
        first, second = _read(straight), _read(swapped)
        scores = settle(first, second) if first is not None and second is not None else None
        if scores is not None:
            found.setdefault(one, []).append(scores[0])
            found.setdefault(other, []).append(scores[1])
    return found


def _read(brought: Brought) -> tuple[float, float] | None:
    return read_pair(brought.text) if brought.failure is None else None


def _alone(brought: Sequence[Brought]) -> dict[int, list[float]]:
    scores = [read_score(each.text) for each in brought if each.failure is None]
    return {0: [score for score in scores if score is not None]}
