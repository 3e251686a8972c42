"""The deployments in config/, as they are, and the three lanes from the environment alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import anthropic
import openai
import pytest

from laneway import bundle
from tests.e2e.house import ADMIN, ANSWER, CITY, CREDENTIALS, QUESTION, TWO_CITIES, asking_ollama
from tests.fakes.providers import FakeProvider, Street
from tests.harness.gateway import Served, served, until

GEMMA, QWEN, CLAUDE = "gemma-3-4b-it", "qwen.qwen3-next-80b-a3b", "us.anthropic.claude-sonnet-4-6"
TIERS = ("local-fast", "cloud-balanced", "cloud-premium")
LANE = "X-Laneway-Lane"


class Alaska(NamedTuple):
    """A gateway with the three lanes, and the providers they end at."""

    gateway: Served
    local: FakeProvider
    balanced: FakeProvider
    premium: FakeProvider

    def backend(self, lane: str, **more: object) -> tuple[str, str]:
        """Who serves a lane now: the lane told, and the tier."""
        answer = self.gateway.chat(lane, QUESTION, **more)
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"] == ANSWER
        return answer.headers["x-laneway-lane"], answer.headers["x-laneway-tier"]

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.gateway.url}/v1", api_key="none", max_retries=0)


def providers(street: Street) -> tuple[FakeProvider, FakeProvider, FakeProvider]:
    return (
        street.open("openai", {GEMMA: "sim-large"}),
        street.open("converse", {QWEN: "sim-large"}),
        street.open("converse", {CLAUDE: "sim-large-tools"}),
    )


def addresses(local: FakeProvider, balanced: FakeProvider, premium: FakeProvider) -> dict[str, str]:
    return {
        **CREDENTIALS,
        "ALASKA_OPENAI_BASE_URL_LOCAL_FAST": local.url,
        "ALASKA_OPENAI_API_KEY_LOCAL_FAST": "key-of-the-local-server",
        "ALASKA_OPENAI_BASE_URL_CLOUD_BALANCED": balanced.url,
        "ALASKA_OPENAI_BASE_URL_CLOUD_PREMIUM": premium.url,
        "LANEWAY_STORE": "memory:",
        "LANEWAY_ADMIN_KEY": "admin-key-of-tests",
    }


# One way to the lanes is the file, the other is the environment with nothing else: they must do the same.
BY_NAME = {
    "ALASKA_OPENAI_MODEL_LOCAL_FAST": GEMMA,
    "ALASKA_OPENAI_PROVIDER_LOCAL_FAST": "llama.cpp",
    "ALASKA_OPENAI_MODEL_CLOUD_BALANCED": "bedrock/us.amazon.qwen3-next-80b-a3b-v1:0",
    "ALASKA_OPENAI_PROVIDER_CLOUD_BALANCED": "Bedrock",
    "ALASKA_OPENAI_API_KEY_CLOUD_BALANCED": "left-over-from-a-sidecar",
    "ALASKA_OPENAI_MODEL_CLOUD_PREMIUM": "bedrock/us.anthropic.claude-sonnet-4-6-20250514",
    "ALASKA_OPENAI_PROVIDER_CLOUD_PREMIUM": "Bedrock",
}


@pytest.fixture(scope="module", params=["file", "environment"])
def alaska(
    request: pytest.FixtureRequest, street: Street, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Alaska]:
    houses = providers(street)
    by_file = request.param == "file"
    variables = {**addresses(*houses), **({} if by_file else BY_NAME)}
    config = bundle.path("config/alaska.toml") if by_file else None
    with served(tmp_path_factory.mktemp("alaska"), config, variables=variables) as gateway:
        yield Alaska(gateway, *houses)


@pytest.fixture(autouse=True)
def awake(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test did to a provider is undone."""
    yield
    for fixture in {"alaska", "broker"}.intersection(request.fixturenames):
        for house in request.getfixturevalue(fixture):
            if isinstance(house, FakeProvider):
                house.hangs = False
                house.revive()


def test_each_lane_has_its_own_tier(alaska: Alaska) -> None:
    for lane, tier in zip(TIERS, ("local", "balanced", "premium"), strict=True):
        assert alaska.backend(lane) == (lane, tier)
        assert alaska.backend("any-model-at-all", headers={LANE: lane}) == (lane, tier)
        assert alaska.backend("gpt-4o", headers={"X-Awooop-Lane": lane}) == (lane, tier)


