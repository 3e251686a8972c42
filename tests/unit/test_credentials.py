"""Where AWS credentials come from, and that nobody ever sees them."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from laneway.failure import Failure, FailureError, Kind
from laneway.upstream.credentials import (
    RECHECK_S,
    RETRY_S,
    CredentialChain,
    Credentials,
    FixedCredentials,
    from_environment,
    region_of,
    source_of,
)
from tests.harness.failures import failure_of

ACCESS, SECRET, TOKEN = "AKIDEXAMPLE00007Q4Z", "wJalrXUtnFEMI/K7MDENG", "IQoJb3JpZ2luX2Vj=="
PAIR = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}


def refusal_of(call: Callable[[], object]) -> Failure:
    failure = failure_of(call)
    assert failure.kind is Kind.CREDENTIALS
    return failure


# --- values


def test_a_secret_is_never_shown() -> None:
    """Neither by repr, nor in a string, nor to pretty-printers; the last four characters of the key's name are."""
    shown = []
    for credentials in (
        Credentials(access_key=ACCESS, secret_key=SECRET, session_token=TOKEN, region="eu-west-1"),
        Credentials(bearer="bedrock-api-key-5QWZ"),
    ):
        shown += [repr(credentials), f"{credentials}", str([credentials]), repr(credentials.__rich_repr__())]
    for text in shown:
        for secret in (SECRET, TOKEN, ACCESS, "bedrock-api-key"):
            assert secret not in text
    assert "...7Q4Z" in shown[0]
    assert "...5QWZ" in shown[4]
    assert Credentials(access_key="short", secret_key="s").ending == "..."


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "both an access key and a secret key"),
        ({"access_key": ACCESS}, "both an access key and a secret key"),
        ({"secret_key": SECRET}, "both an access key and a secret key"),
        ({"access_key": ACCESS, "secret_key": SECRET, "bearer": "x"}, "not both"),
        ({"access_key": ACCESS, "secret_key": SECRET + "\nx-evil: 1"}, "secret_key from the configuration"),
        ({"access_key": ACCESS, "secret_key": SECRET, "session_token": "a b"}, "session_token"),
        ({"bearer": "\N{ZERO WIDTH SPACE}key"}, "bearer"),
    ],
)
def test_credentials_that_cannot_work_are_refused(values: dict[str, str], said: str) -> None:
    """With the name of what is wrong and without its value."""
    message = refusal_of(lambda: Credentials(**values)).message
    assert said in message
    assert SECRET not in message


# --- the environment


def test_a_key_pair_is_read_with_its_token_and_region() -> None:
    found = from_environment({**PAIR, "AWS_SESSION_TOKEN": TOKEN, "AWS_REGION": "eu-west-1"})
    assert found == Credentials(
        access_key=ACCESS, secret_key=SECRET, session_token=TOKEN, region="eu-west-1", source="environment"
    )


def test_a_bedrock_api_key_goes_before_a_key_pair() -> None:
    found = from_environment({**PAIR, "AWS_BEARER_TOKEN_BEDROCK": "bedrock-api-key-x"})
    assert found == Credentials(bearer="bedrock-api-key-x", source="environment")


@pytest.mark.parametrize("env", [{}, {"AWS_REGION": "eu-west-1"}, dict.fromkeys(PAIR, ""), dict.fromkeys(PAIR, " ")])
def test_an_environment_without_keys_has_no_credentials(env: dict[str, str]) -> None:
    assert from_environment(env) is None


@pytest.mark.parametrize("missing", list(PAIR))
def test_half_a_pair_is_refused_by_name(missing: str) -> None:
    [there] = PAIR.keys() - {missing}
    failure = refusal_of(lambda: from_environment({there: PAIR[there]}))
    assert failure.message == f"{there} is set but {missing} is not; set both, or neither."


def test_a_line_end_around_a_value_does_no_harm() -> None:
    found = from_environment({name: f" {value}\r\n" for name, value in PAIR.items()})
    assert found == Credentials(access_key=ACCESS, secret_key=SECRET, source="environment")


