"""The shared gateway: its configuration, the providers behind it, and questions whose answers are known.

Owns: the names under which each provider serves models of the same behaviour, so that one test can be asked of all.
Refuses: to start anything; the fixtures do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import ollama

from tests.fakes.providers import FakeProvider
from tests.harness.gateway import Served

ADMIN = {"authorization": "Bearer admin-key-of-tests"}
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
    "AWS_SECRET_ACCESS_KEY": "secret-of-tests",
    "AWS_REGION": "us-east-1",
}

SIMULATED = """
[providers.sim]
url = "simulated://models/v1"
family = "simulated"
accepts = ["sim-*"]
"""
"""What most configurations of these tests need; a line that follows it is the provider's, too."""

CONFIG = f"""
[server]
store = "memory:"
admin_key = "admin-key-of-tests"
{SIMULATED}tier = "balanced"

[models."house/large:8b"]
provider = "sim"
id = "sim-large"
aliases = ["large"]

[lanes.thrifty]
targets = ["sim/sim-small"]

[lanes.patient]
targets = ["sim/sim-down", "sim/sim-fail-503", "sim/sim-medium"]
"""


class Kept(NamedTuple):
    """One provider of the shared gateway: its dialect, and the models by what they do."""

    speaks: str
    large: str
    embed: str | None
    models: Mapping[str, str] | None = None
    """For a fake: its names, and the simulated models behind them."""


CLAUDE, VECTORS = "us.anthropic.claude-sonnet-4-6", "cohere.embed-v4:0"
HOUSES = {
    "sim": Kept("", "sim-large", "sim-embed"),
    "oa": Kept(
        "openai", "vendor/big:8b", "vendor/vectors", {"vendor/big:8b": "sim-large", "vendor/vectors": "sim-embed"}
    ),
    "re": Kept("responses", "gpt-5", None, {"gpt-5": "sim-large"}),
    "an": Kept("anthropic", "claude-sonnet-4-6", None, {"claude-sonnet-4-6": "sim-large"}),
    "ol": Kept("ollama", "farm:8b", "farm-vectors", {"farm:8b": "sim-large", "farm-vectors": "sim-embed"}),
    "br": Kept("converse", CLAUDE, VECTORS, {CLAUDE: "sim-large", VECTORS: "sim-embed"}),
}
PROVIDERS = tuple(HOUSES)
NO_STOP = {"re"}
"""Who has no word for stop sequences."""


class House(NamedTuple):
    """The shared gateway and the fake providers behind it."""

    gateway: Served
    fakes: Mapping[str, FakeProvider]

    @property
    def url(self) -> str:
        return self.gateway.url


def large(provider: str) -> str:
    """The name under which the gateway takes this provider's clever model."""
    return f"{provider}/{HOUSES[provider].large}"


def handy(provider: str) -> str:
    """The name of a model that calls the tools it is offered, unasked."""
    return f"{provider}/sim-tools"


def embedding(provider: str) -> str:
    """The same of its embedding model; of one without, what somebody might try."""
    return f"{provider}/{HOUSES[provider].embed or HOUSES[provider].large}"


@contextmanager
def asking_ollama(url: str, headers: Mapping[str, str] | None = None) -> Iterator[ollama.Client]:
    """The real client; it has no way to close what it opened."""
    client = ollama.Client(url, headers=dict(headers or {}))
    try:
        yield client
    finally:
        client._client.close()


# --- questions ---------------------------------------------------------------------------------------------

QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."
TWO_CITIES = "What is the weather in both Paris and Rome?"
PERSON = "Bob is 42."
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A picture of one pixel; the simulated models count 256 tokens for any."""
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
AGE = {
    "type": "object",
    "properties": {"age": {"type": "integer"}},
    "required": ["age"],
    "additionalProperties": False,
}
