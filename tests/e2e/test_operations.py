"""What an operator does to a running gateway: reload, keys, more workers, stopping and starting again."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import anthropic
import httpx
import ollama
import openai
import pytest

from laneway.listening import VANISHED_S, ListenError, listen
from tests.e2e.house import ADMIN, ANSWER, QUESTION, asking_ollama
from tests.e2e.raw import ASK, Raw, request
from tests.fakes.providers import Street
from tests.harness.gateway import PATIENCE_S, Served, served, surroundings, told, until

BASE = """
[server]
store = "sqlite:///kept.db"
admin_key = "admin-key-of-tests"
{more}

[providers.sim]
url = "simulated://models/v1"
family = "simulated"
accepts = ["sim-*"]

[lanes.{lane}]
targets = ["sim/sim-small"]
"""
SLOW = "sim-large-long-40-slow-20ms"
"""A model that speaks for most of a second: long enough to do something meanwhile."""


def config(lane: str = "old", more: str = "") -> str:
    return BASE.format(lane=lane, more=more)


def rewrite(gateway: Served, text: str) -> None:
    """As careful programs do: the file is whole at every moment."""
    path = gateway.folder / "gateway.toml"
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def lines_of(response: httpx.Response) -> Iterator[str]:
    return (line.removeprefix("data: ") for line in response.iter_lines() if line)


def streaming(gateway: Served) -> AbstractContextManager[httpx.Response]:
    return gateway.client.stream("POST", f"{gateway.url}/v1/chat/completions", json=BODY)


def said_in(pieces: list[str]) -> str:
    """The text of a stream that came to its proper end."""
    assert pieces[-1] == "[DONE]"
    chunks = [json.loads(piece) for piece in pieces[:-1]]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


BODY = {"model": SLOW, "messages": [{"role": "user", "content": QUESTION}], "stream": True}
COUNTED = " ".join(map(str, range(1, 41)))


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("operated"), config()) as gateway:
        yield gateway


@pytest.fixture
def gateway(operated: Served) -> Served:
    """A gateway without keys, on the configuration it began with; what tests do to its file is undone."""
    rewrite(operated, config())
    assert operated.post("/admin/v1/reload", headers=ADMIN).json()["reloaded"]
    return operated


# --- starting ----------------------------------------------------------------------------------------------


def test_nothing_configured_and_everything_answers(tmp_path: Path) -> None:
    with served(tmp_path) as gateway:
        assert "no provider found -> simulated models" in gateway.said
        assert gateway.chat("sim-large", QUESTION).json()["choices"][0]["message"]["content"] == ANSWER
        asked = {"model": "sim-large", "max_tokens": 100, "messages": [{"role": "user", "content": QUESTION}]}
        assert gateway.post("/v1/messages", asked).json()["content"][0]["text"] == ANSWER
        with asking_ollama(gateway.url) as client:
            assert client.generate("sim-large", QUESTION).response == ANSWER
        assert gateway.get("/", headers={"accept": "text/html"}, follow_redirects=True).text.startswith("<!doctype")
        assert (tmp_path / "laneway.db").exists()
        # And what was printed to try can be tried.
        found = re.search(r"python -c '(.+)'$", gateway.said, re.MULTILINE)
        assert found is not None
        done = subprocess.run(
            [sys.executable, "-c", found[1]],
            env=surroundings(tmp_path, {}),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
        assert done.stdout.strip()


def test_a_port_that_is_taken_is_said_in_one_sentence(gateway: Served) -> None:
    for workers in ("1", "2"):
        code, said, complained = told(gateway.folder, "serve", "--port", str(gateway.port), "--workers", workers)
        assert code == 2
        assert said == ""
        assert complained.count("\n") == 1
        assert f"Port {gateway.port} on 127.0.0.1 is taken" in complained


def test_a_store_that_cannot_be_written_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("")
    for workers in ("1", "2"):
        code, said, complained = told(
            tmp_path,
            "serve",
            "--port",
            "0",
            "--workers",
            workers,
            variables={"LANEWAY_STORE": "sqlite:///a-file/laneway.db"},
        )
        assert code == 2
        assert said == ""
        assert complained.count("\n") == 1
        assert "The store 'a-file/laneway.db' cannot be made" in complained


def test_an_open_door_needs_a_key_or_a_word(tmp_path: Path) -> None:
    refused, _, complained = told(tmp_path, "serve", "--port", "0", "--host", "0.0.0.0")
    assert refused == 2
    assert "laneway keys create" in complained
    with served(tmp_path, arguments=["--host", "0.0.0.0"], variables={"LANEWAY_OPEN": "true"}) as gateway:
        assert gateway.chat("sim-large").status_code == 200
    _, made, _ = told(tmp_path, "keys", "create")
    with served(tmp_path, arguments=["--host", "0.0.0.0"]) as gateway:
        assert gateway.chat("sim-large").status_code == 401
        assert gateway.chat("sim-large", headers={"x-api-key": made.strip()}).status_code == 200


@pytest.mark.parametrize("arguments", [["--port", "99999"], ["--workers", "0"], ["--host", "nowhere.invalid"]])
def test_what_cannot_be_meant_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    code, said, complained = told(tmp_path, "serve", *arguments, variables={"LANEWAY_OPEN": "1"})
    assert code == 2
    assert said == ""
    assert arguments[1] in complained


@pytest.mark.parametrize("words", [("keys", "create"), ("budgets", "kill", "--reason", "a leak"), ("usage",)])
def test_a_memory_is_not_reached_from_a_terminal(tmp_path: Path, words: tuple[str, ...]) -> None:
    """A key would open nothing, and a kill stop nobody."""
    code, said, complained = told(tmp_path, *words, variables={"LANEWAY_STORE": "memory:"})
    assert (code, said) == (2, "")
    assert complained.startswith("laneway: This store is in memory, where only the gateway itself reaches it")


def test_a_memory_is_not_shared_between_workers(tmp_path: Path) -> None:
    code, _, complained = told(tmp_path, "serve", "--workers", "2", variables={"LANEWAY_STORE": "memory:"})
    assert code == 2
    assert "not shared between processes" in complained


# --- reload ------------------------------------------------------------------------------------------------


def test_a_reload_by_signal(gateway: Served) -> None:
    before = gateway.version()
    rewrite(gateway, config("new"))
    gateway.signal(signal.SIGHUP)
    until(lambda: gateway.version() != before)
    answer = gateway.chat("new")
    assert answer.status_code == 200
    assert answer.headers["x-laneway-config"] == gateway.version()
    assert gateway.chat("old").status_code == 404


def test_a_bad_file_changes_nothing_and_is_reported(gateway: Served) -> None:
    before, complaints = gateway.version(), gateway.log.count("was not reloaded")
    rewrite(gateway, config("new").replace("sim/sim-small", "nowhere/at-all") + "\n[lanes.other]\ntarget = 1\n")
    gateway.signal(signal.SIGHUP)
    until(lambda: gateway.log.count("was not reloaded") > complaints)
    assert "lanes.new.targets[0]" in gateway.log
    asked = gateway.post("/admin/v1/reload", headers=ADMIN)
    assert asked.status_code == 400
    assert asked.json()["reloaded"] is False
    wrong = {problem["path"] for problem in asked.json()["problems"]}
    assert wrong >= {"lanes.new.targets[0]", "lanes.other.target"}
    assert gateway.version() == before
    assert gateway.chat("old").headers["x-laneway-config"] == before


def test_a_reload_by_request_needs_the_admin_key(gateway: Served) -> None:
    before = gateway.version()
    rewrite(gateway, config("new", "body_limit_mb = 1\nrefresh = 5\nkeep_records_days = 7"))
    assert gateway.post("/admin/v1/reload").status_code == 401
    assert gateway.post("/admin/v1/reload", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert gateway.version() == before
    asked = gateway.post("/admin/v1/reload", headers=ADMIN)
    assert asked.json() == {
        "reloaded": True,
        "config": gateway.version(),
        "at_next_start": ["keep_records_days"],
    }
    assert gateway.version() != before
    assert gateway.chat("new", "x" * (2 << 20)).status_code == 413


def test_a_changed_file_is_noticed_where_that_is_asked_for(tmp_path: Path) -> None:
    with served(tmp_path, config(more="watch = true")) as gateway:
        before = gateway.version()
        rewrite(gateway, config("bad", "watch = 7"))
        until(lambda: "server.watch" in gateway.log)
        assert gateway.version() == before
        rewrite(gateway, config("new", "watch = true"))
        until(lambda: gateway.version() != before)
        assert gateway.chat("new").status_code == 200


def test_what_is_under_way_finishes_on_the_configuration_it_began_with(gateway: Served) -> None:
    before = gateway.version()
    with streaming(gateway) as response:
        pieces = [next(lines := lines_of(response))]
        rewrite(gateway, config("new").replace('accepts = ["sim-*"]', "").replace("sim-small", "sim-medium"))
        assert gateway.post("/admin/v1/reload", headers=ADMIN).json()["reloaded"]
        assert gateway.version() != before
        assert gateway.chat(SLOW).status_code == 404
        pieces += lines
    assert said_in(pieces) == COUNTED
    assert response.headers["x-laneway-config"] == before
    records = gateway.get("/admin/v1/records", headers=ADMIN).json()["data"]
    assert {record["config"] for record in records[:2]} == {before, gateway.version()}


def test_many_reloads_at_once_end_with_the_last_file(gateway: Served) -> None:
    for number in range(8):
        rewrite(gateway, config(f"lane-{number}"))
        gateway.signal(signal.SIGHUP)
    until(lambda: gateway.chat("lane-7").status_code == 200)
    assert gateway.post("/admin/v1/reload", headers=ADMIN).json()["config"] == gateway.version()


# --- keys --------------------------------------------------------------------------------------------------


def test_keys_are_made_listed_and_revoked_while_the_gateway_runs(tmp_path: Path) -> None:
    with served(tmp_path, config()) as gateway:
        named = ("--config", "gateway.toml")
        assert gateway.chat("old").status_code == 200, "open on loopback while there is no key"
        code, secret, complained = told(tmp_path, "keys", "create", "--tenant", "kitchen", "--name", "the cook", *named)
        assert code == 0
        bearer = {"authorization": f"Bearer {secret.strip()}"}
        assert gateway.chat("old", headers=bearer).status_code == 200
        until(lambda: gateway.chat("old").status_code == 401)
        found = re.search(r"key_\w+", complained)
        assert found is not None
        listed = told(tmp_path, "keys", "list", *named)[1]
        assert re.search(rf"{found[0]} +kitchen +\.\.\.{secret.strip()[-4:]} .* active +the cook", listed)
        assert secret.strip() not in listed
        assert told(tmp_path, "keys", "revoke", found[0], *named)[0] == 0
        until(lambda: gateway.chat("old", headers=bearer).status_code == 401)
        assert "was revoked" in gateway.chat("old", headers=bearer).text
        assert gateway.chat("old").status_code == 401, "revoking the last key opens no door"
        assert told(tmp_path, "keys", "revoke", "key_of_nobody", *named)[0] == 2
        assert secret.strip() not in gateway.log


def test_keys_by_request(tmp_path: Path) -> None:
    with served(tmp_path, config()) as gateway:
        made = gateway.post("/admin/v1/keys", {"tenant": "kitchen"}, headers=ADMIN)
        assert made.status_code == 201
        secret, number = made.json()["key"], made.json()["id"]
        until(lambda: gateway.chat("old").status_code == 401)
        # Each client's own place for a key, and its own class for a wrong one.
        for key, expected in ((secret, None), ("lw-wrong", 401)):
            assert asked_by_all(gateway, key) == [expected] * 3
        assert gateway.get("/v1/models").status_code == 401
        assert gateway.get("/v1/models", headers={"x-api-key": secret}).status_code == 200
        listed = gateway.get("/admin/v1/keys", headers=ADMIN)
        assert [key["id"] for key in listed.json()["data"]] == [number]
        assert secret not in listed.text
        assert gateway.get("/admin/v1/keys", headers={"x-api-key": secret}).status_code == 401
        for odd in ({"tenant": "a\nb"}, {"tenant": " "}, {"tenant": "a", "name": "\x1b[2J"}, {"tenant": "a" * 201}):
            refused = gateway.post("/admin/v1/keys", odd, headers=ADMIN)
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, [*odd][-1])
        assert gateway.client.delete(f"{gateway.url}/admin/v1/keys/{number}", headers=ADMIN).json()["revoked"]
        until(lambda: gateway.chat("old", headers={"x-api-key": secret}).status_code == 401)


def asked_by_all(gateway: Served, key: str) -> list[int | None]:
    """What each real client makes of a question asked with this key: nothing, or the status of its own error."""
    made: list[int | None] = [None] * 3
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as by_openai:
        try:
            by_openai.chat.completions.create(model="old", messages=[{"role": "user", "content": QUESTION}])
        except openai.AuthenticationError as error:
            made[0] = error.status_code
    with anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0) as by_anthropic:
        try:
            by_anthropic.messages.create(model="old", max_tokens=9, messages=[{"role": "user", "content": QUESTION}])
        except anthropic.AuthenticationError as error:
            made[1] = error.status_code
    with asking_ollama(gateway.url, {"authorization": f"Bearer {key}"}) as by_ollama:
        try:
            by_ollama.generate("old", QUESTION)
        except ollama.ResponseError as error:
            made[2] = error.status_code
    return made


def test_an_open_gateway_serves_no_page_of_somebody_else(gateway: Served) -> None:
    rewrite(gateway, config(more='cors = ["https://chat.example.org"]'))
    assert gateway.post("/admin/v1/reload", headers=ADMIN).json()["reloaded"]
    for origin in ("https://evil.example.org", "null", "http://127.0.0.1.evil.example", "http://127.evil.example"):
        answer = gateway.chat("old", headers={"origin": origin})
        assert answer.status_code == 403, origin
        assert "access-control-allow-origin" not in answer.headers
        assert gateway.get("/v1/models", headers={"origin": origin}).status_code == 403
    for origin in (
        "https://chat.example.org",
        "http://localhost:3000",
        "http://127.0.0.1:8080",
        "http://[::1]:5173",
    ):
        assert gateway.chat("old", headers={"origin": origin}).status_code == 200, origin
    asks = {"origin": "https://chat.example.org", "access-control-request-method": "POST"}
    for path in ("/v1/chat/completions", "/api/chat", "/v1/messages", "/v1/models"):
        asked = {**asks, "access-control-request-headers": "authorization, content-type, x-laneway-lane"}
        allowed = gateway.client.options(gateway.url + path, headers=asked)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://chat.example.org"
        assert "x-laneway-lane" in allowed.headers["access-control-allow-headers"]
    answer = gateway.chat("old", headers={"origin": "https://chat.example.org"})
    assert answer.headers["access-control-allow-origin"] == "https://chat.example.org"
    assert answer.headers["access-control-expose-headers"]


# --- several workers ---------------------------------------------------------------------------------------


def children(gateway: Served) -> list[int]:
    """Its workers, the youngest last."""
    number = gateway.process.pid
    return [int(child) for child in Path(f"/proc/{number}/task/{number}/children").read_text().split()]


def test_two_workers_serve_reload_and_share_keys(tmp_path: Path) -> None:
    with served(tmp_path, config(), arguments=["--workers", "2"]) as gateway:
        # Which of them answers is the system's choice; the log says what each has done. They have only just been
        # started: what they are told meanwhile waits for them.
        rewrite(gateway, config("new"))
        gateway.signal(signal.SIGHUP)
        until(lambda: gateway.log.count("is in force") == 2)
        assert {gateway.chat("new").status_code for _ in range(10)} == {200}

        after = gateway.version()
        rewrite(gateway, "[lanes.broken")
        gateway.signal(signal.SIGHUP)
        until(lambda: gateway.log.count("was not reloaded") == 2)
        assert {gateway.version() for _ in range(10)} == {after}
        assert gateway.process.poll() is None

        rewrite(gateway, config("newest"))
        newest = gateway.post("/admin/v1/reload", headers=ADMIN).json()["config"]
        # The one that was asked, and then both of them.
        until(lambda: gateway.log.count(f"configuration {newest} is in force") == 3)

        # One that dies is replaced, and nobody notices.
        os.kill(children(gateway)[-1], signal.SIGKILL)
        assert {gateway.chat("newest").status_code for _ in range(20)} == {200}
        until(lambda: "another takes its place" in gateway.log)

        secret = gateway.post("/admin/v1/keys", {}, headers=ADMIN).json()["key"]
        until(lambda: {gateway.chat("newest").status_code for _ in range(12)} == {401})
        keyed = {"x-api-key": secret, "x-laneway-trace": "keyed"}
        assert {gateway.chat("newest", headers=keyed).status_code for _ in range(12)} == {200}
        until(lambda: len(gateway.get("/admin/v1/records?trace=keyed", headers=ADMIN).json()["data"]) == 12)


# --- stopping and starting again ---------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_under_way_is_finished_before_the_end(tmp_path: Path, workers: str) -> None:
    with served(tmp_path, config(), arguments=["--workers", workers]) as gateway:
        with streaming(gateway) as response:
            pieces = [next(lines := lines_of(response))]
            gateway.signal(signal.SIGTERM)
            pieces += lines
        assert said_in(pieces) == COUNTED
        assert gateway.process.wait(PATIENCE_S) in (0, -signal.SIGTERM)


def test_what_takes_too_long_is_broken_off_and_never_called_whole(tmp_path: Path, street: Street) -> None:
    """The server's patience is 1.5 s here: who waits for a whole answer is told, a stream just ends."""
    fake = street.open("openai")
    text = config() + f'\n[providers.far]\nurl = "{fake.url}"\n'
    with served(tmp_path, text, variables={"LANEWAY_TIMEOUT_SCALE": "0.05"}) as gateway:
        endless = {**ASK, "model": "far/sim-large-long-9999-slow-20ms"}
        with Raw(gateway.port) as whole, Raw(gateway.port) as stream:
            whole.send(request("/v1/messages", {**endless, "max_tokens": 99_999}))
            stream.send(request("/api/chat", {**endless, "stream": True}))
            assert stream.some().startswith(b"HTTP/1.1 200 ")
            until(lambda: len(fake.asked()) == 2)
            gateway.signal(signal.SIGTERM)
            answer = whole.answer()
            assert answer.status == 503
            assert answer.json["error"]["type"] == "api_error"
            assert b'"done":true' not in stream.rest()
        assert gateway.process.wait(PATIENCE_S) in (0, -signal.SIGTERM)
        # At once, not when they would have come to their end.
        until(lambda: fake.left == 1)
        assert gateway.log.count("failure=stopping") == 2


