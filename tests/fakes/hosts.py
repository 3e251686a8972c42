"""Ollama hosts as the real ones tell of themselves: how large each model is, what is loaded and until when.

Owns: a fake provider whose lists carry sizes and which can be started again, on the street of tests/fakes/providers.py.
Refuses: eviction; the simulation in tests/property has that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from laneway.chat import Card
from laneway.ports import Call
from tests.fakes.providers import FakeProvider, Street
from tests.fakes.upstream import Request


class OllamaHost(FakeProvider):
    """`sizes` says a model's parameters, as `details.parameter_size` does."""

    def __init__(self, street: Street, models: Mapping[str, str], sizes: Mapping[str, str]) -> None:
        super().__init__(street, "ollama", models)
        self.sizes = dict(sizes)
        self.unlisted: set[str] = set()
        """Models that came after the last time somebody asked for a list, for ever."""
        self.loaded: set[str] | None = None
        """What is in memory, once `start_again` was called; before, everything is."""

    def _card(self, name: str) -> Card:
        return msgspec.structs.replace(super()._card(name), parameters=self.sizes.get(name), size_bytes=1 << 30)

    def start_again(self) -> None:
        """Nothing is loaded but what is asked for from now on."""
        self.kill()
        self.loaded = set()
        self.revive()

    def _call(self, request: Request) -> tuple[Call, bytes, bytes]:
        if self.loaded is not None:
            self.loaded.add(str(json.loads(request.body)["model"]))
        return super()._call(request)

    def _listed(self, request: Request) -> bytes | None:
        listed = super()._listed(request)
        if listed is None:
            return None
        told = json.loads(listed)
        if request.target == "/api/show":
            told["details"]["parameter_size"] = self.sizes.get(json.loads(request.body)["model"], "")
        elif request.target == "/api/tags":
            told["models"] = [each for each in told["models"] if each["name"] not in self.unlisted]
        elif request.target == "/api/ps" and self.loaded is not None:
            told["models"] = [each for each in told["models"] if each["name"] in self.loaded]
        return json.dumps(told).encode()

    def _meant(self, told: str) -> str:
        return self.models.get(told) or super()._meant(f"{told}:latest" if f"{told}:latest" in self.models else told)


@contextmanager
def hosts(
    street: Street, count: int, models: Mapping[str, str], sizes: Mapping[str, str]
) -> Iterator[list[OllamaHost]]:
    """So many alike, gone at the end."""
    made = [OllamaHost(street, models, sizes) for _ in range(count)]
    try:
        for host in made:
            host.revive()
        yield made
    finally:
        for host in made:
            host.kill()
