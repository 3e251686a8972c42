"""Callers who break HTTP, send too much, too slowly or nothing, or leave in the middle: bounded, and cleaned up."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import anthropic
import ollama
import openai
import pytest

from tests.e2e.house import ANSWER, House, asking_ollama, large
from tests.e2e.raw import ASK, Raw, head, request
from tests.harness.gateway import Served, served, until

BODY = json.dumps(ASK).encode()
LENGTH = f"content-length: {len(BODY)}"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
FRONTS = ["/v1/chat/completions", "/v1/messages", "/api/chat"]
MB = 1 << 20


class Memory:
    """How much more memory a gateway has had since, at whatever moment somebody looked."""

    def __init__(self, gateway: Served) -> None:
        self._status = Path(f"/proc/{gateway.process.pid}/status")
        self._before = self._most = self._now()

    def look(self) -> None:
        self._most = max(self._most, self._now())

    def while_sending(self, piece: bytes, count: int) -> Iterator[bytes]:
        for _ in range(count):
            yield piece
            self.look()

    def grown_mb(self) -> float:
        self.look()
        return (self._most - self._before) / 1024

    def _now(self) -> int:
        found = re.search(r"VmRSS:\s+(\d+) kB", self._status.read_text())
        assert found is not None
        return int(found[1])


def in_flight(gateway: Served) -> int:
    found = re.search(r"^laneway_in_flight (\d+)", gateway.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return int(found[1])


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway whose clocks run fast: a head or a body has a second."""
    config = '[server]\nstore = "memory:"\nbody_timeout = 20\n[providers.sim]\nurl = "simulated://models"\n'
    variables = {"LANEWAY_TIMEOUT_SCALE": "0.05"}
    with served(tmp_path_factory.mktemp("hasty"), config, variables=variables) as gateway:
        yield gateway


# --- requests that are none --------------------------------------------------------------------------------

