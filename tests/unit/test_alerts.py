"""Alerts on their way, over real sockets: told once, in the service's own words, signed, until somebody has them."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from laneway.alerts import MOST_GROWN, Alerts, Overheard, look_at_breakers, look_at_callers
from laneway.board import Board
from laneway.courier import OWN
from laneway.failure import Failure, Kind
from laneway.policy.alerts import Channel, call_of, notices_of, said, spending, summary_due
from laneway.policy.breaker import Breaker, BreakerRules, timed_out
from laneway.policy.budgets import Budget
from laneway.policy.delivery import WAITS_S
from laneway.ports import Alert, Notice
from laneway.route import FREE, Attempt, Target
from laneway.store import Store, open_store
from laneway.stores.memory import MemoryLedger
from laneway.stores.sqlite.notices import TOLD_S, SqliteNotices, prune
from laneway.upstream.engine import Engine
from tests.fakes.upstream import FakeUpstream, answering, response
from tests.harness.clock import Clock
from tests.harness.loop import run
from tests.harness.outcomes import SONNET, STUDIO, outcome
from tests.harness.sqlite import database, until

NOW = 1_700_000_000.0
DAY = "2023-11-14"
CAP = Alert(kind="cap", subject="team", period=DAY, facts={"reason": "spent 5 USD."})
WORDS = "Lane local-fast was served by studio/sonnet-4, which costs money, because studio/gemma3 failed (connect)."
ALL = frozenset({"spend", "cap", "kill", "summary", "paid_fallback"})
CALM = Budget(name="calm", cap_nanos=1000, tenant="*")
PLAIN = Channel(name="phone", service="webhook", origin="http://phone.test", path="/hook", kinds=ALL)


def at(fake: FakeUpstream, **changes: Any) -> Channel:
    return msgspec.structs.replace(PLAIN, **{"origin": fake.origin, "private": True, **changes})


@asynccontextmanager
async def worker(url: str, channels: Iterable[Channel], clock: Clock) -> AsyncIterator[tuple[Alerts, Store]]:
    """One process with its own store, as far as alerts go."""
    store, engine = open_store(url, clock=clock), Engine()
    await store.start()
    alerts = Alerts(store.notices, engine, reports=store.reports, channels=channels, clock=clock, round_s=0.01)
    try:
        yield alerts, store
    finally:
        await alerts.close()
        await engine.close()
        await store.close()


def tell(alerts: Alerts, alert: Alert) -> None:
    alerts.alert(alert.kind, alert.subject, alert.period, alert.facts)


# --- once --------------------------------------------------------------------------------------------------


def test_an_alert_arrives_once_over_a_restart(tmp_path: Path) -> None:
    """Noticed before and after, by two workers at the same time: one delivery to each channel."""
    url = f"sqlite:///{tmp_path}/store.db"

    async def scene() -> None:
        async with FakeUpstream(answering(response(b"ok"))) as fake:
            channels = [at(fake), at(fake, name="desk", path="/desk")]
            for _ in range(2):
                async with (
                    worker(url, channels, Clock(NOW)) as (one, store),
                    worker(url, channels, Clock(NOW)) as (two, _),
                ):
                    for alerts in (one, two):
                        alerts.start()
                        tell(alerts, CAP)
                    await until(lambda: len(fake.requests) >= 2)
                    await one.round()
                    await two.round()
                    await one.close()
                    await two.close()
                    assert [notice.state for notice in await store.notices.recent(9)] == ["sent", "sent"]
            assert sorted(request.target for request in fake.requests) == ["/desk", "/hook"]

    run(scene())


def test_what_was_noticed_before_the_end_is_sent_after_the_next_start(tmp_path: Path) -> None:
    """A process that ends with something in its queue, or while the service is down, loses nothing."""
    url = f"sqlite:///{tmp_path}/store.db"

    async def scene() -> None:
        clock = Clock(NOW)
        async with FakeUpstream(answering(response(status=503))) as down:
            async with worker(url, [at(down)], clock) as (alerts, _):
                tell(alerts, CAP)
                await alerts.round()
                tell(alerts, Alert(kind="kill", subject="all", period="1"))
            assert len(down.requests) == 1
        clock.now_s += WAITS_S[0]
        async with FakeUpstream(answering(response(b"ok"))) as up, worker(url, [at(up)], clock) as (alerts, store):
            await alerts.round()
            assert sorted(json.loads(request.body)["kind"] for request in up.requests) == ["cap", "kill"]
            states = {notice.kind: (notice.state, notice.tries) for notice in await store.notices.recent(9)}
            assert states == {"cap": ("sent", 2), "kill": ("sent", 1)}
            assert {json.loads(request.body)["id"] for request in up.requests} >= {
                json.loads(request.body)["id"] for request in down.requests
            }

    run(scene())


def test_a_process_killed_while_it_sends_leaves_the_notice_to_the_next(tmp_path: Path) -> None:
    """What was taken and never marked is due again when its loan is over, and not before."""
    url = f"sqlite:///{tmp_path}/store.db"

    async def scene() -> None:
        clock = Clock(NOW)
        async with FakeUpstream(answering(response(b"ok"))) as fake, worker(url, [at(fake)], clock) as (alerts, store):
            await store.notices.put(notices_of(CAP, [at(fake)], NOW))
            assert await store.notices.take("phone", NOW, NOW + 60) is not None
            await alerts.round()
            assert fake.requests == []
            clock.now_s += 60
            await alerts.round()
            assert len(fake.requests) == 1

    run(scene())


def test_what_was_told_long_ago_is_forgotten_but_not_what_still_waits(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    waits, old, new = (
        Notice(id=name, channel="c", kind="cap", subject="s", period="p", facts={}, at_s=at_s)
        for name, at_s in (("waits", NOW), ("old", NOW), ("new", NOW + 5.0))
    )

    async def scene() -> None:
        async with database(path) as db:
            notices = SqliteNotices(db)
            await notices.put([waits, old, new])
            for notice in (old, new):
                await notices.ended(notice.id, NOW + 6.0)
            await db.write(partial(prune, now_s=NOW + TOLD_S))
            assert {notice.id for notice in await notices.recent(9)} == {"waits", "new"}

    run(scene())


def test_thresholds_and_periods_are_told_apart() -> None:
    """Each threshold of each period is one notice; the same one again, with newer figures, is none."""
    made = [
        spending("team", DAY, 4, 5, 0.8),
        spending("team", DAY, 5, 5, 0.8),
        spending("team", DAY, 5, 5, 0.9),
        spending("team", "2023-11-15", 5, 5, 0.8),
        spending("house", DAY, 5, 5, 0.8),
    ]
    ids = [notice.id for alert in made for notice in notices_of(alert, [PLAIN], NOW)]
    assert ids[0] == ids[1]
    assert (len(ids), len(set(ids))) == (5, 4)
    assert notices_of(Alert(kind="rollback", subject="x", period="1"), [PLAIN], NOW) == []


# --- until somebody has it ---------------------------------------------------------------------------------


def test_a_failure_is_tried_again_until_it_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """Longer and longer apart, then given up, both on record; the log says why and shows no token."""

    async def scene() -> Notice:
        clock = Clock(NOW)
        async with FakeUpstream(answering(response(status=500))) as fake:
            secret = at(fake, path="/bot-token-1234/hook")
            async with worker("memory:", [secret], clock) as (alerts, store):
                tell(alerts, CAP)
                await alerts.round()
                for wait_s in WAITS_S:
                    clock.now_s += wait_s - 0.1
                    tried = len(fake.requests)
                    await alerts.round()
                    assert len(fake.requests) == tried
                    clock.now_s += 0.2
                    await alerts.round()
                    assert len(fake.requests) == tried + 1
                clock.now_s += 1e6
                await alerts.round()
                assert len(fake.requests) == len(WAITS_S) + 1
                (notice,) = await store.notices.recent(9)
                return notice

    with caplog.at_level(logging.WARNING, "laneway"):
        notice = run(scene())
    assert (notice.state, notice.tries, notice.reason) == ("given up", len(WAITS_S) + 1, "status 500")
    assert "was given up: status 500" in caplog.text
    assert "token-1234" not in caplog.text


def test_a_service_that_names_a_wait_is_obeyed() -> None:
    async def scene() -> None:
        clock = Clock(NOW)
        busy = answering(response(b"", b"retry-after: 100", status=429), response())
        async with FakeUpstream(busy) as fake, worker("memory:", [at(fake)], clock) as (alerts, _):
            tell(alerts, CAP)
            await alerts.round()
            clock.now_s += 99
            await alerts.round()
            assert len(fake.requests) == 1
            clock.now_s += 2
            await alerts.round()
            assert len(fake.requests) == 2

    run(scene())


def test_an_address_of_the_own_network_is_not_called() -> None:
    """Whatever its name resolves to; and nobody is there is a failure like any other."""

    async def scene() -> None:
        async with FakeUpstream(answering(response())) as fake:
            local = f"http://localhost:{fake.port}"
            channels = [at(fake, private=False, origin=local), at(fake, name="gone", origin="http://127.0.0.1:1")]
            async with worker("memory:", channels, Clock(NOW)) as (alerts, store):
                tell(alerts, CAP)
                await alerts.round()
                reasons = {notice.channel: notice.reason for notice in await store.notices.recent(9)}
                assert reasons == {"phone": OWN, "gone": "connect"}
            assert fake.accepted == 0

    run(scene())


def test_a_full_queue_drops_and_counts() -> None:
    async def scene() -> None:
        async with worker("memory:", [], Clock(NOW)) as (alerts, _):
            tell(alerts, CAP)
            assert alerts.dropped == 0
            alerts.use([PLAIN])
            for number in range(1005):
                alerts.alert("kill", str(number), "1", {})
            assert alerts.dropped == 5
            alerts.use([])

    run(scene())


# --- in the service's own words ----------------------------------------------------------------------------


def notice_of(alert: Alert) -> Notice:
    (made,) = notices_of(alert, [PLAIN], NOW)
    return made


def test_a_webhook_is_signed_over_its_time_and_body() -> None:
    """As documented, so that a receiver can check both; a webhook without a secret carries no signature."""

    async def scene() -> tuple[tuple[tuple[bytes, bytes], ...], bytes]:
        async with FakeUpstream(answering(response())) as fake:
            async with worker("memory:", [at(fake, secret="hush")], Clock(NOW)) as (alerts, _):
                tell(alerts, CAP)
                await alerts.round()
            return fake.requests[0].headers, fake.requests[0].body

    headers, body = run(scene())
    said_of = dict(headers)
    stamp = said_of[b"x-laneway-timestamp"]
    expected = hmac.new(b"hush", stamp + b"." + body, hashlib.sha256).hexdigest()
    assert said_of[b"x-laneway-signature"] == f"sha256={expected}".encode()
    assert stamp == b"1700000000"
    told = json.loads(body)
    assert said_of[b"x-laneway-delivery"].decode() == told["id"]
    assert (told["kind"], told["subject"], told["period"]) == ("cap", "team", DAY)
    assert told["facts"] == {"reason": "spent 5 USD."}
    assert told["text"] == f"team is at a cap on {DAY}: spent 5 USD."
    assert b"x-laneway-signature" not in dict(call_of(PLAIN, notice_of(CAP), NOW).headers)


def test_telegram_and_slack_get_text_that_is_only_text() -> None:
    """A subject that a caller chose cannot mention anybody, link anywhere, or go on for ever."""
    odd = notice_of(spending("<!channel> & \x1b[31m\n\ud800" + "x" * 9999, DAY, 5, 5, 0.8))
    slack = json.loads(call_of(msgspec.structs.replace(PLAIN, service="slack"), odd, NOW).body)
    assert slack["text"].startswith("Budget &lt;!channel&gt; &amp; [31m xx")
    assert len(slack["text"]) < 500
    telegram = call_of(msgspec.structs.replace(PLAIN, service="telegram", chat="-100"), odd, NOW)
    assert json.loads(telegram.body)["chat_id"] == "-100"
    assert set(json.loads(telegram.body)) == {"chat_id", "text"}


def test_a_text_of_one_s_own_is_filled_in_once() -> None:
    """A subject with braces is a subject."""
    made = notice_of(spending("{kind}", DAY, 5, 10, 0.5))
    written = json.loads(call_of(msgspec.structs.replace(PLAIN, text="[{kind}] {subject}: {words}"), made, NOW).body)
    assert (
        written["text"] == f"[spend] {{kind}}: Budget {{kind}} has spent 0.000000005 of 0.00000001 USD (50 %) in {DAY}."
    )


def test_a_fact_that_is_missing_is_said_to_be() -> None:
    assert said(notice_of(Alert(kind="kill", subject="all", period="1"))) == "Paid calls are stopped (all): unknown."


def test_a_channel_shows_no_secret() -> None:
    shown = repr(msgspec.structs.replace(PLAIN, path="/bot12345/sendMessage", secret="hush"))
    assert "12345" not in shown
    assert "hush" not in shown


# --- what it hears and sums --------------------------------------------------------------------------------


def test_a_paid_model_that_stood_in_for_a_free_one_is_told_once_a_day() -> None:
    box = Target(provider=STUDIO, model="gemma", upstream="gemma3", price=FREE)
    failed = Failure(kind=Kind.CONNECT, message="off")
    first = Attempt(target=box, started_s=1.0, ended_s=2.0, failure=failed)
    paid = outcome(attempts=(first, *outcome().attempts))
    dear = outcome(attempts=(Attempt(target=SONNET, started_s=1.0, ended_s=2.0, failure=failed), *outcome().attempts))

    async def scene() -> None:
        async with (
            FakeUpstream(answering(response())) as fake,
            worker("memory:", [at(fake)], Clock(NOW)) as (alerts, store),
        ):
            journal = Overheard(store.journal, alerts)
            for each in (paid, paid, dear, outcome()):
                journal.record(each)
            await alerts.round()
            assert [json.loads(request.body)["text"] for request in fake.requests] == [WORDS]
            assert len(await journal.recent(9, {})) == 4

    run(scene())


def test_who_is_refused_for_want_of_money_is_told_once_a_day() -> None:
    """In the words the caller got; other refusals are nobody's alert."""
    over = Failure(kind=Kind.OVER_BUDGET, message="The daily budget of 'acme' does not allow this request.")
    other = Failure(kind=Kind.FORBIDDEN, message="no")

    async def scene() -> None:
        ok = answering(response())
        async with FakeUpstream(ok) as fake, worker("memory:", [at(fake)], Clock(NOW)) as (alerts, _):
            for failure in (over, over, other):
                alerts.hear(outcome(failure=failure, attempts=(), status=failure.status))
            await alerts.round()
            words = "acme is at a cap on 2023-11-14: The daily budget of 'acme' does not allow this request."
            assert [json.loads(request.body)["text"] for request in fake.requests] == [words]

    run(scene())


