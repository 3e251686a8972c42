"""Signatures, byte for byte: AWS's published vectors, botocore's signer, and the unmodified aws-requests-auth.

All sign the same header set (host, date, token) at the same instant; what they must agree on is every byte of the
headers that come out.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from aws_requests_auth.aws_auth import AWSRequestsAuth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.credentials import Credentials as BotocoreCredentials
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from laneway.ports import Call
from laneway.upstream.credentials import Credentials
from laneway.upstream.httpx_auth import BedrockAuth
from laneway.upstream.sign import Signer

NOW_S = 1_790_000_000.75
INSTANT = dt.datetime.fromtimestamp(NOW_S, dt.UTC)
RUNTIME = "https://bedrock-runtime.us-east-1.amazonaws.com"
PAIR = Credentials(access_key="AKIDEXAMPLEEXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
TEMPORARY = Credentials(
    access_key="ASIAEXAMPLEEXAMPLE",
    secret_key="bPxRfiCYEXAMPLEKEY/K7MDENG+wJalrXUtnFEMI",
    session_token="IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJHMEUCIQD+/abc==",
)

MODEL_IDS = (
    "qwen.qwen3-next-80b-a3b",
    "us.anthropic.claude-sonnet-4-6",
    "anthropic.claude-3-5-sonnet-20241022-v2:0",
    "us.amazon.nova-pro-v1:0",
    "arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.anthropic.claude-sonnet-4-20250514-v1:0",
    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6",
    "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc+def=1",
    "model with space~tilde_under-dash",
    "modèle:0",
    "100%25",
)
TARGETS = (
    *(f"/model/{quote(name, safe='')}/converse" for name in MODEL_IDS),
    *(f"/model/{quote(name, safe='')}/converse-stream" for name in MODEL_IDS[:2]),
    f"/model/{quote(MODEL_IDS[2], safe='')}/invoke",
    # As some clients send them: `:` and other characters that a path may hold as they are.
    "/model/anthropic.claude-3-5-sonnet-20241022-v2:0/converse",
    "/model/a;b=c/converse;d",
    "/model/a@b!c$d&e'f(g)h*i,j/converse",
    "/",
    "",
    "//model//x/",
    "/model/./x/../y/converse",
    "/model/../..",
    "/foundation-models?byProvider=anthropic&byOutputModality=TEXT",
    "/inference-profiles?maxResults=1000&type=SYSTEM_DEFINED&nextToken=a%2Fb%3D%3D",
    "/x?a-b=1&a=2&a=1&A=3&b",
    "/x?b&a=&=c&&d=e=f",
)


def signed(call: Call, credentials: Credentials, region: str = "us-east-1", service: str = "bedrock") -> dict[str, str]:
    """The headers that signing left on the call, by lower-case name."""
    call = Signer(region, service).sign(call, credentials, NOW_S)
    headers = [(name.decode().lower(), value.decode()) for name, value in call.headers]
    assert len(headers) == len(dict(headers)), "a header was sent twice"
    return dict(headers)


def by_botocore(call: Call, credentials: Credentials, region: str, service: str = "bedrock") -> dict[str, str]:
    request = AWSRequest(method=call.method, url=call.origin + call.target, data=call.body)
    keys = BotocoreCredentials(credentials.access_key, credentials.secret_key, credentials.session_token or None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda: INSTANT.replace(tzinfo=None))
        SigV4Auth(keys, service, region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@pytest.mark.parametrize(
    ("method", "target", "signature"),
    [
        ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "/example/..", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (
            "GET",
            "/?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
)
def test_the_published_vectors_are_met(method: str, target: str, signature: str) -> None:
    """The AWS Signature Version 4 test suite: get-vanilla, get-relative, get-vanilla-query-order, post-vanilla."""
    keys = Credentials(access_key="AKIDEXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    at = dt.datetime(2015, 8, 30, 12, 36, tzinfo=dt.UTC).timestamp()
    call = Signer("us-east-1", "service").sign(Call(method, "https://example.amazonaws.com", target, ()), keys, at)
    assert dict(call.headers) == {
        b"x-amz-date": b"20150830T123600Z",
        b"authorization": (
            b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
            b"SignedHeaders=host;x-amz-date, Signature=" + signature.encode()
        ),
    }


@pytest.mark.parametrize("credentials", [PAIR, TEMPORARY], ids=["pair", "temporary"])
@pytest.mark.parametrize("target", TARGETS)
def test_every_shape_of_target_is_signed_as_botocore_does(target: str, credentials: Credentials) -> None:
    call = Call("POST", RUNTIME, target, (), b'{"messages":[]}')
    assert signed(call, credentials) == by_botocore(call, credentials, "us-east-1")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "post"])
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "ap-northeast-1", "us-gov-west-1"])
def test_every_method_and_region_is_signed_as_botocore_does(method: str, region: str) -> None:
    call = Call(method, f"https://bedrock-runtime.{region}.amazonaws.com", TARGETS[0], ())
    assert signed(call, TEMPORARY, region) == by_botocore(call, TEMPORARY, region)


@pytest.mark.parametrize(
    "origin",
    [
        "https://bedrock-runtime.us-east-1.amazonaws.com:443",
        "https://Bedrock-Runtime.US-EAST-1.amazonaws.com",
        "https://vpce-0a1b.bedrock-runtime.us-east-1.vpce.amazonaws.com:8443",
        "http://127.0.0.1:4566",
        "http://127.0.0.1:80",
        "http://[::1]:9000",
    ],
)
def test_the_host_that_is_sent_is_the_host_that_was_signed(origin: str) -> None:
    """The engine writes Host from the signed call's origin; botocore drops a default port and capitals."""
    call = Call("POST", origin, TARGETS[0], (), b"{}")
    expected = by_botocore(call, PAIR, "us-east-1")
    assert signed(call, PAIR) == expected
    again = Signer("us-east-1").sign(call, PAIR, NOW_S)
    # Signing what was signed changes nothing: its origin is already in the spelling that was signed.
    assert Signer("us-east-1").sign(again, PAIR, NOW_S) == again
    assert again.origin.lower() == again.origin
    assert not again.origin.endswith((":443", ":80"))


