"""Which lane, which candidates: headers and their aliases, names, claims, the tenant's own, and permissions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from laneway.exchange import SLOT, Exchange
from laneway.failure import Kind
from laneway.middleware.lane import HEADER_PREFIXES, Fixed, LaneMiddleware
from laneway.policy.names import Names
from laneway.route import Lane, Target, Tenant
from tests.fakes.replies import target
from tests.harness.asgi import ASKS, Answer, Caller, ask
from tests.harness.loop import run
from tests.harness.rooms import Foreign

SMALL, LARGE, CLOUD = (
    Target(provider=target(name=box).provider, model=model, upstream=f"{model}-id")
    for box, model in (("home", "small"), ("home", "large"), ("cloud", "gpt"))
)
QUICK = Lane(name="quick", targets=(SMALL, LARGE), claims=("fast-model",))
FORCED = Lane(name="forced", targets=(CLOUD, SMALL), forces=True, claims=("legacy",))
NIGHT = Lane(name="night", targets=(LARGE,), run_only=True)
NAMES = Names(
    lanes={lane.name: lane for lane in (QUICK, FORCED, NIGHT)},
    models={"small": (SMALL,), "large": (LARGE,), "gpt": (CLOUD,), "fast-model": (CLOUD,), "many": (CLOUD, LARGE)},
)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def placed(
    model: str,
    *,
    tenant: Tenant | None = None,
    headers: dict[str, str] | None = None,
    front: str = "openai",
    **knobs: Any,
) -> tuple[Answer, Exchange]:
    """Through the room with the table above, strict unless the test says otherwise."""
    caller = ask(front, model, headers=headers)
    exchange = Exchange.of(caller.scope)
    assert exchange is not None
    if tenant is not None:
        exchange.tenant = tenant
    room = LaneMiddleware(Foreign(), **(knobs or {"directory": Fixed(NAMES)}))
    return run(caller.call(room)), caller.scope[SLOT]


def went(model: str, **more: Any) -> tuple[str | None, tuple[Target, ...] | None]:
    answer, exchange = placed(model, **more)
    assert answer.status == 200, answer
    return exchange.lane.name if exchange.lane is not None else None, exchange.candidates


def refused(model: str, **more: Any) -> tuple[int, Kind, str]:
    answer, exchange = placed(model, **more)
    assert exchange.failure is not None, answer
    assert exchange.candidates is None
    return answer.status, exchange.failure.kind, exchange.failure.message


# --- which lane --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", HEADER_PREFIXES)
@pytest.mark.parametrize("capitals", [False, True])
def test_a_lane_is_heard_in_the_header_under_every_prefix(prefix: str, capitals: bool) -> None:
    name = f"{prefix}lane"
    assert went("small", headers={name.title() if capitals else name: "quick"})[0] == "quick"


def test_prefixes_can_be_ones_own() -> None:
    knobs = {"directory": Fixed(NAMES), "header_prefixes": ("X-Acme-",)}
    assert went("small", headers={"x-acme-lane": "quick"}, **knobs)[0] == "quick"
    assert went("small", headers={"x-laneway-lane": "quick"}, **knobs)[0] is None


def test_the_header_goes_before_the_name_and_the_name_before_the_tenant() -> None:
    tenant = Tenant(name="t", lane="forced")
    header = {"x-laneway-lane": "quick"}
    assert went("legacy", tenant=tenant, headers={"x-laneway-lane": "forced"})[0] == "forced"
    assert went("fast-model", tenant=tenant)[0] == "quick"
    assert went("quick", tenant=tenant)[0] == "quick"
    assert went("small", tenant=tenant)[0] == "forced"
    assert went("small", tenant=tenant, headers=header)[0] == "quick"
    assert went("small", tenant=Tenant(name="t"))[0] is None


@pytest.mark.parametrize("model", ["quick", "Quick", "quick:latest"])
def test_a_lane_is_a_model_name(model: str) -> None:
    assert went(model) == ("quick", (SMALL, LARGE))


def test_a_claimed_name_puts_into_the_lane() -> None:
    assert went("legacy") == ("forced", (CLOUD, SMALL))
    # The lane does not force: the claimed model serves, in the lane's name.
    assert went("fast-model") == ("quick", (CLOUD,))


def test_a_lane_that_forces_serves_whatever_was_named() -> None:
    for model in ("small", "gpt", "auto", "never-heard-of"):
        assert went(model, headers={"x-laneway-lane": "forced"}) == ("forced", (CLOUD, SMALL))


@pytest.mark.parametrize("model", ["auto", "default"])
def test_names_that_mean_whatever_the_lane_serves(model: str) -> None:
    assert went(model, headers={"x-laneway-lane": "quick"}) == ("quick", (SMALL, LARGE))


def test_a_model_in_a_lane_is_served_by_the_lanes_own_target_of_it_where_it_has_one() -> None:
    assert went("many", headers={"x-laneway-lane": "quick"}) == ("quick", (LARGE,))
    assert went("many") == (None, (CLOUD, LARGE))
    assert went("gpt", headers={"x-laneway-lane": "quick"}) == ("quick", (CLOUD,))


@pytest.mark.parametrize("value", ["", "   "])
def test_an_empty_header_says_nothing(value: str) -> None:
    assert went("small", headers={"x-laneway-lane": value}) == (None, (SMALL,))
    assert went("small", headers={"x-laneway-lane": value, "x-awooop-lane": "quick"})[0] == "quick"


# --- what else the headers carry ---------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", HEADER_PREFIXES)
def test_project_trace_and_intent_are_heard(prefix: str) -> None:
    headers = {f"{prefix}project": "shop", f"{prefix}trace": "t-1", f"{prefix}intent": "summarise"}
    _, exchange = placed("small", headers=headers)
    assert (exchange.project, exchange.trace, exchange.intent) == ("shop", "t-1", "summarise")
    _, exchange = placed("small", headers={f"{prefix}project-id": "shop", f"{prefix}trace-id": "t-1"})
    assert (exchange.project, exchange.trace) == ("shop", "t-1")


def test_a_tenants_project_is_the_default() -> None:
    tenant = Tenant(name="t", project="own")
    assert placed("small", tenant=tenant)[1].project == "own"
    assert placed("small", tenant=tenant, headers={"x-laneway-project": "other"})[1].project == "other"


def test_a_traceparent_is_a_trace_unless_a_header_of_ours_says_another() -> None:
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    assert placed("small", headers=headers)[1].trace == TRACE
    assert placed("small", headers={**headers, "x-laneway-trace": "mine"})[1].trace == "mine"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "garbage",
        f"00-{TRACE}",
        f"00-{TRACE[:-1]}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
        f"00-{'z' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE[:16]}{'!' * 16}-00f067aa0ba902b7-01",
    ],
)
def test_a_traceparent_that_breaks_its_specification_is_none(value: str) -> None:
    """https://www.w3.org/TR/trace-context/#trace-id: 32 lower-case hexadecimal digits, not all zero."""
    assert placed("small", headers={"traceparent": value})[1].trace is None


