"""The compiled core written out slowly: what every fast path in native/ has to agree with.

Owns: the same results by the plainest means, from the definitions and from Unicode's own tables: words, pieces,
vectors, shapes, neighbours and votes. Refuses: speed, and any look at the core; the constants of the shape are read
from the file the core is built with, because they are measured and not derived.
"""

from __future__ import annotations

import math
import re
import struct
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

SIDE = 512
TEXT_SHAPE = 19
MAX_TOKENS = 1024
TAG_PULL = 0.2
ROOT = Path(__file__).resolve().parents[2]

_CODE = (
    "FROM JOIN None SELECT WHERE assert async await bool char class const def double elif enum float fn func function"
    " impl import include int lambda len namespace null print printf println private public return self static str"
    " string struct this throw typedef var void"
)
_ASKING = (
    "analyze calculate compare compute derive describe design determine discuss evaluate explain find how implement"
    " prove show simplify solve summarize translate what which why write"
)
CODE_WORDS = frozenset(_CODE.split())
ASKING = frozenset(_ASKING.split())


def excerpt(text: str) -> str:
    """What is looked at: a short text, or the two ends of a long one. A surrogate makes its part's surrogates marks."""
    parts = [text] if len(text) <= 2 * SIDE else [text[:SIDE], text[-SIDE:]]
    return " ".join(part.encode("utf-8", "replace").decode() for part in parts)


# Words, after the uncased tokenizer of BERT (Devlin et al., 2018).


def is_ideograph(char: str) -> bool:
    """Whether the character lies in one of the blocks of Chinese characters that BERT sets apart."""
    blocks = (
        (0x3400, 0x4DBF),
        (0x4E00, 0x9FFF),
        (0xF900, 0xFAFF),
        (0x20000, 0x2A6DF),
        (0x2A700, 0x2B73F),
        (0x2B740, 0x2B81F),
        (0x2B820, 0x2CEAF),
        (0x2F800, 0x2FA1F),
    )
    return any(first <= ord(char) <= last for first, last in blocks)


def is_punctuation(char: str) -> bool:
    """Whether the character is a word of its own: all of Unicode's punctuation, and ASCII's symbols with it."""
    return unicodedata.category(char).startswith("P") or char in "$+<=>^`|~"


def words(text: str) -> list[str]:
    """The text in lower case and without accents, cut at spaces, punctuation and ideographs."""
    spaced = []
    for char in text:
        category = unicodedata.category(char)
        if char in "\t\n\r" or category in ("Zs", "Zl", "Zp"):
            spaced.append(" ")
        elif category in ("Cc", "Cf", "Co") or char == "\ufffd":
            continue
        else:
            spaced.append(f" {char} " if is_ideograph(char) else char)
    plain = [c for c in unicodedata.normalize("NFD", "".join(spaced)) if unicodedata.category(c) != "Mn"]
    return "".join(f" {c} " if is_punctuation(c) else c.lower() for c in plain).split()


class Table:
    """A packed token table, read without the core."""

    def __init__(self, file: bytes) -> None:
        count, self.dims, length = struct.unpack_from("<III", file, 8)
        weights_end = 32 + 2 * count
        rows_end = weights_end + count * self.dims
        self.weights = struct.unpack_from(f"<{count}H", file, 32)
        self.rows = [struct.unpack_from(f"{self.dims}b", file, at) for at in range(weights_end, rows_end, self.dims)]
        self.tokens: dict[str, int] = {}
        at = rows_end
        while at < rows_end + length:
            end = at + 1 + file[at]
            self.tokens[file[at + 1 : end].decode()] = len(self.tokens)
            at = end

    def pieces(self, word: str) -> list[int]:
        """The longest pieces from the left; none at all if any part of the word is no piece."""
        if len(word) > 100:
            return []
        found, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = word[start:end] if start == 0 else "##" + word[start:end]
                # "##x" at the beginning of a word would be a continuation that nothing precedes.
                known = self.tokens.get(piece) if start or not (len(piece) > 2 and piece.startswith("##")) else None
                if known is not None:
                    found.append(known)
                    start = end
                    break
            else:
                return []
        return found

    def tokenise(self, text: str) -> list[int]:
        """The ids of all pieces of the text."""
        return [piece for word in words(text) for piece in self.pieces(word)][:MAX_TOKENS]

    def content(self, text: str) -> list[float]:
        """The weighted sum of the tokens' rows, with length 1."""
        ids = self.tokenise(text)
        return unit([float(sum(self.weights[i] * self.rows[i][dim] for i in ids)) for dim in range(self.dims)])


# Hashing.


def fnv(start: int, data: bytes) -> int:
    """FNV-1a over 64 bits (Fowler, Noll, Vo)."""
    for byte in data:
        start = (start ^ byte) * 0x100000001B3 % 2**64
    return start


def hashed(text: str, places: int) -> list[float]:
    """Words, pairs of words and n-grams, counted with signs in so many places."""
    out = [0.0] * places
    starts = {kind: (0xCBF29CE484222325 ^ ord(kind)) * 0x100000001B3 % 2**64 for kind in "WPG"}

    def put(value: int, amount: float) -> None:
        value ^= value >> 32
        value = value * 0xD6E8FEB86659FD93 % 2**64
        value ^= value >> 32
        out[value % places] += -amount if value >> 63 else amount

    before = None
    for word in words(text):
        data = word.encode()[:256]
        put(fnv(starts["W"], data), 1)
        if before is not None:
            put(fnv(starts["P"], before + b" " + data), 1)
        bordered = b" " + data + b" "
        for size in (3, 4):
            for at in range(len(bordered) - size + 1):
                put(fnv(starts["G"], bordered[at : at + size]), 0.5)
        before = data
    return unit([math.copysign(math.sqrt(abs(value)), value) for value in out])


