"""The simulated models: a table of skills, prices and speeds, and what a name asks for.

Owns: `MODELS`, the grammar of names, and `skill`. A name is `sim` and words after it, in any order, each one a
behaviour; the package's docstring lists them.
Refuses: names with a word it does not know; such a model does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct

from laneway.chat import Card
from laneway.route import Price


class Model(Struct, frozen=True, kw_only=True):
    """One row of the table. Prices are pico-USD per token; the speed is told in durations, never slept."""

    name: str
    skill: float
    price: Price
    tokens_per_s: int
    window: int = 32_768
    output: int = 4_096
    kind: str = "chat"
    abilities: tuple[str, ...] = ("json", "logprobs", "schema", "thinking", "tools", "vision")
    does: str = ""


def _chat(name: str, skill: float, usd: tuple[int, int], tokens_per_s: int, does: str) -> Model:
    """`usd` is in cents per million tokens, input and output."""
    price = Price(input=usd[0] * 10_000, output=usd[1] * 10_000)
    return Model(name=name, skill=skill, price=price, tokens_per_s=tokens_per_s, does=does)


MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        _chat("sim-small", 0.55, (10, 40), 240, "fast and cheap, right about easy things"),
        _chat("sim-medium", 0.75, (60, 240), 120, "in the middle of everything"),
        _chat("sim-large", 0.93, (300, 1500), 40, "slow and dear, right about nearly everything"),
        _chat("sim-echo", 0.75, (0, 0), 1000, "says again what the last user turn said"),
        _chat("sim-tools", 0.75, (60, 240), 120, "calls the tools it is offered"),
        _chat("sim-json", 0.75, (60, 240), 120, "answers in JSON, asked or not"),
        _chat("sim-think", 0.75, (60, 240), 60, "thinks aloud before it answers"),
        _chat("sim-judge", 0.93, (20, 80), 240, "grades the answers it is shown"),
        Model(
            name="sim-embed",
            skill=0.75,
            price=Price(input=20_000, output=0),
            tokens_per_s=20_000,
            window=8_192,
            kind="embed",
            abilities=(),
            does="turns texts into vectors of 64 dimensions",
        ),
    )
}


class Behaviour(Struct, frozen=True, kw_only=True):
    """What a name asks for. `at_delta` belongs to "cut" and "stall"."""

    model: Model
    talents: frozenset[str] = frozenset()
    status: int | None = None
    once: bool = False
    retry_after_s: int | None = None
    fault: str = ""
    at_delta: int = 0
    slow_ms: int = 0
    long: int | None = None


# Words of two kinds: what a model does with a request, and how it fails. Only one failure makes sense in a name.
_WORD = re.compile(
    r"-(?:(?P<size>small|medium|large)"
    r"|(?P<talent>embed|echo|tools|json|think|judge|refuse)"
    r"|fail-(?P<status>[45]\d\d)(?P<once>-once)?(?:-after-(?P<after>\d{1,3}))?"
    r"|(?P<fault>down|reset|blocked|html|hang-headers|hang-first|error-in-stream|context-too-long)"
    r"|(?P<where>cut|stall)-after-(?P<delta>\d{1,5})"
    r"|slow-(?P<slow>\d{1,6})ms"
    r"|long-(?P<long>\d{1,5})"
    r")(?=-|$)"
)


@lru_cache(maxsize=512)
def behaviour(name: str) -> Behaviour | None:
    """What a model of this name does; None where there is no such model."""
    name = name.removesuffix(":latest")  # as an Ollama client may spell it
    if not name.startswith("sim-"):
        return None
    model = MODELS["sim-medium"]
    talents: set[str] = set()
    asked: dict[str, str] = {}
    at = len("sim")
    while at < len(name):
        word = _WORD.match(name, at)
        if word is None:
            return None
        at = word.end()
        said = {key: value for key, value in word.groupdict().items() if value}
        if "size" in said:
            model = MODELS[f"sim-{said['size']}"]
        elif "talent" in said:
            talents.add(said["talent"])
        asked |= said
    row = next((MODELS[f"sim-{talent}"] for talent in sorted(talents) if f"sim-{talent}" in MODELS), None)
    if row is not None and ("size" not in asked or row.kind == "embed"):
        # A size says how good a model is; without one, a talent that has a row of its own does.
        model = row
    return Behaviour(
        model=model,
        talents=frozenset(talents),
        status=int(asked["status"]) if "status" in asked else None,
        once="once" in asked,
        retry_after_s=int(asked["after"]) if "after" in asked else None,
        fault=asked.get("fault") or asked.get("where", ""),
        at_delta=int(asked.get("delta", 0)),
        slow_ms=int(asked.get("slow", 0)),
        long=int(asked["long"]) if "long" in asked else None,
    )


def skill(name: str) -> float:
    """How hard a prompt may be for this model to get it right, 0 to 1; 0 where there is no such model."""
    found = behaviour(name)
    return 0.0 if found is None else found.model.skill


def cards() -> list[Card]:
    """The table as entries of a model list."""
    return [
        Card(
            id=model.name,
            display=f"{model.name}: {model.does}",
            family="simulated",
            window=model.window,
            output=model.output,
            kind=model.kind,
            abilities=model.abilities,
        )
        for model in MODELS.values()
    ]
