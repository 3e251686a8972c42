"""Signing in to the page: what a browser's session may do, and what it may not, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness.gateway import Served, served

KEYED = """
[server]
admin_key = "admin-key-of-tests"
[providers.simulated]
url = "simulated://models/v1"
family = "simulated"
[tenants.team]
keys = ["team-key-0001"]
[tenants.other]
keys = ["other-key-0001"]
"""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, KEYED) as running:
        yield running


@pytest.fixture
def browser(gateway: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url) as client:
        yield client


def sign_in(browser: httpx.Client, key: str) -> str:
    answer = browser.post("/ui/session", json={"key": key})
    assert answer.status_code == 201, answer.text
    proof: str = answer.json()["csrf"]
    return proof


def test_a_callers_session_speaks_for_its_tenant_and_administers_nothing(browser: httpx.Client) -> None:
    sign_in(browser, "team-key-0001")
    told = browser.get("/ui/session").json()
    assert (told["signed_in"], told["admin"], told["tenant"], told["open"]) == (True, False, "team", False)
    assert browser.get("/v1/usage").status_code == 200
    refused = browser.get("/admin/v1/records")
    assert refused.status_code in (401, 403)


def test_an_operators_session_administers_with_proof_only(browser: httpx.Client) -> None:
    proof = sign_in(browser, "admin-key-of-tests")
    assert browser.get("/ui/session").json()["admin"] is True
    assert browser.get("/admin/v1/records").status_code == 200
    without = browser.post("/admin/v1/keys", json={"tenant": "team"})
    assert without.status_code == 403
    assert "proof" in without.text
    wrong = browser.post("/admin/v1/keys", json={"tenant": "team"}, headers={"x-laneway-csrf": "0" * 64})
    assert wrong.status_code == 403
    made = browser.post("/admin/v1/keys", json={"tenant": "team"}, headers={"x-laneway-csrf": proof})
    assert made.status_code == 201


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites_and_holds_no_key(
    gateway: Served, browser: httpx.Client
) -> None:
    answer = browser.post("/ui/session", json={"key": "team-key-0001"})
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "team-key-0001" not in cookie + answer.text


def test_signing_out_ends_the_session_everywhere(gateway: Served, browser: httpx.Client) -> None:
    proof = sign_in(browser, "team-key-0001")
    kept = dict(browser.cookies)
    assert browser.delete("/ui/session", headers={"x-laneway-csrf": proof}).status_code == 200
    again = httpx.get(f"{gateway.url}/v1/usage", cookies=kept)
    assert again.status_code == 401


def test_revoking_a_key_ends_its_sessions(gateway: Served, browser: httpx.Client) -> None:
    admin = {"authorization": "Bearer admin-key-of-tests"}
    made = httpx.post(f"{gateway.url}/admin/v1/keys", json={"tenant": "team"}, headers=admin).json()
    sign_in(browser, made["key"])
    assert browser.get("/v1/usage").status_code == 200
    assert httpx.delete(f"{gateway.url}/admin/v1/keys/{made['id']}", headers=admin).status_code == 200
    assert browser.get("/v1/usage").status_code == 401


def test_a_wrong_key_begins_no_session(browser: httpx.Client) -> None:
    answer = browser.post("/ui/session", json={"key": "not-a-key-at-all"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "not-a-key-at-all" not in answer.text


def test_a_session_outlives_the_process(tmp_path: Path) -> None:
    with served(tmp_path, KEYED) as first, httpx.Client(base_url=first.url) as browser:
        sign_in(browser, "team-key-0001")
        kept = dict(browser.cookies)
    with served(tmp_path, KEYED) as second:
        assert httpx.get(f"{second.url}/v1/usage", cookies=kept).status_code == 200


def test_a_session_opens_no_front(browser: httpx.Client) -> None:
    """Models are called with keys; a page that could be led to spend money by a mere link would be a hole."""
    proof = sign_in(browser, "team-key-0001")
    body = {"model": "sim-small", "messages": [{"role": "user", "content": "hi"}]}
    answer = browser.post("/v1/chat/completions", json=body, headers={"x-laneway-csrf": proof})
    assert answer.status_code == 401


def test_a_gateway_without_keys_lets_its_own_machine_administer(tmp_path: Path) -> None:
    with served(tmp_path) as gateway:
        told = httpx.get(f"{gateway.url}/ui/session").json()
        assert (told["open"], told["admin"], told["signed_in"]) == (True, True, False)
        assert httpx.get(f"{gateway.url}/admin/v1/records").status_code == 200
        port = gateway.url.rsplit(":", 1)[1]
        elsewhere = {"host": f"evil.example:{port}"}
        assert httpx.get(f"{gateway.url}/admin/v1/records", headers=elsewhere).status_code == 403
        other_page = {"origin": "http://127.0.0.1:1"}
        assert httpx.get(f"{gateway.url}/admin/v1/records", headers=other_page).status_code == 403