def test_the_region_is_read_in_the_order_of_the_sdks() -> None:
    assert region_of({"AWS_REGION": "a", "AWS_DEFAULT_REGION": "b"}) == "a"
    assert region_of({"AWS_REGION": "", "AWS_DEFAULT_REGION": "b"}) == "b"
    assert region_of({}) == ""


def test_configuration_goes_before_a_profile_before_the_environment_before_the_chain() -> None:
    explicit = Credentials(access_key="configured-key", secret_key=SECRET)

    def current(source: object) -> Credentials:
        assert isinstance(source, FixedCredentials)
        return asyncio.run(source.current(0.0))

    assert current(source_of(explicit, PAIR, "work")) is explicit
    assert isinstance(source_of(None, PAIR, "work"), CredentialChain)
    assert current(source_of(None, PAIR)).access_key == ACCESS
    assert isinstance(source_of(None, {}), CredentialChain)


# --- the chain, against a stand-in for botocore


class Keys:
    def __init__(self, number: int) -> None:
        self.access_key = f"ASIAEXAMPLE{number}"
        self.secret_key = SECRET
        self.token: str | None = TOKEN


class Session:
    """Gives a new key each time it is asked, or fails; counts; can be held up."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None
        self.expired = False
        self.nothing = False
        self.held_up: threading.Event | None = None
        self.began = threading.Event()
        self.threads: set[str] = set()

    def get_credentials(self) -> Session | None:
        return None if self.nothing else self

    def get_config_variable(self, logical_name: str) -> str | None:
        return {"region": "eu-north-1"}[logical_name]

    def get_frozen_credentials(self) -> Keys:
        self.threads.add(threading.current_thread().name)
        self.asked += 1
        self.began.set()
        if self.held_up is not None:
            assert self.held_up.wait(5)
        if self.error is not None:
            raise self.error
        return Keys(self.asked)

    def refresh_needed(self, refresh_in: int) -> bool:
        assert refresh_in == 0
        return self.expired


def chain_of(session: Session) -> CredentialChain:
    return CredentialChain("work", lambda profile: session)


def test_the_chain_is_asked_once_a_minute_and_off_the_loop() -> None:
    session = Session()

    async def main() -> None:
        chain = chain_of(session)
        first = await chain.current(1000.0)
        assert first == Credentials(
            access_key="ASIAEXAMPLE1",
            secret_key=SECRET,
            session_token=TOKEN,
            region="eu-north-1",
            source="profile work",
        )
        assert await chain.current(1000.0 + RECHECK_S - 1) is first
        assert (await chain.current(1000.0 + RECHECK_S)).access_key == "ASIAEXAMPLE2"
        assert threading.current_thread().name not in session.threads

    asyncio.run(main())
    assert session.asked == 2


def test_requests_that_come_together_ask_once() -> None:
    session = Session()

    async def main() -> None:
        chain = chain_of(session)
        found = await asyncio.gather(*(chain.current(float(n)) for n in range(10)))
        assert {credentials.access_key for credentials in found} == {"ASIAEXAMPLE1"}

    asyncio.run(main())
    assert session.asked == 1


def test_nobody_waits_for_a_renewal_while_the_old_credentials_are_good() -> None:
    session = Session()

    async def main() -> None:
        chain = chain_of(session)
        first = await chain.current(0.0)
        session.held_up = threading.Event()
        session.began.clear()
        async with asyncio.TaskGroup() as group:
            renewing = group.create_task(chain.current(RECHECK_S))
            assert await asyncio.to_thread(session.began.wait, 5)
            assert await chain.current(RECHECK_S) is first
            session.held_up.set()
        assert renewing.result().access_key == "ASIAEXAMPLE2"

    asyncio.run(main())


def test_a_broken_chain_says_so_and_is_left_alone_for_a_while() -> None:
    """The caller's message names the kind of error; what the error said is for the record."""
    session = Session()
    session.error = RuntimeError("token file /secret/path is bad")

    async def main() -> None:
        chain = chain_of(session)
        for _ in range(3):
            with pytest.raises(FailureError) as caught:
                await chain.current(0.0)
            failure = caught.value.failure
            assert failure.kind is Kind.CREDENTIALS
            assert "RuntimeError" in failure.message
            assert "/secret/path" not in failure.message
            assert failure.detail == "token file /secret/path is bad"
        assert session.asked == 1
        session.error = None
        assert (await chain.current(RETRY_S)).access_key == "ASIAEXAMPLE2"

    asyncio.run(main())


