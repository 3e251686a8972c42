"""What the end-to-end tests share: one gateway for all that only ask it something, and providers of every dialect.

Owns: the fixtures of the session. Refuses: gateways with a configuration, a key or a fate of their own; the tests
that need one start it (tests/harness/gateway.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import ollama
import openai
import pytest

from tests.e2e.house import CONFIG, CREDENTIALS, HOUSES, House, asking_ollama
from tests.fakes.providers import Street
from tests.harness.gateway import served


@pytest.fixture(scope="session")
def street() -> Iterator[Street]:
    with Street() as street:
        yield street


@pytest.fixture(scope="session")
def house(street: Street, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    fakes = {name: street.open(kept.speaks, kept.models) for name, kept in HOUSES.items() if kept.speaks}
    config = CONFIG
    for name, fake in fakes.items():
        key = "" if fake.speaks == "converse" else f'api_key = "key-of-{name}"\n'
        config += f'\n[providers.{name}]\ndialect = "{fake.speaks}"\nurl = "{fake.url}"\n{key}'
    with served(tmp_path_factory.mktemp("house"), config, variables=CREDENTIALS) as gateway:
        yield House(gateway, fakes)


@pytest.fixture(scope="session")
def by_openai(house: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def by_anthropic(house: House) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=house.url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def by_ollama(house: House) -> Iterator[ollama.Client]:
    with asking_ollama(house.url) as client:
        yield client
