"""Bad input through the whole stack, in every front: a 4xx in the caller's own shape, bounded, logged once, no secret.

The paths are all the fronts there are; what is wrong with a body is wrong in each of them.
"""

from __future__ import annotations

import json
import logging
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from laneway.dialects import FRONTS
from laneway.edge import BODY_LIMIT
from laneway.exchange import SLOT
from laneway.middleware.lane import LaneMiddleware
from laneway.upstream.simulated import Simulated
from tests.harness.asgi import Answer, Caller, Message
from tests.harness.loop import run
from tests.harness.rooms import KEY, ORDER, World, ours, simulated

SECRET = "sk-my-own-secret-0042"
PROMPT = "the words of a private prompt"
KEYED = {"authorization": f"Bearer {KEY}"}
paths = pytest.mark.parametrize("path", FRONTS)

GOOD: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": PROMPT}]},
    "completions": {"prompt": PROMPT},
    "embeddings": {"input": PROMPT},
    "responses": {"input": PROMPT, "max_output_tokens": 10},
    "messages": {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 10},
    "count_tokens": {"messages": [{"role": "user", "content": PROMPT}]},
    "generate": {"prompt": PROMPT, "stream": False},
    "embed": {"input": PROMPT},
}


def good(path: str) -> dict[str, Any]:
    """A body that is right for the path."""
    body = dict(GOOD[FRONTS[path].variant])
    if path == "/api/embeddings":
        body = {"prompt": PROMPT}
    if path == "/api/chat":
        body["stream"] = False
    return {"model": "asked", **body}


def model_of(path: str) -> str:
    return "sim-embed" if "embed" in path else "sim-large"


class Stack:
    """All the rooms before a simulated provider, and what the log said."""

    def __init__(self, caplog: pytest.LogCaptureFixture, path: str) -> None:
        self.caplog = caplog
        self.path = path
        self.upstream = Simulated()
        self.world = World(simulated(model_of(path), dialect=FRONTS[path].dialect))
        self.app = self.world.stack(ORDER, ours(self.upstream))

    def post(self, body: bytes | dict[str, Any], headers: dict[str, str] | None = None) -> Answer:
        caller = Caller(self.path, body, headers=KEYED if headers is None else headers)
        with self.caplog.at_level(logging.DEBUG):
            return run(caller.call(self.app))

    def refuses(self, answer: Answer, *statuses: int) -> None:
        """The caller's own shape, one line in the log, nothing called, nothing held, nothing given away."""
        assert answer.status in (statuses or range(400, 500)), answer
        assert answer.headers["content-type"] == "application/json"
        message = error_message(FRONTS[self.path].dialect, answer)
        assert message
        assert len(answer.body) < 2000
        lines = [record for record in self.caplog.records if record.name == "laneway"]
        assert len(lines) == 1, lines
        assert not lines[0].exc_info
        for text in (answer.body.decode(), lines[0].getMessage()):
            assert SECRET not in text
            assert PROMPT not in text
            assert "Traceback" not in text
            assert ".py" not in text
        assert run(self.world.spent_nanos()) == 0
        (outcome,) = self.world.journal.outcomes
        assert outcome.status == answer.status


def error_message(dialect: str, answer: Answer) -> str:
    """The words of an error, in the shape in which the format's own clients look for them."""
    told = answer.json
    if dialect == "ollama":
        assert isinstance(told["error"], str)
        return str(told["error"])
    assert isinstance(told["error"]["message"], str)
    assert isinstance(told["error"]["type"], str)
    if dialect == "anthropic":
        assert told["type"] == "error"
    return str(told["error"]["message"])


@pytest.fixture
def stack(caplog: pytest.LogCaptureFixture, path: str) -> Stack:
    return Stack(caplog, path)


@paths
def test_what_is_right_is_served(stack: Stack) -> None:
    """Otherwise nothing below would prove anything."""
    answer = stack.post(good(stack.path))
    assert answer.status == 200, answer
    assert [record for record in stack.caplog.records if record.name == "laneway"] == []


# --- bodies that are no JSON, or not of the format ---------------------------------------------------------

