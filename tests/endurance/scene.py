"""The scene of the endurance run: a gateway in a process of its own with everything on, before providers with bad days.

Owns: its configuration, and rewriting it as an operator does. Refuses: traffic.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from laneway import bundle
from tests.fakes.providers import FakeProvider, Street
from tests.harness.gateway import Served, served, told

ADMIN = {"authorization": "Bearer admin-key-of-tests"}
TEAM = {"authorization": "Bearer sk-team-0000-0001"}
POOR = {"authorization": "Bearer sk-poor-0000-0001"}
CONFIG = """
[server]
store = "sqlite:///kept.db"
admin_key = "admin-key-of-tests"
refresh = {refresh}
unpriced = {{ input = "1", output = "2" }}

[providers.oa]
url = "{oa}"
[providers.re]
dialect = "responses"
url = "{re}"
[providers.an]
dialect = "anthropic"
url = "{an}"
api_key = "k"
[providers.ol]
dialect = "ollama"
url = "{ol}"
[providers.sim]
url = "simulated://models/v1"
family = "simulated"

[models.cheap]
provider = "sim"
id = "sim-small"
[models.middle]
provider = "sim"
id = "sim-medium"
[models.strong]
provider = "sim"
id = "sim-large"

[pools.auto]
candidates = ["cheap", "middle", "strong"]
default = "strong"
keep_prompts = true

[lanes.sturdy]
targets = ["oa/sim-fail-500", "an/sim-medium", "ol/sim-medium"]
[lanes.impatient]
targets = ["oa/sim-hang-first", "ol/sim-medium"]
timeouts = {{ first_content = 0.3 }}
[lanes.saved]
targets = ["oa/sim-large-long-30-cut-after-9", "oa/sim-large-long-30"]
rescue = "continue"

[budgets.house]
cap_usd = 1000
period = "total"
[tenants.team]
keys = ["sk-team-0000-0001"]
[tenants.poor]
keys = ["sk-poor-0000-0001"]
daily_usd = "0.0001"
"""


class Scene(NamedTuple):
    """What is played in."""

    gateway: Served
    houses: tuple[FakeProvider, ...]
    text: str

    def rewrite(self, refresh: int) -> None:
        """Another configuration that serves the same; the file is whole at every moment."""
        path = self.gateway.folder / "gateway.toml"
        path.with_suffix(".new").write_text(self.text.format(refresh=refresh))
        path.with_suffix(".new").rename(path)

    def forget(self) -> None:
        """What the providers remember of their callers is not the gateway's to carry."""
        for house in self.houses:
            house.requests.clear()


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """The gateway, taught, and its providers."""
    with Street() as street:
        houses = tuple(street.open(dialect) for dialect in ("openai", "responses", "anthropic", "ollama"))
        text = CONFIG
        for name, house in zip(("oa", "re", "an", "ol"), houses, strict=True):
            text = text.replace(f"{{{name}}}", house.url)
        (folder / "gateway.toml").write_text(text.format(refresh=20))
        (folder / "learned.jsonl").write_bytes(bundle.read("config/learned.jsonl"))
        code, _, complained = told(folder, "teach", "learned.jsonl", "--tenant", "team", "--config", "gateway.toml")
        assert code == 0, complained
        with served(folder, folder / "gateway.toml") as gateway:
            yield Scene(gateway, houses, text)
