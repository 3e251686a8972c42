"""What every room owes to the app it is mounted around, alone: bare, in Starlette, under a Mount and in FastAPI.

Each test runs over all rooms. What a room is for is tested in its own file under tests/unit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from laneway.edge import App
from laneway.exchange import SLOT, Exchange
from laneway.upstream.simulated import Simulated
from tests.fakes.replies import events, frames
from tests.harness.asgi import ASKS, Caller, Message, ask
from tests.harness.loop import run
from tests.harness.rooms import CLASSES, KEY, ORDER, PRICE, Foreign, World, ours, simulated

rooms = pytest.mark.parametrize("room", ORDER)
fronts = pytest.mark.parametrize("front", ASKS)
KEYED = {"authorization": f"Bearer {KEY}"}


def world() -> World:
    return World(simulated("sim-large"), simulated("sim-small"))


# --- what is not ours --------------------------------------------------------------------------------------


@rooms
@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_what_is_not_http_passes_untouched(room: str, kind: str) -> None:
    app = Foreign()
    scope = {"type": kind, "path": "/v1/chat/completions", "headers": []}
    caller = Caller()
    run(caller.hand(world().mount(room, app), scope))
    assert app.scopes[0] is scope
    assert scope == {"type": kind, "path": "/v1/chat/completions", "headers": []}
    assert (app.receives, app.sends, caller.received) == ([caller.receive], [caller.send], 0)


@rooms
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/chat/completions"),
        ("OPTIONS", "/v1/messages"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "/other/v1/messages"),
        ("POST", "/"),
    ],
)
def test_what_is_no_front_passes_untouched(room: str, method: str, path: str) -> None:
    app = Foreign()
    caller = Caller(path, b"\xff no JSON", method=method)
    before = dict(caller.scope)
    answer = run(caller.call(world().mount(room, app)))
    assert app.scopes[0] is caller.scope
    assert caller.scope == before
    assert (app.receives, app.sends) == ([caller.receive], [caller.send])
    assert (answer.status, answer.body) == (200, path.encode())


# --- what is ours ------------------------------------------------------------------------------------------


@rooms
@fronts
@pytest.mark.parametrize("stream", [False, True])
def test_the_app_inside_gets_the_whole_body_once_and_its_answer_passes_as_it_came(
    room: str, front: str, stream: bool
) -> None:
    path, body = ASKS[front]
    text = json.dumps({"model": "asked", **body, "stream": stream}).encode()
    caller = Caller(path, pieces=[text[:7], text[7:40], b"", text[40:]], headers=KEYED)
    bare = Foreign()
    without = run(Caller(path, text).call(bare))

    app = Foreign()
    answer = run(caller.call(world().mount(room, app)))
    assert answer == without
    assert app.bodies == [text]
    assert app.after == ["http.disconnect"], "behind the body comes what the caller does next, never a second body"


@rooms
@fronts
def test_without_knobs_a_room_has_no_opinion(room: str, front: str) -> None:
    app = Foreign()
    answer = run(ask(front, "whatever").call(CLASSES[room](app)))
    assert answer == run(ask(front, "whatever").call(Foreign()))
    assert len(app.scopes) == 1


@rooms
def test_a_room_that_has_nothing_to_say_hands_the_request_on_as_it_is(room: str) -> None:
    """Only what a room has to read or to watch is wrapped: the whole body's `receive`, and few rooms' `send`."""
    app = Foreign()
    caller = ask("openai", "asked", headers=KEYED)
    run(caller.call(world().mount(room, app)))
    reads_the_body = room in ("lane", "budget", "router", "fallback")
    assert (app.receives[0] != caller.receive) is (reads_the_body and room != "budget")
    assert (app.sends[0] != caller.send) is (room in ("fallback", "observe"))
    assert (app.scopes[0] is not caller.scope) is (room == "fallback")
    assert all(name.startswith("laneway.") for name in set(app.scopes[0]) - set(caller.scope))
    assert isinstance(app.scopes[0][SLOT], Exchange)


@pytest.mark.parametrize("room", [room for room in ORDER if room != "fallback"])
def test_in_front_of_an_app_of_ours_nobody_but_fallback_wraps_send(room: str) -> None:
    setting = world()
    seen: list[object] = []

    class Watching(type(ours(Simulated()))):  # type: ignore[misc]
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append(send)
            await super().__call__(scope, receive, send)

    Watching.__module__ = "laneway.forward"
    caller = ask("openai", "asked", headers=KEYED)
    answer = run(caller.call(setting.mount(room, Watching(Simulated(), target=setting.targets[0]))))
    assert answer.status == 200
    assert seen == [caller.send]


@rooms
@pytest.mark.parametrize("begun", [False, True])
def test_the_exception_of_an_app_that_is_not_ours_passes(room: str, begun: bool) -> None:
    class OddError(Exception):
        pass

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise OddError

    caller = ask("openai", "asked", headers=KEYED)
    setting = world()
    with pytest.raises(OddError):
        run(caller.call(setting.mount(room, app)))
    assert not caller.broken
    assert [message["type"] for message in caller.sent] == (
        ["http.response.start", "http.response.body"] if begun else []
    )
    assert run(setting.spent_nanos()) == 0
    assert [outcome.status for outcome in setting.journal.outcomes] == (
        [200 if begun else 500] if room == "observe" else []
    )


@rooms
@fronts
def test_two_instances_act_as_one(room: str, front: str) -> None:
    setting, twice = world(), world()
    app, inner = Foreign(), Foreign()
    answer = run(ask(front, "asked", headers=KEYED).call(setting.mount(room, app)))
    again = run(ask(front, "asked", headers=KEYED).call(twice.mount(room, twice.mount(room, inner))))
    assert again == answer
    assert inner.bodies == app.bodies
    assert len(twice.journal.outcomes) == len(setting.journal.outcomes)
    one, other = app.scopes[0][SLOT], inner.scopes[0][SLOT]
    for fact in ("tenant", "lane", "candidates", "decision", "version", "holding", "pinned", "status"):
        assert getattr(one, fact) == getattr(other, fact), fact


@rooms
def test_two_instances_act_as_one_when_everything_fails(room: str) -> None:
    setting, twice = world(), world()
    app, inner = Foreign(status=503), Foreign(status=503)
    answer = run(ask("openai", "asked", headers=KEYED).call(setting.mount(room, app)))
    again = run(ask("openai", "asked", headers=KEYED).call(twice.mount(room, twice.mount(room, inner))))
    assert again == answer
    assert len(inner.bodies) == len(app.bodies)


# --- in other people's frameworks --------------------------------------------------------------------------


async def _mine(request: Request) -> StreamingResponse | JSONResponse:
    body = await request.json()
    dialect = "openai" if "chat" in request.url.path else "anthropic"
    if body.get("stream"):
        return StreamingResponse(iter(frames(dialect, events("7 * 8 ", "= 56."))), media_type="text/event-stream")
    return JSONResponse({"echo": body, "usage": {"prompt_tokens": 9, "completion_tokens": 1}})


async def _elsewhere(request: Request) -> PlainTextResponse:
    return PlainTextResponse("elsewhere")


ROUTES = [
    Route("/v1/chat/completions", _mine, methods=["POST"]),
    Route("/v1/messages", _mine, methods=["POST"]),
    Route("/elsewhere", _elsewhere, methods=["GET", "POST"]),
]


def _in_starlette(room: str, setting: World) -> tuple[App, str]:
    app: Any = Starlette(routes=ROUTES, middleware=[Middleware(CLASSES[room], **setting.knobs(room))])
    return app, ""


def _under_mount(room: str, setting: World) -> tuple[App, str]:
    app: Any = Starlette(routes=[Mount("/inner", app=setting.mount(room, Starlette(routes=ROUTES)))])
    return app, "/inner"


def _two_mounts_deep(room: str, setting: World) -> tuple[App, str]:
    inner: Any = Starlette(routes=[Mount("/b", app=setting.mount(room, Starlette(routes=ROUTES)))])
    app: Any = Starlette(routes=[Mount("/a", app=inner)])
    return app, "/a/b"


def _in_fastapi(room: str, setting: World) -> tuple[App, str]:
    app: Any = FastAPI()

    @app.post("/v1/chat/completions")  # type: ignore[untyped-decorator]
    @app.post("/v1/messages")  # type: ignore[untyped-decorator]
    async def mine(request: Request) -> Any:
        return await _mine(request)

    @app.get("/elsewhere")  # type: ignore[untyped-decorator]
    @app.post("/elsewhere")  # type: ignore[untyped-decorator]
    async def elsewhere(request: Request) -> Any:
        return await _elsewhere(request)

    app.add_middleware(CLASSES[room], **setting.knobs(room))
    return app, ""


frameworks = pytest.mark.parametrize("build", [_in_starlette, _under_mount, _two_mounts_deep, _in_fastapi])


@frameworks
@rooms
@pytest.mark.parametrize("front", ["openai", "anthropic"])
@pytest.mark.parametrize("stream", [False, True])
def test_in_a_framework_an_answer_passes(
    build: Callable[[str, World], tuple[App, str]], room: str, front: str, stream: bool
) -> None:
    setting = world()
    app, root = build(room, setting)
    path, body = ASKS[front]
    text = {"model": "asked", **body, "stream": stream}
    answer = run(Caller(root + path, text, headers=KEYED).call(app))
    assert answer.status == 200
    if stream:
        assert answer.body == b"".join(frames(front, events("7 * 8 ", "= 56.")))
    else:
        assert answer.json["echo"] == text
    assert len(setting.journal.outcomes) == (room == "observe")
    assert run(setting.spent_nanos()) == 0


@frameworks
@rooms
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_in_a_framework_other_paths_are_not_touched(
    build: Callable[[str, World], tuple[App, str]], room: str, method: str
) -> None:
    setting = world()
    app, root = build(room, setting)
    answer = run(Caller(root + "/elsewhere", b"\xff", method=method).call(app))
    assert (answer.status, answer.body) == (200, b"elsewhere")
    assert not setting.journal.outcomes


@frameworks
def test_under_any_root_a_room_knows_its_paths(build: Callable[[str, World], tuple[App, str]]) -> None:
    setting = world()
    app, root = build("auth", setting)
    assert run(ask_at(root, "wrong-key-of-somebody").call(app)).status == 401
    assert run(ask_at(root, KEY).call(app)).status == 200


def ask_at(root: str, key: str) -> Caller:
    path, body = ASKS["openai"]
    return Caller(root + path, {"model": "asked", **body}, headers={"x-api-key": key})


@pytest.mark.parametrize(
    ("root", "path", "is_ours"),
    [
        ("", "/v1/messages", True),
        ("/gw", "/gw/v1/messages", True),
        ("/gw/", "/gw/v1/messages", True),
        ("/gw", "/v1/messages", True),  # a proxy cut the root off before
        ("/g", "/gw/v1/messages", False),
        ("/gw", "/gwv1/messages", False),
        ("/v1", "/v1/messages", False),  # below the root it is /messages
    ],
)
def test_paths_are_known_below_the_root_and_nowhere_else(root: str, path: str, is_ours: bool) -> None:
    seen: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(SLOT in scope)

    caller = Caller(path, root_path=root)
    run(caller.hand(CLASSES["auth"](app), caller.scope))
    assert seen == [is_ours]


def test_a_room_outside_a_mount_leaves_its_facts_to_the_rooms_inside() -> None:
    """Two of our rooms with somebody else's router between them share one Exchange."""
    setting = world()
    inner: Any = Starlette(routes=[Mount("/", app=setting.stack(("lane", "router"), Starlette(routes=ROUTES)))])
    answer = run(ask("openai", "asked", headers=KEYED).call(setting.stack(("observe", "auth"), inner)))
    assert answer.status == 200
    (outcome,) = setting.journal.outcomes
    assert (outcome.tenant, outcome.lane, outcome.model, outcome.status) == ("team-a", "quick", "asked", 200)


def test_prices_make_the_budget_look_and_only_then() -> None:
    setting = world()
    app = Foreign()
    caller = ask("openai", "asked")
    run(caller.call(setting.mount("budget", app, prices={"*": PRICE})))
    assert app.sends[0] != caller.send


def test_messages_pass_in_their_order_and_number() -> None:
    """A room that looks at a stream neither gathers nor cuts it."""
    for room in ORDER:
        caller = ask("openai", "asked", headers=KEYED, stream=True)
        order: list[Message] = []
        caller.on_send = order.append
        run(caller.call(world().mount(room, Foreign())))
        bare = ask("openai", "asked", stream=True)
        run(bare.call(Foreign()))
        assert caller.sent == bare.sent == order