path_text = st.text(st.sampled_from("ab./:%;=&?~ é+*@-_"), max_size=12).map(lambda text: quote(text, safe="/:;=&@~+*"))


@given(
    st.lists(path_text, max_size=4).map(lambda parts: "/" + "/".join(parts)),
    st.lists(st.tuples(path_text, path_text), max_size=4).map(lambda pairs: "&".join(f"{k}={v}" for k, v in pairs)),
    st.binary(max_size=50),
)
def test_any_target_and_body_are_signed_as_botocore_does(path: str, query: str, body: bytes) -> None:
    call = Call("POST", RUNTIME, f"{path}?{query}" if query else path, (), body)
    assert signed(call, TEMPORARY) == by_botocore(call, TEMPORARY, "us-east-1")


@pytest.fixture
def frozen_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock of aws-requests-auth stands still."""
    clock = SimpleNamespace(datetime=SimpleNamespace(utcnow=lambda: INSTANT.replace(tzinfo=None)))
    monkeypatch.setattr("aws_requests_auth.aws_auth.datetime", clock)


@pytest.mark.usefixtures("frozen_package")
@pytest.mark.parametrize("target", [*TARGETS[:12], "/foundation-models?byProvider=anthropic"])
@pytest.mark.parametrize("credentials", [PAIR, TEMPORARY], ids=["pair", "temporary"])
def test_the_unmodified_package_signs_the_same(target: str, credentials: Credentials) -> None:
    """At an instant given by hand; what the package adds without signing it is left out on purpose."""
    host = RUNTIME.removeprefix("https://")
    package = AWSRequestsAuth(
        credentials.access_key,
        credentials.secret_key,
        host,
        "us-east-1",
        "bedrock",
        credentials.session_token or None,
    )
    body = b'{"messages":[]}'
    expected = package.get_aws_request_headers_handler(SimpleNamespace(method="POST", url=RUNTIME + target, body=body))
    del expected["x-amz-content-sha256"]
    assert signed(Call("POST", RUNTIME, target, (), body), credentials) == {
        name.lower(): value for name, value in expected.items()
    }


def test_the_package_never_reads_its_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python 3.12 on the way it does warns; the instant is an argument here, so nobody sees that."""
    monkeypatch.delattr("aws_requests_auth.aws_auth.datetime")
    call = Call("POST", RUNTIME, TARGETS[0], (), b"{}")
    assert signed(call, TEMPORARY)["x-amz-date"] == "20260921T141320Z"


def test_importing_the_signer_is_light() -> None:
    """What a gateway without Bedrock does not use it does not load."""
    code = (
        "import sys, laneway.upstream.sign, laneway.upstream.credentials\n"
        "print(sorted({'requests', 'urllib3', 'httpx', 'botocore', 'aws_requests_auth'} & set(sys.modules)))"
    )
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A real Bedrock client whose requests are caught before they leave; `sent` holds the last one."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = Session().create_client(
        "bedrock-runtime",
        region_name="us-east-1",
        aws_access_key_id=PAIR.access_key,
        aws_secret_access_key=PAIR.secret_key,
    )

    def catch(request: Any, **_: object) -> AWSResponse:
        client.sent = request
        return AWSResponse(
            request.url, 200, {"content-type": "application/json"}, SimpleNamespace(stream=lambda: [b"{}"])
        )

    client.meta.events.register("before-send.bedrock-runtime.*", catch)
    yield client
    client.close()