def test_a_breaker_that_opened_is_told_once_an_hour() -> None:
    """Looked for, so that the request it happened to waits for nothing."""
    clock = Clock(NOW)
    board = Board(breaker=BreakerRules(after=2), clock=clock)
    host = board.host("studio")
    for strikes in (1, 2):
        host.breakers[f"studio/{strikes}"] = timed_out(Breaker(strikes=strikes - 1), BreakerRules(), NOW, lambda: 0.5)

    async def scene() -> None:
        async with FakeUpstream(answering(response())) as fake:
            store, engine = open_store("memory:"), Engine()
            looks = [look_at_breakers(board)]
            alerts = Alerts(store.notices, engine, channels=[at(fake, kinds={"breaker"})], looks=looks, clock=clock)
            await alerts.round()
            await alerts.round()
            clock.now_s += 3600
            await alerts.round()
            words = "studio/2 is left alone for now, after 2 timeouts in a row (2023-11-14 22:00 UTC)."
            assert [json.loads(request.body)["text"] for request in fake.requests] == [
                words,
                words.replace(" 22", " 23"),
            ]
            await engine.close()

    run(scene())


@pytest.mark.parametrize("url", ["memory:", "sqlite"])
def test_accounts_that_only_callers_name_are_told_of_as_well(url: str, tmp_path: Path) -> None:
    """A budget of each tenant has no list of tenants: those are looked at in which something was spent."""
    clock = Clock(NOW)
    where = url if url == "memory:" else f"sqlite:///{tmp_path}/store.db"
    each = Budget(name="each", cap_nanos=1000, tenant="*", alerts=(0.5, 0.9))

    async def worker_s_life(fake: FakeUpstream, *spent: tuple[str, int]) -> None:
        store, engine = open_store(where, clock=clock), Engine()
        await store.start()
        alerts = Alerts(store.notices, engine, channels=[at(fake)], clock=clock)
        alerts.looks.append(look_at_callers(store.ledger, lambda: (each, CALM), alerts.tell))
        for number, (account, nanos) in enumerate(spent):
            await store.ledger.settle(f"{account}{number}{nanos}", {account: nanos}, clock.now_s)
        await store.ledger.left(f"each/acme:{DAY}", 0, clock.now_s)
        for _ in range(3):
            await alerts.round()
        await engine.close()
        await store.close()

    async def scene() -> None:
        async with FakeUpstream(answering(response())) as fake:
            acme, bees, calm = f"each/acme:{DAY}", f"each/bees:{DAY}", f"calm/acme:{DAY}"
            await worker_s_life(fake, (acme, 499), (bees, 950), (calm, 999))
            said = sorted(json.loads(request.body)["text"] for request in fake.requests)
            assert said == [
                f"Budget each/bees has spent 0.00000095 of 0.000001 USD (50 %) in {DAY}.",
                f"Budget each/bees has spent 0.00000095 of 0.000001 USD (90 %) in {DAY}.",
            ]
            if url != "memory:":
                await worker_s_life(fake, (acme, 1), (bees, 1))
                (last,) = [json.loads(request.body)["text"] for request in fake.requests[2:]]
                assert last == f"Budget each/acme has spent 0.0000005 of 0.000001 USD (50 %) in {DAY}."

    run(scene())