BROKEN = {
    "length twice": head("/v1/chat/completions", LENGTH, LENGTH) + b"\r\n" + BODY,
    "two lengths": head("/v1/chat/completions", LENGTH, "content-length: 5") + b"\r\n" + BODY,
    "a list of lengths": head("/v1/chat/completions", "content-length: 5, 5") + b"\r\n" + BODY,
    "a length with a sign": head("/v1/chat/completions", f"content-length: +{len(BODY)}") + b"\r\n" + BODY,
    "a length below nothing": head("/v1/chat/completions", "content-length: -1") + b"\r\n" + BODY,
    "a length beyond numbers": head("/v1/chat/completions", f"content-length: {'9' * 40}") + b"\r\n" + BODY,
    "a length that is no number": head("/v1/chat/completions", "content-length: 0x10") + b"\r\n" + BODY,
    "length, then chunks": head("/v1/chat/completions", LENGTH, "transfer-encoding: chunked") + b"\r\n" + CHUNKS,
    "chunks, then length": head("/v1/chat/completions", "transfer-encoding: chunked", LENGTH) + b"\r\n" + CHUNKS,
    "an unknown coding": head("/v1/chat/completions", "transfer-encoding: xchunked") + b"\r\n" + CHUNKS,
    "a coding after chunks": head("/v1/chat/completions", "transfer-encoding: chunked, identity") + b"\r\n" + CHUNKS,
    "a space before the colon": head("/v1/chat/completions", f"content-length : {len(BODY)}") + b"\r\n" + BODY,
    "a folded line": head("/v1/chat/completions", "x-a: b\r\n c", LENGTH) + b"\r\n" + BODY,
    "a NUL": head("/v1/chat/completions", "x-a: a\0b", LENGTH) + b"\r\n" + BODY,
    "bare line feeds": (head("/v1/chat/completions", LENGTH) + b"\r\n").replace(b"\r\n", b"\n") + BODY,
    "a chunk size that is none": head("/v1/chat/completions", "transfer-encoding: chunked") + b"\r\nZZ\r\n",
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hello\r\n\r\n",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_broken_framing_is_refused_once_and_the_connection_closed(house: House, broken: bytes) -> None:
    with Raw(house.gateway.port) as raw:
        # What stands behind must not be taken for a second request.
        raw.send(broken + request("/v1/chat/completions", ASK))
        answers = raw.rest()
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.count(b"HTTP/1.1 ") == 1
    assert b"x-llm-backend" not in answers
    assert b"Traceback" not in answers


def test_nothing_broken_stays_in_flight(house: House) -> None:
    until(lambda: in_flight(house.gateway) == 0)
    with Raw(house.gateway.port) as raw:
        raw.send(request("/v1/chat/completions", ASK))
        assert raw.answer().status == 200


# --- HTTP that is unusual and right ------------------------------------------------------------------------


def test_requests_one_behind_the_other_are_answered_in_their_order(house: House) -> None:
    with Raw(house.gateway.port) as raw:
        stream = request("/v1/chat/completions", {**ASK, "stream": True})
        raw.send(request("/v1/chat/completions", ASK) + stream + request("/nowhere") + request("/api/chat", ASK))
        assert raw.answer().json["choices"][0]["message"]["content"] == ANSWER
        assert raw.answer().body.endswith(b"data: [DONE]\n\n")
        assert raw.answer().status == 404
        assert b'"done":true' in raw.answer().body


def test_a_body_in_chunks_and_a_body_that_is_asked_for(house: House) -> None:
    with Raw(house.gateway.port) as raw:
        raw.send(head("/v1/chat/completions", "transfer-encoding: chunked") + b"\r\n" + CHUNKS)
        assert raw.answer().status == 200
        raw.send(head("/v1/chat/completions", LENGTH, "expect: 100-continue") + b"\r\n")
        assert raw.answer().status == 100
        raw.send(BODY)
        assert raw.answer().status == 200


def test_an_offer_of_another_protocol_is_passed_over(house: House) -> None:
    """As Java's client sends with everything it posts; the body must not be lost over it."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAA")
    with Raw(house.gateway.port) as raw:
        for _ in range(2):
            raw.send(request("/v1/chat/completions", ASK, *offer))
            assert raw.answer().json["choices"][0]["message"]["content"] == ANSWER
        raw.send(head("/v1/models", "Connection: upgrade", "Upgrade: websocket", method="GET") + b"\r\n")
        assert raw.answer().status == 200


def test_trailers_are_no_headers(house: House) -> None:
    with Raw(house.gateway.port) as raw:
        trailed = CHUNKS[:-2] + b"x-laneway-lane: nowhere\r\nauthorization: Bearer nobody\r\n\r\n"
        raw.send(head("/v1/chat/completions", "transfer-encoding: chunked") + b"\r\n" + trailed)
        assert raw.answer().status == 200
        raw.send(request("/v1/chat/completions", ASK))
        assert raw.answer().status == 200


def test_somebody_is_there(house: House) -> None:
    """What Ollama's clients ask before anything else."""
    with Raw(house.gateway.port) as raw:
        raw.send(head("/", method="HEAD") + b"\r\n")
        assert raw.answer(bodiless=True).status == 200
        raw.send(head("/", method="GET") + b"\r\n")
        assert raw.answer().body == b"Ollama is running"


NOWHERE: list[tuple[str, str, dict[str, str], str, str]] = [
    ("GET", "/v1/nothing", {}, "error.code", "unknown_url"),
    ("POST", "/v1/messages/nothing", {}, "error.type", "not_found_error"),
    ("GET", "/v1/nothing", {"anthropic-version": "2023-06-01"}, "error.type", "not_found_error"),
    ("POST", "/api/nothing", {}, "error", "There is nothing at POST /api/nothing"),
    (
        "POST",
        "/v1/v1/chat/completions",
        {},
        "error.message",
        "There is nothing at POST /v1/v1/chat/completions. Did you mean /v1/chat/completions?",
    ),
    (
        "POST",
        "/v1/v1/messages",
        {"anthropic-version": "2023-06-01"},
        "error.message",
        "There is nothing at POST /v1/v1/messages. Did you mean /v1/messages?",
    ),
    ("GET", "/models", {}, "error.message", "There is nothing at GET /models. Did you mean /v1/models?"),
    ("POST", "/api/chat/", {}, "error", "There is nothing at POST /api/chat/. Did you mean /api/chat?"),
    (
        "POST",
        "/completions",
        {},
        "error.message",
        "There is nothing at POST /completions. Did you mean /v1/completions?",
    ),
    (
        "POST",
        "/v1/audio/speech",
        {},
        "error.message",
        "There is nothing at POST /v1/audio/speech. Fronts: /v1/chat/completions, ",
    ),
]
WRONG_METHOD: list[tuple[str, str, dict[str, str], str, str]] = [
    ("GET", "/v1/chat/completions", {}, "error.code", "method_not_supported"),
    ("DELETE", "/v1/messages", {}, "error.type", "invalid_request_error"),
    ("PUT", "/api/chat", {}, "error", "/api/chat does not take PUT; it takes POST."),
    ("OPTIONS", "/v1/chat/completions", {}, "error.code", "method_not_supported"),
    ("POST", "/v1/models", {}, "error.code", "method_not_supported"),
    ("DELETE", "/v1/models/one", {}, "error.message", "/v1/models/one does not take DELETE; it takes GET."),
]


@pytest.mark.parametrize(("method", "path", "headers", "place", "expected"), NOWHERE)
def test_nothing_there_in_each_shape(
    house: House, method: str, path: str, headers: dict[str, str], place: str, expected: str
) -> None:
    answer = house.gateway.client.request(method, house.url + path, headers=headers)
    assert answer.status_code == 404
    assert _at(answer.json(), place).startswith(expected)


@pytest.mark.parametrize(("method", "path", "headers", "place", "expected"), WRONG_METHOD)
def test_not_with_this_method_in_each_shape(
    house: House, method: str, path: str, headers: dict[str, str], place: str, expected: str
) -> None:
    answer = house.gateway.client.request(method, house.url + path, headers=headers)
    assert answer.status_code == 405
    assert answer.headers["allow"] in ("POST", "GET")
    assert _at(answer.json(), place) == expected


def _at(tree: object, place: str) -> str:
    for key in place.split("."):
        assert isinstance(tree, dict)
        tree = tree[key]
    assert isinstance(tree, str)
    return tree


# --- bodies that are none ----------------------------------------------------------------------------------

DEEP = b'{"model":"sim-large","x":%b,"messages":[]}'
BROKEN_JSON: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{nonsense",
    "half of it": BODY[:-5],
    "something behind it": BODY + b"}",
    "not UTF-8": BODY.replace(b"What", b"\xff\xfe\x80"),
    "a list": b"[]",
    "a model that is a number": b'{"model":7,"messages":[]}',
    "deep without end": b'{"model":"sim-large","messages":' + b"[" * 200_000,
    "deep lists": DEEP % (b"[" * 5_000 + b"]" * 5_000),
    "deep objects": DEEP % (b'{"x":' * 5_000 + b"1" + b"}" * 5_000),
}
OTHERWISE_WRONG: dict[str, bytes] = {
    "no messages": b'{"model":"sim-large","max_tokens":9}',
    "messages that are none": b'{"model":"sim-large","max_tokens":9,"messages":"hello"}',
    "a message that is none": b'{"model":"sim-large","max_tokens":9,"messages":[7]}',
    "a number of a million digits": b'{"model":"sim-large","messages":[],"max_tokens":' + b"9" * MB + b"}",
}


def refused(house: House, path: str, body: bytes) -> None:
    answer = house.gateway.client.post(house.url + path, content=body)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["error"]
    assert len(answer.content) < 2_000, "not the body again"


@pytest.mark.parametrize("body", BROKEN_JSON.values(), ids=BROKEN_JSON)
@pytest.mark.parametrize(
    "path", [*FRONTS, "/v1/completions", "/v1/embeddings", "/api/generate", "/api/embed", "/api/show"]
)
def test_a_broken_body_is_the_callers_mistake(house: House, path: str, body: bytes) -> None:
    refused(house, path, body)


@pytest.mark.parametrize("body", OTHERWISE_WRONG.values(), ids=OTHERWISE_WRONG)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_wrong_body_is_the_callers_mistake(house: House, path: str, body: bytes) -> None:
    refused(house, path, body)


def test_a_body_in_another_coding_is_named_as_such(house: House) -> None:
    for path in FRONTS:
        headers = {"content-encoding": "gzip"}
        answer = house.gateway.client.post(house.url + path, content=gzip.compress(BODY), headers=headers)
        assert answer.status_code == 400
        assert "encoded as 'gzip'" in answer.text


# --- too much ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*FRONTS, "/api/show"])
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_a_hundred_megabytes_are_refused_in_bounded_memory(house: House, path: str, declared: bool) -> None:
    memory = Memory(house.gateway)
    piece = b" " * MB
    with Raw(house.gateway.port) as raw:
        if declared:
            raw.send(head(path, f"content-length: {100 * MB}") + b"\r\n")
            raw.send(memory.while_sending(piece, 100))
        else:
            raw.send(head(path, "transfer-encoding: chunked") + b"\r\n")
            raw.send(memory.while_sending(b"%x\r\n%b\r\n" % (len(piece), piece), 100))
            raw.send(b"0\r\n\r\n")
        answer = raw.answer()
        assert answer.status == 413
        assert answer.json["error"]
        # The rest was let pass, so the connection is as good as before.
        raw.send(request("/v1/chat/completions", ASK))
        assert raw.answer().status == 200
    # 64 MB is the limit, so as much may have been held, once.
    assert memory.grown_mb() < 64 + 24


def test_the_real_clients_read_the_refusal(house: House) -> None:
    text = "x" * (65 * MB)
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key="none", max_retries=0) as by_openai:
        with pytest.raises(openai.APIStatusError) as of_openai:
            by_openai.chat.completions.create(model="sim-large", messages=[{"role": "user", "content": text}])
        assert of_openai.value.status_code == 413
    with (
        anthropic.Anthropic(base_url=house.url, api_key="none", max_retries=0) as by_anthropic,
        pytest.raises(anthropic.RequestTooLargeError),
    ):
        by_anthropic.messages.create(model="sim-large", max_tokens=9, messages=[{"role": "user", "content": text}])
    with asking_ollama(house.url) as by_ollama, pytest.raises(ollama.ResponseError) as of_ollama:
        by_ollama.generate("sim-large", text)
    assert of_ollama.value.status_code == 413


