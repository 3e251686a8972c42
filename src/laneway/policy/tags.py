"""Which kind of task a request belongs to, as far as its caller lets it be known.

Owns: the order in which that is heard: what the caller says, the system prompt without what changes from one request to
the next, the tools, the key. A prompt's own words never make a tag, and a tag never holds a prompt's words.
Refuses: to guess beyond that, and to number tags (a shelf does).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

MOST_TAG = 64
READ = 4096
"""Of a system prompt so many characters are looked at."""
_CHANGES = re.compile(
    # Whatever holds a digit is a date, a number or an id; so is what is long and made of hexadecimal digits alone.
    r"\S*\d\S*|\b[a-f]{8,}\b|"
    r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|"
    r"\b(?:january|february|march|april|may|june|july|august|september|october|november|december)\b"
)
_LETTERS = re.compile(r"[^\w]+")


def tag_of(said: str | None, system: str, tools: Sequence[str], key: str | None) -> str:
    """`said` is what the caller calls it, in a header or in the body; `key` is the id of the key, if there is one."""
    if said and (plain := " ".join(said.split())[:MOST_TAG]):
        return plain
    if system and (made := _of_system(system[:READ])):
        return made
    if tools:
        return f"tools:{_digest(' '.join(sorted(set(tools))))}"
    return f"key:{key}"[:MOST_TAG] if key else ""


@lru_cache(2048)
def _of_system(system: str) -> str:
    words = _LETTERS.sub(" ", _CHANGES.sub(" ", system.lower())).strip()
    return f"system:{_digest(words)}" if words else ""


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()