def test_each_provider_gets_its_own_credentials(alaska: Alaska) -> None:
    for lane in TIERS:
        alaska.backend(lane, headers={"authorization": "Bearer callers-own"})
    local, balanced, premium = (house.asked()[-1] for house in alaska[1:])
    assert local.header(b"authorization") == b"Bearer key-of-the-local-server"
    assert json.loads(local.body)["model"] == GEMMA
    for call, model in ((balanced, QWEN), (premium, CLAUDE)):
        signature = call.header(b"authorization") or b""
        assert signature.startswith(b"AWS4-HMAC-SHA256 Credential=AKIATESTTESTTESTTEST/")
        assert b"/us-east-1/bedrock/aws4_request" in signature
        assert call.target == f"/model/{model}/converse"
    for house in alaska[1:]:
        assert not any(b"callers-own" in value for call in house.requests for _, value in call.headers)


def test_a_badge_says_in_words_who_answered(alaska: Alaska) -> None:
    def badge(lane: str) -> str:
        told: str = alaska.gateway.chat(lane, QUESTION).headers["x-laneway-badge"]
        return told

    assert [badge(lane) for lane in TIERS] == ["Local", "Cloud", "Cloud premium"]
    alaska.local.kill()
    assert badge("local-fast") == "Fallback: Cloud"
    alaska.balanced.kill()
    alaska.local.revive()
    assert [badge("cloud-balanced"), badge("cloud-premium")] == ["Fallback: Local", "Cloud premium"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_killing_the_local_server_sends_the_next_request_to_the_balanced_lane(alaska: Alaska, stream: bool) -> None:
    assert alaska.backend("local-fast") == ("local-fast", "local")
    premium_before = len(alaska.premium.asked())
    alaska.local.kill()
    with alaska.client() as client:
        raw = client.chat.completions.with_raw_response.create(
            model="local-fast", messages=[{"role": "user", "content": QUESTION}], stream=stream
        )
        assert raw.headers["x-laneway-tier"] == "balanced"
        assert raw.headers["x-laneway-lane"] == "local-fast"
        assert raw.headers["x-laneway-model"] == QWEN
        parsed = raw.parse()
        if isinstance(parsed, openai.Stream):
            said = "".join(chunk.choices[0].delta.content or "" for chunk in parsed)
        else:
            said = parsed.choices[0].message.content or ""
    assert said == ANSWER
    alaska.local.revive()
    assert alaska.backend("local-fast") == ("local-fast", "local"), "a lane goes home when its server is back"
    assert len(alaska.premium.asked()) == premium_before


def test_nothing_slides_into_premium(alaska: Alaska) -> None:
    before = len(alaska.premium.requests)
    alaska.local.kill()
    alaska.balanced.kill()
    for lane in ("local-fast", "cloud-balanced"):
        answer = alaska.gateway.chat(lane, QUESTION)
        assert answer.status_code == 502
        assert "premium" not in answer.text
    assert len(alaska.premium.requests) == before


def test_premium_comes_down_step_by_step(alaska: Alaska) -> None:
    alaska.premium.kill()
    assert alaska.backend("cloud-premium") == ("cloud-premium", "balanced")
    alaska.balanced.kill()
    assert alaska.backend("cloud-premium") == ("cloud-premium", "local")


def test_a_tool_that_only_the_gateway_refuses_to_lose(alaska: Alaska) -> None:
    """What a target cannot say goes on to one that can, or is an error: it is never left out."""
    answer = alaska.gateway.post(
        "/v1/chat/completions",
        {"model": "cloud-balanced", "messages": [{"role": "user", "content": QUESTION}], "logprobs": True},
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-laneway-tier"] == "local"
    assert answer.json()["choices"][0]["logprobs"]["content"]


# --- Bedrock's streams, in each caller's own format --------------------------------------------------------


def test_a_bedrock_stream_comes_out_as_openais(alaska: Alaska) -> None:
    with alaska.client() as client:
        *chunks, last = client.chat.completions.create(
            model="cloud-premium",
            messages=[{"role": "user", "content": QUESTION}],
            stream=True,
            stream_options={"include_usage": True},
        )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER
    assert last.usage is not None
    assert last.usage.completion_tokens == 8
    assert alaska.premium.asked()[-1].target == f"/model/{CLAUDE}/converse-stream"


def test_a_bedrock_stream_comes_out_as_anthropics(alaska: Alaska) -> None:
    tool = {"name": "weather", "input_schema": CITY}
    with (
        anthropic.Anthropic(base_url=alaska.gateway.url, api_key="none", max_retries=0) as client,
        client.messages.stream(
            model="cloud-premium",
            max_tokens=2000,
            messages=[{"role": "user", "content": TWO_CITIES}],
            thinking={"type": "enabled", "budget_tokens": 1024},
            tools=[tool],  # type: ignore[list-item]
        ) as stream,
    ):
        made = stream.get_final_message()
    thought, *calls = made.content
    assert thought.type == "thinking"
    assert thought.signature
    assert [call.input for call in calls if call.type == "tool_use"] == [{"city": "Paris"}, {"city": "Rome"}]
    assert made.stop_reason == "tool_use"


def test_a_bedrock_stream_comes_out_as_ollamas(alaska: Alaska) -> None:
    with asking_ollama(alaska.gateway.url) as client:
        chunks = list(client.chat("cloud-premium", [{"role": "user", "content": QUESTION}], stream=True))
    assert "".join(chunk.message.content or "" for chunk in chunks) == ANSWER
    assert chunks[-1].done
    assert chunks[-1].eval_count == 8


def test_a_local_server_that_hangs_is_left_when_its_clock_rings(street: Street, tmp_path: Path) -> None:
    houses = providers(street)
    variables = {**addresses(*houses), "LANEWAY_TIMEOUTS": "first_content=1,headers=1"}
    with served(tmp_path, None, variables={**variables, **BY_NAME}) as gateway:
        scene = Alaska(gateway, *houses)
        houses[0].hangs = True
        assert scene.backend("local-fast") == ("local-fast", "balanced")
        # Who is given up on sees it at once: nothing goes on being made for nobody.
        until(lambda: houses[0].open_connections() == 0)


# --- the broker --------------------------------------------------------------------------------------------

CLIENT_KEY, CLOUD_KEY = "key-of-the-apps-at-home", "sk-or-key-of-the-aggregator"


class Broker(NamedTuple):
    """Two machines at home, one that may be there, and the aggregator."""

    attic: FakeProvider
    studio: FakeProvider
    shed: FakeProvider
    cloud: FakeProvider

    def variables(self, **more: str) -> dict[str, str]:
        return {
            "BROKER_HOST": "127.0.0.1",
            "BROKER_CLIENT_KEY": CLIENT_KEY,
            "OPENROUTER_API_KEY": CLOUD_KEY,
            "BROKER_ATTIC_URL": self.attic.url,
            "BROKER_STUDIO_URL": self.studio.url,
            "BROKER_STUDIO_KEY": "key-of-the-studio",
            "BROKER_SHED_URL": self.shed.url,
            "OPENROUTER_BASE_URL": self.cloud.url,
            "LANEWAY_STORE": "memory:",
            "LANEWAY_ADMIN_KEY": "admin-key-of-tests",
            **more,
        }


@pytest.fixture(scope="module")
def broker(street: Street) -> Broker:
    return Broker(
        attic=street.open("ollama", {"gemma3:4b": "sim-large", "qwen3:8b": "sim-large", "attic-only:1b": "sim-large"}),
        studio=street.open("openai", {"qwen3-coder-30b-a3b-instruct": "sim-large", "studio-only": "sim-large"}),
        shed=street.open("openai", {"shed-only": "sim-large"}),
        cloud=street.open(
            "openai",
            {
                "google/gemma-3-12b-it": "sim-large",
                "qwen/qwen3-coder": "sim-large",
                "mistralai/mistral-large-2512": "sim-large",
                "anthropic/claude-haiku-4.5": "sim-fail-401",
            },
        ),
    )


@pytest.fixture(scope="module")
def at_home(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(
        tmp_path_factory.mktemp("broker"), bundle.path("config/broker.toml"), variables=broker.variables()
    ) as gateway:
        yield gateway


KEY = {"authorization": f"Bearer {CLIENT_KEY}"}


def owners(gateway: Served) -> dict[str, str]:
    listed = gateway.get("/v1/models", headers=KEY)
    assert listed.status_code == 200
    return {model["id"]: model["owned_by"] for model in listed.json()["data"]}


def backend(gateway: Served, model: str) -> str:
    answer = gateway.chat(model, QUESTION, headers=KEY)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == ANSWER
    return str(answer.headers["x-llm-backend"])


def test_one_list_of_everything_at_home_and_the_chosen_cloud_models(at_home: Served) -> None:
    expected = {
        "attic-only:1b": "attic",
        "gemma3:4b": "attic",
        "studio-only": "studio",
        "qwen3-coder:30b": "studio",
        "shed-only": "shed",
        "mistralai/mistral-large-2512": "openrouter",
        "openai/gpt-5-mini": "openrouter",
    }
    until(lambda: expected.items() <= owners(at_home).items())
    assert "laptop" not in owners(at_home).values()
    tags = at_home.get("/api/tags", headers=KEY).json()["models"]
    assert {entry["model"] for entry in tags} == set(owners(at_home))


def test_each_model_is_served_where_it_is(at_home: Served, broker: Broker) -> None:
    assert backend(at_home, "gemma3:4b") == backend(at_home, "fast") == "attic"
    assert backend(at_home, "coder") == backend(at_home, "qwen3-coder:30b") == "studio"
    assert backend(at_home, "shed-only") == "shed"
    assert backend(at_home, "mistralai/mistral-large-2512") == "openrouter"
    assert broker.cloud.body()["model"] == "mistralai/mistral-large-2512"
    assert broker.studio.body()["model"] == "qwen3-coder-30b-a3b-instruct"


def test_keys_stay_on_their_side(at_home: Served, broker: Broker) -> None:
    assert at_home.chat("fast", QUESTION).status_code == 401
    backend(at_home, "mistralai/mistral-large-2512")
    backend(at_home, "studio-only")
    backend(at_home, "attic-only:1b")
    assert broker.cloud.asked()[-1].header(b"authorization") == f"Bearer {CLOUD_KEY}".encode()
    assert broker.studio.asked()[-1].header(b"authorization") == b"Bearer key-of-the-studio"
    for house in broker:
        for call in house.requests:
            assert CLIENT_KEY.encode() not in b" ".join([call.body, *(value for _, value in call.headers)])
    # Whatever a caller is told, the aggregator's key is not in it, not even when it was turned away.
    answers = [
        at_home.chat("anthropic/claude-haiku-4.5", QUESTION, headers=KEY),
        at_home.get("/v1/models", headers=KEY),
        at_home.get("/readyz"),
        at_home.get("/healthz"),
        at_home.get("/metrics"),
        at_home.get("/admin/v1/records", headers=ADMIN),
    ]
    assert answers[0].status_code == 502
    for answer in answers:
        assert CLOUD_KEY not in answer.text + str(answer.headers)
    assert CLOUD_KEY not in at_home.log + at_home.said
    assert CLIENT_KEY not in at_home.log + at_home.said


def test_a_machine_that_falls_asleep_is_stood_in_for_at_once(at_home: Served, broker: Broker) -> None:
    assert backend(at_home, "gemma3:4b") == "attic"
    broker.attic.kill()
    assert backend(at_home, "gemma3:4b") == "openrouter"
    assert broker.cloud.body()["model"] == "google/gemma-3-12b-it"
    assert backend(at_home, "qwen3:8b") == "openrouter", "its substitute sleeps too, and has one"


def test_a_machine_that_sleeps_drops_out_of_the_list_until_it_wakes(broker: Broker, tmp_path: Path) -> None:
    broker.attic.kill()
    with served(tmp_path, bundle.path("config/broker.toml"), variables=broker.variables()) as gateway:
        until(lambda: "studio-only" in owners(gateway))
        listed = owners(gateway)
        assert "attic-only:1b" not in listed
        assert listed["gemma3:4b"] == "openrouter", "it stays, with who stands in"
        assert backend(gateway, "gemma3:4b") == "openrouter"
        broker.attic.revive()
        assert gateway.post("/admin/v1/reload", headers=ADMIN).status_code == 200
        until(lambda: owners(gateway).get("attic-only:1b") == "attic")
        assert backend(gateway, "gemma3:4b") == "attic"


def test_a_host_that_keeps_its_list_to_itself_is_awake_all_the_same(street: Street, tmp_path: Path) -> None:
    fake = street.open("openai", {"quiet": "sim-large", "odd\r\nname": "sim-large"})
    fake.refuses_lists = True
    config = f'[providers.far]\nurl = "{fake.url}"\nmodels = ["quiet"]\n[server]\nadmin_key = "admin-key-of-tests"\n'
    with served(tmp_path, config) as gateway:
        until(lambda: gateway.get("/readyz").json()["providers"]["far"]["state"] == "awake")
        assert gateway.chat("quiet", QUESTION).json()["choices"][0]["message"]["content"] == ANSWER
        assert [model["id"] for model in gateway.get("/v1/models").json()["data"]] == ["quiet"]
        # Once it tells, a name that could not be written into a header is left out.
        fake.refuses_lists = False
        gateway.post("/admin/v1/reload", headers=ADMIN)
        until(lambda: gateway.get("/readyz").json()["providers"]["far"]["models"] == 1)
        assert gateway.chat("odd\r\nname").status_code == 404


def test_a_machine_that_hangs_delays_no_list(broker: Broker, tmp_path: Path) -> None:
    asked = len(broker.studio.requests)
    broker.studio.hangs = True
    # So slow are all clocks here that whatever waited for the machine would be waiting still.
    variables: Mapping[str, str] = broker.variables(LANEWAY_TIMEOUT_SCALE="1000")
    with served(tmp_path, bundle.path("config/broker.toml"), variables=variables) as gateway:
        for path in ("/v1/models", "/api/tags", "/readyz"):
            assert gateway.get(path, headers=KEY).status_code == 200
        until(lambda: owners(gateway).get("shed-only") == "shed")
        assert backend(gateway, "shed-only") == "shed"
        assert len(broker.studio.requests) > asked, "it was asked, too"