def test_a_head_without_end_is_cut_off(house: House) -> None:
    memory = Memory(house.gateway)
    with Raw(house.gateway.port) as raw:
        raw.send(head())
        raw.drip(b"x-more: " + b"m" * 8_000 + b"\r\n", memory.look)
        assert raw.rest().startswith(b"HTTP/1.1 431 ")
    assert memory.grown_mb() < 16


def test_trailers_without_end_are_cut_off(hasty: Served) -> None:
    memory = Memory(hasty)
    with Raw(hasty.port) as raw:
        raw.send(head("/v1/chat/completions", "transfer-encoding: chunked") + b"\r\n" + CHUNKS[:-2])
        raw.drip(b"x-more: m\r\n" * 100_000, memory.look)
    assert memory.grown_mb() < 24
    until(lambda: in_flight(hasty) == 0)


# --- too slow ----------------------------------------------------------------------------------------------


def test_who_says_nothing_is_not_waited_for(hasty: Served) -> None:
    with Raw(hasty.port) as raw:
        assert raw.rest().startswith(b"HTTP/1.1 408 ")


def test_a_head_that_drips_is_not_waited_for(hasty: Served) -> None:
    with Raw(hasty.port) as raw:
        raw.send(head())
        raw.drip(b"x")
        assert raw.rest().startswith(b"HTTP/1.1 408 ")


