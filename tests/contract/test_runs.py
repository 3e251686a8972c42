"""What every store does with runs, whatever its rows rest in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from laneway.policy import runs as policy
from laneway.policy.runs import End
from laneway.ports import Runs
from laneway.ports.runs import Run, State, Step, Used, Wanted
from laneway.store import Store
from tests.harness import scenes
from tests.harness.running import NOW, TEXTS, a_run, lease, steps_of

MOST = 100
DONE = End(State.SUCCEEDED, 200, served="box/m", used=Used(3, 1, 2, 50), result=b'{"id":"1"}')

Scene = Callable[[Runs], Awaitable[None]]


def opened(scene: Scene) -> Callable[[str], None]:
    async def with_runs(store: Store) -> None:
        await scene(store.runs)

    with_runs.__doc__ = scene.__doc__
    return scenes.opened(with_runs)


async def accepted(runs: Runs, *names: str, **changes: object) -> None:
    for name in names:
        run = a_run(name, **changes)
        assert await runs.accept(run, TEXTS, steps_of(run), MOST) == run


async def took(runs: Runs, owner: str, now_s: float = NOW, most_starts: int = 5) -> Run | None:
    return await runs.take(now_s, partial(policy.begun, lease=lease(owner, now_s), most_starts=most_starts))


async def kinds(runs: Runs, run_id: str) -> list[str]:
    return [step.kind for step in await runs.steps(run_id)]


@opened
async def test_what_was_accepted_is_found_whole(runs: Runs) -> None:
    """With its texts and its first step, by its tenant only."""
    await accepted(runs, "a")
    assert await runs.find("run_a") == a_run("a")
    assert await runs.find("run_a", "acme") == a_run("a")
    assert await runs.find("run_a", "bees") is None
    assert await runs.find("run_b") is None
    assert await runs.texts("run_a") == TEXTS
    assert await runs.texts("run_b") is None
    (step,) = await runs.steps("run_a")
    assert step == Step(kind="accepted", at_s=NOW, facts={"lane": "deep", "model": "m"}, number=1)
    assert await runs.result("run_a") is None


@opened
async def test_a_key_of_a_tenant_is_one_run(runs: Runs) -> None:
    """Whoever repeats it is shown the first; another tenant's is another; runs without one are never the same."""
    await accepted(runs, "a", same="k")
    again = a_run("b", same="k")
    there = await runs.accept(again, TEXTS, steps_of(again), MOST)
    assert there is not None
    assert there.id == "run_a"
    await accepted(runs, "c", same="k", tenant="bees")
    await accepted(runs, "d", "e")
    found = await runs.same("acme", "k")
    assert found is not None
    assert found.id == "run_a"
    assert await runs.same("acme", "z") is None
    assert await runs.find("run_b") is None


@opened
async def test_two_that_ask_at_once_get_one_run(runs: Runs) -> None:
    made = [a_run(str(number), same="k") for number in range(8)]
    there = await asyncio.gather(*(runs.accept(run, TEXTS, steps_of(run), MOST) for run in made))
    assert len({run.id for run in there if run is not None}) == 1
    assert len(await runs.list(Wanted(), 100)) == 1


@opened
async def test_only_so_many_of_a_tenant_wait(runs: Runs) -> None:
    for name in ("a", "b"):
        run = a_run(name)
        assert await runs.accept(run, TEXTS, steps_of(run), 2) is not None
    assert await runs.accept(a_run("c"), TEXTS, (), 2) is None
    assert await runs.accept(a_run("d", tenant="bees"), TEXTS, (), 2) is not None
    assert await took(runs, "one") is not None
    assert await runs.accept(a_run("c"), TEXTS, (), 2) is not None


@opened
async def test_each_is_given_to_one(runs: Runs) -> None:
    """However many ask at the same time; the oldest first."""
    await accepted(runs, "a", "b", "c")
    taken = await asyncio.gather(*(took(runs, f"owner {number}") for number in range(9)))
    assert [run.id for run in taken if run is not None] == ["run_a", "run_b", "run_c"]
    assert [run.id for run in await runs.held("owner 1")] == ["run_b"]


@opened
async def test_turns_are_taken_by_tenants(runs: Runs) -> None:
    """Who asked for many does not keep another one waiting behind all of them."""
    await accepted(runs, "a1", "a2", "a3")
    await accepted(runs, "b1", "b2", tenant="bees")
    order = [run.id if (run := await took(runs, "one")) is not None else "" for _ in range(6)]
    assert order == ["run_a1", "run_b1", "run_a2", "run_b2", "run_a3", ""]


@opened
async def test_a_lease_that_is_over_is_anybodys(runs: Runs) -> None:
    """And one that was renewed is not. Who lost it ends nothing any more."""
    await accepted(runs, "a", "b")
    await took(runs, "one")
    await took(runs, "one")
    await runs.renew("one", ["run_b"], NOW + 60)
    await runs.renew("two", ["run_a"], NOW + 60)
    again = await took(runs, "two", NOW + 30)
    assert again is not None
    assert (again.id, again.owner, again.starts) == ("run_a", "two", 2)
    assert await took(runs, "two", NOW + 30) is None
    await runs.change("run_a", partial(policy.ended, owner="one", end=DONE, steps=(), now_s=NOW + 31))
    assert await runs.result("run_a") is None
    assert await kinds(runs, "run_a") == ["accepted", "started", "started"]


