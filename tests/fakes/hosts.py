"""Ollama hosts as the real ones tell of themselves: how large each model is, what is loaded and until when.

Owns: a fake provider whose lists carry sizes, on the street of tests/fakes/providers.py. Refuses: memory and eviction;
the simulation in tests/property has those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from laneway.chat import Card
from tests.fakes.providers import FakeProvider, Street


class OllamaHost(FakeProvider):
    """`sizes` says a model's parameters, as `details.parameter_size` does."""

    def __init__(self, street: Street, models: Mapping[str, str], sizes: Mapping[str, str]) -> None:
        super().__init__(street, "ollama", models)
        self.sizes = sizes

    def _card(self, name: str) -> Card:
        return msgspec.structs.replace(super()._card(name), parameters=self.sizes.get(name), size_bytes=1 << 30)

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