def test_a_crowd_of_callers_is_told_of_in_bounds() -> None:
    """Those for whom there is no room in one round are told of when they spend again."""
    ledger, told = MemoryLedger(), list[str]()
    each = Budget(name="each", cap_nanos=10, key="*", alerts=(0.5,))
    look = look_at_callers(ledger, lambda: (each,), lambda alert: told.append(alert.subject))

    async def scene() -> None:
        for times in (1, 2):
            for number in range(MOST_GROWN + 5):
                await ledger.settle(f"r{number}-{times}", {f"each/{number}:{DAY}": 6}, NOW)
                if times == 2 and number == MOST_GROWN - 1:
                    await look(NOW)
            await look(NOW)
            assert len(told) == MOST_GROWN + (5 if times == 2 else 0)

    run(scene())
    assert len(set(told)) == MOST_GROWN + 5


def test_a_day_is_summed_up_at_its_hour_once(tmp_path: Path) -> None:
    """In the channel's own zone; the figures are of the day before, in UTC."""
    url = f"sqlite:///{tmp_path}/store.db"
    vienna = {"minute": 8 * 60, "zone": "Europe/Vienna"}
    at_seven_utc = NOW - NOW % 86_400 + 86_400 + 7 * 3600
    assert summary_due(msgspec.structs.replace(PLAIN, **vienna), at_seven_utc)
    assert not summary_due(msgspec.structs.replace(PLAIN, **vienna), at_seven_utc - 1)
    assert not summary_due(msgspec.structs.replace(PLAIN, minute=8 * 60), at_seven_utc)
    assert not summary_due(PLAIN, at_seven_utc)

    async def scene() -> None:
        async with FakeUpstream(answering(response())) as fake:
            for later_s in (0.0, 3600.0):
                clock = Clock(NOW)
                clock.now_s = at_seven_utc + later_s
                async with worker(url, [at(fake, **vienna), at(fake, name="none")], clock) as (alerts, store):
                    store.journal.record(outcome(at_s=NOW))
                    await alerts.round()
                    await alerts.round()
            (request,) = fake.requests
            assert json.loads(request.body)["text"] == (
                f"Usage of {DAY} (UTC): 1 requests, 0 failed, 100 tokens in, 20 out, 0.0006 USD spent, 0 USD saved."
            )

    run(scene())