def test_credentials_are_used_to_their_end_when_they_cannot_be_renewed() -> None:
    session = Session()

    async def main() -> None:
        chain = chain_of(session)
        first = await chain.current(0.0)
        session.error = OSError("no route")
        assert await chain.current(RECHECK_S) is first
        assert await chain.current(RECHECK_S + RETRY_S - 1) is first
        assert session.asked == 2
        session.expired = True
        with pytest.raises(FailureError):
            await chain.current(RECHECK_S + RETRY_S)

    asyncio.run(main())


def test_a_chain_without_credentials_says_what_to_set() -> None:
    session = Session()
    session.nothing = True

    async def main() -> None:
        chain = chain_of(session)
        with pytest.raises(FailureError, match="AWS_ACCESS_KEY_ID"):
            await chain.current(0.0)
        session.nothing = False
        assert (await chain.current(RETRY_S)).access_key == "ASIAEXAMPLE1"

    asyncio.run(main())


# --- the chain, through the real botocore


@pytest.fixture
def aws_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An AWS configuration of our own; nothing of this machine's, and no instance to ask."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", *PAIR):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path


def test_a_profile_is_read_through_botocore(aws_files: Path) -> None:
    (aws_files / "credentials").write_text(
        f"[work]\naws_access_key_id={ACCESS}\naws_secret_access_key={SECRET}\naws_session_token={TOKEN}\n"
    )
    (aws_files / "config").write_text("[profile work]\nregion=ap-south-1\n")
    found = asyncio.run(CredentialChain("work").current(0.0))
    assert found == Credentials(
        access_key=ACCESS, secret_key=SECRET, session_token=TOKEN, region="ap-south-1", source="profile work"
    )


def test_credentials_near_their_end_are_renewed_through_botocore(aws_files: Path) -> None:
    """A program that hands out keys for a minute: asked again, botocore runs it again."""
    answer = {
        "Version": 1,
        "AccessKeyId": "ASIAEXAMPLE",
        "SecretAccessKey": SECRET,
        "SessionToken": TOKEN,
    }
    program = aws_files / "program.py"
    program.write_text(
        "import datetime, json, pathlib\n"
        f"runs = pathlib.Path({str(aws_files / 'runs')!r})\n"
        "number = len(runs.read_text()) + 1 if runs.exists() else 1\n"
        "runs.write_text('x' * number)\n"
        f"answer = {json.dumps(answer)}\n"
        "answer['AccessKeyId'] += str(number)\n"
        "end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1)\n"
        "answer['Expiration'] = end.isoformat()\n"
        "print(json.dumps(answer))\n"
    )
    (aws_files / "config").write_text(f"[profile work]\ncredential_process={sys.executable} {program}\n")

    async def main() -> None:
        chain = CredentialChain("work")
        first = await chain.current(0.0)
        assert await chain.current(RECHECK_S - 1) is first
        second = await chain.current(RECHECK_S)
        numbers = [int(found.access_key.removeprefix("ASIAEXAMPLE")) for found in (first, second)]
        assert numbers[0] < numbers[1]
        assert second.session_token == TOKEN

    asyncio.run(main())


def test_a_profile_that_does_not_exist_is_a_typed_failure(aws_files: Path) -> None:
    with pytest.raises(FailureError, match="ProfileNotFound") as caught:
        asyncio.run(CredentialChain("nowhere").current(0.0))
    assert caught.value.failure.kind is Kind.CREDENTIALS


def test_without_botocore_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(FailureError, match=r"install laneway\[bedrock\]"):
        asyncio.run(CredentialChain().current(0.0))