def test_who_went_without_a_word_is_noticed_by_the_system() -> None:
    """A machine that lost its power sends no last packet; connections inherit from the socket that listens."""
    listening = listen("127.0.0.1", 0)
    (listener,) = listening.sockets
    with listener, socket.create_connection(("127.0.0.1", listening.port)):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == VANISHED_S * 1000


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", ""])
def test_every_address_of_a_host_is_listened_on(host: str) -> None:
    listening = listen(host, 0)
    try:
        assert {each.getsockname()[1] for each in listening.sockets} == {listening.port}
        with pytest.raises(ListenError, match="is taken"):
            listen(host, listening.port)
    finally:
        for each in listening.sockets:
            each.close()


def test_a_restart_keeps_records_and_keys(tmp_path: Path) -> None:
    with served(tmp_path, config()) as gateway:
        secret = gateway.post("/admin/v1/keys", {"tenant": "kitchen"}, headers=ADMIN).json()["key"]
        first = gateway.chat("old", headers={"x-api-key": secret, "x-laneway-project": "supper"})
        number = first.headers["x-laneway-request-id"]
        gateway.signal(signal.SIGTERM)
        gateway.process.wait(PATIENCE_S)
    with served(tmp_path, config()) as gateway:
        assert gateway.chat("old").status_code == 401
        assert gateway.chat("old", headers={"x-api-key": secret}).status_code == 200
        (record,) = gateway.get(f"/admin/v1/records?request_id={number}", headers=ADMIN).json()["data"]
        assert record["tenant"] == "kitchen"
        assert record["awooop.project_id"] == "supper"
        # The hard way: what was answered to an operator must have been kept.
        later = gateway.post("/admin/v1/keys", {"tenant": "cellar"}, headers=ADMIN).json()["key"]
        gateway.signal(signal.SIGKILL)
        gateway.process.wait(PATIENCE_S)
    with served(tmp_path, config()) as gateway:
        assert gateway.chat("old", headers={"x-api-key": later}).status_code == 200