# Shape.


def measure(text: str, characters: int, request: Sequence[int]) -> list[float]:
    """The numbers of a prompt's shape: of the excerpt, except for the first, and of the request around it."""
    blank = " \t\n\r\v\f"
    tokens = re.findall(f"[^{blank}]+", text)
    ascii_words = re.findall("[A-Za-z]+", text)
    lines = text.split("\n") if text else []
    size = max(len(text), 1)

    def among(chars: str) -> int:
        return sum(char in chars for char in text)

    logs_and_shares = [
        math.log1p(characters),
        math.log1p(len(tokens)),
        math.log1p(sum(map(len, tokens)) / max(len(tokens), 1)),
        math.log1p(text.count("\n")),
        len(re.findall("[0-9]", text)) / size,
        len(re.findall("[A-Z]", text)) / size,
        sum(char > "\x7f" for char in text) / size,
        sum("!" <= char <= "~" and not char.isalnum() for char in text) / size,
        among("()[]{}") / size,
        among("+-*/=<>^%&|") / size,
        math.log1p(text.count("?")),
        math.log1p(len(re.findall("[0-9]+", text))),
        math.log1p(text.count("$") + len(re.findall(r"\\(?=[A-Za-z])", text))),
        math.log1p(sum(bool(re.match(rf" *\(?[A-Za-z][.):]([{blank}]|\Z)", line)) for line in lines)),
        math.log1p(len(re.findall("```+", text))),
        math.log1p(sum(word in CODE_WORDS for word in ascii_words)),
        math.log1p(max(map(len, lines), default=0)),
        math.log1p(len(re.findall("__+", text))),
        math.log1p(sum(word.lower() in ASKING for word in ascii_words)),
    ]
    tools, earlier_turns, system_characters, structured, max_tokens = request
    counts = (tools, earlier_turns, system_characters)
    return [*logs_and_shares, *map(math.log1p, counts), float(structured), math.log1p(max_tokens)]


def scales() -> list[tuple[float, float]]:
    """Mean and spread of each number, as the core was built with them."""
    source = (ROOT / "native" / "src" / "shape_scales.inc").read_text(encoding="utf-8")
    return [(float(mean), float(spread)) for mean, spread in re.findall(r"\{([\d.]+)f, ([\d.]+)f\}", source)]


def standardise(shape: Sequence[float]) -> list[float]:
    """Z-scores between -3 and 3, with length 1 together."""
    pairs = zip(shape, scales(), strict=True)
    return unit([min(max((value - mean) / spread, -3), 3) for value, (mean, spread) in pairs])


# Vectors.


def unit(vector: Sequence[float]) -> list[float]:
    """The vector with length 1, or as it is if it has none."""
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector] if length else list(vector)


def whole(content: Sequence[float], text: str, request: Sequence[int]) -> list[float]:
    """Content and half the shape, with length 1."""
    shape = standardise(measure(excerpt(text), len(text), request))
    return unit([*content, *(0.5 * value for value in shape)])


# Neighbours.


class Row(NamedTuple):
    """One row of the table, in the order of first insertion."""

    id: int
    vector: list[float]
    tag: int


def similarity(one: Sequence[float], tag: int, other: Sequence[float], other_tag: int) -> float:
    """The cosine of two vectors to which their tags are appended, one place for each tag there is."""
    raw = sum(a * b for a, b in zip(one, other, strict=True)) + (TAG_PULL if tag and tag == other_tag else 0)
    return raw / math.sqrt((1 + TAG_PULL if tag else 1) * (1 + TAG_PULL if other_tag else 1))


def similarities(rows: Iterable[Row], query: Sequence[float], tag: int) -> dict[int, float]:
    """Every row's similarity, by id."""
    return {row.id: similarity(query, tag, row.vector, row.tag) for row in rows}


# Votes.


class Vote(NamedTuple):
    """One candidate's standing among the neighbours."""

    quality: float
    error: float
    effective: float


def weigh(similarity_of: Sequence[float]) -> list[float]:
    """Weights that fall with distance; the fortieth neighbour's distance is the unit. Their mean is 1."""
    distances = [max(0.0, 1 - value) for value in similarity_of]
    if not distances:
        return []
    reference = max(distances[min(40, len(distances)) - 1], 1e-6)
    raw = [math.exp((reference - distance) / (0.3 * reference)) for distance in distances]
    return [value * len(raw) / sum(raw) for value in raw]


def vote(weights: Sequence[float], labels: Sequence[float], mean: float) -> Vote:
    """Three pseudo-labels at the mean beside the neighbours' labels; NaN is no label."""
    known = [(weight, label) for weight, label in zip(weights, labels, strict=True) if not math.isnan(label)]
    total = sum(weight for weight, _ in known) + 3
    quality = (sum(weight * label for weight, label in known) + 3 * mean) / total
    prior = 3 * mean * (1 - mean)
    squares = sum(weight * weight for weight, _ in known)
    spread = (sum(weight * (label - quality) ** 2 for weight, label in known) + prior) / total
    effective = (total - 3) ** 2 / squares if squares else 0.0
    return Vote(quality, math.sqrt(spread * squares + prior) / total, effective)
