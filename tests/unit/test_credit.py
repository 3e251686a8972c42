"""What a judge is worth follows from what people say of the answers it has scored, in steps that matter."""

from __future__ import annotations

from collections.abc import Iterable

from laneway.learning.credit import AGAIN, Credit
from laneway.ports.examples import HUMAN, Example, Label
from laneway.stores.examples import MemoryExamples
from tests.harness.loop import run

JUDGE = "judge:grader"


def scored(verdicts: Iterable[tuple[float, float | None]], people: str = "feedback") -> list[Example]:
    """Answers with the judge's score and, where somebody spoke up, a person's."""
    return [
        Example(
            text=f"prompt {at}",
            labels=(
                Label("a/b", judged, JUDGE),
                *((Label("a/b", said, people),) if said is not None else ()),
            ),
        )
        for at, (judged, said) in enumerate(verdicts)
    ]


def test_a_judge_is_believed_by_what_people_say_of_the_same_answers() -> None:
    async def play() -> None:
        examples, told = MemoryExamples(), list[dict[str, float]]()
        credit = Credit(examples)
        credit.changed = lambda: told.append(dict(credit.trust))
        await examples.add("acme", scored([(1.0, None)] * 30))
        await credit.begin([JUDGE])
        # Nobody has spoken of what it scored: nothing is known.
        assert told == []
        await examples.add("acme", scored([(1.0, 1.0), (0.0, 0.0)] * 30))
        await credit.begin([JUDGE])
        assert told == [{JUDGE: 0.9}]
        await examples.add("other", scored([(1.0, 0.0), (0.0, 1.0)] * 30, HUMAN))
        for _ in range(AGAIN - 1):
            await credit.heard("other", JUDGE)
        assert len(told) == 1
        await credit.heard("other", JUDGE)
        # Right about one tenant's and wrong about the other's: as good as a coin.
        assert told[1:] == [{JUDGE: 0.1}]
        for tenant in ("acme", "other"):
            await examples.delete(tenant, [example.id for example in await examples.list(tenant, limit=1000)])
        await credit.begin([JUDGE])
        assert told[2:] == [{}]

    run(play())
