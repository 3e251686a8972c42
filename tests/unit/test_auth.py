"""Who calls: where a key is found, which keys open, and who may call a gateway that has none."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any

import pytest

from laneway.exchange import SLOT, Exchange
from laneway.failure import Failure, Kind
from laneway.middleware.auth import CACHE_MOST, CACHE_S, AuthMiddleware, Gate, is_loopback, presented
from laneway.route import Key, Tenant
from laneway.stores.memory import MemoryKeys
from tests.harness.asgi import Answer, ask
from tests.harness.clock import Clock
from tests.harness.loop import run
from tests.harness.rooms import Foreign

KEY = "sk-team-a-0001"
OTHER = "sk-team-b-0002"
TEAM = Tenant(name="team-a", daily_nanos=5)


class Counting(MemoryKeys):
    """Keys that count how often they were looked up."""

    asked = 0

    async def find(self, digest: bytes) -> Key | None:
        self.asked += 1
        await asyncio.sleep(0)
        return await super().find(digest)


def keys() -> Counting:
    made = Counting.of({KEY: "team-a", OTHER: "team-b"})
    assert isinstance(made, Counting)
    return made


def gate(known: MemoryKeys | None = None, *, open_to_all: bool = False, **more: Any) -> Gate:
    return Gate(
        keys=known or MemoryKeys(),
        tenants={"team-a": TEAM, "default": Tenant(name="default", daily_nanos=1)},
        fixed=more.pop("fixed", {}),
        open_to_all=open_to_all,
        **more,
    )


def asked(headers: Mapping[str, str], *, front: str = "openai", **knobs: Any) -> tuple[Answer, Exchange, Foreign]:
    app = Foreign()
    caller = ask(front, "m", headers=headers)
    answer = run(caller.call(AuthMiddleware(app, **knobs)))
    return answer, caller.scope[SLOT], app


# --- keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer {KEY}"},
        {"authorization": f"BEARER   {KEY}  "},
        {"x-api-key": KEY},
        {"authorization": "Basic abc", "x-api-key": KEY},
        {"authorization": "Bearer ", "x-api-key": KEY},
    ],
)
@pytest.mark.parametrize("front", ["openai", "responses", "anthropic", "ollama"])
def test_a_key_opens_wherever_a_client_library_puts_it(headers: dict[str, str], front: str) -> None:
    answer, exchange, _ = asked(headers, front=front, keys=keys(), tenants={"team-a": TEAM})
    assert answer.status == 200
    assert exchange.tenant is TEAM
    assert exchange.key_id == "key_1"


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": ""}, {"authorization": "Bearer"}, {"authorization": f"Basic {KEY}"}, {"x-api-key": ""}],
)
@pytest.mark.parametrize("front", ["openai", "responses", "anthropic", "ollama"])
def test_without_a_key_nobody_gets_in_where_there_are_keys(headers: dict[str, str], front: str) -> None:
    answer, exchange, app = asked(headers, front=front, keys=keys())
    assert answer.status == 401
    assert "Bearer KEY" in answer.body.decode()
    assert not app.scopes
    assert exchange.failure is not None
    assert exchange.failure.kind is Kind.UNAUTHENTICATED


def test_an_unknown_key_is_told_by_its_end_and_never_whole() -> None:
    secret = "sk-nobody-knows-this-9876"
    answer, _, app = asked({"authorization": f"Bearer {secret}"}, keys=keys())
    assert answer.status == 401
    assert "ending in '9876'" in answer.body.decode()
    assert secret not in answer.body.decode()
    assert not app.scopes


@pytest.mark.parametrize("secret", ["short", "\xe9\xff\xfe" * 8, "x" * 4096, "has a blank", "tab\tinside-of-a-key"])
def test_odd_keys_are_refused_like_others(secret: str) -> None:
    answer, _, _ = asked({"x-api-key": secret}, keys=keys())
    assert answer.status == 401
    assert secret not in answer.body.decode()


def test_a_key_of_another_tenant_is_that_tenants() -> None:
    _, exchange, _ = asked({"x-api-key": OTHER}, keys=keys(), tenants={"team-a": TEAM})
    assert exchange.tenant == Tenant(name="team-b")


def test_a_revoked_key_is_told_that_it_was() -> None:
    known = keys()
    run(known.revoke("key_1", 7))
    answer, _, app = asked({"x-api-key": KEY}, keys=known)
    assert answer.status == 401
    assert "ending in '0001' was revoked" in answer.body.decode()
    assert not app.scopes


def test_keys_of_the_configuration_need_no_look_up() -> None:
    known = keys()
    digest = hashlib.sha256(b"configured-key").digest()
    fixed = {digest: Key(id="cfg_1", tenant="team-a", last4="-key")}
    found = run(gate(known, fixed=fixed).identify({b"x-api-key": b"configured-key"}))
    assert found == (TEAM, fixed[digest])
    assert known.asked == 0


# --- the cache ---------------------------------------------------------------------------------------------


def test_a_found_key_is_trusted_for_a_while_and_a_revoked_one_no_longer() -> None:
    known, clock = keys(), Clock(100.0)
    room = gate(known, clock=clock)
    headers = {b"x-api-key": KEY.encode()}

    async def main() -> None:
        for _ in range(3):
            assert not isinstance(await room.identify(headers), Failure)
        assert known.asked == 1
        await known.revoke("key_1", 7)
        clock.now_s += CACHE_S - 0.001
        assert not isinstance(await room.identify(headers), Failure)
        clock.now_s += 0.002
        found = await room.identify(headers)
        assert isinstance(found, Failure)
        assert "revoked" in found.message
        assert known.asked == 2

    run(main())


def test_a_key_that_was_just_made_works_after_a_while() -> None:
    known, clock = keys(), Clock(100.0)
    room = gate(known, clock=clock)
    headers = {b"x-api-key": b"made-a-moment-ago"}

    async def main() -> None:
        assert isinstance(await room.identify(headers), Failure)
        await known.create(Key(id="new", tenant="team-a"), hashlib.sha256(b"made-a-moment-ago").digest())
        clock.now_s += CACHE_S + 0.001
        assert not isinstance(await room.identify(headers), Failure)

    run(main())


def test_guessing_keys_fills_no_memory() -> None:
    room = gate(keys())

    async def main() -> None:
        for number in range(CACHE_MOST + 100):
            await room._find(number.to_bytes(8, "big"))

    run(main())
    assert len(room._cache) <= CACHE_MOST


# --- no keys at all ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer none"}, {"x-api-key": "ollama"}])
def test_without_keys_everybody_is_the_default_tenant(headers: dict[str, str]) -> None:
    answer, exchange, _ = asked(headers)
    assert answer.status == 200
    assert exchange.tenant == Tenant(name="default")
    assert exchange.key_id is None


def test_the_default_tenant_is_the_configured_one() -> None:
    found = run(gate(open_to_all=True).identify({}))
    assert not isinstance(found, Failure)
    assert found[0].daily_nanos == 1


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.evil.example",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://evil.example:8080",
        "null",
        "",
        "http://[::1",
        "http://[zz]",
        "file://",
        "chrome-extension://abcdef",
        "http://10.0.0.1",
        "\xff\xfe",
    ],
)
@pytest.mark.parametrize("secret", [None, "placeholder"])
def test_a_page_of_another_origin_does_not_spend_through_an_open_gateway(origin: str, secret: str | None) -> None:
    headers = {"origin": origin, **({"x-api-key": secret} if secret else {})}
    answer, exchange, app = asked(headers)
    assert answer.status == 403
    assert not app.scopes
    assert exchange.failure is not None
    assert exchange.failure.kind is Kind.FORBIDDEN


@pytest.mark.parametrize(
    "origin",
    ["http://localhost", "http://localhost:3000", "http://127.0.0.1:8080", "https://127.1.2.3", "http://[::1]:8080"],
)
def test_a_page_of_this_machine_may(origin: str) -> None:
    assert asked({"origin": origin})[0].status == 200


def test_a_listed_origin_may_and_so_may_all_when_all_are_listed() -> None:
    headers = {b"origin": b"https://app.example"}
    for origins, may in (
        ({"https://app.example"}, True),
        ({"*"}, True),
        ({"https://other.example"}, False),
        ((), False),
    ):
        found = run(gate(open_to_all=True, origins=frozenset(origins)).identify(headers))
        assert isinstance(found, Failure) is not may


def test_with_a_key_a_page_of_any_origin_may() -> None:
    headers = {b"origin": b"https://app.example", b"x-api-key": KEY.encode()}
    for open_to_all in (False, True):
        found = run(gate(keys(), open_to_all=open_to_all).identify(headers))
        assert not isinstance(found, Failure)
        assert found[0] is TEAM


def test_a_revoked_key_opens_no_open_gateway() -> None:
    """Whoever revoked it did not mean: go on as the default tenant."""
    known = keys()
    run(known.revoke("key_1", 7))
    assert isinstance(run(gate(known, open_to_all=True).identify({b"x-api-key": KEY.encode()})), Failure)


# --- words -------------------------------------------------------------------------------------------------


def test_what_counts_as_this_machine() -> None:
    for host in ("localhost", "127.0.0.1", "127.255.255.254", "::1", "[::1]"):
        assert is_loopback(host), host
    for host in (
        "",
        "0.0.0.0",
        "::",
        "127.example.org",
        "128.0.0.1",
        "localhost.example",
        "10.0.0.1",
        "127",
        "127.0.0",
    ):
        assert not is_loopback(host), host


def test_what_was_presented() -> None:
    assert presented({}) is None
    assert presented({b"authorization": b"Bearer a", b"x-api-key": b"b"}) == b"a"
    assert presented({b"authorization": b"Token a", b"x-api-key": b"b"}) == b"b"


def test_a_tenant_found_outside_is_not_looked_for_again() -> None:
    known = keys()
    caller = ask("openai", "m", headers={"x-api-key": "unknown-key-entirely"})
    exchange = Exchange.of(caller.scope)
    assert exchange is not None
    exchange.tenant = TEAM
    answer = run(caller.call(AuthMiddleware(Foreign(), keys=known)))
    assert answer.status == 200
    assert known.asked == 0