@opened
async def test_the_end_is_one_thing_with_its_result(runs: Runs) -> None:
    """Once it is ended nothing changes it, and nobody is given it again, whatever the clock says."""
    await accepted(runs, "a", hook="https://a.test/x")
    await took(runs, "one")
    step = Step(kind="attempt", at_s=NOW + 1, facts={"target": "box/m", "status": 200})
    end = partial(policy.ended, owner="one", end=DONE, steps=(step,), now_s=NOW + 1)
    done = await runs.change("run_a", end)
    assert done is not None
    assert (done.state, done.ended_s, done.served, done.used) == (State.SUCCEEDED, NOW + 1, "box/m", DONE.used)
    other = DONE._replace(result=b"{}")
    for change in (
        partial(policy.ended, owner="one", end=other, steps=(), now_s=NOW + 2),
        partial(policy.let_go, owner="one", used=Used(), steps=(), now_s=NOW + 2),
        partial(policy.cancelled, now_s=NOW + 2),
        partial(policy.noted, owner="one", steps=(step,)),
    ):
        assert await runs.change("run_a", change) == done
    assert await runs.result("run_a") == DONE.result
    assert await took(runs, "two", NOW + 1e6) is None
    assert await kinds(runs, "run_a") == ["accepted", "started", "attempt", "finished"]
    assert [step.number for step in await runs.steps("run_a", 2)] == [3, 4]
    assert await runs.change("run_z", end) is None


@opened
async def test_the_list_is_narrowed_down_and_paged(runs: Runs) -> None:
    await accepted(runs, "a", "b", "c")
    await accepted(runs, "d", tenant="bees", lane=None)
    await took(runs, "one")

    async def ids(limit: int = 10, **wanted: object) -> list[str]:
        return [run.id for run in await runs.list(Wanted(**wanted), limit)]  # type: ignore[arg-type]

    assert await ids() == ["run_d", "run_c", "run_b", "run_a"]
    assert await ids(tenant="acme", limit=2) == ["run_c", "run_b"]
    assert await ids(tenant="acme", after="run_b") == ["run_a"]
    assert await ids(after="run_z") == []
    assert await ids(state=State.RUNNING) == ["run_a"]
    assert await ids(lane="deep", state=State.ACCEPTED) == ["run_c", "run_b"]


@opened
async def test_a_delivery_is_lent_to_one_and_ends_once(runs: Runs) -> None:
    await accepted(runs, "a", hook="https://a.test/x")
    await accepted(runs, "b")
    assert await runs.take_hook(NOW + 9, NOW + 60) is None
    for name in ("run_a", "run_b"):
        await runs.change(name, partial(policy.cancelled, now_s=NOW))
    taken = await asyncio.gather(*(runs.take_hook(NOW, NOW + 60) for _ in range(4)))
    (lent,) = filter(None, taken)
    assert (lent.id, lent.hook_tries) == ("run_a", 1)
    again = await runs.take_hook(NOW + 60, NOW + 120)
    assert again is not None
    assert again.hook_tries == 2
    await runs.change("run_a", partial(policy.told_hook, reason="status 503", again_s=NOW + 300))
    assert await runs.take_hook(NOW + 299, NOW + 400) is None
    assert await runs.take_hook(NOW + 300, NOW + 400) is not None
    told = await runs.change("run_a", partial(policy.told_hook, reason="", again_s=None))
    assert told is not None
    assert (told.hook_state, told.hook_tries) == ("sent", 3)
    assert await runs.take_hook(NOW + 1e6, NOW + 2e6) is None


@opened
async def test_what_is_forgotten_leaves_nothing(runs: Runs) -> None:
    """Only what has ended is; its key may be used again."""
    await accepted(runs, "a", same="k")
    await accepted(runs, "b")
    assert not await runs.forget("run_a")
    await runs.change("run_a", partial(policy.cancelled, now_s=NOW))
    assert await runs.forget("run_a")
    assert not await runs.forget("run_a")
    assert await runs.find("run_a") is None
    assert await runs.texts("run_a") is None
    assert list(await runs.steps("run_a")) == []
    await accepted(runs, "c", same="k")


@opened
async def test_old_ones_are_forgotten_a_few_at_a_time(runs: Runs) -> None:
    await accepted(runs, "a", "b", "c", "d")
    for place, name in enumerate(("run_a", "run_b", "run_c")):
        await runs.change(name, partial(policy.cancelled, now_s=NOW + place))
    assert await runs.prune(NOW - 1, 10) == 0
    assert await runs.prune(NOW + 1, 1) == 1
    assert await runs.prune(NOW + 1, 10) == 1
    assert [run.id for run in await runs.list(Wanted(), 10)] == ["run_d", "run_c"]