BROKEN: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n",
    "null": b"null",
    "number": b"7",
    "text": b'"asked"',
    "list": b"[]",
    "open": b"{",
    "unfinished": b'{"model": "asked", "messages": [{"role": "us',
    "two": b'{"model": "asked"}{"model": "asked"}',
    "comma": b'{"model": "asked",}',
    "quotes": b"{'model': 'asked'}",
    "form": b"model=asked&prompt=" + PROMPT.encode(),
    "html": b"<html></html>",
    "no object at all": b"\x00" * 64,
    "not utf-8": b'{"model": "\xff\xfe", "messages": "\xc3("}',
    "utf-16": json.dumps({"model": "asked"}).encode("utf-16"),
    "gzip": b"\x1f\x8b\x08\x00" + b"\x00" * 20,
    "nothing in it": b"{}",
    "only a model": b'{"model": "asked"}',
    "deep list": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "deep in a field": b'{"model":"asked","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nan": b'{"model": NaN}',
}
LOADS = {"only a model": ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings")}
"""What is right after all: Ollama's clients load a model by naming it alone."""


@paths
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_body_is_refused(stack: Stack, name: str) -> None:
    if stack.path in LOADS.get(name, ()):
        assert stack.post(BROKEN[name]).status == 200
        return
    stack.refuses(stack.post(BROKEN[name]), 400)
    assert not stack.upstream.asked


WRONG: dict[str, Any] = {
    "model": [5, None, [], {}, True],
    "messages": [7, "text", {}, [7], ["text"], [{}], [{"role": "user", "content": 7}], [{"role": 7, "content": "x"}]],
    "prompt": [7, {}, True, [{}]],
    "input": [7.5, {}, True, [{}]],
    "stream": ["yes", 7, []],
    "max_tokens": ["many", 1.5, [], {}],
    "max_output_tokens": ["many", 1.5, [], {}],
}
CASES = [
    (path, field, value)
    for path in FRONTS
    for field, values in WRONG.items()
    if field in good(path)
    for value in values
]


@pytest.mark.parametrize(("path", "field", "value"), CASES)
def test_a_field_of_the_wrong_type_is_refused_by_its_name(stack: Stack, path: str, field: str, value: Any) -> None:
    answer = stack.post({**good(path), field: value})
    stack.refuses(answer, 400, 404)
    assert field in answer.body.decode()
    assert not stack.upstream.asked


ODD: dict[str, Any] = {
    "temperature": ["hot", [], 10**400],
    "seed": [10**400, "x"],
    "stop": [7, [7], {}],
    "tools": ["x", {}, [7]],
    "max_tokens": [10**400, -(10**400), 2**63],
    "options": [7, {"num_predict": "x"}, {"seed": 10**400}],
    "x_unknown": [7, {}, None],
}


@pytest.mark.parametrize(("path", "field"), [(path, field) for path in FRONTS for field in ODD])
def test_odd_values_are_refused_by_somebody_or_served_and_never_our_error(stack: Stack, path: str, field: str) -> None:
    """Bytes that pass are the provider's to judge; whoever judges, it is no 5xx and no trace."""
    for value in ODD[field]:
        answer = stack.post({**good(path), field: value})
        assert answer.status == 200 or 400 <= answer.status < 500, (value, answer)
        assert b"Traceback" not in answer.body
    assert all(not record.exc_info for record in stack.caplog.records)


@paths
@pytest.mark.parametrize("depth", [10, 900, 100_000])
def test_nesting_where_nobody_looks_is_no_error_of_ours(stack: Stack, depth: int) -> None:
    text = json.dumps(good(stack.path)).encode()
    answer = stack.post(text[:-1] + b',"x_deep":' + b"[" * depth + b"]" * depth + b"}")
    assert answer.status == 200 or 400 <= answer.status < 500, answer
    assert all(not record.exc_info for record in stack.caplog.records)


@paths
def test_lone_surrogates_and_control_characters_are_no_error_of_ours(stack: Stack) -> None:
    for text in ('"\\ud800"', '"\\u0000"', '"\\udfff\\ud800"', '"a\\nb"'):
        body = json.dumps(good(stack.path)).replace(json.dumps(PROMPT), text).encode()
        answer = stack.post(body)
        assert answer.status == 200 or 400 <= answer.status < 500, (text, answer)
    for character in (b"\x00", b"\x1f", b"\n"):
        body = json.dumps(good(stack.path)).encode().replace(b"private", b"priv" + character + b"ate")
        assert stack.post(body).status == 400


# --- sizes, slowness, leaving ------------------------------------------------------------------------------


@paths
def test_a_body_that_says_it_is_too_large_is_not_read(stack: Stack) -> None:
    caller = Caller(stack.path, good(stack.path), headers={**KEYED, "content-length": str(100 * 1024 * 1024)})
    with stack.caplog.at_level(logging.DEBUG):
        answer = run(caller.call(stack.app))
    assert caller.received == 0
    stack.refuses(answer, 413)


class Endless(Caller):
    """Sends the same piece over and over."""

    piece = b" " * (1 << 20)

    async def receive(self) -> Message:
        self.received += 1
        return {"type": "http.request", "body": self.piece, "more_body": True}


@paths
def test_a_body_without_end_is_read_up_to_the_limit_in_bounded_memory(stack: Stack) -> None:
    caller = Endless(stack.path, headers=KEYED)
    tracemalloc.start()
    try:
        with stack.caplog.at_level(logging.DEBUG):
            answer = run(caller.call(stack.app))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caller.received == BODY_LIMIT // len(caller.piece) + 1
    assert most < 2 * BODY_LIMIT
    stack.refuses(answer, 413)


@paths
def test_a_body_that_does_not_come_is_given_up(stack: Stack) -> None:
    mount: Callable[..., Any] = stack.world.mount
    app = ours(stack.upstream)
    room = LaneMiddleware(app, lanes=[stack.world.lane], body_limit_s=0.01)
    stack.app = mount("observe", mount("auth", room))
    caller = Caller(stack.path, pieces=[b'{"model": "asked", '], more=True, headers=KEYED)
    with stack.caplog.at_level(logging.DEBUG):
        answer = run(caller.call(stack.app))
    stack.refuses(answer, 408)
    assert answer.headers["connection"] == "close"


@paths
def test_a_caller_who_leaves_in_the_body_is_told_nothing_and_noted_once(stack: Stack) -> None:
    caller = Caller(stack.path, pieces=[b'{"model": "asked", '], more=True, headers=KEYED)
    caller.leave()
    with stack.caplog.at_level(logging.DEBUG):
        run(caller.call(stack.app))
    assert caller.sent == []
    assert caller.scope[SLOT].gone
    assert [record.getMessage().split()[2] for record in stack.caplog.records if record.name == "laneway"] == ["499"]
    assert not stack.upstream.asked
    assert run(stack.world.spent_nanos()) == 0


# --- who and what ------------------------------------------------------------------------------------------


@paths
@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": f"Bearer {SECRET}"}, {"x-api-key": SECRET}, {"authorization": f"Basic {SECRET}"}],
    ids=["none", "bearer", "x-api-key", "basic"],
)
def test_a_wrong_key_is_refused_before_the_body_is_read(stack: Stack, headers: dict[str, str]) -> None:
    caller = Caller(stack.path, good(stack.path), headers=headers)
    with stack.caplog.at_level(logging.DEBUG):
        answer = run(caller.call(stack.app))
    assert caller.received == 0
    stack.refuses(answer, 401)