# --- refusals ----------------------------------------------------------------------------------------------


def test_an_unknown_lane_names_the_lanes_there_are() -> None:
    status, kind, message = refused("small", headers={"x-laneway-lane": "quik"})
    assert (status, kind) == (400, Kind.UNKNOWN_LANE)
    assert message == "There is no lane 'quik'. Lanes: forced, night, quick."


def test_an_unknown_lane_is_quoted_in_bounds() -> None:
    _, _, message = refused("small", headers={"x-laneway-lane": "x" * 5000})
    assert len(message) < 300


def test_an_unknown_model_names_the_nearest() -> None:
    status, kind, message = refused("smal")
    assert (status, kind) == (404, Kind.UNKNOWN_MODEL)
    assert "'smal'" in message
    assert "Did you mean small" in message
    _, _, message = refused("zzzzzzzzzzzz")
    assert "GET /v1/models" in message
    _, _, message = refused("zzzzzzzzzzzz", headers={"x-laneway-lane": "quick"})
    assert "in the lane 'quick'" in message


@pytest.mark.parametrize("front", ASKS)
def test_refusals_are_in_the_callers_format(front: str) -> None:
    answer, _ = placed("nobody-knows-this", front=front)
    assert answer.status == 404
    error = answer.json["error"]
    assert "nobody-knows-this" in (error if isinstance(error, str) else error["message"])
    assert answer.json.get("type", "error") == "error"


def test_a_monstrous_model_name_is_quoted_in_bounds_and_not_remembered() -> None:
    before = dict(NAMES._made)
    answer, _ = placed("x" * 1_000_000)
    assert answer.status == 404
    assert len(answer.body) < 1000
    assert NAMES._made == before


@pytest.mark.parametrize("how", ["header", "name"])
def test_a_lane_for_runs_only_says_where_to_go(how: str) -> None:
    headers = {"x-laneway-lane": "night"} if how == "header" else {}
    status, kind, message = refused("night" if how == "name" else "small", headers=headers)
    assert (status, kind) == (409, Kind.RUN_ONLY)
    assert "POST /v1/runs" in message


# --- permissions -------------------------------------------------------------------------------------------


def test_a_tenant_enters_the_lanes_it_is_given() -> None:
    tenant = Tenant(name="t", lanes=frozenset({"quick"}))
    assert went("quick", tenant=tenant) == ("quick", (SMALL, LARGE))
    status, kind, message = refused("legacy", tenant=tenant)
    assert (status, kind) == (403, Kind.FORBIDDEN)
    assert "'forced'" in message
    assert refused("small", tenant=tenant, headers={"x-laneway-lane": "forced"})[:2] == (403, Kind.FORBIDDEN)


