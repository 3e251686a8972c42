"""What prompts ask, how hard that is, and what a model of some skill says to it.

Owns: `difficulty` and `reply_text`, pure functions of their arguments. Arithmetic, capitals and counting letters have
evident answers, so whether a model was right can be checked; everything else is judged by its length and its words.
Refuses: chance. Where an answer might as well be another one, a hash of prompt and model chooses.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import NamedTuple


class Question(NamedTuple):
    """Something with an evident answer, and the answer somebody gives who gets it wrong."""

    difficulty: float
    right: str
    wrong: str


_SUM = re.compile(r"(?<![\w.:/-])(-?\d{1,9})\s*([-+*x×·/÷])\s*(\d{1,9})(?![\w:/]|[-.]\d)")
_CAPITAL = re.compile(
    r"\bcapital(?: city)? of (?:the )?([a-z][a-z ]*?)(?: called| named)?\s*(?:[?.!,\n]|$)", re.IGNORECASE
)
_LETTERS = re.compile(
    r"\bhow (?:many|often)\b[^?\n]*?['\"`]?\b([a-z])\b['\"`]?(?:'?s)?\b[^?\n]*\bin (?:the word )?['\"`]?([a-z]{3,40})",
    re.IGNORECASE,
)

# Country: how hard, the capital, the city that is taken for it.
_CAPITALS = {
    "france": (0.05, "Paris", "Lyon"),
    "germany": (0.05, "Berlin", "Bonn"),
    "italy": (0.05, "Rome", "Milan"),
    "spain": (0.06, "Madrid", "Barcelona"),
    "japan": (0.08, "Tokyo", "Kyoto"),
    "india": (0.25, "New Delhi", "Mumbai"),
    "canada": (0.35, "Ottawa", "Toronto"),
    "australia": (0.45, "Canberra", "Sydney"),
    "brazil": (0.5, "Brasília", "Rio de Janeiro"),
    "turkey": (0.52, "Ankara", "Istanbul"),
    "switzerland": (0.58, "Bern", "Zurich"),
    "new zealand": (0.6, "Wellington", "Auckland"),
    "bhutan": (0.68, "Thimphu", "Paro"),
    "kazakhstan": (0.7, "Astana", "Almaty"),
    "myanmar": (0.78, "Naypyidaw", "Yangon"),
    "tanzania": (0.8, "Dodoma", "Dar es Salaam"),
    "burkina faso": (0.84, "Ouagadougou", "Bobo-Dioulasso"),
    "palau": (0.95, "Ngerulmud", "Koror"),
}
# Nobody needs more of a prompt than this to see what it asks, and what is remembered stays small.
_READ_CHARS = 4000
_HARD = re.compile(
    r"\b(?:prove|proof|derive|theorem|integral|why|explain|compare|design|refactor|optimi[sz]e|architecture|debug"
    r"|contract|diagnos\w+|trade-?offs?|complexity|concurren\w+)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{4,}")
_COMMON = re.compile(
    r"(?:about|compare|could|describe|does|explain|from|have|into|just|like|more|please|some|tell|than|that|their|them|then"
    r"|there|these|they|this|what|when|where|which|will|with|would|write|your)"
)

_KNOWING = (
    "In short, it comes down to how the parts of {topic} depend on each other.",
    "The main point about {topic} is the use one makes of it.",
    "Look at {topic} from its limits: they explain most of the rest.",
    "There are three sides to {topic}: need, use and cost.",
)
_GOING_ON = (
    "Begin with the smallest case and see what changes as it grows.",
    "What matters most is the order in which things happen.",
    "A simple example shows it better than a definition.",
    "The exceptions are few and worth knowing by heart.",
    "In practice one measures first and decides afterwards.",
)
_GUESSING = (
    "I am not sure about {topic}, but it may be a matter of taste.",
    "It is hard to say anything certain about {topic}.",
    "As to {topic}, perhaps there is nothing more to it than meets the eye.",
)


def pick(seed: str, count: int) -> int:
    """A number below `count` that only depends on the seed."""
    return int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=8).digest(), "big") % count


def question(prompt: str) -> Question | None:
    """The last evident question at the end of a prompt."""
    return _question(prompt[-_READ_CHARS:])


@lru_cache(maxsize=1024)
def _question(prompt: str) -> Question | None:
    sums = list(_SUM.finditer(prompt))
    if sums:
        return _sum(*sums[-1].groups())
    capital = _CAPITAL.search(prompt)
    if capital is not None and (known := _CAPITALS.get(capital[1].strip().lower())) is not None:
        country = capital[1].strip().title()
        hard, right, wrong = known
        return Question(hard, f"The capital of {country} is {right}.", f"The capital of {country} is {wrong}.")
    letters = _LETTERS.search(prompt)
    if letters is not None:
        return _letters(letters[1].lower(), letters[2])
    return None


def _sum(left: str, sign: str, right: str) -> Question:
    a, b = int(left), int(right)
    digits = len(left.lstrip("-")) + len(right)
    if sign in "+-":
        value: int | float = a + b if sign == "+" else a - b
        hard = 0.05 * digits
    elif sign in "/÷":
        value = round(a / b, 2) if b else 0
        hard = 0.15 * digits
        if not b:
            return Question(0.4, f"{a} {sign} 0 is not defined.", f"{a} {sign} 0 = 0.")
        value = int(value) if value == int(value) else value
    else:
        value = a * b
        hard = 0.14 * digits
    off = value + (10 if pick(f"{a}{sign}{b}", 2) else -10)
    said = f"{a} {sign} {b} = "
    return Question(round(min(max(hard, 0.05), 0.98), 2), f"{said}{value}.", f"{said}{round(off, 2)}.")


def _letters(letter: str, word: str) -> Question:
    count = word.lower().count(letter)
    said = f"The letter {letter} is in {word} "
    hard = round(min(0.4 + 0.03 * len(word) + 0.05 * count, 0.9), 2)
    return Question(hard, f"{said}{_times(count)}.", f"{said}{_times(max(count - 1, 0) if count else 1)}.")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def difficulty(prompt: str) -> float:
    """How much skill it takes to answer rightly, 0 to 1."""
    asked = question(prompt)
    return _openness(prompt[:_READ_CHARS]) if asked is None else asked.difficulty


@lru_cache(maxsize=1024)
def _openness(prompt: str) -> float:
    words = len(prompt.split())
    hard = 0.15 + 0.25 * min(words / 150, 1.0) + 0.12 * min(len(set(map(str.lower, _HARD.findall(prompt)))), 4)
    hard += 0.1 * ("```" in prompt) + pick(prompt, 100) / 1000
    return round(min(hard, 0.95), 3)


def reply_text(prompt: str, name: str, skill: float) -> str:
    """What the model of this name and skill says to a prompt."""
    knows = skill >= difficulty(prompt)
    asked = question(prompt)
    if asked is not None:
        return asked.right if knows else asked.wrong
    topic = _topic(prompt)
    seed = f"{name}\0{prompt[:_READ_CHARS]}"
    if not knows:
        return _GUESSING[pick(seed, len(_GUESSING))].format(topic=topic)
    first = pick(seed, len(_KNOWING))
    second = pick(seed + "1", len(_GOING_ON))
    third = (second + 1 + pick(seed + "2", len(_GOING_ON) - 1)) % len(_GOING_ON)
    return " ".join((_KNOWING[first].format(topic=topic), _GOING_ON[second], _GOING_ON[third]))


def guesses(said: str) -> bool:
    """Whether a model that did not know said this."""
    return any(said.startswith(form.partition("{")[0]) and form.partition("}")[2] in said for form in _GUESSING)


def _topic(prompt: str) -> str:
    """The longest word of a prompt that says something."""
    words = [word.lower() for word in _WORD.findall(prompt[:_READ_CHARS])]
    return max((word for word in words if not _COMMON.fullmatch(word)), key=len, default="this")