@paths
def test_a_model_that_nobody_knows_is_refused_with_the_nearest(stack: Stack) -> None:
    mount = stack.world.mount
    room = LaneMiddleware(ours(stack.upstream), lanes=[stack.world.lane], strict=True)
    stack.app = mount("observe", mount("auth", room))
    answer = stack.post({**good(stack.path), "model": "askd"})
    stack.refuses(answer, 404)
    assert "asked" in answer.body.decode()


@paths
def test_an_unknown_lane_is_refused_with_the_known_ones(stack: Stack) -> None:
    answer = stack.post(good(stack.path), headers={**KEYED, "x-laneway-lane": "qick"})
    stack.refuses(answer, 400)
    assert "quick" in answer.body.decode()


@paths
@pytest.mark.parametrize("strict", [False, True])
def test_monstrous_names_are_neither_quoted_nor_remembered_whole(stack: Stack, strict: bool) -> None:
    mount = stack.world.mount
    room = LaneMiddleware(mount("router", ours(stack.upstream)), lanes=[stack.world.lane], strict=strict)
    stack.app = mount("observe", mount("auth", room))
    long = "x" * 60_000
    headers = {**KEYED, "x-laneway-trace": long, "x-laneway-project": long, "x-laneway-intent": long}
    answer = stack.post({**good(stack.path), "model": "x" * 1_000_000}, headers=headers)
    assert answer.status == (404 if strict else 200)
    assert len(answer.body) < 2000
    (outcome,) = stack.world.journal.outcomes
    for name in (outcome.model, outcome.trace, outcome.project, outcome.intent):
        assert name is not None
        assert len(name) <= 256
    assert all(not record.exc_info for record in stack.caplog.records)


@paths
def test_header_values_of_any_bytes_are_no_error_of_ours(stack: Stack) -> None:
    odd = "\xff\xfe\x80"
    headers = {
        **KEYED,
        "x-laneway-trace": odd,
        "x-laneway-project": odd,
        "x-laneway-intent": odd * 1000,
        "traceparent": odd,
        "anthropic-beta": odd,
        "content-length": odd,
        "content-type": odd,
    }
    assert stack.post(good(stack.path), headers=headers).status == 200
    assert stack.post(good(stack.path), headers={**KEYED, "x-laneway-lane": odd}).status == 400
    assert all(not record.exc_info for record in stack.caplog.records)
