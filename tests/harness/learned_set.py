"""The bundled set of scored prompts, made: `python -m tests.harness.learned_set` writes config/learned.jsonl.

Owns: the prompts, which are all our own, made of templates by a fixed seed, with what the simulated models' answers
cost and how the simulated judge grades them. Refuses: anything that is not the same each time.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from laneway.chat import Usage
from laneway.policy.price import cost_nanos, nanos_to_usd
from laneway.route import Price
from laneway.upstream.simulated import MODELS as SIMULATED
from laneway.upstream.simulated import skill
from laneway.upstream.simulated.answers import tokens
from laneway.upstream.simulated.judging import grade
from laneway.upstream.simulated.questions import reply_text

FILE = Path(__file__).parents[2] / "config" / "learned.jsonl"
MODELS = {"cheap": "sim-small", "middle": "sim-medium", "strong": "sim-large"}
EACH = 36
SEED = 11

Make = Callable[[random.Random], str]

_NAMES = ("Anna", "Ben", "Clara", "David", "Emil", "Fatima", "Greta", "Hugo", "Ines", "Jonas", "Karin", "Luis")
_THINGS = ("a bicycle", "a lamp", "an umbrella", "a teapot", "a rucksack", "a clock", "a violin", "a pair of gloves")
_PLACES = ("the harbour", "the old library", "the night train", "a mountain hut", "the market hall", "the lighthouse")
_SENTENCES = (
    "The train leaves at nine.",
    "I would like two tickets, please.",
    "Where is the nearest pharmacy?",
    "The soup is still too hot.",
    "We have lost our luggage.",
    "My sister lives by the sea.",
    "It has been raining all day.",
    "Please turn the music down.",
)
_LANGUAGES = ("German", "French", "Spanish", "Italian", "Dutch", "Swedish")
_EASY_CODE = (
    "reverses a list",
    "counts the lines of a file",
    "adds two numbers",
    "checks if a word is a palindrome",
    "returns the largest of three numbers",
    "removes spaces from a string",
    "turns minutes into hours",
)
_HARD_CODE = (
    "a connection pool shared by forty threads",
    "a cache that several processes write to",
    "a job queue with retries and priorities",
    "a parser for a small expression language",
    "a scheduler that balances work over shards",
    "a rate limiter for a cluster of gateways",
)
_CLAIMS = (
    "the square root of two is irrational",
    "there are infinitely many prime numbers",
    "every bounded monotone sequence converges",
    "the sum of two even functions is even",
    "a finite group of prime order is cyclic",
    "a continuous function on a closed interval is bounded",
)
_SYSTEMS = (
    "eventual consistency and two-phase commit",
    "optimistic and pessimistic locking",
    "row stores and column stores",
    "message queues and shared memory",
    "monoliths and small services",
    "polling and long-lived connections",
)
_EASY_LANDS = ("France", "Germany", "Italy", "Spain", "Japan", "India", "Canada", "Australia", "Brazil")
_HARD_LANDS = ("Switzerland", "New Zealand", "Bhutan", "Kazakhstan", "Myanmar", "Tanzania", "Burkina Faso")
_WORDS = ("strawberry", "committee", "parallel", "assessment", "bookkeeper", "mississippi", "banana", "possession")
_ASKS = ("What is {}?", "Compute {}.", "How much is {}?", "Please work out {} for me.", "{} = ?", "Calculate {}")


def _small_sum(chance: random.Random) -> str:
    return chance.choice(_ASKS).format(f"{chance.randint(2, 99)} + {chance.randint(2, 99)}")


def _large_product(chance: random.Random) -> str:
    return chance.choice(_ASKS).format(f"{chance.randint(200, 999)} * {chance.randint(200, 999)}")


def _capital(chance: random.Random) -> str:
    asks = ("What is the capital of {}?", "Name the capital of {}.", "Tell me the capital city of {}.")
    return chance.choice(asks).format(chance.choice(_EASY_LANDS if chance.random() < 0.6 else _HARD_LANDS))


def _letters(chance: random.Random) -> str:
    word = chance.choice(_WORDS)
    return f"How many times does the letter {chance.choice(word)} occur in the word {word}?"


def _note(chance: random.Random) -> str:
    kind = chance.choice(("a birthday wish", "a short thank-you note", "an invitation to dinner", "a kind reminder"))
    return f"Write {kind} for {chance.choice(_NAMES)}, who likes {chance.choice(_PLACES)}."


def _advert(chance: random.Random) -> str:
    return f"Write one cheerful line to sell {chance.choice(_THINGS)} at {chance.choice(_PLACES)}."


def _translation(chance: random.Random) -> str:
    return f"Translate into {chance.choice(_LANGUAGES)}: {chance.choice(_SENTENCES)}"


def _easy_code(chance: random.Random) -> str:
    language = chance.choice(("Python", "JavaScript", "Go", "Ruby"))
    return f"Write a {language} function that {chance.choice(_EASY_CODE)}."


def _hard_code(chance: random.Random) -> str:
    work = chance.choice(("Refactor and optimize", "Debug, then redesign and refactor", "Design and optimize"))
    return (
        f"{work} {chance.choice(_HARD_CODE)}. Explain the architecture, the concurrency and the complexity, and "
        f"compare the trade-offs with {chance.choice(_HARD_CODE)}.\n```\nwhile True: step()\n```"
    )


def _proof(chance: random.Random) -> str:
    return (
        f"Prove that {chance.choice(_CLAIMS)}. Derive every step, explain why each theorem applies, and compare the "
        f"proof with one by contradiction."
    )


def _essay(chance: random.Random) -> str:
    return (
        f"Compare {chance.choice(_SYSTEMS)} for {chance.choice(_HARD_CODE)}: explain the design, the architecture, "
        f"the trade-offs and why the complexity grows with the number of writers."
    )


KINDS: tuple[Make, ...] = (
    _small_sum,
    _large_product,
    _capital,
    _letters,
    _note,
    _advert,
    _translation,
    _easy_code,
    _hard_code,
    _proof,
    _essay,
)


def prompts(seed: int = SEED, each: int = EACH) -> Iterator[str]:
    """So many of every kind, no two alike, in a mixed order."""
    chance = random.Random(seed)
    found: dict[str, None] = {}
    for make in KINDS:
        kind: dict[str, None] = {}
        for _ in range(each * 20):
            if len(kind) < each:
                kind[make(chance)] = None
        found |= kind
    mixed = list(found)
    chance.shuffle(mixed)
    yield from mixed


def line(prompt: str) -> str:
    """How well each model answers it, and what that costs."""
    said = {name: reply_text(prompt, model, skill(model)) for name, model in MODELS.items()}
    scores = {name: grade(prompt, text) / 10 for name, text in said.items()}
    cost = {name: _usd(SIMULATED[MODELS[name]].price, prompt, text) for name, text in said.items()}
    return json.dumps({"prompt": prompt, "scores": scores, "cost": cost}) + "\n"


def _usd(price: Price, prompt: str, text: str) -> float:
    usage = Usage(input=tokens(len(prompt)), output=tokens(len(text)))
    return float(nanos_to_usd(cost_nanos(usage, price)))


def lines() -> str:
    return "".join(map(line, prompts()))


if __name__ == "__main__":
    FILE.write_text(lines(), encoding="utf-8")