def test_targets_are_encoded_on_the_wire_as_the_sdk_encodes_them(sdk: Any) -> None:
    """The targets signed above are the ones AWS's own client sends: a model id is percent-encoded exactly once."""
    for name in MODEL_IDS[:7]:
        sdk.converse(modelId=name, messages=[{"role": "user", "content": [{"text": "hi"}]}])
        assert sdk.sent.url == f"{RUNTIME}/model/{quote(name, safe='')}/converse"


def test_other_headers_stay_and_an_earlier_signature_goes() -> None:
    """A call signed again (for a second attempt) carries one signature, the new one."""
    headers = ((b"content-type", b"application/json"), (b"accept", b"application/vnd.amazon.eventstream"))
    call = Call("POST", RUNTIME, TARGETS[0], headers, b"{}")
    signer = Signer("us-east-1")
    old = signer.sign(call, TEMPORARY, NOW_S - 86400)
    capitals = Call(call.method, call.origin, call.target, tuple((n.title(), v) for n, v in old.headers), call.body)
    again = signer.sign(capitals, PAIR, NOW_S)
    assert again.headers[:2] == tuple((name.title(), value) for name, value in headers)
    assert again.headers[2:] == signer.sign(Call("POST", RUNTIME, TARGETS[0], (), b"{}"), PAIR, NOW_S).headers
    assert (again.method, again.origin, again.target, again.body) == (call.method, call.origin, call.target, call.body)


def test_one_signer_signs_for_many_credentials_and_days() -> None:
    """Derived keys are kept by secret and day; more than are kept, in any order, and each comes out right."""
    signer = Signer("us-east-1")
    call = Call("POST", RUNTIME, TARGETS[0], (), b"{}")
    many = [Credentials(access_key=f"AKIDEXAMPLE{n}", secret_key=f"secret{n}") for n in range(20)]
    for credentials in [*many, *reversed(many)]:
        for at in (NOW_S, NOW_S + 86400, NOW_S):
            fresh = Signer("us-east-1").sign(call, credentials, at)
            assert signer.sign(call, credentials, at) == fresh
    assert signed(call, many[7]) == by_botocore(call, many[7], "us-east-1")


def test_a_bedrock_api_key_is_sent_as_a_bearer() -> None:
    """No signature, no date: the key is the proof. A signature from before does not stay beside it."""
    call = Signer("us-east-1").sign(Call("POST", RUNTIME, TARGETS[0], (), b"{}"), TEMPORARY, NOW_S)
    bearer = Credentials(bearer="bedrock-api-key-EXAMPLE")
    assert Signer("us-east-1").sign(call, bearer, NOW_S).headers == (
        (b"authorization", b"Bearer bedrock-api-key-EXAMPLE"),
    )


@pytest.mark.parametrize("credentials", [PAIR, TEMPORARY], ids=["pair", "temporary"])
@pytest.mark.parametrize(
    "target", [TARGETS[2], TARGETS[4], "/model/anthropic.claude-3-5-sonnet-20241022-v2:0/converse", "/x?b=2&a=1%2F"]
)
def test_an_httpx_client_sends_what_botocore_would(target: str, credentials: Credentials) -> None:
    """The auth flow signs what httpx puts on the wire, body and Host included, once per request."""
    caught: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        caught.append(request)
        return httpx.Response(200)

    async def call() -> None:
        auth = BedrockAuth(Signer("us-east-1"), credentials, clock=lambda: NOW_S)
        stale = {"x-amz-security-token": "old", "authorization": "old"}
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), auth=auth) as client:
            await client.post(RUNTIME + ":443" + target, json={"messages": []}, headers=stale)

    asyncio.run(call())
    [request] = caught
    sent = Call("POST", f"https://{request.headers['host']}", request.url.raw_path.decode(), (), request.content)
    expected = by_botocore(sent, credentials, "us-east-1")
    names = ("authorization", "x-amz-date", "x-amz-security-token")
    assert {name: request.headers[name] for name in names if name in request.headers} == expected
    assert sent.origin == RUNTIME
    assert sent.target == target


def test_an_httpx_client_signs_a_body_that_it_streams() -> None:
    """The body is read before it is signed: what arrives is what was signed, whatever it was made from."""
    caught: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        caught.append(request)
        return httpx.Response(200)

    async def body() -> AsyncIterator[bytes]:
        yield b'{"messages":'
        yield b"[]}"

    async def call() -> None:
        auth = BedrockAuth(Signer("us-east-1"), PAIR, clock=lambda: NOW_S)
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), auth=auth) as client:
            await client.post(RUNTIME + TARGETS[0], content=body())

    asyncio.run(call())
    expected = signed(Call("POST", RUNTIME, TARGETS[0], (), b'{"messages":[]}'), PAIR)
    assert caught[0].headers["authorization"] == expected["authorization"]