def test_a_head_that_drips_behind_an_answer_is_not_waited_for(hasty: Served) -> None:
    with Raw(hasty.port) as raw:
        raw.send(request("/v1/chat/completions", ASK))
        assert raw.answer().status == 200
        raw.drip(b"x")
        assert raw.rest()[:13] in (b"HTTP/1.1 408 ", b"HTTP/1.1 400 ")


@pytest.mark.parametrize("path", [*FRONTS, "/api/show"])
def test_a_body_that_drips_is_not_waited_for(hasty: Served, path: str) -> None:
    with Raw(hasty.port) as raw:
        raw.send(head(path, "content-length: 100000") + b"\r\n{")
        answer = raw.answer()
        assert answer.status == 408
        assert answer.json["error"]
        assert raw.rest() == b""
    until(lambda: in_flight(hasty) == 0)


def test_a_body_that_was_answered_early_may_not_drip_for_ever(hasty: Served) -> None:
    with Raw(hasty.port) as raw:
        raw.send(head("/nowhere", "content-length: 100000") + b"\r\n{")
        assert raw.answer().status == 404
        raw.drip(b"x")
        assert raw.rest() == b""


# --- gone --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leave", [Raw.close, Raw.reset], ids=["closes", "resets"])
@pytest.mark.parametrize("path", [*FRONTS, "/api/show", "/nowhere"])
def test_who_leaves_in_the_middle_of_a_body(hasty: Served, path: str, leave: Callable[[Raw], None]) -> None:
    raw = Raw(hasty.port)
    raw.send(head(path, "content-length: 100000") + b"\r\n" + BODY)
    leave(raw)
    until(lambda: in_flight(hasty) == 0)
    assert "ERROR" not in hasty.log


