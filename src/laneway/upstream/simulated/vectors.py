"""Vectors of the simulated embedding model.

Owns: a bag of hashed words as a unit vector: texts that share words are near each other, whatever their order.
Refuses: meaning, and token ids other than as words of their own.
"""

from __future__ import annotations

import hashlib
import math
import re
from functools import lru_cache

DIMENSIONS = 64
_WORD = re.compile(r"\w+")


def embed(text: str, dimensions: int = DIMENSIONS) -> tuple[float, ...]:
    """A vector of length 1; the same text gives the same one everywhere."""
    sums = [0.0] * dimensions
    for word in _WORD.findall(text.lower()) or ["\0"]:
        for index, value in enumerate(_word(word, dimensions)):
            sums[index] += value
    length = math.sqrt(sum(value * value for value in sums))
    if not length:
        return (1.0, *([0.0] * (dimensions - 1)))
    return tuple(value / length for value in sums)


@lru_cache(maxsize=4096)
def _word(word: str, dimensions: int) -> tuple[float, ...]:
    digest = hashlib.shake_128(word.encode()).digest(dimensions)
    return tuple(byte - 127.5 for byte in digest)
