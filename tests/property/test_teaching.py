"""What is carried out of a memory comes back as it was, and scores are taken as they are meant or not at all."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from laneway.failure import FailureError
from laneway.learning.samples import read_kept
from laneway.learning.teaching import Teacher, kept_of
from laneway.policy.teaching import Roll, Rolls, read_labels
from laneway.ports.examples import Example, Label, Setting
from laneway.route import Tenant
from laneway.stores.audit import MemoryAudit
from laneway.stores.examples import MemoryExamples
from tests.harness.loop import run

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80).filter(str.strip)
names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
scores = st.floats(0, 1)
CALLED = ("Fast", "fast", "p/a", "P/A", "strong", "p/b@2", "p/b", "nobody")
labels = st.builds(Label, names, scores, st.sampled_from(("human", "feedback", "judge:a", "import")))
examples = st.builds(
    Example,
    text=words,
    tag=names | st.just(""),
    setting=st.builds(Setting, tools=st.integers(0, 9), structured=st.booleans(), max_tokens=st.integers(0, 9999)),
    labels=st.lists(labels, min_size=1, max_size=5).map(tuple),
    task_id=names | st.just(""),
    taught_by=names,
    at_s=st.floats(1, 2e9),
)


def teacher(tenant: str, memory: MemoryExamples) -> Teacher:
    return Teacher(memory, MemoryAudit(), tenant, Rolls((), Tenant(name=tenant)), actor="test", clock=lambda: 5.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(examples, min_size=1, max_size=6))
def test_an_export_is_imported_as_it_was(given_examples: list[Example]) -> None:
    async def play() -> None:
        memory = MemoryExamples()
        stored = await memory.add("acme", given_examples)
        lines = b"".join(msgspec.json.encode(kept_of(each)) + b"\n" for each in stored)
        batch, count = await teacher("other", memory).restore(read_kept(lines))
        assert count == len(stored)
        again = await memory.list("other")
        assert [msgspec.structs.replace(each, batch="", id=0) for each in again] == [
            msgspec.structs.replace(each, batch="", id=0) for each in stored
        ]
        assert {each.batch for each in again} == {batch}

    run(play())


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(("Fast", "fast", "p/a", "P/A", "strong", "p/b@2", "p/b", "nobody")), st.floats())
)
def test_scores_are_taken_as_they_are_meant_or_not_at_all(given_scores: dict[str, float]) -> None:
    roll = Roll({"fast": "p/a", "p/a": "p/a", "strong": "p/b@2", "p/b": "p/b@2"})
    meant = {"fast": "p/a", "p/a": "p/a", "strong": "p/b@2", "p/b@2": "p/b@2", "p/b": "p/b@2"}
    try:
        found = read_labels(given_scores, roll, "human")
    except FailureError:
        candidates = [meant.get(name.lower()) for name in given_scores]
        wrong = any(not 0 <= score <= 1 for score in given_scores.values())
        assert wrong or not given_scores or None in candidates or len(set(candidates)) < len(candidates)
    else:
        assert {label.candidate: label.score for label in found} == {
            meant[name.lower()]: score for name, score in given_scores.items()
        }