def asking(path: str, model: str, *, stream: bool) -> dict[str, object]:
    limit = {"max_tokens": 99_999} if path == "/v1/messages" else {}
    return {**ASK, "model": model, "stream": stream, **limit}


@pytest.mark.parametrize("leave", [Raw.close, Raw.reset], ids=["closes", "resets"])
@pytest.mark.parametrize("path", FRONTS)
@pytest.mark.parametrize("name", ["oa", "an", "ol", "br"])
def test_who_leaves_in_the_middle_of_a_stream(house: House, name: str, path: str, leave: Callable[[Raw], None]) -> None:
    """The provider sees it at once: nothing is made, or paid, for nobody."""
    fake = house.fakes[name]
    left = fake.left
    raw = Raw(house.gateway.port)
    raw.send(request(path, asking(path, f"{name}/sim-large-long-9999-slow-20ms", stream=True)))
    assert raw.some().startswith(b"HTTP/1.1 200 ")
    leave(raw)
    until(lambda: fake.left == left + 1)
    until(lambda: in_flight(house.gateway) == 0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", FRONTS)
def test_who_leaves_before_the_answer_began(house: House, path: str, stream: bool) -> None:
    fake = house.fakes["oa"]
    fake.hangs = True
    try:
        asked, left = len(fake.asked()), fake.left
        raw = Raw(house.gateway.port)
        raw.send(request(path, asking(path, large("oa"), stream=stream)))
        until(lambda: len(fake.asked()) == asked + 1)
        raw.close()
        until(lambda: fake.left == left + 1)
        until(lambda: in_flight(house.gateway) == 0)
        assert len(fake.asked()) == asked + 1, "nobody else is asked for a caller who left"
    finally:
        fake.hangs = False


def test_what_was_made_for_who_left_is_on_record(house: House) -> None:
    raw = Raw(house.gateway.port)
    trace = "x-laneway-trace: who-left"
    raw.send(
        request("/v1/chat/completions", {**ASK, "model": "oa/sim-large-long-999-slow-20ms", "stream": True}, trace)
    )
    assert raw.some()
    raw.close()
    found = until(
        lambda: house.gateway.get(
            "/admin/v1/records?trace=who-left", headers={"authorization": "Bearer admin-key-of-tests"}
        ).json()["data"]
    )
    assert found[0]["caller_gone"] is True
    assert found[0]["gen_ai.usage.output_tokens"] > 0


def test_a_hundred_connections_at_once(house: House) -> None:
    lines = [Raw(house.gateway.port) for _ in range(100)]
    try:
        for raw in lines:
            raw.send(request("/v1/chat/completions", ASK))
        for raw in lines:
            assert raw.answer().json["choices"][0]["message"]["content"] == ANSWER
    finally:
        for raw in lines:
            raw.close()