def test_a_tenant_of_lanes_alone_reaches_no_model_beside_them() -> None:
    tenant = Tenant(name="t", lanes=frozenset({"quick"}))
    status, kind, message = refused("gpt", tenant=tenant)
    assert (status, kind) == (403, Kind.FORBIDDEN)
    assert "lanes only: quick" in message
    # Nor by naming the lane in the header, or by having it as its own.
    assert refused("gpt", tenant=tenant, headers={"x-laneway-lane": "quick"})[:2] == (403, Kind.FORBIDDEN)
    own = Tenant(name="t", lanes=frozenset({"quick"}), lane="quick")
    assert refused("gpt", tenant=own)[:2] == (403, Kind.FORBIDDEN)
    # What the lane itself holds, by any name; and what it claims.
    assert went("large", tenant=own) == ("quick", (LARGE,))
    assert went("many", tenant=own) == ("quick", (LARGE,))
    assert went("fast-model", tenant=own) == ("quick", (CLOUD,))


def test_a_tenant_of_models_has_those_that_match() -> None:
    tenant = Tenant(name="t", models=("sma*", "cloud/*"))
    assert went("small", tenant=tenant) == (None, (SMALL,))
    assert went("quick", tenant=tenant) == ("quick", (SMALL,))
    assert went("many", tenant=tenant) == (None, (CLOUD,))
    status, kind, message = refused("large", tenant=tenant)
    assert (status, kind) == (403, Kind.FORBIDDEN)
    assert "'large'" in message


def test_a_tenant_without_restrictions_has_everything() -> None:
    for model in ("small", "gpt", "quick", "legacy"):
        assert placed(model, tenant=Tenant(name="t"))[0].status == 200


# --- alone -------------------------------------------------------------------------------------------------


def alone(lanes: Sequence[Lane] = (QUICK, FORCED)) -> dict[str, Any]:
    return {"lanes": lanes}


def test_alone_a_name_that_no_lane_knows_stays_with_the_app_inside() -> None:
    assert went("whatever", **alone()) == (None, None)
    assert went("quick", **alone()) == ("quick", (SMALL, LARGE))
    assert went("whatever", headers={"x-laneway-lane": "quick"}, **alone()) == ("quick", None)


def test_alone_and_strict_it_refuses_such_a_name() -> None:
    assert refused("whatever", lanes=(QUICK,), strict=True)[:2] == (404, Kind.UNKNOWN_MODEL)


def test_alone_a_tenants_permissions_hold_for_names_that_only_the_app_knows() -> None:
    tenant = Tenant(name="t", models=("gpt-4o*",))
    assert went("gpt-4o-mini", tenant=tenant, **alone()) == (None, None)
    assert refused("o1-pro", tenant=tenant, **alone())[:2] == (403, Kind.FORBIDDEN)
    lanes_only = Tenant(name="t", lanes=frozenset({"quick"}))
    assert refused("gpt-4o", tenant=lanes_only, **alone())[:2] == (403, Kind.FORBIDDEN)
    assert went("gpt-4o", tenant=lanes_only, headers={"x-laneway-lane": "quick"}, **alone())[0] == "quick"


def test_the_body_has_its_limits_here() -> None:
    caller = Caller(ASKS["openai"][0], json.dumps({"model": "small", **ASKS["openai"][1]}).encode())
    answer = run(caller.call(LaneMiddleware(Foreign(), body_limit=10)))
    assert answer.status == 413
    caller = Caller(ASKS["openai"][0], pieces=[b"{"], more=True)
    answer = run(caller.call(LaneMiddleware(Foreign(), body_limit_s=0.01)))
    assert answer.status == 408
    assert answer.headers["connection"] == "close"


def test_a_directory_is_asked_anew_for_each_request() -> None:
    """A refresh of the lists, or a reload, makes a new table: the room must not keep the old one."""
    directory = Fixed(Names(models={"old": (SMALL,)}))
    room = LaneMiddleware(Foreign(), directory=directory)

    async def main() -> list[int]:
        before = (await ask("openai", "new").call(room)).status
        directory.names = Names(models={"new": (SMALL,)})
        return [before, (await ask("openai", "new").call(room)).status]

    assert run(main()) == [404, 200]


# --- how a stream is to be saved ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["X-Laneway-Rescue", "X-AwoooP-Rescue"])
@pytest.mark.parametrize("word", ["error", "continue", "hold", "Hold"])
def test_a_caller_may_say_how_a_stream_is_to_be_saved(name: str, word: str) -> None:
    _, exchange = placed("quick", headers={name: word})
    assert exchange.rescue == word.lower()


def test_who_says_nothing_leaves_it_to_the_lane() -> None:
    assert placed("quick")[1].rescue is None


@pytest.mark.parametrize("front", ASKS)
def test_a_way_that_there_is_not_is_the_callers_mistake(front: str) -> None:
    answer, exchange = placed("quick", headers={"X-Laneway-Rescue": "always"}, front=front)
    assert answer.status == 400
    assert exchange.failure is not None
    assert (exchange.failure.kind, exchange.failure.field) == (Kind.MALFORMED_REQUEST, "rescue")
    assert "error, continue, hold" in answer.body.decode()


def test_other_prefixes_of_the_header_are_configuration() -> None:
    knobs: dict[str, Any] = {"directory": Fixed(NAMES), "header_prefixes": ("x-acme-",)}
    assert placed("quick", headers={"X-Acme-Rescue": "hold"}, **knobs)[1].rescue == "hold"
    assert placed("quick", headers={"X-Laneway-Rescue": "never heard"}, **knobs)[1].rescue is None
